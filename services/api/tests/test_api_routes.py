"""REST over real sockets, on a memory bus; the parts that need the store are in test_api_store.py."""

from decimal import Decimal
from typing import Any

import pytest
from api_platform import ACCOUNT, BTCUSDT, RunningApi, record, snapshot

from tradewind.bus.interface import Start
from tradewind.model.enums import OrderSide, OrderType, TradingState
from tradewind.wire.commands import CancelOrder, SetTradingState, SubmitOrder
from tradewind.wire.market_records import RecordFlag, RecordKind, RecordSide
from tradewind.wire.topics import ORDERS_COMMANDS, RISK_COMMANDS, Topic


async def first_command(api: RunningApi, topic: Topic) -> Any:
    subscription = await api.bus.subscribe(topic, start=Start.EARLIEST)
    deliveries = await subscription.receive(timeout_s=5.0)
    await subscription.close()
    return deliveries[0]


async def commands_sent(api: RunningApi) -> int:
    return len(await api.bus.replay(ORDERS_COMMANDS))


@pytest.fixture
async def traded(api: RunningApi) -> RunningApi:
    """The service after an instrument, a book and one open order were published. Its database is away."""
    return await begun(api)


@pytest.fixture
async def stored(stored_api: RunningApi) -> RunningApi:
    """The same with a database: what cannot be audited is not done."""
    return await begun(stored_api)


async def begun(api: RunningApi) -> RunningApi:
    await api.publisher.instrument()
    await api.publisher.records(*snapshot([(6_000_000, 10**8), (5_999_900, 2 * 10**8)], [(6_000_100, 5 * 10**7)]))
    await api.publisher.order("market-maker-1-1", OrderSide.BUY, 5_999_900, 100_000)
    await api.eventually("/api/v1/orders?status=open", lambda body: bool(body["orders"]))
    await api.eventually(f"/api/v1/book/{BTCUSDT}", lambda body: body.get("synced"))
    return api


async def test_health_names_every_service_with_its_reason(api: RunningApi) -> None:
    status, body = await api.get("/api/v1/health")
    assert status == 200
    assert body["destination"].startswith("Orders go to the simulated venue")
    [service] = body["services"]
    assert (service["name"], service["kind"], service["state"], service["ready"]) == ("api", "edge", "ready", True)
    async with api.http.get(api.origin + "/readyz") as answer:
        assert answer.status == 200


async def test_instruments_and_book_are_decimal_strings(traded: RunningApi) -> None:
    _, [instrument] = await traded.get("/api/v1/instruments")
    assert instrument["price_increment"] == "0.01"
    assert instrument["size_increment"] == "0.00001000"
    _, book = await traded.get(f"/api/v1/book/{BTCUSDT}?depth=1")
    assert book["bids"] == [["60000.00", "1.00000000"]]
    assert book["asks"] == [["60001.00", "0.50000000"]]


async def test_a_gap_hides_the_depth_until_the_next_snapshot(traded: RunningApi) -> None:
    level = record(RecordKind.LEVEL, RecordSide.BUY, 6_000_050, 10**8, flags=RecordFlag.GAP)
    await traded.publisher.records(level)
    book = await traded.eventually(f"/api/v1/book/{BTCUSDT}", lambda body: not body["synced"])
    assert book["bids"] == book["asks"] == []
    await traded.publisher.records(*snapshot([(6_000_000, 10**8)], [(6_000_100, 10**8)]))
    book = await traded.eventually(f"/api/v1/book/{BTCUSDT}", lambda body: body["synced"])
    assert book["bids"] == [["60000.00", "1.00000000"]]


async def test_records_that_overtake_their_instrument_are_not_lost(api: RunningApi) -> None:
    await api.publisher.records(*snapshot([(6_000_000, 10**8)], [(6_000_100, 10**8)]))
    await api.eventually("/api/v1/statistics", lambda body: body["market_records"] == 3)
    await api.publisher.instrument()
    book = await api.eventually(f"/api/v1/book/{BTCUSDT}", lambda body: body.get("synced"))
    assert len(book["bids"]) == 1


async def test_prints_are_shown_newest_first(traded: RunningApi) -> None:
    for number in range(1, 4):
        await traded.publisher.records(
            record(RecordKind.TRADE, RecordSide.SELL, 6_000_000 + number, 10**8, order_id=number)
        )
    trades = await traded.eventually(
        f"/api/v1/trades/{BTCUSDT}?limit=2", lambda body: body[:1] != [] and body[0]["trade_id"] == "3"
    )
    assert [trade["trade_id"] for trade in trades] == ["3", "2"]
    assert trades[0]["side"] == "SELL"
    _, [price] = await traded.get("/api/v1/prices")
    assert price["last"] == "60000.03"


async def test_a_crossed_level_with_a_negative_size_only_hides_the_depth(traded: RunningApi) -> None:
    await traded.publisher.records(record(RecordKind.LEVEL, RecordSide.BUY, 1, -1))
    await traded.eventually(f"/api/v1/book/{BTCUSDT}", lambda body: not body["synced"])
    assert traded.task.done() is False


async def test_an_unknown_instrument_is_404_with_a_sentence(api: RunningApi) -> None:
    status, body = await api.get("/api/v1/book/NOPE.BINANCE")
    assert status == 404
    assert "not known" in body["detail"]


async def test_positions_balances_equity_and_states(traded: RunningApi) -> None:
    publisher = traded.publisher
    await publisher.position("ema-cross", 10**7, Decimal("59000.5"), Decimal("12.5"))
    await publisher.balances(USDT=Decimal("1E+4"), BTC=Decimal("1.5"))
    await publisher.equity("ema-cross", Decimal("12.5"), Decimal("100"), Decimal("0.5"))
    await publisher.trading_state("strategy:ema-cross", TradingState.REDUCING, "anna", "too wild")
    [state] = await traded.eventually("/api/v1/trading-states", bool)
    assert (state["scope"], state["state"], state["why"]) == ("strategy:ema-cross", "REDUCING", "too wild")
    [position] = await traded.eventually("/api/v1/positions", bool)
    assert position["signed_size"] == "0.10000000"
    assert position["mark_price"] == "60000.500"
    assert position["unrealized_pnl"] == "100.00"
    balances = await traded.eventually("/api/v1/balances", bool)
    assert {one["currency"]: one["total"] for one in balances} == {"USDT": "10000", "BTC": "1.5"}
    [equity] = await traded.eventually("/api/v1/equity", bool)
    assert equity["net_pnl"] == "112.00"


async def test_open_orders_come_from_memory_while_the_store_is_away(traded: RunningApi) -> None:
    _, page = await traded.get("/api/v1/orders?status=open")
    assert page["source"] == "memory"
    assert [order["status"] for order in page["orders"]] == ["ACCEPTED"]
    for path in ("/api/v1/orders", "/api/v1/fills", "/api/v1/orders/market-maker-1-1", "/api/v1/equity/curve"):
        status, body = await traded.get(path)
        assert status == 503, path
        assert "live prices" in body["detail"]


async def test_a_hands_order_becomes_one_command(stored: RunningApi) -> None:
    order = {"instrument_id": BTCUSDT, "side": "BUY", "size": "0.001", "price": "59000.01", "post_only": True}
    status, body = await stored.post("/api/v1/orders", order)
    assert status == 202
    delivery = await first_command(stored, ORDERS_COMMANDS)
    command = delivery.payload
    assert isinstance(command, SubmitOrder)
    assert delivery.key == ACCOUNT
    assert (command.strategy_id, command.price, command.size) == ("manual", 5_900_001, 100_000)
    assert command.post_only
    assert body["client_order_id"] == command.client_order_id
    assert body["event_id"] == command.event_id
    assert len(command.client_order_id) <= 36


async def test_a_market_order_needs_no_price(stored: RunningApi) -> None:
    order = {"instrument_id": BTCUSDT, "side": "SELL", "order_type": "MARKET", "size": "0.001"}
    assert (await stored.post("/api/v1/orders", order))[0] == 202
    command = (await first_command(stored, ORDERS_COMMANDS)).payload
    assert (command.order_type, command.price) == (OrderType.MARKET, None)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"price": "59000.001"}, "more than 2 decimals"),
        ({"size": "0.000001"}, "not a multiple of 0.00001000"),
        ({"size": "-1"}, "not a multiple"),
        ({"size": "0"}, "must be positive"),
        ({"size": "9999999"}, "above the largest"),
        ({"size": "9999999999999999999"}, "outside int64"),
        ({"price": "0"}, "must be positive"),
        ({"price": "-5"}, "must be positive"),
        ({"price": "1000000.01"}, "above the largest"),
        ({"size": "0.00001", "price": "1"}, "below the smallest, 5.00"),
        ({"price": None}, "needs a price"),
        ({"order_type": "MARKET"}, "has no price"),
        ({"post_only": True, "time_in_force": "IOC"}, "post_only"),
        ({"price": "NaN"}, "price"),
        ({"price": "1e400000"}, "price"),
        ({"price": 59000.5}, "price"),
        ({"side": "HOLD"}, "side"),
        ({"strategy_id": "ema-cross"}, "strategy_id"),
        ({"client_order_id": "ema-cross-1-1"}, "client_order_id"),
        ({"time_in_force": "GTD"}, "time_in_force"),
    ],
)
async def test_an_order_of_a_wrong_form_is_refused_with_a_sentence(
    traded: RunningApi, changes: dict[str, object], says: str
) -> None:
    order = {"instrument_id": BTCUSDT, "side": "BUY", "size": "0.001", "price": "59000.00"} | changes
    status, body = await traded.post("/api/v1/orders", order)
    assert status == 422
    assert says in body["detail"]
    assert await commands_sent(traded) == 0


async def test_an_order_id_that_is_known_is_refused(traded: RunningApi) -> None:
    await traded.publisher.order("manual-1", OrderSide.BUY, 5_900_000, 100_000, "manual")
    await traded.eventually("/api/v1/orders?status=open&strategy_id=manual", lambda body: bool(body["orders"]))
    order = {
        "instrument_id": BTCUSDT,
        "side": "BUY",
        "size": "0.001",
        "price": "59000",
        "client_order_id": "manual-1",
    }
    status, body = await traded.post("/api/v1/orders", order)
    assert status == 409
    assert "taken before" in body["detail"]


async def test_cancel_is_a_command_for_the_orders_own_strategy(traded: RunningApi) -> None:
    status, _ = await traded.delete("/api/v1/orders/market-maker-1-1")
    assert status == 202
    command = (await first_command(traded, ORDERS_COMMANDS)).payload
    assert isinstance(command, CancelOrder)
    assert command.strategy_id == "market-maker"
    assert command.correlation_id == "market-maker-1-1"


async def test_cancel_of_a_closed_order_is_refused(traded: RunningApi) -> None:
    await traded.publisher.canceled("market-maker-1-1")
    await traded.eventually("/api/v1/orders?status=open", lambda body: not body["orders"])
    status, body = await traded.delete("/api/v1/orders/market-maker-1-1")
    assert status == 409
    assert "CANCELED already" in body["detail"]


async def test_the_kill_switch_is_a_command(api: RunningApi) -> None:
    wanted = {"scope": "firm", "state": "HALTED", "why": "drill"}
    assert (await api.post("/api/v1/trading-state", wanted))[0] == 202
    delivery = await first_command(api, RISK_COMMANDS)
    command = delivery.payload
    assert isinstance(command, SetTradingState)
    assert delivery.key == "firm"
    assert (command.state, command.actor, command.why) == (TradingState.HALTED, "anna", "drill")


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "world"},
        {"scope": "strategy:"},
        {"scope": "strategy:Ema"},
        {"scope": "account:main"},
        {"scope": "instrument:BTCUSDT"},
        {"scope": "firm\n"},
        {"scope": "strategy:a b"},
        {"state": "ON"},
        {"why": ""},
        {"why": "x" * 201},
        {"why": "line\nbreak"},
        {"actor": "anna"},
    ],
)
async def test_a_kill_switch_of_a_wrong_form_is_refused(api: RunningApi, changes: dict[str, str]) -> None:
    wanted = {"scope": "firm", "state": "HALTED", "why": "drill"} | changes
    status, _ = await api.post("/api/v1/trading-state", wanted)
    assert status == 422
    assert len(await api.bus.replay(RISK_COMMANDS)) == 0


@pytest.mark.parametrize(
    "path",
    [
        f"/api/v1/book/{BTCUSDT}?depth=0",
        f"/api/v1/book/{BTCUSDT}?depth=101",
        f"/api/v1/book/{BTCUSDT}?depth=x",
        "/api/v1/orders?limit=0",
        "/api/v1/orders?limit=501",
        "/api/v1/orders?status=MAYBE",
        "/api/v1/orders?cursor=%FF",
        "/api/v1/orders?cursor=bm9uc2Vuc2U",
        "/api/v1/fills?cursor=LTE6eA",
        "/api/v1/orders?strategy_id=a%00b",
    ],
)
async def test_query_parameters_are_bounded(api: RunningApi, path: str) -> None:
    status, body = await api.get(path)
    assert status == 422
    assert isinstance(body["detail"], str)


@pytest.mark.parametrize(
    "scope", ["firm", "strategy:ema-cross", "strategy:EXTERNAL", "account:BINANCE-main", "instrument:BTCUSDT.BINANCE"]
)
async def test_every_form_of_scope_is_taken(stored_api: RunningApi, scope: str) -> None:
    wanted = {"scope": scope, "state": "REDUCING", "why": "drill"}
    assert (await stored_api.post("/api/v1/trading-state", wanted))[0] == 202


async def test_an_order_that_cannot_be_audited_is_not_sent(traded: RunningApi) -> None:
    order = {"instrument_id": BTCUSDT, "side": "BUY", "size": "0.001", "price": "59000"}
    status, body = await traded.post("/api/v1/orders", order)
    assert (status, "cannot be audited" in body["detail"]) == (503, True)
    assert await commands_sent(traded) == 0


async def test_statistics_metrics_and_openapi(traded: RunningApi) -> None:
    _, statistics = await traded.get("/api/v1/statistics")
    assert statistics["order_events"] == 3
    assert [bus["plane"] for bus in statistics["buses"]] == ["both"]
    async with traded.http.get(traded.origin + "/metrics") as answer:
        assert "python_info" in await answer.text()
    _, document = await traded.get("/openapi.json")
    assert {"/api/v1/orders", "/api/v1/orders/{client_order_id}", "/api/v1/trading-state"} <= set(document["paths"])
    for path in ("/docs", "/redoc"):
        assert (await traded.get(path))[0] == 404

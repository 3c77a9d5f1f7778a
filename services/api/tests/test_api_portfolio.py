"""Results, drawdown, books and the state of the system, on a real PostgreSQL."""

from decimal import Decimal
from typing import Any

import pytest
from api_platform import ACCOUNT, BTCUSDT, RunningApi, instrument_named, record, snapshot
from test_api_store import NOW, STRATEGY, equity_point, fill, order

from tradewind.model.identifiers import StrategyId
from tradewind.services.api.view_model.portfolio_views import drawdowns
from tradewind.store.database import Database
from tradewind.store.equity import EquityPoint, EquityRepository
from tradewind.store.instruments import InstrumentRepository
from tradewind.store.leases import LeaseRepository
from tradewind.store.order_store import BookRow, OrderBatch, OrderStore
from tradewind.wire.events import LimitsUsed, LimitUsed
from tradewind.wire.market_records import RecordFlag, RecordKind, RecordSide
from tradewind.wire.topics import RISK_LIMITS


@pytest.fixture
async def traded(stored_api: RunningApi, database: Database) -> RunningApi:
    """Two fills of one strategy, its position on the bus, a book at 60,000."""
    await InstrumentRepository(database).register([instrument_named(BTCUSDT)])
    lease = await LeaseRepository(database).acquire("execution:test", "test-holder")
    assert lease is not None
    cash = {"USDT": Decimal("-120.12"), "BTC": Decimal("0.002")}
    books = [BookRow(account_id=ACCOUNT, strategy_id=STRATEGY, currency=c, amount=a) for c, a in cash.items()]
    batch = OrderBatch(new_orders=[order(1), order(2)], fills=[fill(1), fill(2)], books=books)
    await OrderStore(database, ACCOUNT).commit(batch, lease=lease.name, epoch=lease.epoch, now_ns=NOW)
    await EquityRepository(database).insert([equity_point(second) for second in (1, 2, 3)])
    api = stored_api
    await api.publisher.instrument()
    await api.publisher.records(*snapshot([(5_999_900, 10**8)], [(6_000_100, 10**8)]))
    await api.publisher.position(STRATEGY, 200_000, Decimal("59000"), Decimal("1.5"))
    await api.eventually("/api/v1/positions", bool)
    await api.eventually(f"/api/v1/book/{BTCUSDT}", lambda body: body.get("synced"))
    return api


@pytest.mark.parametrize(("by", "key"), [("strategy", STRATEGY), ("instrument", BTCUSDT), ("account", ACCOUNT)])
async def test_results_are_realized_plus_unrealized_less_fees(traded: RunningApi, by: str, key: str) -> None:
    status, page = await traded.get(f"/api/v1/portfolio?by={by}")
    assert status == 200
    [row] = page["rows"]
    # 0.002 BTC bought at 59,000 and worth 60,000; two fees of 0.06 USDT.
    wanted = {
        "key": key,
        "positions": 1,
        "realized_pnl": "1.50",
        "unrealized_pnl": "2.00",
        "fees": "0.12",
        "net_pnl": "3.38",
        "exposure": "120.00",
    }
    assert row == wanted
    assert page["total"] == wanted | {"key": "total"}


async def test_books_account_and_venue_stand_side_by_side(traded: RunningApi) -> None:
    await traded.publisher.balances(USDT=Decimal("-120.12"))
    await traded.eventually("/api/v1/balances", bool)
    status, page = await traded.get("/api/v1/portfolio/reconciliation")
    assert (status, page["at"], page["orders_differing"]) == (200, None, [])
    rows = {row["currency"]: row for row in page["rows"]}
    assert rows["USDT"] == {
        "currency": "USDT",
        "books": "-120.12",
        "account": "-120.1200",
        "venue": "-120.12",
        "difference": "0.00",
    }
    assert (rows["BTC"]["venue"], rows["BTC"]["difference"]) == (None, None)


async def test_the_curve_falls_from_its_peak(traded: RunningApi) -> None:
    status, page = await traded.get("/api/v1/portfolio/drawdown")
    assert status == 200
    assert [row["equity"] for row in page["rows"]] == ["1.40", "2.40", "3.40"]
    assert page["max_drawdown"] == "0.00"


def test_curves_add_up_and_the_deepest_fall_is_found() -> None:
    def point(second: int, strategy: str, net: str) -> EquityPoint:
        whole = equity_point(second)
        return EquityPoint(
            ts=whole.ts,
            account_id=whole.account_id,
            strategy_id=StrategyId(strategy),
            currency="USDT",
            realized_pnl=Decimal(net),
            unrealized_pnl=Decimal(0),
            fees=Decimal(0),
        )

    page = drawdowns(
        [point(1, "a", "5"), point(2, "b", "3"), point(3, "a", "-2"), point(4, "b", "9"), point(4, "a", "1")]
    )
    assert [row["equity"] for row in page["rows"]] == ["5.00", "8.00", "1.00", "10.00"]
    assert [row["drawdown"] for row in page["rows"]] == ["0.00", "0.00", "7.00", "0.00"]
    assert page["max_drawdown"] == "7.00"


async def test_the_system_shows_services_vitals_leases_and_feeds(traded: RunningApi) -> None:
    await traded.publisher.feed("LIVE")
    page: dict[str, Any] = await traded.eventually(
        "/api/v1/system", lambda body: body["leases"] and body["feeds"][0]["state"] == "LIVE"
    )
    [lease] = page["leases"]
    assert (lease["name"], lease["holder"], lease["epoch"]) == ("execution:test", "test-holder", 1)
    [feed] = page["feeds"]
    assert (feed["synced"], feed["gaps"]) == (True, 0)
    assert feed["last_record_at"] is not None
    assert page["store_away"] == ""
    assert all(0 <= service["queue_fill"] <= 1 for service in page["services"])
    await traded.publisher.records(record(RecordKind.CLEAR, RecordSide.NONE, flags=RecordFlag.GAP | RecordFlag.LAST))
    page = await traded.eventually("/api/v1/system", lambda body: not body["feeds"][0]["synced"])
    assert page["feeds"][0]["gaps"] == 1


async def test_limits_are_shown_as_they_were_last_told(traded: RunningApi) -> None:
    uses = (
        LimitUsed(scope="account:BINANCE-main", name="max_open_orders", used=Decimal(200), limit=Decimal(200)),
        LimitUsed(scope="account:BINANCE-main", name="max_daily_loss", used=Decimal("2.5"), limit=Decimal(10)),
    )
    message = LimitsUsed(account_id=ACCOUNT, uses=uses, **traded.publisher.identity())
    await traded.publisher.send(RISK_LIMITS, message)
    page = await traded.eventually("/api/v1/limits", lambda body: body["rows"])
    loss, orders = page["rows"]
    assert (loss["used"], loss["limit"], loss["share"], loss["unit"], loss["tripped"]) == (
        "2.50",
        "10.00",
        0.25,
        "quote currency",
        False,
    )
    assert (orders["used"], orders["unit"], orders["tripped"]) == ("200", "orders", True)

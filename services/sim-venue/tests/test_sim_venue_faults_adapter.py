"""The platform's exchange adapter against every lie, over real sockets: it never guesses, repeats or loses a word.

``CASES`` has what the adapter must make of each lie; a lie without a case is a failing test.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from venue_record import check_record, rows

from tradewind.model.enums import OrderSide, OrderType, TimeInForce
from tradewind.model.identifiers import ClientOrderId, InstrumentId
from tradewind.model.order_status import OrderStatus
from tradewind.services.sim_venue.faults import script
from tradewind.venue.adapter import (
    NewOrder,
    OrderNotFound,
    OutcomeUnknown,
    RateLimited,
    VenueRejected,
    VenueUnavailable,
)
from tradewind.venue.binance.connecting import execution_client, market_data_client
from tradewind.venue.binance.execution import BinanceExecutionClient
from tradewind.venue.reports import BalanceReport, FillReport, OrderStatusReport, StreamInterrupted, StreamResumed

BTC = InstrumentId("BTCUSDT.BINANCE")
NAME = ClientOrderId("s-1-1")
LOW = "50000"
ORDERS = ["new_order"]


class Desk:
    """A quiet venue, the adapter, and everything that its private stream has said."""

    def __init__(self, venue: Any, client: BinanceExecutionClient, data_dir: Path) -> None:
        self.venue = venue
        self.client = client
        self.data_dir = data_dir
        self.told: list[Any] = []

    async def lie(self, *rules: dict[str, Any]) -> None:
        body = json.dumps({"seed": 5, "rules": list(rules)})
        async with self.venue.session.put(f"{self.venue.url}/sim/v1/faults", data=body) as response:
            assert response.status == 200, await response.text()

    async def hits(self) -> int:
        return sum(rule["hits"] for rule in (await self.venue.get("/sim/v1/faults")).body["rules"])

    async def send(self, name: str = NAME, price: str | None = LOW, side: OrderSide = OrderSide.BUY) -> Any:
        order = NewOrder(
            client_order_id=ClientOrderId(name),
            instrument_id=BTC,
            side=side,
            order_type=OrderType.MARKET if price is None else OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            size=100_000 if price is None else 1_000_000,  # a market order that the best price fills at once
            price=None if price is None else int(Decimal(price).scaleb(2)),
        )
        return await self.client.prepare_order(order).send(lambda: None)

    async def cancel(self, name: str = NAME) -> OrderStatusReport:
        (report,) = await self.client.cancel_order(BTC, ClientOrderId(name))
        return report

    async def status(self, name: str = NAME) -> OrderStatusReport:
        return await self.client.order_status(BTC, ClientOrderId(name))

    def taken(self) -> list[tuple[Any, ...]]:
        """All that the venue ever took: client order id, state, executed."""
        return rows(self.data_dir, "SELECT client_order_id, state, executed FROM orders ORDER BY order_id")

    def statuses(self) -> list[OrderStatus]:
        return [event.status for event in self.told if isinstance(event, OrderStatusReport)]

    def fills(self) -> list[FillReport]:
        return [event for event in self.told if isinstance(event, FillReport)]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.01)

    async def listens(self) -> None:
        async for event in self.client.stream():
            self.told.append(event)


@pytest.fixture
async def desk(start_venue: Any, tmp_path: Path) -> AsyncIterator[Desk]:
    venue = await start_venue(events_per_s=0.001)
    client = execution_client(
        venue="BINANCE",
        account="main",
        symbols=["BTCUSDT"],
        rest_url=venue.url,
        stream_url=venue.url.replace("http", "ws"),
        api_key="test-key",
        api_secret="test-secret",
        answer_timeout_s=1.0,
    )
    await client.connect()
    made = Desk(venue, client, tmp_path / "data")
    listening = asyncio.create_task(made.listens())
    await made.until(lambda: venue.venue.hub.clients == 1)
    yield made
    listening.cancel()
    await asyncio.wait([listening])
    await client.close()
    check_record(made.data_dir)


# -- requests ----------------------------------------------------------------------------------------------------------


async def _unknown_and_there(desk: Desk, rule: dict[str, Any]) -> None:
    """Nobody can say, and a question finds the order; it was sent once."""
    await desk.lie(rule)
    with pytest.raises(OutcomeUnknown):
        await desk.send()
    assert (await desk.status()).status is OrderStatus.ACCEPTED
    assert desk.taken() == [(NAME, "NEW", 0)]
    assert await desk.hits() == 1


async def _unknown_and_not_there(desk: Desk, rule: dict[str, Any]) -> None:
    await desk.lie(rule)
    with pytest.raises(OutcomeUnknown):
        await desk.send()
    with pytest.raises(OrderNotFound):
        await desk.status()
    assert desk.taken() == []
    assert await desk.hits() == 1


async def _lost_answer(desk: Desk) -> None:
    await _unknown_and_there(desk, {"lie": "lost_answer", "endpoints": ORDERS})


async def _cut_after(desk: Desk) -> None:
    await _unknown_and_there(desk, {"lie": "cut_after", "endpoints": ORDERS})


async def _error_after(desk: Desk) -> None:
    # -1008 says "overloaded", and some take it for a refusal: with a 5xx it is none.
    await _unknown_and_there(desk, {"lie": "error_after", "endpoints": ORDERS, "status": 503, "code": -1008})


async def _lost_request(desk: Desk) -> None:
    await _unknown_and_not_there(desk, {"lie": "lost_request"})


async def _cut_before(desk: Desk) -> None:
    await _unknown_and_not_there(desk, {"lie": "cut_before"})


async def _error_before(desk: Desk) -> None:
    await _unknown_and_not_there(desk, {"lie": "error_before", "status": 502})
    await desk.lie({"lie": "error_before", "endpoints": ["open_orders", "my_trades"], "status": 504})
    with pytest.raises(VenueUnavailable):
        await desk.client.mass_status(0)


async def _stuck_request(desk: Desk) -> None:
    """Absence right after the time-out proves nothing: the order comes later, within the visibility delay."""
    await desk.lie({"lie": "stuck_request", "ms": 2_000})
    with pytest.raises(OutcomeUnknown):
        await desk.send()
    with pytest.raises(OrderNotFound):
        await desk.status()
    await desk.until(lambda: OrderStatus.ACCEPTED in desk.statuses())
    assert (await desk.status()).status is OrderStatus.ACCEPTED
    assert desk.client.visibility_delay_s > 5.0


async def _late_request(desk: Desk) -> None:
    await desk.lie({"lie": "late_request", "ms": 300})
    (report,) = await desk.send()
    assert report.status is OrderStatus.ACCEPTED
    assert desk.taken() == [(NAME, "NEW", 0)]


async def _late_answer(desk: Desk) -> None:
    """The private stream is faster than the answer."""
    await desk.lie({"lie": "late_answer", "ms": 500, "endpoints": ORDERS})
    sending = asyncio.create_task(desk.send())
    await desk.until(lambda: desk.statuses() == [OrderStatus.ACCEPTED])
    assert not sending.done()
    assert (await sending)[0].status is OrderStatus.ACCEPTED


async def _doubled_answer(desk: Desk) -> None:
    """An answer that comes once more is never taken for that of a later request on the same connection."""
    await desk.lie(
        {"lie": "doubled_answer", "endpoints": ORDERS, "times": 1, "ms": 300},
        {"lie": "late_answer", "endpoints": ORDERS, "nth": 2, "ms": 700},
    )
    await desk.send("s-1-0")
    with pytest.raises(OutcomeUnknown, match="another order, s-1-0"):
        await desk.send()
    assert (await desk.status()).status is OrderStatus.ACCEPTED
    assert [name for name, *_ in desk.taken()] == ["s-1-0", NAME]
    await desk.lie({"lie": "doubled_answer"})
    names = [f"s-1-{number}" for number in range(2, 12)]
    for name in names:
        with contextlib.suppress(OutcomeUnknown):
            assert (await desk.send(name))[0].client_order_id == name
        with contextlib.suppress(OutcomeUnknown):
            assert (await desk.cancel(name)).client_order_id == name
    assert [name for name, *_ in desk.taken()] == ["s-1-0", NAME, *names]


async def _throttled(desk: Desk) -> None:
    """Certainly not executed, and nothing is sent while the venue does not want it; cancels still go."""
    await desk.send("s-1-0")
    await desk.lie({"lie": "throttled", "endpoints": ORDERS, "retry_after_s": 30})
    with pytest.raises(RateLimited) as caught:
        await desk.send()
    assert caught.value.retry_after_s == 30
    with pytest.raises(RateLimited):
        await desk.send()
    assert await desk.hits() == 1
    assert (await desk.cancel("s-1-0")).status is OrderStatus.CANCELED
    assert [name for name, *_ in desk.taken()] == ["s-1-0"]


async def _banned(desk: Desk) -> None:
    await desk.send("s-1-0")
    await desk.lie({"lie": "banned", "retry_after_s": 30})
    with pytest.raises(RateLimited):
        await desk.send()
    with pytest.raises(RateLimited):
        await desk.cancel("s-1-0")
    assert await desk.hits() == 1
    assert [name for name, *_ in desk.taken()] == ["s-1-0"]


async def _clock_refused(desk: Desk) -> None:
    """Certainly not executed; the time is learnt again, and a cancel goes again by itself, an order never."""
    await desk.lie({"lie": "clock_refused", "times": 1})
    with pytest.raises(VenueRejected, match="-1021"):
        await desk.send()
    assert desk.taken() == []
    await desk.send()
    await desk.lie({"lie": "clock_refused", "times": 1})
    assert (await desk.cancel()).status is OrderStatus.CANCELED


async def _fill_before_ack(desk: Desk) -> None:
    await desk.lie({"lie": "fill_before_ack", "percent": 50, "ms": 300})
    sending = asyncio.create_task(desk.send())
    await desk.until(lambda: bool(desk.fills()))
    assert not sending.done()
    (stale,) = await sending
    assert (stale.status, stale.filled_size) == (OrderStatus.ACCEPTED, 0)
    assert (await desk.status()).filled_size == desk.fills()[0].size == 500_000


async def _fill_before_cancel(desk: Desk) -> None:
    await desk.send()
    await desk.lie({"lie": "fill_before_cancel"})
    with pytest.raises(OrderNotFound):
        await desk.cancel()
    assert (await desk.status()).status is OrderStatus.FILLED
    await desk.until(lambda: len(desk.fills()) == 1)


async def _fill_after_cancel(desk: Desk) -> None:
    """The venue says canceled, and later that it was filled: both words arrive."""
    await desk.send()
    await desk.lie({"lie": "fill_after_cancel", "ms": 700})
    report = await desk.cancel()
    assert (report.status, report.filled_size, desk.fills()) == (OrderStatus.CANCELED, 0, [])
    assert desk.taken() == [(NAME, "FILLED", 1_000_000)]
    fills = await desk.client.fills(BTC, venue_order_id=report.venue_order_id)
    await desk.until(lambda: [fill.trade_id for fill in desk.fills()] == [fill.trade_id for fill in fills])
    assert desk.statuses()[-1] is OrderStatus.FILLED


# -- events ------------------------------------------------------------------------------------------------------------


async def _late_event(desk: Desk) -> None:
    """The new order is told after its end."""
    await desk.lie({"lie": "late_event", "events": ["NEW"], "ms": 500})
    await desk.send()
    await desk.cancel()
    await desk.until(lambda: len(desk.statuses()) == 2)
    assert desk.statuses() == [OrderStatus.CANCELED, OrderStatus.ACCEPTED]


async def _reordered_event(desk: Desk) -> None:
    await desk.lie({"lie": "reordered_event", "events": ["NEW"], "after_events": 1, "ms": 20_000})
    await desk.send(price=None)
    await desk.until(lambda: OrderStatus.ACCEPTED in desk.statuses())
    assert desk.statuses()[:2] == [OrderStatus.FILLED, OrderStatus.ACCEPTED]


async def _slow_stream(desk: Desk) -> None:
    await desk.lie({"lie": "slow_stream", "events": ["NEW"], "ms": 400})
    await desk.send()
    await desk.cancel()
    assert desk.statuses() == []
    await desk.until(lambda: len(desk.statuses()) == 2)
    assert desk.statuses() == [OrderStatus.ACCEPTED, OrderStatus.CANCELED]


async def _doubled_event(desk: Desk) -> None:
    """The same word twice is the same report twice: a fill keeps its name."""
    await desk.lie({"lie": "doubled_event", "copies": 3, "events": ["TRADE"]})
    await desk.send(price=None)
    await desk.until(lambda: len(desk.fills()) == 3)
    assert len({fill.trade_id for fill in desk.fills()}) == 1
    assert len(await desk.client.fills(BTC)) == 1


async def _missing_event(desk: Desk) -> None:
    """Nothing is said, no break either: only questions find it."""
    await desk.lie({"lie": "missing_event"})
    await desk.send()
    await desk.send("s-1-2", price=None)
    await desk.cancel()
    status = await desk.client.mass_status(0)
    assert [fill.venue_order_id for fill in status.fills] == ["2"]
    assert status.open_orders == ()
    assert [type(event) for event in desk.told] == [StreamResumed]


async def _cut_stream(desk: Desk) -> None:
    """What came between is gone, and the break is said before anything else."""
    await desk.lie({"lie": "cut_stream", "events": ["NEW"], "times": 1})
    await desk.send()
    await desk.cancel()
    await desk.until(lambda: len([event for event in desk.told if isinstance(event, StreamResumed)]) == 2)
    kinds = [type(event) for event in desk.told if not isinstance(event, BalanceReport)]
    assert kinds[:3] == [StreamResumed, StreamInterrupted, StreamResumed]
    assert (await desk.status()).status is OrderStatus.CANCELED
    await desk.send("s-1-2")
    await desk.until(lambda: OrderStatus.ACCEPTED in desk.statuses())


# -- views and clocks --------------------------------------------------------------------------------------------------


async def _stale_view(desk: Desk) -> None:
    """An order whose name was used before: the view still shows the old one, which must not be taken for it."""
    await desk.send()
    await desk.cancel()
    await desk.until(lambda: len(desk.statuses()) == 2)
    await desk.lie({"lie": "stale_view", "ms": 60_000, "endpoints": ["query_order", "open_orders"]})
    (new,) = await desk.send()
    with pytest.raises(OrderNotFound, match="older order"):
        await desk.status()
    await desk.lie()
    assert (await desk.status()).venue_order_id == new.venue_order_id == "2"


async def _skewed_clock(desk: Desk) -> None:
    """The venue's clock jumps: the first order is refused, then the adapter goes by the venue's time."""
    await desk.send("s-1-0", price=None)
    before_ns = (await desk.client.mass_status(0)).ts_event
    for ms in (60_000, -60_000):
        await desk.lie({"lie": "skewed_clock", "ms": ms})
        with pytest.raises(VenueRejected, match="-1021"):
            await desk.send(f"s-1-{abs(ms) + ms}a")
        traded, *_ = await desk.send(f"s-1-{abs(ms) + ms}b", price=None)
        found = await desk.client.fills(BTC, since_ns=before_ns)
        assert traded.venue_order_id in [fill.venue_order_id for fill in found]
    assert len(desk.taken()) == 3


CASES: dict[str, Callable[[Desk], Awaitable[None]]] = {
    "late_request": _late_request,
    "stuck_request": _stuck_request,
    "lost_request": _lost_request,
    "late_answer": _late_answer,
    "lost_answer": _lost_answer,
    "doubled_answer": _doubled_answer,
    "cut_before": _cut_before,
    "cut_after": _cut_after,
    "error_before": _error_before,
    "error_after": _error_after,
    "throttled": _throttled,
    "banned": _banned,
    "clock_refused": _clock_refused,
    "fill_before_ack": _fill_before_ack,
    "fill_before_cancel": _fill_before_cancel,
    "fill_after_cancel": _fill_after_cancel,
    "late_event": _late_event,
    "slow_stream": _slow_stream,
    "missing_event": _missing_event,
    "doubled_event": _doubled_event,
    "reordered_event": _reordered_event,
    "cut_stream": _cut_stream,
    "stale_view": _stale_view,
    "skewed_clock": _skewed_clock,
}


@pytest.mark.parametrize("lie", script.LIES)
async def test_the_adapter_meets_each_lie(desk: Desk, lie: str) -> None:
    await CASES[lie](desk)


@pytest.mark.parametrize("lie", ["lost_answer", "cut_after", "error_after"])
async def test_a_cancel_without_an_answer_is_unknown_and_may_be_repeated(desk: Desk, lie: str) -> None:
    await desk.send()
    await desk.lie({"lie": lie, "endpoints": ["cancel_order"], "times": 1})
    with pytest.raises(OutcomeUnknown):
        await desk.cancel()
    with pytest.raises(OrderNotFound):
        await desk.cancel()
    assert (await desk.status()).status is OrderStatus.CANCELED


async def test_a_late_event_of_an_older_namesake_does_not_name_the_new_order(desk: Desk) -> None:
    """The end of the old order is told after the new one of that name is there."""
    await desk.send()
    await desk.until(lambda: desk.statuses() == [OrderStatus.ACCEPTED])
    await desk.lie({"lie": "late_event", "events": ["CANCELED"], "ms": 600})
    await desk.cancel()
    await desk.send()
    await desk.until(lambda: OrderStatus.CANCELED in desk.statuses())
    late = desk.told[-1] if isinstance(desk.told[-1], OrderStatusReport) else desk.told[-2]
    assert (late.status, late.venue_order_id, late.client_order_id) == (OrderStatus.CANCELED, "1", None)


async def test_a_refused_duplicate_does_not_make_the_living_order_a_namesake(desk: Desk) -> None:
    await desk.send()
    await desk.until(lambda: desk.statuses() == [OrderStatus.ACCEPTED])
    with pytest.raises(VenueRejected, match="Duplicate"):
        await desk.send()
    assert (await desk.status()).venue_order_id == "1"


async def test_an_answer_about_another_order_is_no_answer(desk: Desk) -> None:
    """The answer to the first question comes once more while the second one waits on the same connection."""
    await desk.send("s-1-0")
    await desk.send()
    await desk.lie(
        {"lie": "doubled_answer", "endpoints": ["query_order"], "times": 1, "ms": 300},
        {"lie": "late_answer", "endpoints": ["query_order"], "nth": 2, "times": 1, "ms": 700},
    )
    assert (await desk.status("s-1-0")).venue_order_id == "1"
    with pytest.raises(VenueUnavailable, match="another order, s-1-0"):
        await desk.status()


async def test_somebody_else_replaces_our_order_under_its_own_name(desk: Desk) -> None:
    """Cancel-replace at the venue's own page: two numbers, one name, and each is told of."""
    await desk.send()
    new = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.02", "price": LOW}
    named = {"cancelOrigClientOrderId": NAME, "newClientOrderId": NAME, "cancelReplaceMode": "STOP_ON_FAILURE"}
    await desk.venue.signed("POST", "/api/v3/order/cancelReplace", symbol="BTCUSDT", **new, **named)
    await desk.until(lambda: len(desk.statuses()) == 3)
    told = [event for event in desk.told if isinstance(event, OrderStatusReport)]
    assert [(each.venue_order_id, each.client_order_id) for each in told] == [("1", NAME), ("1", NAME), ("2", NAME)]
    assert [each.venue_order_id for each in await desk.client.open_orders()] == ["2"]
    assert (await desk.status()).venue_order_id == "2"


@pytest.mark.parametrize(
    ("rule", "gaps"),
    [
        ({"lie": "missing_event", "nth": 4, "every": 8, "run": 2, "times": 4}, True),
        ({"lie": "doubled_event", "every": 2}, False),
        ({"lie": "reordered_event", "every": 6, "times": 3, "ms": 300}, True),
        ({"lie": "cut_stream", "nth": 10, "times": 2}, False),
    ],
)
async def test_the_book_is_right_again_after_market_lies(start_venue: Any, rule: dict[str, Any], gaps: bool) -> None:
    venue = await start_venue(events_per_s=2_000)

    class Feed:
        def __init__(self) -> None:
            self.states: list[str] = []

        def on_records(self, records: Any) -> None:
            """Counted by the client's own comparison."""

        def on_feed_status(self, instrument_id: Any, state: str, detail: str) -> None:
            self.states.append(state)

    feed = Feed()
    client = market_data_client(
        venue="BINANCE", symbols=["BTCUSDT"], rest_url=venue.url, stream_url=venue.url.replace("http", "ws")
    )
    task = asyncio.create_task(client.run(await client.instruments(), feed))
    try:
        async with asyncio.timeout(50):
            while "LIVE" not in feed.states:
                await asyncio.sleep(0.01)
            body = json.dumps({"rules": [{**rule, "on": "market", "streams": ["depth@100ms"]}]})
            async with venue.session.put(f"{venue.url}/sim/v1/faults", data=body) as response:
                assert response.status == 200
            while (await venue.get("/sim/v1/faults")).body["rules"][0]["hits"] < rule.get("times", 5):
                await asyncio.sleep(0.05)
            await venue.session.delete(f"{venue.url}/sim/v1/faults")
            compared = client.compared
            while client.compared < compared + 5 or feed.states[-1] != "LIVE":
                await asyncio.sleep(0.05)
    finally:
        task.cancel()
        await asyncio.wait([task])
        await client.close()
    assert client.compared == client.equal, client.first_difference
    assert ("GAP" in feed.states) == gaps
    assert ("DISCONNECTED" in feed.states) == (rule["lie"] == "cut_stream")

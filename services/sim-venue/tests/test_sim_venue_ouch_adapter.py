"""The platform's OUCH client against the venue: what is sent once is known, whatever the connection does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from soup_client import PASSWORD, free_port

from tradewind.model.enums import LiquiditySide, OrderSide, OrderType, TimeInForce
from tradewind.model.identifiers import ClientOrderId, InstrumentId
from tradewind.model.order_status import OrderStatus
from tradewind.venue.adapter import NewOrder, OrderNotFound, OutcomeUnknown, VenueRejected, VenueUnavailable
from tradewind.venue.adapters import VenueSettings, adapter_named, execution_of
from tradewind.venue.ouch.messages import read_inbound
from tradewind.venue.ouch.session import OuchTimes
from tradewind.venue.reports import FillReport, OrderStatusReport, StreamEvent, StreamInterrupted, StreamResumed

BTC = InstrumentId("BTCUSDT.SIM")
LOW = 500_000_000


class Trader:
    """A connected client and what its stream said."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.events: list[StreamEvent] = []

    async def read(self) -> None:
        async for event in self.client.stream():
            self.events.append(event)

    async def send(self, name: str, **given: Any) -> Any:
        return await self.client.prepare_order(order(name, **given)).send(lambda: None)

    async def status(self, name: str) -> OrderStatusReport:
        found: OrderStatusReport = await self.client.order_status(BTC, ClientOrderId(name))
        return found

    def fills(self) -> list[FillReport]:
        return [event for event in self.events if isinstance(event, FillReport)]


def order(name: str, **given: Any) -> NewOrder:
    wanted: dict[str, Any] = {
        "client_order_id": ClientOrderId(name),
        "instrument_id": BTC,
        "side": OrderSide.BUY,
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "size": 1_000,
        "price": LOW,
    }
    return NewOrder(**(wanted | given))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def trading(venue: Any, folder: Path) -> AsyncIterator[Trader]:
    assert venue.venue.ouch is not None
    await venue.venue.ouch.server.listening.wait()
    settings = VenueSettings(
        venue="SIM", account="main", symbols="BTCUSDT", rest_url=venue.url, stream_url="", api_key="test-key",
        api_secret="test-secret",
        own={
            "address": f"127.0.0.1:{venue.venue.ouch.server.port}", "user": "DEMO", "password": PASSWORD,
            "folder": str(folder), "maker_fee_rate": "0.001", "taker_fee_rate": "0.001",
        },
    )  # fmt: skip
    client: Any = execution_of(adapter_named("ouch"), settings)
    client.answer_timeout_s = 1.0
    client.link.times = OuchTimes(connect=5.0, replay=10.0, silent=2.5)
    trader = Trader(client)
    await client.connect()
    reading = asyncio.create_task(trader.read())
    try:
        yield trader
    finally:
        await client.close()
        await asyncio.wait_for(reading, 10)


@pytest.fixture
async def venue(start_venue: Any) -> Any:
    return await start_venue(ouch_port=free_port(), events_per_s=0.001)


@pytest.fixture
async def trader(venue: Any, tmp_path: Path) -> AsyncIterator[Trader]:
    async with trading(venue, tmp_path / "ouch") as made:
        yield made


async def test_an_order_is_placed_seen_and_canceled(trader: Trader) -> None:
    [report] = await trader.send("rests-1-1", post_only=True)
    assert (report.client_order_id, report.status, report.size, report.price) == (
        "rests-1-1", OrderStatus.ACCEPTED, 1_000, LOW,
    )  # fmt: skip
    assert report.post_only
    [shown] = await trader.client.open_orders()
    assert (shown.client_order_id, shown.venue_order_id) == (report.client_order_id, report.venue_order_id)
    assert (shown.size, shown.price) == (1_000, LOW)
    [canceled] = await trader.client.cancel_order(BTC, ClientOrderId("rests-1-1"))
    assert canceled.status is OrderStatus.CANCELED
    assert (await trader.status("rests-1-1")).status is OrderStatus.CANCELED
    with pytest.raises(OrderNotFound):
        await trader.client.cancel_order(BTC, ClientOrderId("rests-1-1"))


async def test_executions_are_told_as_the_venue_books_them(trader: Trader) -> None:
    await trader.send("takes-1-1", order_type=OrderType.MARKET, price=None, size=5_000)
    await until(lambda: sum(fill.size for fill in trader.fills()) == 5_000)
    told = trader.fills()
    asked = list(await trader.client.fills(BTC, since_ns=0))
    assert [(f.trade_id, f.price, f.size, f.fee, f.fee_currency, f.side, f.venue_order_id) for f in told] == [
        (f.trade_id, f.price, f.size, f.fee, f.fee_currency, f.side, f.venue_order_id) for f in asked
    ]
    assert {fill.liquidity_side for fill in told} == {LiquiditySide.TAKER}
    assert all(abs(one.ts_event - other.ts_event) < 2_000_000_000 for one, other in zip(told, asked, strict=True))
    assert (await trader.status("takes-1-1")).status is OrderStatus.FILLED


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"size": 1}, "OUCH reason Z"),
        ({"size": 1_000_000}, "1 to 999999 shares"),
        ({"time_in_force": TimeInForce.DAY}, "no LIMIT DAY orders"),
        ({"price": LOW + 1}, "OUCH reason X"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_rests(trader: Trader, given: dict[str, Any], error: str) -> None:
    with pytest.raises(VenueRejected, match=error):
        await trader.send("bad-1-1", **given)
    with pytest.raises(OrderNotFound):
        await trader.status("bad-1-1")
    assert await trader.client.open_orders() == []


async def test_an_immediate_order_that_finds_nothing_expires(trader: Trader) -> None:
    for name, force in (("i-1-1", TimeInForce.IOC), ("f-1-1", TimeInForce.FOK)):
        await trader.send(name, time_in_force=force)
        await until(lambda name=name: any(getattr(e, "client_order_id", "") == name for e in trader.events))
        report = await trader.status(name)
        assert (report.status, report.time_in_force, report.filled_size) == (OrderStatus.EXPIRED, force, 0)


async def test_killed_in_mid_stream_every_order_is_known(venue: Any, trader: Trader) -> None:
    """Connections die between orders and answers; in the end each order is either at the venue or is not."""
    assert venue.venue.ouch is not None
    sent, refused, unknown = [], [], []
    for number in range(40):
        name = f"n-1-{number}"
        try:
            sending = asyncio.ensure_future(trader.send(name))
            await asyncio.sleep(0 if number % 3 else 0.002)
            if number % 4 == 0:
                venue.venue.ouch.server.cut_all()
            await sending
            sent.append(name)
        except OutcomeUnknown:
            unknown.append(name)
        except VenueUnavailable:
            refused.append(name)
            await until(lambda: trader.client.link.live)
    await until(lambda: trader.client.link.live)
    assert refused
    assert len(sent) > 10
    open_there = {report.client_order_id for report in await trader.client.open_orders()}
    for name in sent:
        assert (await trader.status(name)).status is OrderStatus.ACCEPTED
    for name in (*refused[:3], *unknown):
        if name in open_there:
            assert name in unknown
            assert (await trader.status(name)).status is OrderStatus.ACCEPTED
        else:
            with pytest.raises(OrderNotFound):
                await trader.status(name)
    assert len(open_there) == len(await trader.client.open_orders())
    assert open_there <= {*sent, *unknown}
    assert any(isinstance(event, StreamInterrupted) for event in trader.events)
    assert isinstance(trader.events[-1], StreamResumed | OrderStatusReport)


async def test_an_answer_that_was_lost_comes_with_the_next_login(venue: Any, trader: Trader) -> None:
    assert venue.venue.ouch is not None
    trader.client.answer_timeout_s = 20.0
    sending = asyncio.ensure_future(trader.send("lost-1-1"))
    await until(lambda: venue.venue.exchange.open_orders)
    venue.venue.ouch.server.cut_all()
    [report] = await sending
    assert report.status is OrderStatus.ACCEPTED
    assert len(venue.venue.exchange.open_orders) == 1


async def test_a_new_process_knows_the_orders_of_the_one_before(venue: Any, tmp_path: Path) -> None:
    async with trading(venue, tmp_path / "one") as first:
        await first.send("known-1-1")
        await first.send("takes-1-2", order_type=OrderType.MARKET, price=None)
    async with trading(venue, tmp_path / "one") as second:
        [report] = await second.client.open_orders()
        assert report.client_order_id == "known-1-1"
        assert (await second.status("takes-1-2")).filled_size == 1_000
        # Sent again by mistake, it does not leave.
        with pytest.raises(VenueRejected, match="knows an order of this name already"):
            await second.send("known-1-1")
    # Without the file of names the order can still be asked for.
    async with trading(venue, tmp_path / "two") as third:
        assert (await third.status("known-1-1")).status is OrderStatus.ACCEPTED


async def test_a_venue_that_is_gone_is_no_answer(venue: Any, trader: Trader) -> None:
    await trader.send("rests-1-1")
    await venue.stop()
    await until(lambda: not trader.client.link.live)
    left: list[int] = []
    with pytest.raises(VenueUnavailable):
        await trader.client.prepare_order(order("late-1-1")).send(lambda: left.append(1))
    assert left == []
    for name in ("rests-1-1", "late-1-1"):
        with pytest.raises(VenueUnavailable):
            await trader.status(name)


async def test_questions_at_once_share_a_login_and_do_not_interrupt_the_stream(venue: Any, trader: Trader) -> None:
    before = list(trader.events)
    asked = [asyncio.ensure_future(trader.status(f"never-1-{number}")) for number in range(20)]
    assert all(isinstance(each, OrderNotFound) for each in await asyncio.gather(*asked, return_exceptions=True))
    assert trader.client.link._renewals <= 2
    await trader.send("after-1-1")
    await until(lambda: len(trader.events) > len(before))
    assert [type(event) for event in trader.events[len(before) :]] == [OrderStatusReport]


async def test_a_half_open_connection_is_left(venue: Any, trader: Trader) -> None:
    """The venue takes nothing up and says nothing, and the connection stands."""
    assert venue.venue.ouch is not None
    server = venue.venue.ouch.server
    [peer] = server._clients
    wire = trader.client.link._wire
    wire._transport.pause_reading()
    with pytest.raises(OutcomeUnknown):
        await trader.send("dark-1-1")
    await until(lambda: any(isinstance(event, StreamInterrupted) for event in trader.events))
    await until(lambda: trader.client.link.live)
    assert peer.gone
    assert (await trader.status("dark-1-1")).status is OrderStatus.ACCEPTED


async def test_a_write_that_may_not_be_is_not_made(venue: Any, trader: Trader) -> None:
    class Forbidden(Exception):
        pass

    def forbid() -> None:
        raise Forbidden

    with pytest.raises(Forbidden):
        await trader.client.prepare_order(order("no-1-1")).send(forbid)
    with pytest.raises(OrderNotFound):
        await trader.status("no-1-1")
    assert not venue.venue.exchange.open_orders


def test_a_cancel_has_the_form_of_the_protocol() -> None:
    assert read_inbound(b"X" + b"A" * 14 + b"\0\0\0\0").token == "A" * 14

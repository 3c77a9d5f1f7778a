"""Orders and drop copy over FIX: the adapter `fix` against the venue, and peers that break the rules."""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from running_venue import KEY, SECRET, RunningVenue, StartVenue

from tradewind.model.enums import LiquiditySide, OrderSide, OrderType, TimeInForce
from tradewind.model.identifiers import ClientOrderId, InstrumentId
from tradewind.model.order_status import OrderStatus
from tradewind.store.testing import missing
from tradewind.venue.adapter import NewOrder, OrderNotFound, OutcomeUnknown, VenueRejected, VenueUnavailable
from tradewind.venue.adapters import VenueSettings, adapter_named, execution_of
from tradewind.venue.fix.execution import FixExecutionClient
from tradewind.venue.fix_fields import fields_of, fix_body
from tradewind.venue.reports import FillReport, OrderStatusReport, StreamEvent, StreamInterrupted, StreamResumed

try:
    from tradewind_native.fix_events import FixEvent, FixEventKind
    from tradewind_native.fix_sessions import FixEngine, FixSession
except ImportError as error:
    missing("quickfix", str(error), whole_module=True)

BTC = InstrumentId("BTCUSDT.SIM")
VERSIONS = pytest.mark.parametrize("version", ["FIX.4.2", "FIX.4.4"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings(venue: RunningVenue, port: int, folder: Path, version: str, **own: str) -> VenueSettings:
    return VenueSettings(
        venue="SIM",
        account="main",
        symbols="BTCUSDT",
        rest_url=venue.url,
        stream_url=venue.url,
        api_key=KEY,
        api_secret=SECRET,
        own={"host": "127.0.0.1", "port": str(port), "folder": str(folder), "begin_string": version, **own},
    )


def order(name: str, *, side: OrderSide = OrderSide.BUY, price: int | None = None, size: int = 1_000_00) -> NewOrder:
    return NewOrder(
        client_order_id=ClientOrderId(name),
        instrument_id=BTC,
        side=side,
        order_type=OrderType.MARKET if price is None else OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        size=size,
        price=price,
    )


class Client:
    """The adapter and all that its stream said."""

    def __init__(self, client: FixExecutionClient) -> None:
        self.client = client
        self.events: list[StreamEvent] = []

    async def read(self) -> None:
        async for event in self.client.stream():
            self.events.append(event)

    def fills(self) -> list[FillReport]:
        return [event for event in self.events if isinstance(event, FillReport)]

    def statuses(self, name: str) -> list[OrderStatus]:
        return [e.status for e in self.events if isinstance(e, OrderStatusReport) and e.client_order_id == name]

    async def send(self, new: NewOrder) -> OrderStatusReport:
        written: list[bool] = []
        [report] = await self.client.prepare_order(new).send(lambda: written.append(True))
        assert written == [True]
        assert isinstance(report, OrderStatusReport)
        return report


@contextlib.asynccontextmanager
async def connected(given: VenueSettings) -> AsyncIterator[Client]:
    client = execution_of(adapter_named("fix"), given)
    assert isinstance(client, FixExecutionClient)
    end = Client(client)
    await client.connect()
    reading = asyncio.create_task(end.read())
    try:
        yield end
    finally:
        reading.cancel()
        await asyncio.wait([reading])
        await client.close()


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not what():
            await asyncio.sleep(0.02)


@VERSIONS
async def test_an_account_trades_over_fix_as_over_rest(start_venue: StartVenue, tmp_path: Path, version: str) -> None:
    port = free_port()
    venue = await start_venue(events_per_s=0.001, fix_port=port)
    async with connected(settings(venue, port, tmp_path / "fix", version, drop_copy="TRADEWIND-DC")) as us:
        resting = await us.send(order("rests", price=40_000_00))
        assert (resting.status, resting.size, resting.price) == (OrderStatus.ACCEPTED, 100_000, 40_000_00)
        [canceled] = await us.client.cancel_order(BTC, ClientOrderId("rests"))
        assert canceled.status is OrderStatus.CANCELED
        assert (canceled.client_order_id, canceled.venue_order_id) == ("rests", resting.venue_order_id)
        with pytest.raises(OrderNotFound):
            await us.client.cancel_order(BTC, ClientOrderId("rests"))
        taken = await us.send(order("takes"))
        assert taken.status in (OrderStatus.ACCEPTED, OrderStatus.FILLED)
        await until(lambda: sum(fill.size for fill in us.fills()) == 100_000)
        asked = await us.client.fills(BTC, venue_order_id=taken.venue_order_id)
        key = ("trade_id", "price", "size", "fee", "fee_currency", "liquidity_side", "side")
        told = [tuple(getattr(fill, name) for name in key) for fill in us.fills()]
        assert told == [tuple(getattr(fill, name) for name in key) for fill in asked], "once, though two sessions told"
        assert us.fills()[0].liquidity_side is LiquiditySide.TAKER
        assert us.fills()[0].fee > Decimal(0)
        assert us.statuses("takes")[-1] is OrderStatus.FILLED
        assert us.statuses("rests") == [OrderStatus.ACCEPTED, OrderStatus.CANCELED]
        assert (await us.client.order_status(BTC, ClientOrderId("takes"))).status is OrderStatus.FILLED
    assert isinstance(us.events[0], StreamResumed)


@VERSIONS
async def test_what_the_venue_refuses_is_a_refusal(start_venue: StartVenue, tmp_path: Path, version: str) -> None:
    port = free_port()
    venue = await start_venue(events_per_s=0.001, fix_port=port)
    async with connected(settings(venue, port, tmp_path / "fix", version)) as us:
        for wrong, words in (
            (order("poor", side=OrderSide.SELL, size=900 * 100_000_000), "insufficient balance"),
            (order("tick", price=1), "NOTIONAL"),
            (order("bad name", price=40_000_00), r"ClOrdID\(11\)"),
        ):
            with pytest.raises(VenueRejected, match=words):
                await us.send(wrong)
        await us.send(order("twice", price=40_000_00))
        with pytest.raises(VenueRejected, match="Duplicate"):
            await us.send(order("twice", price=40_000_00))
        assert [one.client_order_id for one in await us.client.open_orders()] == ["twice"]
        once = us.client.prepare_order(order("once", price=40_000_00))
        await once.send(lambda: None)
        with pytest.raises(RuntimeError, match="sent once"):
            await once.send(lambda: None)


async def test_a_write_that_is_forbidden_sends_nothing(start_venue: StartVenue, tmp_path: Path) -> None:
    port = free_port()
    venue = await start_venue(events_per_s=0.001, fix_port=port)
    async with connected(settings(venue, port, tmp_path / "fix", "FIX.4.4")) as us:

        def forbid() -> None:
            raise PermissionError("the lease is gone")

        with pytest.raises(PermissionError):
            await us.client.prepare_order(order("never", price=40_000_00)).send(forbid)
        await us.send(order("later", price=40_000_00))
        assert [one.client_order_id for one in await us.client.open_orders()] == ["later"]
        with pytest.raises(OrderNotFound):
            await us.client.order_status(BTC, ClientOrderId("never"))


async def test_a_wrong_key_is_said(start_venue: StartVenue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradewind.venue.fix.session.LOGON_TIMEOUT_S", 3.0)
    port = free_port()
    venue = await start_venue(events_per_s=0.001, fix_port=port)
    good = settings(venue, port, tmp_path / "fix", "FIX.4.4")
    client = execution_of(adapter_named("fix"), good)
    assert isinstance(client, FixExecutionClient)
    client.link.address = type(client.link.address)(
        **{name: getattr(client.link.address, name) for name in client.link.address.__struct_fields__}
        | {"password": "wrong-secret"}
    )
    with pytest.raises(VenueUnavailable, match="no FIX logon"):
        await client.connect()
    await client.close()
    assert venue.venue.exchange.open_orders == {}


async def test_the_venue_dies_and_comes_back(start_venue: StartVenue, tmp_path: Path) -> None:
    """An order in flight is unknown, then asked for; what filled while nobody listened is told after the logon."""
    port = free_port()
    venue = await start_venue(events_per_s=0.001, fix_port=port)
    async with connected(settings(venue, port, tmp_path / "fix", "FIX.4.4")) as us:
        await us.send(order("before", price=40_000_00))
        sending = asyncio.create_task(us.client.prepare_order(order("flying", price=40_000_00)).send(lambda: None))
        await asyncio.sleep(0)
        await venue.stop()
        ended = await asyncio.gather(sending, return_exceptions=True)
        assert isinstance(ended[0], OutcomeUnknown | list)
        await until(lambda: any(isinstance(event, StreamInterrupted) for event in us.events))
        with pytest.raises(VenueUnavailable):
            await us.send(order("away", price=40_000_00))
        again = await start_venue(events_per_s=0.001, fix_port=port, port=venue.venue.port)
        await until(lambda: sum(isinstance(event, StreamResumed) for event in us.events) == 2)
        known = {one.client_order_id for one in await us.client.open_orders()}
        assert known in ({"before"}, {"before", "flying"})
        await us.send(order("after", price=40_000_00))
        names = [each.client_order_id for each in again.venue.exchange.open_orders.values()]
        assert len(names) == len(set(names))
        assert "away" not in names


class Peer:
    """A client's own engine, for messages that the adapter never sends."""

    def __init__(self, engine: FixEngine, name: str) -> None:
        self.engine = engine
        self.name = name
        self.events: list[FixEvent] = []

    def reports(self, kind: str = "8") -> list[dict[int, str]]:
        every = [fields_of(e.message) for e in self.events if e.kind is FixEventKind.MESSAGE]
        return [each for each in every if each[35] == kind]

    def send(self, kind: str, *fields: tuple[int, Any]) -> None:
        assert self.engine.send(self.name, fix_body(kind, fields)).written


@contextlib.asynccontextmanager
async def peer(port: int, folder: Path, sender: str = "TRADEWIND") -> AsyncIterator[Peer]:
    session = FixSession(
        "FIX.4.4", sender, "SIM", port, host="127.0.0.1", reconnect_s=1, username=KEY, password=SECRET,
        extra={"ValidateUserDefinedFields": "N"},
    )  # fmt: skip
    engine = FixEngine("initiator", [session], folder)
    end = Peer(engine, session.session_id)
    engine.listen(end.events.extend)
    engine.start()
    try:
        await until(lambda: engine.state(session.session_id).logged_on)
        yield end
    finally:
        engine.unlisten()
        await asyncio.to_thread(engine.stop)


LIMIT = ((21, "1"), (55, "BTCUSDT"), (54, "1"), (60, "20260101-00:00:00"), (38, "0.001"), (40, "2"), (44, "40000"))


async def test_possresend_never_makes_a_second_order(start_venue: StartVenue, tmp_path: Path) -> None:
    port = free_port()
    venue = await start_venue(events_per_s=0.001, fix_port=port)
    async with peer(port, tmp_path / "peer") as them:
        them.send("D", (11, "one"), *LIMIT, (59, "1"))
        await until(them.reports)
        for number in (2, 3, 4):
            them.send("D", (97, "Y"), (11, "one"), *LIMIT, (59, "1"))
            await until(lambda wanted=number: len(them.reports()) == wanted)
        assert [(each[150], each[39], each[11]) for each in them.reports()] == [
            ("0", "0", "one"), *[("I", "0", "one")] * 3,
        ]  # fmt: skip
        them.send("D", (97, "Y"), (11, "new"), *LIMIT, (59, "1"))
        await until(lambda: len(them.reports()) == 5)
        assert them.reports()[-1][150] == "0"
        assert [each.client_order_id for each in venue.venue.exchange.open_orders.values()] == ["one", "new"]
        them.send("H", (11, "one"), (55, "BTCUSDT"), (54, "1"), (790, "q1"))
        them.send("H", (11, "none"), (55, "BTCUSDT"), (54, "1"))
        them.send("AF", (584, "m1"), (585, "7"))
        await until(lambda: len(them.reports()) == 9)
        one, none, first, last = them.reports()[5:]
        assert (one[150], one[790], one[11]) == ("I", "q1", "one")
        assert (none[39], none[103]) == ("8", "5")
        assert [(each[584], each[911], each[912]) for each in (first, last)] == [("m1", "2", "N"), ("m1", "2", "Y")]


async def test_a_drop_copy_hears_everything_and_takes_nothing(start_venue: StartVenue, tmp_path: Path) -> None:
    port = free_port()
    venue = await start_venue(events_per_s=0.001, fix_port=port)
    async with peer(port, tmp_path / "copy", "TRADEWIND-DC") as copy:
        await venue.order(price="40000", quantity="0.001", newClientOrderId="by-rest")
        await until(copy.reports)
        assert copy.reports()[0][11] == "by-rest"
        copy.send("D", (11, "no"), *LIMIT, (59, "1"))
        await until(lambda: copy.reports("j"))
        assert "drop copy" in copy.reports("j")[0][58]
    await venue.order(price="40000", quantity="0.001", newClientOrderId="unheard")
    async with peer(port, tmp_path / "copy", "TRADEWIND-DC") as copy:
        await until(copy.reports)
        assert (copy.reports()[0][11], copy.reports()[0][43]) == ("unheard", "Y")
    assert len(venue.venue.exchange.open_orders) == 2


@pytest.mark.parametrize(
    "noise",
    [
        b"garbage\x01" * 50,
        b"8=FIX.4.4\x019=1000000000\x0135=D\x01",
        b"8=FIX.4.4\x019=5\x0135=D\x0110=000\x01",
        bytes(4096),
    ],
    ids=["text", "a-gigabyte-claimed", "wrong-checksum", "zeros"],
)
async def test_garbage_on_the_port_harms_nobody(start_venue: StartVenue, tmp_path: Path, noise: bytes) -> None:
    port = free_port()
    venue = await start_venue(events_per_s=0.001, fix_port=port)
    async with peer(port, tmp_path / "peer") as them:
        strangers = [await asyncio.to_thread(socket.create_connection, ("127.0.0.1", port), 5) for _ in range(3)]
        for stranger in strangers:
            stranger.sendall(noise)
        # One goes without a good-bye.
        strangers[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        strangers[0].close()
        them.send("D", (11, "fine"), *LIMIT, (59, "1"))
        await until(them.reports)
        for stranger in strangers[1:]:
            stranger.close()
    assert len(venue.venue.exchange.open_orders) == 1


async def test_without_quickfix_it_is_one_sentence(start_venue: StartVenue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tradewind_native.fix_sessions", None)
    with pytest.raises(Exception, match="TRADEWIND_SIM_VENUE_FIX_PORT: "):
        await start_venue(events_per_s=0.001, fix_port=free_port())


def test_settings_that_cannot_be_are_named(tmp_path: Path) -> None:
    given = {"host": "h", "port": "1", "folder": str(tmp_path)}
    for wrong in ({"port": "0"}, {"port": "x"}, {"host": ""}, {"folder": ""}, {"begin_string": "FIX.5.0"},
                  {"reset_on_logon": "maybe"}, {"heartbeat_s": "0"}):  # fmt: skip
        [name] = wrong
        made = VenueSettings(
            venue="SIM", account="main", symbols="BTCUSDT", rest_url="http://127.0.0.1:1", stream_url="",
            api_key=KEY, api_secret=SECRET, own={**given, **wrong},
        )  # fmt: skip
        with pytest.raises(ValueError, match=f"TRADEWIND_VENUE_FIX_{name.upper()}"):
            execution_of(adapter_named("fix"), made)
    assert os.listdir(tmp_path) == []

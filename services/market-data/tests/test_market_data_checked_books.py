"""The service with the adapters of OKX and Kraken: books on the bus, holes marked, health, a recorded session."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tradewind.bus.interface import Subscription
from tradewind.model.identifiers import InstrumentId, Venue
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.service import ServiceContext
from tradewind.services.market_data.service import SERVICE
from tradewind.venue.checked_books.conformance_venues import CheckedBooksVenue, KrakenVenue, OkxVenue
from tradewind.venue.checked_books.testing import KRAKEN_PRICE_DECIMALS, CheckedBooksServer, play, served
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import RecordArray, RecordFlag, RecordKind, RecordSide, instrument_number
from tradewind.wire.topics import market_events
from tradewind_native.order_book import OrderBook

DATA = Path(os.environ.get("TRADEWIND_TEST_DATA", str(Path(__file__).resolve().parents[4] / "shared" / "data")))
VENUES = pytest.mark.parametrize("kind", [OkxVenue, KrakenVenue], ids=lambda kind: kind.adapter)
SIDES = (RecordSide.BUY, RecordSide.SELL)


class Published:
    """What the service puts on the bus, and the book of whoever reads it."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self.batches: list[RecordArray] = []

    @property
    def records(self) -> RecordArray:
        return np.concatenate(self.batches)

    def levels(self, name: str, side: RecordSide) -> list[tuple[int, int]]:
        book = OrderBook(instrument_number(InstrumentId(name)))
        for records in self.batches:
            book.apply(records)
        return list(book.levels(side, 100_000))

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                for delivery in await self._subscription.receive(timeout_s=0.02):
                    assert isinstance(delivery.payload, MarketBatch)
                    self.batches.append(delivery.payload.records.copy())


def context_of(make_context: Any, adapter: str, port: int, symbols: str) -> ServiceContext:
    context: ServiceContext = make_context(snapshot_interval_s=3_000)
    context.platform = msgspec.structs.replace(
        context.platform,
        venue=adapter.upper(),
        venue_adapter=adapter,
        symbols=symbols,
        venue_rest_url=f"http://127.0.0.1:{port}",
        venue_stream_url=f"ws://127.0.0.1:{port}",
    )
    return context


@contextlib.asynccontextmanager
async def publishing(context: ServiceContext) -> AsyncIterator[Published]:
    topic = market_events(Venue(context.platform.venue))
    published = Published(await context.market_bus.subscribe(topic, lossless=True))
    task = asyncio.create_task(SERVICE.run(context))
    try:
        yield published
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await context.last_values.close()


@contextlib.asynccontextmanager
async def started(kind: type[CheckedBooksVenue], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CheckedBooksVenue]:
    venue = kind()
    await venue.start()
    for field, value in venue.own().items():
        monkeypatch.setenv(f"TRADEWIND_VENUE_{venue.adapter.upper()}_{field.upper()}", value)
    try:
        yield venue
    finally:
        await venue.stop()


@VENUES
async def test_the_venues_book_is_on_the_bus_and_a_hole_is_marked_there(
    kind: type[CheckedBooksVenue], make_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(kind, monkeypatch) as venue:
        context = context_of(make_context, venue.adapter, venue.settings_port(), venue.symbol)

        def is_right() -> bool:
            if not (context.health.ready and published.batches):
                return False
            return all(published.levels(venue.instrument_id, side) == venue.levels(side) for side in SIDES)

        async with publishing(context) as published:
            await published.until(is_right)
            for _ in range(30):
                await venue.change()
            await venue.trade(7)
            await published.until(lambda: RecordKind.TRADE in published.records["kind"])
            await published.until(is_right)
            assert not (published.records["flags"] & RecordFlag.GAP).any()
            await venue.lose_a_change()
            await published.until(lambda: (published.records["flags"] & RecordFlag.GAP).any())
            await published.until(is_right)
            await venue.hang_up()
            await published.until(lambda: not context.health.ready)
            assert venue.instrument_id in context.health.reason
            await published.until(is_right)


@VENUES
async def test_a_symbol_that_the_venue_does_not_have_refuses_the_start(
    kind: type[CheckedBooksVenue], make_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(kind, monkeypatch) as venue:
        context = context_of(make_context, venue.adapter, venue.settings_port(), venue.unknown_symbol)
        with pytest.raises(StartRefused, match=venue.unknown_symbol):
            await SERVICE.run(context)
        await context.last_values.close()


def frames_of(path: Path) -> list[str]:
    if not path.is_file():
        pytest.skip(f"no capture {path}")
    lines = [line.partition(": ") for line in path.read_text().splitlines()]
    return [frame for at, _, frame in lines if at.replace(".", "").isdigit()]


async def played(server: CheckedBooksServer, subscription: str, frames: list[str]) -> None:
    socket = await server.next_socket()
    await server.until_asked(subscription)
    await play(socket, frames)


async def test_a_recorded_session_of_okx_is_published_whole(make_context: Any) -> None:
    frames = frames_of(DATA / "okx" / "OKX.ws.1.0")
    names = ("BTC-USDT", "UNI-USD-SWAP", "BTC-USD-220527")
    async with served() as server:
        context = context_of(make_context, "okx", server.port, ",".join(names))
        async with publishing(context) as published:
            await played(server, "bbo-tbt", frames)
            last = frames_with(frames, '"trades"')
            await published.until(lambda: published.batches and kinds(published, RecordKind.TRADE) >= last)
            await published.until(lambda: context.health.ready)
            assert not (published.records["flags"] & RecordFlag.GAP).any()
            assert all(published.levels(f"{name}.OKX", side) for name in names for side in SIDES)


async def test_a_recorded_session_of_kraken_is_published_whole(
    make_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEWIND_VENUE_KRAKEN_DEPTH", "1000")
    frames = frames_of(DATA / "kraken" / "KRAKEN.ws.50.first60")
    async with served() as server:
        context = context_of(make_context, "kraken", server.port, ",".join(KRAKEN_PRICE_DECIMALS))
        async with publishing(context) as published:
            await played(server, '"name":"book","depth":1000', frames)
            await published.until(lambda: context.health.ready and published.batches)
            names = [f"{name.replace('/', '')}.KRAKEN" for name in KRAKEN_PRICE_DECIMALS]
            await published.until(lambda: all(published.levels(name, side) for name in names for side in SIDES))
            assert not (published.records["flags"] & RecordFlag.GAP).any()


def frames_with(frames: list[str], channel: str) -> int:
    return sum(channel in frame and '"data"' in frame for frame in frames)


def kinds(published: Published, kind: RecordKind) -> int:
    return int((published.records["kind"] == kind).sum())

"""The service with the ITCH adapter: a recorded day from a SoupBinTCP server that is killed and comes back."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tradewind.bus.interface import Start
from tradewind.model.identifiers import InstrumentId, Venue
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.service import ServiceContext
from tradewind.services.market_data.service import SERVICE
from tradewind.venue.itch.testing import SoupPlayer, messages_of, soup_player
from tradewind.wire.events import InstrumentDefined
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import RecordArray, RecordKind, instrument_number
from tradewind.wire.topics import REF_INSTRUMENTS, market_events
from tradewind_native.order_book import OrderBook

SYMBOLS = ("ALC", "BOB", "CHAR")
VENUE = Venue("NASDAQ")


@pytest.fixture(scope="module")
def day() -> list[bytes]:
    default = Path(__file__).resolve().parents[4] / "shared" / "data"
    path = Path(os.environ.get("TRADEWIND_TEST_DATA", str(default))) / "itch50" / "ex20101224.lenfixed.itch50"
    if not path.is_file():
        pytest.skip(f"no ITCH day {path}")
    return list(messages_of(path))


@pytest.fixture
def itch_context(make_context: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[SoupPlayer], ServiceContext]:
    """The service's context, with the adapter's own settings for a server in the environment."""

    def make(player: SoupPlayer, symbols: str = ",".join(SYMBOLS)) -> ServiceContext:
        own = {"ADDRESS": f"127.0.0.1:{player.port}", "USER": "me", "PASSWORD": "secret", "DATE": "2010-12-24"}
        for field, value in own.items():
            monkeypatch.setenv(f"TRADEWIND_VENUE_ITCH_{field}", value)
        context: ServiceContext = make_context(snapshot_interval_s=3_000)
        platform = msgspec.structs.replace(context.platform, venue="NASDAQ", venue_adapter="itch", symbols=symbols)
        context.platform = platform
        return context

    return make


async def published(context: ServiceContext, frames: int) -> RecordArray:
    """What the service published of a day."""
    market = await context.market_bus.subscribe(market_events(VENUE), lossless=True)
    reference = await context.order_bus.subscribe(REF_INSTRUMENTS, start=Start.EARLIEST)
    task = asyncio.create_task(SERVICE.run(context))
    batches: list[RecordArray] = []
    try:
        async with asyncio.timeout(40):
            while not batches or int(batches[-1]["sequence"][-1]) < frames - 1 or not context.health.ready:
                if task.done():
                    task.result()
                for delivery in await market.receive(timeout_s=0.02):
                    assert isinstance(delivery.payload, MarketBatch)
                    batches.append(delivery.payload.records.copy())
        defined = [delivery.payload for delivery in await reference.receive()]
        assert [each.instrument.symbol for each in defined if isinstance(each, InstrumentDefined)] == list(SYMBOLS)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await context.last_values.close()
    return np.concatenate(batches)


async def test_a_server_killed_in_mid_stream_changes_nothing_of_what_is_published(
    day: list[bytes], itch_context: Callable[[SoupPlayer], ServiceContext]
) -> None:
    async with soup_player(day) as player:
        whole = await published(itch_context(player), len(day))
    async with soup_player(day) as player:
        context = itch_context(player)
        player.cut_at = 6_000
        killed: list[int] = []

        async def kill() -> None:
            while len(player.logins) < 3:  # one to see the directory, one cut off, one more
                await asyncio.sleep(0.01)
            await player.stop()
            killed.append(len(player.logins))
            await player.start()

        killing = asyncio.create_task(kill())
        player.burst = 50
        broken = await published(context, len(day))
        await killing
        assert killed
    fields = ("ts_event", "price", "size", "order_id", "sequence", "instrument", "kind", "side", "flags")
    feeds = [each[each["kind"] != RecordKind.CLEAR] for each in (whole, broken)]
    for name in fields:
        assert np.array_equal(feeds[0][name], feeds[1][name]), name
    assert len(np.unique(broken["sequence"])) > 9_000
    for symbol in SYMBOLS:
        books = [OrderBook(instrument_number(InstrumentId(f"{symbol}.NASDAQ"))) for _ in range(2)]
        for book, records in zip(books, (whole, broken), strict=True):
            book.apply(records)
        assert books[0].levels(1, 10**6) == books[1].levels(1, 10**6) != []


async def test_a_symbol_that_is_not_listed_refuses_the_start(
    day: list[bytes], itch_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tradewind.venue.itch.market_data.LISTING_TIMEOUT_S", 0.5)
    async with soup_player(day[:50]) as player:
        context = itch_context(player, "ALC,NOSUCH")
        with pytest.raises(StartRefused, match="the stock directory has no NOSUCH"):
            await SERVICE.run(context)
        await context.last_values.close()

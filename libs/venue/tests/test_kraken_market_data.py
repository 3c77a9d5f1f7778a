"""Kraken's market data client against a real server: recorded traffic, corrupted frames, levels that fall out."""

import contextlib
import json
import os
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from recorded_lines import recorded

from tradewind.model.identifiers import InstrumentId, Venue
from tradewind.venue.adapter import VenueRejected, VenueUnavailable
from tradewind.venue.adapters import VenueSettings, adapter_named, market_data_of
from tradewind.venue.checked_books.market_data import CheckedFeedOptions, CheckedMarketDataClient
from tradewind.venue.checked_books.questions import PublicQuestions
from tradewind.venue.checked_books.testing import KRAKEN_PRICE_DECIMALS, CheckedBooksServer, play, served
from tradewind.venue.conformance import FeedRecorder, running
from tradewind.venue.kraken.connecting import ADAPTER
from tradewind.venue.kraken.market_data import KrakenDialect
from tradewind.wire.market_records import RecordFlag, RecordKind, RecordSide
from tradewind_native.order_book import OrderBook

WAVES = InstrumentId("WAVESEUR.KRAKEN")
AGAIN = '{"event":"subscribe","pair":["WAVES/EUR"],"subscription":{"name":"book","depth":10}}'


def capture() -> list[str]:
    default = Path(__file__).resolve().parents[4] / "shared" / "data"
    folder = Path(os.environ.get("TRADEWIND_TEST_DATA", str(default)))
    return list(recorded(folder / "kraken" / "KRAKEN.ws.50.first60"))


def level(price: int, size: int) -> list[str]:
    """Prices have four decimals and sizes eight."""
    return [f"{price // 10_000}.{price % 10_000:04}", f"{size}.00000000", "1700000000.000001"]


SNAPSHOT = [
    7,
    {
        "as": [level(200_000 + index, 1) for index in range(10)],
        "bs": [level(100_000 - index, 1) for index in range(10)],
    },
    "book-10",
    "WAVES/EUR",
]


def checksum(asks: dict[int, int], bids: dict[int, int]) -> str:
    """The venue's rule, written down once more."""
    sides = (sorted(asks.items())[:10], sorted(bids.items(), reverse=True)[:10])
    return str(zlib.crc32("".join(f"{price}{size * 10**8}" for side in sides for price, size in side).encode()))


class VenueBook:
    """The book as the venue has it: ten levels, and nothing is said of what falls out."""

    def __init__(self) -> None:
        self.asks = {200_000 + index: 1 for index in range(10)}
        self.bids = {100_000 - index: 1 for index in range(10)}

    def update(self, asks: dict[int, int], bids: dict[int, int]) -> list[Any]:
        for book, changes, order in ((self.asks, asks, 1), (self.bids, bids, -1)):
            book |= changes
            kept = sorted((price for price, size in book.items() if size), key=lambda price: order * price)[:10]
            left = {price: book[price] for price in kept}
            book.clear()
            book |= left
        parts: list[Any] = [
            {name: [level(*change) for change in changes.items()]}
            for name, changes in (("a", asks), ("b", bids))
            if changes
        ]
        parts[-1]["c"] = checksum(self.asks, self.bids)
        return [7, *parts, "book-10", "WAVES/EUR"]


def client_of(server: CheckedBooksServer, *symbols: str, depth: int = 10, **options: Any) -> CheckedMarketDataClient:
    dialect = KrakenDialect(PublicQuestions(f"http://127.0.0.1:{server.port}"), depth)
    url = f"ws://127.0.0.1:{server.port}"
    return CheckedMarketDataClient(
        Venue("KRAKEN"), symbols or ("WAVES/EUR",), dialect, url, CheckedFeedOptions(**options)
    )


@contextlib.asynccontextmanager
async def live(**options: Any) -> AsyncIterator[tuple[CheckedBooksServer, CheckedMarketDataClient, FeedRecorder, Any]]:
    """A client whose book is right, its server and their connection."""
    async with served() as server:
        client = client_of(server, **options)
        async with running(client) as recorder:
            socket = await server.next_socket()
            await play(socket, [SNAPSHOT])
            await recorder.until(lambda: recorder.statuses[-1] == (WAVES, "LIVE"))
            yield server, client, recorder, socket


async def test_the_adapter_is_found_by_its_name_and_made_from_settings() -> None:
    async with served() as server:
        settings = VenueSettings(
            venue="KRAKEN", account="main", symbols="WAVES/EUR,xmrusd", own={"depth": "25"},
            rest_url=f"http://127.0.0.1:{server.port}", stream_url=f"ws://127.0.0.1:{server.port}",
        )  # fmt: skip
        client = market_data_of(adapter_named("kraken"), settings)
        waves, monero = await client.instruments()
        await client.close()
    assert (waves.instrument_id, waves.base_currency, waves.quote_currency) == (WAVES, "WAVES", "EUR")
    assert (waves.price_precision, waves.size_precision, waves.price_increment) == (4, 8, 1)
    assert (monero.symbol, monero.min_size, str(monero.min_notional)) == ("XMRUSD", 200_000, "0.5")


@pytest.mark.parametrize(
    ("symbols", "own", "complaint"),
    [
        ("", {}, "TRADEWIND_SYMBOLS"),
        ("XBT-USD", {}, "TRADEWIND_SYMBOLS"),
        ("XBT/USD", {"depth": "11"}, "10, 25, 100, 500, 1000"),
        ("XBT/USD", {"depth": "x"}, "whole number"),
    ],
)
def test_settings_of_another_form_are_refused(symbols: str, own: dict[str, str], complaint: str) -> None:
    settings = VenueSettings(
        venue="KRAKEN", account="a", symbols=symbols, rest_url="http://x", stream_url="ws://x", own=own
    )
    with pytest.raises(ValueError, match=complaint):
        market_data_of(ADAPTER, settings)


@pytest.mark.parametrize(("symbol", "complaint"), [("DOGE/EUR", "DOGE/EUR"), ("DARK.d", "has no stream")])
async def test_a_pair_that_is_not_there_is_rejected(symbol: str, complaint: str) -> None:
    async with served() as server:
        client = client_of(server, symbol)
        with pytest.raises(VenueRejected, match=complaint):
            await client.instruments()
        await client.close()


async def test_an_error_instead_of_pairs_is_unavailable() -> None:
    async with served() as server:
        server.answers["/0/public/AssetPairs"] = web.Response(text='{"error":["EGeneral:Too many requests"]}')
        client = client_of(server)
        with pytest.raises(VenueUnavailable, match="Too many requests"):
            await client.instruments()
        await client.close()


async def test_every_recorded_checksum_is_equal_over_a_real_connection() -> None:
    frames = capture()
    wanted = sum('"c":' in frame for frame in frames)
    async with served() as server:
        client = client_of(server, *KRAKEN_PRICE_DECIMALS, depth=1000)
        async with running(client) as recorder:
            socket = await server.next_socket()
            await server.until_asked('"name":"book","depth":1000')
            await play(socket, frames)
            await recorder.until(lambda: client.statistics.frames == len(frames))
            assert client.compared == client.equal == wanted > 30
            statistics = client.statistics
            assert (statistics.malformed, statistics.unknown, statistics.gaps, statistics.out_of_order) == (0, 0, 0, 0)
            assert (statistics.snapshots, statistics.announcements) == (10, 12)
            for name in KRAKEN_PRICE_DECIMALS:
                kept = client.book(InstrumentId(f"{name.replace('/', '')}.KRAKEN"))
                consumer = OrderBook(kept.instrument)
                consumer.apply(recorder.records)
                for side in (RecordSide.BUY, RecordSide.SELL):
                    assert consumer.levels(side, 10_000) == kept.levels(side, 10_000) != []


async def test_levels_that_fall_out_of_the_depth_are_removed_for_everyone() -> None:
    async with live() as (_, client, recorder, socket):
        venue = VenueBook()
        frames = [
            venue.update({199_999: 5}, {}),  # the worst ask falls out
            venue.update({199_999: 0, 200_020: 3}, {}),  # another one comes back in its place
            venue.update({}, {100_001: 2, 100_002: 2}),
            venue.update({200_000: 0, 200_030: 1}, {100_002: 0, 99_980: 4}),
        ]
        await play(socket, frames)
        await recorder.until(lambda: client.compared == 4)
        assert client.equal == 4
        kept = client.book(WAVES)
        consumer = OrderBook(kept.instrument)
        consumer.apply(recorder.records)
        for side, levels in ((RecordSide.SELL, sorted(venue.asks.items())), (RecordSide.BUY, sorted(venue.bids)[::-1])):
            assert consumer.levels(side, 99) == kept.levels(side, 99)
            assert len(kept.levels(side, 99)) == len(levels) == 10
        records = recorder.records
        ends = records["sequence"][(records["flags"] & RecordFlag.LAST) != 0].tolist()
        assert ends == [1, 2, 3, 4, 5]  # each frame is one event with a number of its own


async def test_a_corrupted_frame_is_never_handed_on_and_brings_a_new_snapshot() -> None:
    async with live() as (server, client, recorder, socket):
        seen = len(recorder.records)
        venue = VenueBook()
        good = venue.update({}, {100_001: 2})
        await play(socket, [json.dumps(good).replace("2.00000000", "3.00000000")])
        await recorder.until(lambda: recorder.statuses[-1] == (WAVES, "GAP"))
        assert "checksum" in recorder.details[-1]
        assert len(recorder.records) == seen + 1
        last = recorder.records[-1]
        assert (last["kind"], last["flags"]) == (RecordKind.CLEAR, RecordFlag.GAP | RecordFlag.LAST)
        await server.until_asked(AGAIN, times=2)  # the first one was at the beginning
        assert AGAIN.replace("subscribe", "unsubscribe", 1) in server.asked
        await play(socket, [good, SNAPSHOT, good])
        await recorder.until(lambda: client.equal == 1)
        assert client.in_sync(WAVES)
        assert client.statistics.out_of_order == 1
        assert client.book(WAVES).best_bid() == (100_001, 2 * 10**8)


async def test_a_corrupted_recorded_frame_brings_a_new_snapshot_of_that_pair_alone() -> None:
    frames = capture()
    at = next(index for index, frame in enumerate(frames) if '"c":' in frame and "XMR/USD" in frame)
    message = json.loads(frames[at])
    message[1]["b"][0][1] = "77.00000000"
    async with served() as server:
        client = client_of(server, *KRAKEN_PRICE_DECIMALS, depth=1000)
        async with running(client) as recorder:
            socket = await server.next_socket()
            await play(socket, [*frames[:at], message])
            await recorder.until(lambda: client.statistics.gaps == 1)
            await server.until_asked('{"event":"unsubscribe","pair":["XMR/USD"]')
            in_sync = [name for name in KRAKEN_PRICE_DECIMALS if client.in_sync(_id(name))]
            assert in_sync == [name for name in KRAKEN_PRICE_DECIMALS if name != "XMR/USD"]


def _id(name: str) -> InstrumentId:
    return InstrumentId(f"{name.replace('/', '')}.KRAKEN")


@pytest.mark.parametrize(
    ("frame", "is_lost"),
    [
        ("[7,{", True),
        ("[" * 50_000, True),
        ('[7,{"a":[["1e3","1.0","1.0"]],"c":"1"},"book-10","WAVES/EUR"]', True),
        ('[7,{"a":[["1.00001","1.0","1.0"]],"c":"1"},"book-10","WAVES/EUR"]', True),
        ('[7,{"a":[],"c":"99999999999"},"book-10","WAVES/EUR"]', True),
        ('[7,[["x","1","1.0","b","l",""]],"trade","WAVES/EUR"]', False),
        ('[7,{"a":[["1","1","1"]]},"book-10","DOGE/EUR"]', False),
        ('[7,[],"ohlc-5","WAVES/EUR"]', False),
        ("{}", True),
    ],
)
async def test_a_frame_that_cannot_be_read_voids_the_books_it_may_be_of(frame: str, is_lost: bool) -> None:
    async with live() as (_, client, recorder, socket):
        await play(socket, [frame, [7, [["1.0000", "2.00000000", "1.5", "b", "l", ""]], "trade", "WAVES/EUR"]])
        await recorder.until(lambda: client.statistics.trades == 1)
        assert client.statistics.malformed + client.statistics.unknown == 1
        assert client.in_sync(WAVES) is not is_lost


async def test_frames_with_fewer_decimals_than_the_definition_are_no_proof() -> None:
    async with live() as (_, _client, recorder, socket):
        await play(socket, ['[7,{"a":[["20.1","1.0","1.0"]],"c":"1"},"book-10","WAVES/EUR"]'])
        await recorder.until(lambda: recorder.statuses[-1] == (WAVES, "GAP"))
        assert "fewer decimals" in recorder.details[-1]


async def test_refusals_are_counted_and_best_prices_pass() -> None:
    async with live() as (_, client, recorder, socket):
        await play(
            socket,
            [
                '{"event":"heartbeat"}',
                '{"errorMessage":"Not supported","event":"subscriptionStatus","pair":"A/B","status":"error"}',
                '{"event":"error","errorMessage":"Malformed request"}',
                '{"event":"systemStatus","status":"maintenance"}',
                [7, ["10.0", "20.0", "1700000000.5", "1.0", "2.0"], "spread", "WAVES/EUR"],
            ],
        )
        await recorder.until(lambda: client.statistics.tickers == 1)
        assert (client.statistics.refusals, client.statistics.announcements) == (2, 4)
        assert recorder.of_kind(RecordKind.TOP_OF_BOOK)["price"].tolist() == [100_000, 200_000]
        assert client.in_sync(WAVES)

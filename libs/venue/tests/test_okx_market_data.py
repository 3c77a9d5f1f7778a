"""OKX's market data client against a real server: recorded traffic, corrupted frames, holes, refusals, silence."""

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

from tradewind.model.fixed_point import INT64_MAX
from tradewind.model.identifiers import InstrumentId, Venue
from tradewind.venue.adapter import VenueUnavailable
from tradewind.venue.adapters import VenueSettings, adapter_named, market_data_of
from tradewind.venue.checked_books.market_data import CheckedFeedOptions, CheckedMarketDataClient
from tradewind.venue.checked_books.questions import PublicQuestions
from tradewind.venue.checked_books.testing import CheckedBooksServer, play, served
from tradewind.venue.conformance import FeedRecorder, running
from tradewind.venue.okx.connecting import ADAPTER
from tradewind.venue.okx.instruments import decimals
from tradewind.venue.okx.market_data import OkxDialect
from tradewind.wire.market_records import RecordFlag, RecordKind, RecordSide
from tradewind_native.order_book import OrderBook

BTC = InstrumentId("BTC-USDT.OKX")
SUBSCRIBE_BOOK = '{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}'
UNSUBSCRIBE_BOOK = SUBSCRIBE_BOOK.replace("subscribe", "unsubscribe")


def capture() -> list[str]:
    default = Path(__file__).resolve().parents[4] / "shared" / "data"
    return list(recorded(Path(os.environ.get("TRADEWIND_TEST_DATA", str(default))) / "okx" / "OKX.ws.1.0"))


def book(
    action: str, bids: Any = (), asks: Any = (), *, seq: int | None = None, prev: int | None = None, crc: int | None = 0
) -> dict[str, Any]:
    data: dict[str, Any] = {"ts": "1700000000000"}
    for name, levels in (("asks", asks), ("bids", bids)):
        data[name] = [[price, size, "0", "1"] for price, size in levels]
    if crc is not None:
        data["checksum"] = crc
    if seq is not None:
        data |= {"seqId": seq, "prevSeqId": prev}
    return {"arg": {"channel": "books", "instId": "BTC-USDT"}, "action": action, "data": [data]}


def trade(number: int) -> dict[str, Any]:
    one = {"instId": "BTC-USDT", "tradeId": str(number), "px": "10", "sz": "1", "side": "buy", "ts": "1700000000000"}
    return {"arg": {"channel": "trades", "instId": "BTC-USDT"}, "data": [one]}


SNAPSHOT = book("snapshot", [("10", "1")], [("11", "2")], seq=100, prev=-1)


def client_of(server: CheckedBooksServer, *symbols: str, **options: Any) -> CheckedMarketDataClient:
    dialect = OkxDialect(PublicQuestions(f"http://127.0.0.1:{server.port}"))
    url = f"ws://127.0.0.1:{server.port}"
    return CheckedMarketDataClient(Venue("OKX"), symbols or ("BTC-USDT",), dialect, url, CheckedFeedOptions(**options))


@contextlib.asynccontextmanager
async def live(**options: Any) -> AsyncIterator[tuple[CheckedBooksServer, CheckedMarketDataClient, FeedRecorder, Any]]:
    """A client whose book is right, its server and their connection."""
    async with served() as server:
        client = client_of(server, **options)
        async with running(client) as recorder:
            socket = await server.next_socket()
            await play(socket, [SNAPSHOT])
            await recorder.until(lambda: recorder.statuses[-1] == (BTC, "LIVE"))
            yield server, client, recorder, socket


async def test_the_adapter_is_found_by_its_name_and_made_from_settings() -> None:
    async with served() as server:
        settings = VenueSettings(
            venue="OKX", account="main", symbols="btc-usdt, UNI-USD-SWAP,BTC-USDT",
            rest_url=f"http://127.0.0.1:{server.port}", stream_url=f"ws://127.0.0.1:{server.port}",
        )  # fmt: skip
        client = market_data_of(adapter_named("okx"), settings)
        spot, swap = await client.instruments()
        await client.close()
    assert (spot.instrument_id, spot.base_currency, spot.quote_currency) == (BTC, "BTC", "USDT")
    assert (spot.price_precision, spot.size_precision, spot.min_size) == (1, 8, 1_000)
    assert spot.max_size == 9_999_999_999 * 10**8
    assert (swap.base_currency, swap.price_precision, swap.size_precision) == ("UNI", 3, 0)
    assert swap.max_size == INT64_MAX


@pytest.mark.parametrize("symbols", ["", "BTCUSDT", "BTC-USDT;", "A-B-C-D-E", "BTC-USDT/x"])
def test_symbols_of_another_form_are_refused(symbols: str) -> None:
    settings = VenueSettings(venue="OKX", account="a", symbols=symbols, rest_url="http://x", stream_url="ws://x")
    with pytest.raises(ValueError, match="TRADEWIND_SYMBOLS"):
        market_data_of(ADAPTER, settings)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (web.Response(status=500), "500"),
        (web.Response(text="{"), "cannot be read"),
        (web.Response(text='{"code":"50011","msg":"too many"}'), "50011"),
        (web.Response(status=429, headers={"Retry-After": "7"}), "7.0 s"),
        (web.Response(body=b"[" * 100_000), "cannot be read"),
    ],
)
async def test_an_answer_that_is_none_is_unavailable(answer: web.Response, complaint: str) -> None:
    async with served() as server:
        server.answers["/api/v5/public/instruments"] = answer
        client = client_of(server)
        with pytest.raises(VenueUnavailable, match=complaint):
            await client.instruments()
        await client.close()


async def test_every_recorded_checksum_is_equal_over_a_real_connection() -> None:
    frames = capture()
    async with served() as server:
        client = client_of(server, "BTC-USDT", "UNI-USD-SWAP", "BTC-USD-220527")
        async with running(client) as recorder:
            socket = await server.next_socket()
            await server.until_asked("bbo-tbt")
            await play(socket, frames)
            await recorder.until(lambda: client.statistics.frames == len(frames))
            assert (client.compared, client.equal, client.first_difference) == (290, 290, None)
            statistics = client.statistics
            assert (statistics.malformed, statistics.unknown, statistics.gaps, statistics.out_of_order) == (0, 0, 0, 0)
            assert (statistics.snapshots, statistics.tickers, statistics.announcements) == (3, 28, 18)
            assert statistics.trades == len(recorder.of_kind(RecordKind.TRADE)) >= 74
            for name in ("BTC-USDT.OKX", "UNI-USD-SWAP.OKX", "BTC-USD-220527.OKX"):
                kept = client.book(InstrumentId(name))
                consumer = OrderBook(kept.instrument)
                consumer.apply(recorder.records)
                assert client.in_sync(InstrumentId(name))
                for side in (RecordSide.BUY, RecordSide.SELL):
                    assert consumer.levels(side, 10_000) == kept.levels(side, 10_000) != []


def corrupted(frame: str) -> str:
    message = json.loads(frame)
    level = (message["data"][0]["bids"] or message["data"][0]["asks"])[0]
    level[1] = str(int(level[1].replace(".", "")) + 7)
    return json.dumps(message)


async def test_a_corrupted_frame_is_never_handed_on_and_brings_a_new_snapshot() -> None:
    frames = [frame for frame in capture() if '"books","instId":"BTC-USDT"' in frame and '"action"' in frame]
    async with served() as server:
        client = client_of(server)
        async with running(client) as recorder:
            socket = await server.next_socket()
            await play(socket, [*frames[:10], corrupted(frames[10])])
            await recorder.until(lambda: recorder.statuses[-1] == (BTC, "GAP"))
            assert "checksum" in recorder.details[-1]
            assert client.book(BTC).levels(RecordSide.BUY, 1) == []
            last = recorder.records[-1]
            assert (last["kind"], last["flags"]) == (RecordKind.CLEAR, RecordFlag.GAP | RecordFlag.LAST)
            seen = len(recorder.records)
            await server.until_asked(SUBSCRIBE_BOOK)
            assert server.asked.index(UNSUBSCRIBE_BOOK) < server.asked.index(SUBSCRIBE_BOOK)
            await play(socket, frames[11:15])
            await recorder.until(lambda: client.statistics.out_of_order == 4)
            assert len(recorder.records) == seen
            await play(socket, frames)
            await recorder.until(lambda: client.equal == 10 + len(frames))
            assert recorder.statuses[-1] == (BTC, "LIVE")
            assert (client.compared, client.statistics.gaps) == (client.equal + 1, 1)
            consumer = OrderBook(client.book(BTC).instrument)
            consumer.apply(recorder.records)
            assert consumer.levels(RecordSide.BUY, 500) == client.book(BTC).levels(RecordSide.BUY, 500)


async def test_the_chain_of_numbers_alone_proves_a_book_when_there_are_no_checksums() -> None:
    async with live() as (server, client, recorder, socket):
        await play(socket, [book("update", [("10.5", "3")], seq=107, prev=100), book("update", seq=107, prev=107)])
        await play(socket, [book("update", [("10.5", "4")], seq=3, prev=107), trade(1)])  # numbers began anew
        await recorder.until(lambda: client.statistics.trades == 1)
        assert client.book(BTC).best_bid() == (105, 4 * 10**8)
        assert (client.statistics.gaps, client.compared, client.unchecked) == (0, 0, 4)
        await play(socket, [book("update", [("10.6", "1")], seq=9, prev=8)])
        await recorder.until(lambda: recorder.statuses[-1] == (BTC, "GAP"))
        assert "follows 8, the book stood at 3" in recorder.details[-1]
        await server.until_asked(SUBSCRIBE_BOOK)
        await play(socket, [SNAPSHOT])
        await recorder.until(lambda: recorder.statuses[-1] == (BTC, "LIVE"))


async def test_a_checksum_beside_numbers_is_compared_when_it_is_one() -> None:
    async with live() as (_, client, recorder, socket):
        right = zlib.crc32(b"10.5:1:11:2:10:1")
        right -= (right >> 31) << 32
        await play(socket, [book("update", [("10.5", "1")], seq=101, prev=100, crc=right)])
        await recorder.until(lambda: client.compared == 1)
        assert client.equal == 1
        await play(socket, [book("update", [("10.5", "2")], seq=102, prev=101, crc=right)])
        await recorder.until(lambda: recorder.statuses[-1] == (BTC, "GAP"))
        assert client.first_difference is not None


@pytest.mark.parametrize(
    ("frame", "is_lost"),
    [
        ("{oops", True),
        ("[" * 50_000, True),
        (json.dumps(book("update", [("1e9", "1")], seq=101, prev=100)), True),
        (json.dumps(book("update", [("9" * 40, "1")], seq=101, prev=100)), True),
        (json.dumps(book("bad", seq=101, prev=100)), True),
        (json.dumps(trade(1)).replace('"10"', '"ten"'), False),
        (json.dumps(book("bad")).replace("BTC-USDT", "ETH-USDT"), False),
    ],
)
async def test_a_frame_that_cannot_be_read_voids_the_books_it_may_be_of(frame: str, is_lost: bool) -> None:
    async with live() as (_, client, recorder, socket):
        await play(socket, [frame, trade(2)])
        await recorder.until(lambda: client.statistics.trades == 1)
        assert client.statistics.malformed + client.statistics.unknown == 1
        assert client.in_sync(BTC) is not is_lost
        assert client.statistics.gaps == is_lost


async def test_a_book_that_grows_beyond_all_bounds_is_void() -> None:
    async with live() as (_, _client, recorder, socket):
        many = [(f"{number}.1", "1") for number in range(1, 10_100)]
        await play(socket, [book("update", many, seq=101, prev=100)])
        await recorder.until(lambda: recorder.statuses[-1] == (BTC, "GAP"))
        assert "10000 levels" in recorder.details[-1]


async def test_refusals_unknown_channels_and_bytes_are_counted_and_the_session_goes_on(caplog: Any) -> None:
    async with live() as (_, client, recorder, socket):
        await play(
            socket,
            [
                '{"event":"error","code":"60018","msg":"no such channel"}',
                '{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"}}',
                '{"event":7}',
                {"arg": {"channel": "candle1m", "instId": "BTC-USDT"}, "data": []},
            ],
        )
        await socket.send_bytes(b"\x00\x01")
        await socket.ping()
        await play(socket, [trade(1)])
        await recorder.until(lambda: client.statistics.trades == 1)
        statistics = client.statistics
        assert (statistics.refusals, statistics.announcements) == (1, 3)
        assert (statistics.unknown, statistics.malformed, statistics.connections) == (1, 1, 1)
        assert statistics.frames == 7
        assert client.in_sync(BTC)
        assert any("60018" in record.message for record in caplog.records)


async def test_a_notice_makes_a_new_connection() -> None:
    async with live() as (server, client, recorder, socket):
        await play(socket, ['{"event":"notice","code":"64008","msg":"The connection will soon be closed"}'])
        again = await server.next_socket()
        await play(again, [SNAPSHOT])
        await recorder.until(lambda: recorder.statuses[-1] == (BTC, "LIVE"))
        assert any("64008" in detail for detail in recorder.details)
        flags = recorder.of_kind(RecordKind.CLEAR)["flags"].tolist()
        assert [bool(flag & RecordFlag.GAP) for flag in flags] == [False, True, False]
        assert client.statistics.connections == 2


async def test_a_subscription_without_a_snapshot_is_made_again() -> None:
    async with served() as server:
        client = client_of(server, snapshot_timeout_s=0.1)
        async with running(client) as recorder:
            socket = await server.next_socket()
            await server.until_asked(SUBSCRIBE_BOOK, times=2)
            await play(socket, [SNAPSHOT])
            await recorder.until(lambda: recorder.statuses[-1] == (BTC, "LIVE"))


async def test_a_quiet_market_answers_pings_and_a_dead_one_is_left() -> None:
    async with live(stale_after_s=2.0) as (server, client, recorder, _):
        await server.until_asked("ping", times=4)
        server.is_silent = True
        again = await server.next_socket()
        await play(again, [SNAPSHOT])
        await recorder.until(lambda: client.statistics.stale >= 1)
        assert (None, "STALE") in recorder.statuses


async def test_a_message_over_the_bound_ends_the_connection_only() -> None:
    async with live(max_message_bytes=5_000) as (server, client, recorder, socket):
        await socket.send_str("x" * 6_000)
        again = await server.next_socket()
        await play(again, [SNAPSHOT])
        await recorder.until(lambda: recorder.statuses[-1] == (BTC, "LIVE"))
        assert client.statistics.connections == 2


def test_many_instruments_are_asked_for_in_several_messages() -> None:
    names = [f"COIN{number}-USDT" for number in range(200)]
    messages = OkxDialect(PublicQuestions("http://127.0.0.1:1")).subscribe(names)
    assert max(map(len, messages)) < 64 * 1024
    asked = [(each["channel"], each["instId"]) for message in messages for each in json.loads(message)["args"]]
    assert sorted(asked) == sorted((channel, name) for channel in ("books", "trades", "bbo-tbt") for name in names)


@pytest.mark.parametrize(("text", "wanted"), [("0.1", 1), ("1", 0), ("10", 0), ("0.00010", 4), ("1e-8", 8)])
def test_decimals_of_a_step(text: str, wanted: int) -> None:
    assert decimals(text) == wanted

"""The ITCH adapter over SoupBinTCP against a real server: a recorded day, lost connections, hostile servers."""

import asyncio
import contextlib
import datetime
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tradewind.model.identifiers import InstrumentId, Venue
from tradewind.venue.adapter import VenueRejected, VenueUnavailable
from tradewind.venue.adapters import VenueSettings, adapter_named, market_data_of
from tradewind.venue.itch import soupbintcp as soup
from tradewind.venue.itch.connecting import ADAPTER, address_of
from tradewind.venue.itch.days import midnight_of, midnights
from tradewind.venue.itch.decoding import ItchDecoder
from tradewind.venue.itch.market_data import ItchMarketDataClient
from tradewind.venue.itch.order_books import OrderBooks
from tradewind.venue.itch.soup_session import SoupOptions
from tradewind.venue.itch.soup_source import SoupServer, SoupSource
from tradewind.venue.itch.soupbintcp import LoginAccepted, PacketType
from tradewind.venue.itch.testing import (
    SoupPlayer,
    add_order,
    directory,
    execute_order,
    itch_message,
    messages_of,
    soup_player,
)
from tradewind.wire.market_records import RecordArray, RecordFlag, RecordKind, instrument_number
from tradewind_native.order_book import OrderBook

VENUE = Venue("NASDAQ")
ALC = InstrumentId("ALC.NASDAQ")
DAY = [directory("ALC"), add_order(1, "B", 10, 100), add_order(2, "S", 5, 102)]
L3 = (RecordKind.ORDER_ADD, RecordKind.ORDER_CANCEL, RecordKind.ORDER_EXECUTE)


class Told:
    """A handler that keeps all; ``fail`` makes it raise."""

    def __init__(self) -> None:
        self.batches: list[RecordArray] = []
        self.statuses: list[tuple[str, str]] = []
        self.fail: Exception | None = None

    def on_records(self, records: RecordArray) -> None:
        if self.fail is not None:
            raise self.fail
        self.batches.append(records.copy())

    def on_feed_status(self, instrument_id: InstrumentId | None, state: str, detail: str) -> None:
        assert instrument_id is None
        self.statuses.append((state, detail))

    @property
    def records(self) -> RecordArray:
        return np.concatenate(self.batches)

    @property
    def states(self) -> list[str]:
        return [state for state, _ in self.statuses]

    def of_orders(self) -> list[tuple[int, ...]]:
        some = self.records[np.isin(self.records["kind"], L3)]
        return [tuple(int(one[name]) for name in ("sequence", "kind", "order_id", "size")) for one in some]

    def clears(self) -> list[int]:
        return [int(flags) for flags in self.records["flags"][self.records["kind"] == RecordKind.CLEAR]]


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def client_of(
    player: SoupPlayer, *symbols: str, session: str = "", history: bool = True, **options: Any
) -> ItchMarketDataClient:
    server = SoupServer(host="127.0.0.1", port=player.port, user="me", password="secret", session=session)
    limits = SoupOptions(**{"heartbeat_s": 0.05, **options})
    return ItchMarketDataClient(
        VENUE,
        symbols or ("ALC",),
        lambda counted: SoupSource(server, counted, limits),
        midnights("2010-12-24"),
        history=history,
    )


@contextlib.asynccontextmanager
async def running(client: ItchMarketDataClient, *symbols: str) -> AsyncIterator[Told]:
    told = Told()
    instruments = [client._instrument(symbol) for symbol in symbols or ("ALC",)]
    task = asyncio.create_task(client.run(instruments, told))
    try:
        yield told
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()


@contextlib.asynccontextmanager
async def live(messages: list[bytes] | None = None, **options: Any) -> AsyncIterator[Any]:
    """A server that has sent its messages, the client and what it told."""
    async with soup_player(list(DAY if messages is None else messages)) as player:
        client = client_of(player, **options)
        async with running(client) as told:
            await until(lambda: client.in_sync(ALC))
            yield player, client, told


@pytest.fixture(scope="module")
def day_path() -> Path:
    default = Path(__file__).resolve().parents[4] / "shared" / "data"
    path = Path(os.environ.get("TRADEWIND_TEST_DATA", str(default))) / "itch50" / "ex20101224.lenfixed.itch50"
    if not path.is_file():
        pytest.skip(f"no ITCH day {path}")
    return path


@pytest.fixture(scope="module")
def day(day_path: Path) -> list[bytes]:
    return list(messages_of(day_path))


SYMBOLS = ("ALC", "BOB", "CHAR")


def settings_of(symbols: str = "ALC", /, **own: str) -> VenueSettings:
    return VenueSettings(venue="NASDAQ", account="main", symbols=symbols, rest_url="", stream_url="", own=own)


async def play_day(day: list[bytes], cuts: tuple[int, ...]) -> tuple[Told, ItchMarketDataClient, SoupPlayer]:
    async with soup_player(day) as player:
        client = client_of(player, *SYMBOLS)
        player.cut_at = cuts[0] if cuts else 0
        async with running(client, *SYMBOLS) as told:
            for cut in (*cuts[1:], 0):
                await until(lambda: player.cut_at == 0)
                player.cut_at = cut
            await until(lambda: client.statistics.frames == len(day) and client.in_sync(ALC))
            for symbol in SYMBOLS:
                number = instrument_number(InstrumentId(f"{symbol}.NASDAQ"))
                book = OrderBook(number)
                book.apply(told.records)
                ours = client.book(InstrumentId(f"{symbol}.NASDAQ"))
                for side in (1, 2):
                    assert book.levels(side, 10**6) == ours.levels(side, 10**6)
                    assert book.depth(side)
        return told, client, player


async def test_a_recorded_day_makes_the_records_of_its_file(day: list[bytes]) -> None:
    told, client, _ = await play_day(day, ())
    twin = ItchDecoder(
        {each: instrument_number(InstrumentId(f"{each}.NASDAQ")) for each in SYMBOLS}.get,
        midnights("2010-12-24")(),
    )
    for number, message in enumerate(day, 1):
        twin.decode_message(message, number, 1)
    wanted = twin.take()
    wanted_orders = wanted[np.isin(wanted["kind"], L3)]
    ours = told.records[np.isin(told.records["kind"], L3)]
    for name in ("ts_event", "price", "size", "order_id", "sequence", "instrument", "kind", "side", "flags"):
        assert np.array_equal(ours[name], wanted_orders[name]), name
    statistics = client.statistics
    assert (statistics.frames, statistics.malformed, statistics.unknown, statistics.gaps) == (12_012, 0, 0, 0)
    books, known = OrderBooks(), 0
    for index, kind in enumerate(wanted["kind"]):
        known += kind == RecordKind.ORDER_EXECUTE and books.order(int(wanted["order_id"][index])) is not None
        books.apply(wanted[index : index + 1])
    assert 0 < known < 198  # the day is artificial: some orders that it executes were never added
    assert (statistics.trades, statistics.unknown_orders) == (5_000 + known, books.unknown_orders)
    assert told.clears() == [RecordFlag.LAST | RecordFlag.SNAPSHOT] * 3 + [RecordFlag.LAST] * 3


async def test_connections_that_break_in_mid_stream_change_nothing(day: list[bytes]) -> None:
    whole, _, _ = await play_day(day, ())
    broken, client, player = await play_day(day, (5_000, 9_001))
    fields = ("ts_event", "price", "size", "order_id", "sequence", "instrument", "kind", "side", "flags")
    feed = [told.records[told.records["kind"] != RecordKind.CLEAR] for told in (whole, broken)]
    for name in fields:
        assert np.array_equal(feed[0][name], feed[1][name]), name
    assert [(login.session, login.sequence) for login in player.logins] == [("", 1), ("DAY1", 5_001), ("DAY1", 9_002)]
    assert (client.statistics.gaps, client.statistics.connections) == (0, 3)
    assert broken.states.count("DISCONNECTED") == 2


async def test_orders_make_levels_trades_and_best_prices() -> None:
    async with live() as (player, client, told):
        player.messages += [execute_order(2, 3)]
        await until(lambda: client.statistics.trades)
        kinds = [RecordKind(kind).name for kind in told.records["kind"]]
        assert kinds == [
            "CLEAR", "ORDER_ADD", "LEVEL", "ORDER_ADD", "LEVEL", "TOP_OF_BOOK", "TOP_OF_BOOK",
            "ORDER_EXECUTE", "TRADE", "LEVEL", "TOP_OF_BOOK", "TOP_OF_BOOK",
        ]  # fmt: skip
        book = client.book(ALC)
        assert (book.best_bid(), book.best_ask()) == ((100, 10), (102, 2))
        assert (client.statistics.tickers, client.statistics.snapshots) == (2, 1)
        assert told.states == ["CONNECTING", "SYNCING", "LIVE"]
        assert (client.compared, client.equal, client.first_difference) == (0, 0, None)
    assert told.states[-1] == "ENDED"
    assert told.clears()[-1] == RecordFlag.LAST


async def test_without_history_the_books_come_as_snapshots_and_then_every_message() -> None:
    async with live([*DAY, execute_order(1, 4)], history=False) as (player, client, told):
        kinds = [RecordKind(kind).name for kind in told.records["kind"]]
        assert kinds == ["CLEAR", "CLEAR", "LEVEL", "LEVEL", "TOP_OF_BOOK", "TOP_OF_BOOK"]
        assert told.records["price"][2:].tolist() == [100, 102, 100, 102]
        assert told.records["size"][2:].tolist() == [6, 5, 6, 5]
        assert set(told.records["sequence"][1:].tolist()) == {4}
        assert (client.statistics.trades, client.statistics.frames) == (0, 4)
        player.hang_up()
        player.messages.append(execute_order(1, 1))
        await until(lambda: client.statistics.trades == 1)
        assert [RecordKind(kind).name for kind in told.records["kind"][6:9]] == ["ORDER_EXECUTE", "TRADE", "LEVEL"]


async def test_both_sides_send_heartbeats_and_a_logout_is_said() -> None:
    async with live() as (player, _, told):
        await until(lambda: player.received.count(PacketType.CLIENT_HEARTBEAT) >= 3)
        assert told.states == ["CONNECTING", "SYNCING", "LIVE"]
    await until(lambda: player.received[-1] == PacketType.LOGOUT_REQUEST)


async def test_the_adapter_is_found_by_its_name_and_checks_its_symbols() -> None:
    async with soup_player(list(DAY)) as player:
        own = {"address": f"127.0.0.1:{player.port}", "user": "me", "password": "secret"}
        client = market_data_of(adapter_named("itch"), settings_of(**own))
        (instrument,) = await client.instruments()
        assert (instrument.instrument_id, instrument.price_precision, instrument.size_precision) == (ALC, 4, 0)
        await client.close()
        with pytest.raises(VenueRejected, match="check the user and the password"):
            await market_data_of(ADAPTER, settings_of(**{**own, "password": "wrong"})).instruments()
        with pytest.raises(VenueRejected, match="no such session"):
            await market_data_of(ADAPTER, settings_of(**{**own, "session": "OLD"})).instruments()


async def test_what_the_directory_does_not_name_is_refused_and_silence_is_not(monkeypatch: Any) -> None:
    monkeypatch.setattr("tradewind.venue.itch.market_data.LISTING_TIMEOUT_S", 0.3)
    async with soup_player(list(DAY)) as player:
        with pytest.raises(VenueRejected, match="has no BOB; it has 1 stocks, like ALC"):
            await client_of(player, "ALC", "BOB").instruments()
        player.messages.clear()
        with pytest.raises(VenueUnavailable, match="no stock directory"):
            await client_of(player).instruments()
    with pytest.raises(VenueUnavailable, match="soupbintcp://"):
        await client_of(player).instruments()


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({}, "set one of TRADEWIND_VENUE_ITCH_ADDRESS"),
        ({"address": "x:1", "file": "y"}, "2 are set"),
        ({"adress": "x:1"}, "TRADEWIND_VENUE_ITCH_ADRESS is no setting"),
        ({"address": "localhost"}, "write host and port"),
        ({"address": "h:1", "user": "toolong"}, "make no login"),
        ({"address": "h:1", "date": "today"}, "name a day like"),
        ({"address": "h:1", "size_decimals": "x"}, "a number from 0 to 9"),
        ({"address": "h:1", "history": "maybe"}, "yes or no is wanted"),
        ({"file": "/nowhere/itch"}, "there is no such file"),
    ],
)
def test_wrong_settings_are_refused_in_words(own: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        market_data_of(ADAPTER, settings_of(**own))
    with pytest.raises(ValueError, match="name stocks"):
        market_data_of(ADAPTER, settings_of("MUCH-TOO-LONG", address="h:1"))


def test_addresses_and_days() -> None:
    assert address_of("ADDRESS", "[::1]:26400") == ("::1", 26400)
    for wrong in ("", ":1", "h:99999", "u@h:1", "h:1/path", "[::1"):
        with pytest.raises(ValueError, match="write host and port"):
            address_of("ADDRESS", wrong)
    assert midnights("2010-12-24")() == 1_293_166_800 * 10**9
    assert midnights("")() % (1800 * 10**9) == 0
    assert midnight_of(datetime.date(2026, 7, 1)) == 1_782_878_400 * 10**9


def test_a_machine_without_time_zones_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ADAPTER.missing() == ""
    monkeypatch.setattr("tradewind.venue.itch.days._NEW_YORK", "America/Nowhere")
    assert "install the system's package tzdata" in ADAPTER.missing()


async def test_a_server_that_begins_later_than_asked_is_a_gap_until_the_next_session() -> None:
    async with soup_player(list(DAY)) as player:
        player.accept = lambda _: soup.login_accepted(LoginAccepted("DAY1", 2))
        client = client_of(player)
        async with running(client) as told:
            await until(lambda: "GAP" in told.states and told.states[-1] == "GAP" and client.statistics.frames == 2)
            assert (client.statistics.gaps, client.statistics.lost, client.in_sync(ALC)) == (1, 1, False)
            assert told.clears() == [RecordFlag.LAST | RecordFlag.SNAPSHOT, RecordFlag.LAST | RecordFlag.GAP]
            del player.accept
            player.accept = player._accept
            player.session = "DAY2"
            player.hang_up()
            await until(lambda: client.in_sync(ALC))
        assert told.clears()[2] == RecordFlag.LAST | RecordFlag.SNAPSHOT | RecordFlag.GAP


async def test_a_gap_after_a_lost_connection_empties_the_book_and_trades_still_pass() -> None:
    async with live() as (player, client, told):
        player.accept = lambda request: soup.login_accepted(LoginAccepted("DAY1", request.sequence + 1))
        player.messages.append(add_order(3, "B", 1, 101))
        await until(lambda: client.statistics.frames == 4)
        player.hang_up()
        await until(lambda: "GAP" in told.states)
        player.messages += [add_order(4, "B", 9, 101), execute_order(1, 3)]
        await until(lambda: client.statistics.trades == 1)
        after = told.records[-3:]
        assert [RecordKind(kind).name for kind in after["kind"]] == ["CLEAR", "ORDER_EXECUTE", "TRADE"]
        assert after["flags"][0] == RecordFlag.LAST | RecordFlag.GAP
        assert client.book(ALC).best_bid() is None
        assert (client.statistics.gaps, client.statistics.lost) == (1, 1)


async def test_another_session_empties_the_books_and_begins_at_its_start() -> None:
    async with live() as (player, client, told):
        player.session = "DAY2"
        player.messages[:] = [directory("ALC", 7), add_order(1, "B", 70, 99, locate=7)]
        player.hang_up()
        await until(lambda: client.in_sync(ALC) and client.statistics.connections == 2)
        assert [(each.session, each.sequence) for each in player.logins] == [("", 1), ("DAY1", 4), ("", 1)]
        assert client.book(ALC).best_bid() == (99, 70)
        assert told.clears()[1] == RecordFlag.LAST | RecordFlag.SNAPSHOT | RecordFlag.GAP
        assert client.statistics.gaps == 1
        assert any("reason S" in detail for _, detail in told.statuses)


async def test_the_end_of_a_session_is_said_and_the_next_one_is_no_gap() -> None:
    async with live() as (player, client, told):
        player.tail = soup.END_OF_SESSION
        await until(lambda: "ENDED" in told.states)
        player.session, player.tail = "DAY2", b""
        player.accept = lambda request: soup.login_accepted(LoginAccepted("DAY2", player._first(request)))
        await until(lambda: client.in_sync(ALC))
        assert client.statistics.gaps == 0
        assert told.clears() == [RecordFlag.LAST | RecordFlag.SNAPSHOT] * 2
        # The new session did not begin at 1 when it was asked for 4, so it was asked again.
        assert (player.logins[-1].session, player.logins[-1].sequence) == ("DAY2", 1)
        assert told.of_orders().count((2, RecordKind.ORDER_ADD, 1, 10)) == 2


async def test_a_server_that_goes_back_in_its_session_is_a_new_beginning() -> None:
    async with live() as (player, client, told):
        player.messages[:] = [directory("ALC"), add_order(8, "S", 3, 55)]
        player.hang_up()
        await until(lambda: client.in_sync(ALC) and client.statistics.connections >= 2)
        assert client.book(ALC).best_ask() == (55, 3)
        assert client.statistics.gaps == 1
        assert any("went back" in detail for _, detail in told.statuses)


@pytest.mark.parametrize(
    ("garbage", "said"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "type 'T'"),
        (b"\0\0", "length 0"),
        (soup.CLIENT_HEARTBEAT, "type 'R'"),
        (soup.login_accepted(LoginAccepted("DAY1", 1)), "type 'A' after the login"),
        (b"\0\5Hxxxx", "has a payload"),
    ],
)
async def test_garbage_after_the_login_ends_the_connection_in_words_and_nothing_is_lost(
    garbage: bytes, said: str
) -> None:
    async with live() as (player, client, told):
        player.write(garbage)
        await until(lambda: "DISCONNECTED" in told.states)
        assert said in told.statuses[told.states.index("DISCONNECTED")][1]
        player.messages.append(execute_order(1, 1))
        await until(lambda: client.statistics.trades == 1)
        await until(lambda: client.in_sync(ALC))
        assert [row[0] for row in told.of_orders()] == [2, 3, 4]
        assert (client.statistics.gaps, client.statistics.malformed) == (0, 1)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"\0\1H", "before the login was answered"),
        (soup.packet(PacketType.LOGIN_ACCEPTED, b"short"), "accepted login of 5 bytes"),
        (soup.packet(PacketType.LOGIN_REJECTED, b"?"), "unknown reason"),
        (soup.login_rejected(soup.RejectReason.NOT_AUTHORIZED), "check the user and the password"),
        (soup.packet(PacketType.LOGIN_ACCEPTED, b"      DAY1" + b"0".rjust(20)), "begin at 1"),
    ],
)
async def test_answers_to_a_login_that_do_not_let_us_in(answer: bytes, said: str) -> None:
    async with soup_player() as player:
        player.accept = lambda _: answer
        async with running(client_of(player)) as told:
            await until(lambda: len(player.logins) >= 2)
            assert said in told.statuses[1][1]


async def test_a_message_that_cannot_be_read_is_a_gap_and_keeps_its_number() -> None:
    async with live() as (player, client, told):
        player.messages += [directory("ALC")[:-1], b"", execute_order(1, 2), itch_message("z", b"of tomorrow")]
        await until(lambda: client.statistics.frames == len(player.messages))
        assert told.of_orders()[-1][0] == 6
        statistics = client.statistics
        assert (statistics.malformed, statistics.gaps, statistics.lost, statistics.unknown) == (2, 2, 2, 1)
        assert told.states[-1] == "GAP"
        assert not client.in_sync(ALC)


async def test_a_dead_peer_and_one_that_never_answers_are_left() -> None:
    async with live(silent_after_s=0.3, login_timeout_s=0.3) as (player, client, told):
        player.heartbeat_s, player.answers = 0, False
        await until(lambda: told.states.count("DISCONNECTED") >= 2)
        said = [detail for state, detail in told.statuses if state == "DISCONNECTED"]
        assert "not even a heartbeat" in said[0]
        assert "did not answer the login" in said[1]
        player.heartbeat_s, player.answers = 0.05, True
        player.messages.append(execute_order(1, 1))
        await until(lambda: client.statistics.trades == 1)
        assert (client.statistics.gaps, client.statistics.stale >= 2) == (0, True)


async def test_a_packet_that_never_ends_is_a_dead_peer_and_not_a_live_one() -> None:
    async with live(silent_after_s=0.3) as (player, client, told):
        player.heartbeat_s = 0
        player.write(b"\xff\xffS")
        while "DISCONNECTED" not in told.states:
            player.write(b"x")
            await asyncio.sleep(0.02)
        assert "no whole packet" in told.statuses[told.states.index("DISCONNECTED")][1]
        player.heartbeat_s = 0.05
        await until(lambda: client.in_sync(ALC))
        assert (client.statistics.gaps, client.statistics.frames) == (0, 3)


async def test_what_the_handler_raises_ends_the_run() -> None:
    async with soup_player(list(DAY)) as player:
        client, told = client_of(player), Told()
        told.fail = RuntimeError("the bus is full")
        with pytest.raises(RuntimeError, match="the bus is full"):
            await client.run([client._instrument("ALC")], told)


async def test_a_file_is_played_like_a_session(day_path: Path) -> None:
    client = market_data_of(ADAPTER, settings_of(file=str(day_path), date="2010-12-24"))
    instruments = await client.instruments()
    told = Told()
    task = asyncio.create_task(client.run(instruments, told))
    await until(lambda: "ENDED" in told.states)
    assert client.statistics.frames == 12_012
    assert client.book(ALC).best_bid() is not None
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def cut(tmp_path: Path, day_path: Path) -> Path:
    path = tmp_path / "cut.itch"
    path.write_bytes(day_path.read_bytes()[:-1])
    return path


async def test_a_file_that_is_cut_off_says_so(cut: Path) -> None:
    client = market_data_of(ADAPTER, settings_of(file=str(cut)))
    told = Told()
    task = asyncio.create_task(client.run(await client.instruments(), told))
    await until(lambda: "ENDED" in told.states)
    assert "cut off inside a message" in told.statuses[-1][1]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    client = market_data_of(ADAPTER, settings_of("ALC,XYZ", file=str(cut)))
    with pytest.raises(VenueRejected, match="has no XYZ"):
        await client.instruments()

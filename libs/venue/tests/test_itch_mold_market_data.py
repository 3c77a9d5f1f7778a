"""The ITCH adapter over MoldUDP64 on real sockets: two lines with losses, requests, gaps, ends, garbage."""

import asyncio
import contextlib
import os
import random
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tradewind.model.identifiers import InstrumentId
from tradewind.venue.adapters import VenueSettings, adapter_named, market_data_of
from tradewind.venue.itch import moldudp64 as mold
from tradewind.venue.itch.days import midnights
from tradewind.venue.itch.market_data import ItchMarketDataClient
from tradewind.venue.itch.mold_order import GapBounds
from tradewind.venue.itch.mold_source import MoldAddresses, MoldSource
from tradewind.venue.itch.testing import MoldRequestServer, add_order, directory, execute_order, messages_of
from tradewind.wire.market_records import RecordArray, RecordFlag, RecordKind
from tradewind_native.itch import ItchDecoder

ALC = InstrumentId("ALC.NASDAQ")
SYMBOLS = ("ALC", "BOB", "CHAR")
DAY1 = mold.session_bytes("DAY1")
MESSAGES = [directory("ALC"), add_order(1, "B", 10, 100), add_order(2, "S", 5, 102)]
L3 = (RecordKind.ORDER_ADD, RecordKind.ORDER_CANCEL, RecordKind.ORDER_EXECUTE)
GROUPS = ("239.255.77.1", "239.255.77.2")


class Heard:
    """A handler that keeps all."""

    def __init__(self) -> None:
        self.batches: list[RecordArray] = []
        self.states: list[str] = []
        self.details: list[str] = []

    def on_records(self, records: RecordArray) -> None:
        self.batches.append(records.copy())

    def on_feed_status(self, instrument_id: InstrumentId | None, state: str, detail: str) -> None:
        self.states.append(state)
        self.details.append(detail)

    @property
    def records(self) -> RecordArray:
        return np.concatenate(self.batches)

    def of_orders(self) -> RecordArray:
        return self.records[np.isin(self.records["kind"], L3)]


class Lines:
    """The venue's side: sends packets to the two lines of a feed."""

    def __init__(self, hosts: tuple[str, ...]) -> None:
        self.addresses = tuple((host, _free_port()) for host in hosts)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)

    def send(self, packet: bytes, *lines: int) -> None:
        for line in lines or range(len(self.addresses)):
            self.socket.sendto(packet, self.addresses[line])


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@contextlib.contextmanager
def lines_at(*hosts: str) -> Iterator[Lines]:
    lines = Lines(hosts or ("127.0.0.1", "127.0.0.1"))
    with lines.socket:
        yield lines


@contextlib.asynccontextmanager
async def receiving(
    lines: Lines, *symbols: str, requests: int = 0, silent_after_s: float = 15.0, **bounds: Any
) -> AsyncIterator[tuple[ItchMarketDataClient, Heard]]:
    addresses = MoldAddresses(
        lines=lines.addresses,
        requests=("127.0.0.1", requests) if requests else None,
        interface="127.0.0.1",
    )
    client = ItchMarketDataClient(
        "NASDAQ",  # type: ignore[arg-type]
        symbols or ("ALC",),
        lambda counted: MoldSource(addresses, counted, GapBounds(**bounds), silent_after_s=silent_after_s),
        midnights("2010-12-24"),
    )
    heard = Heard()
    instruments = await client.instruments()
    task = asyncio.create_task(client.run(instruments, heard))
    try:
        await until(lambda: client.statistics.connections or task.done())
        if task.done():
            task.result()
        yield client, heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()


@contextlib.asynccontextmanager
async def request_server(messages: list[bytes]) -> AsyncIterator[MoldRequestServer]:
    server = MoldRequestServer(DAY1, messages)
    await server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def day() -> list[bytes]:
    default = Path(__file__).resolve().parents[4] / "shared" / "data"
    path = Path(os.environ.get("TRADEWIND_TEST_DATA", str(default))) / "itch50" / "ex20101224.lenfixed.itch50"
    if not path.is_file():
        pytest.skip(f"no ITCH day {path}")
    return list(messages_of(path))


def packets_of(messages: list[bytes], dice: random.Random) -> Iterator[tuple[int, bytes]]:
    """Number of the first message and packet, of random sizes."""
    number = 1
    while number <= len(messages):
        size = dice.randint(1, 30)
        yield number, mold.downstream(DAY1, number, messages[number - 1 : number - 1 + size])
        number += size


async def play(lines: Lines, messages: list[bytes], dice: random.Random, lossy: bool = True) -> None:
    """Each line loses, repeats and swaps packets on its own; then heartbeats tell the end."""
    late: list[list[bytes]] = [[], []]
    for index, (_, packet) in enumerate(packets_of(messages, dice)):
        for line, waiting in enumerate(late):
            chance = dice.random() if lossy else 1.0
            if chance < 0.2:
                continue
            if chance < 0.35:
                waiting.append(packet)
                continue
            lines.send(packet, line)
            if chance < 0.4:
                lines.send(packet, line)
            while waiting:
                lines.send(waiting.pop(), line)
        if index % 10 == 9:
            await asyncio.sleep(0.005)
    lines.send(mold.heartbeat(DAY1, len(messages) + 1))


def wanted_orders(messages: list[bytes], without: set[int]) -> RecordArray:
    numbers = {symbol: index for index, symbol in enumerate(SYMBOLS, 1)}
    decoder = ItchDecoder(numbers.get, midnights("2010-12-24")())
    for number, message in enumerate(messages, 1):
        if number not in without:
            decoder.decode_message(message, number, 1)
    records = decoder.take()
    return records[np.isin(records["kind"], L3)]


def assert_same_orders(heard: Heard, wanted: RecordArray) -> None:
    ours = heard.of_orders()
    for name in ("ts_event", "price", "size", "order_id", "sequence", "kind", "side"):
        assert np.array_equal(ours[name], wanted[name]), name


async def test_two_lossy_lines_and_a_request_server_make_the_whole_day(day: list[bytes]) -> None:
    with lines_at() as lines:
        async with request_server(day) as server, receiving(lines, *SYMBOLS, requests=server.port) as (client, heard):
            await play(lines, day, random.Random(5))
            await until(lambda: client.statistics.frames == len(day) and client.in_sync(ALC))
            statistics = client.statistics
            assert (statistics.gaps, statistics.lost, statistics.malformed) == (0, 0, 0)
            assert statistics.requested >= statistics.recovered > 0
            assert statistics.out_of_order > 1_000
            assert server.asked
            assert_same_orders(heard, wanted_orders(day, set()))
            assert client.book(ALC).depth(1)


async def test_a_gap_that_nobody_fills_is_given_up_marked_and_counted(day: list[bytes]) -> None:
    """All but the lost messages come, and the first record behind each hole says so."""
    with lines_at() as lines:
        async with request_server(day) as server:
            bounds = {"give_up_s": 0.4, "ask_again_s": 0.1}
            async with receiving(lines, *SYMBOLS, requests=server.port, **bounds) as (client, heard):
                server.lost = {101, 102, 103}
                lines.send(mold.downstream(DAY1, 1, day[:100]))
                lines.send(mold.downstream(DAY1, 104, day[103:200]))
                await until(lambda: client.statistics.frames == 197)
                assert (client.statistics.gaps, client.statistics.lost) == (1, 3)
                assert not client.in_sync(ALC)
                assert "request server did not bring" in heard.details[heard.states.index("GAP")]
                clears = heard.records[heard.records["kind"] == RecordKind.CLEAR]
                assert set(clears["flags"][3:]) == {RecordFlag.LAST | RecordFlag.GAP}
                assert_same_orders(heard, wanted_orders(day[:200], server.lost))
                lines.send(mold.downstream(DAY1, 210, day[209:260]))
                server.lost |= set(range(201, 210))
                await until(lambda: client.statistics.frames == 248)
                marked = heard.records[(heard.records["flags"] & RecordFlag.GAP).astype(bool)]
                assert [int(each) for each in marked["sequence"]] == [103] * 3 + [210]
                assert (client.statistics.gaps, client.statistics.lost) == (2, 12)


async def test_one_line_alone_carries_all_and_without_a_request_server_a_gap_is_given_up(day: list[bytes]) -> None:
    with lines_at() as lines:
        async with receiving(lines, *SYMBOLS, give_up_s=0.2) as (client, heard):
            lines.send(mold.downstream(DAY1, 1, day[:50]), 1)
            lines.send(mold.downstream(DAY1, 51, day[50:90]), 0)
            await until(lambda: client.in_sync(ALC))
            lines.send(mold.downstream(DAY1, 92, day[91:100]), 1)
            await until(lambda: client.statistics.frames == 99)
            assert "there is no request server" in heard.details[heard.states.index("GAP")]
            assert_same_orders(heard, wanted_orders(day[:100], {91}))


async def test_who_joins_late_gets_the_day_from_the_request_server(day: list[bytes]) -> None:
    with lines_at() as lines:
        async with request_server(day) as server, receiving(lines, *SYMBOLS, requests=server.port) as (client, heard):
            lines.send(mold.downstream(DAY1, 2_001, day[2_000:2_010]))
            await until(lambda: client.statistics.frames == 2_010)
            assert_same_orders(heard, wanted_orders(day[:2_010], set()))
            await until(lambda: client.in_sync(ALC))
            assert client.statistics.recovered == 2_000


async def test_multicast_groups_on_loopback_found_by_the_adapters_settings(day: list[bytes]) -> None:
    with lines_at(*GROUPS) as lines:
        named = ",".join(f"{host}:{port}" for host, port in lines.addresses)
        own = {"lines": named, "interface": "127.0.0.1", "session": "DAY1", "date": "2010-12-24"}
        settings = VenueSettings(
            venue="NASDAQ", account="main", symbols="ALC,BOB,CHAR", rest_url="", stream_url="", own=own
        )
        client, heard = market_data_of(adapter_named("itch"), settings), Heard()
        task = asyncio.create_task(client.run(await client.instruments(), heard))
        try:
            await until(lambda: client.statistics.connections or "DISCONNECTED" in heard.states)
            if "DISCONNECTED" in heard.states:
                pytest.skip(f"no multicast on loopback here: {heard.details[-1]}")
            for number, packet in packets_of(day[:500], random.Random(1)):
                lines.send(packet, number % 2)
            await until(lambda: client.statistics.frames == 500 and client.in_sync(ALC))
            assert_same_orders(heard, wanted_orders(day[:500], set()))
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_the_end_of_a_session_and_the_next_one() -> None:
    with lines_at() as lines:
        async with receiving(lines) as (client, heard):
            lines.send(mold.downstream(DAY1, 1, MESSAGES))
            await until(lambda: client.in_sync(ALC))
            lines.send(mold.end_of_session(DAY1, 4))
            await until(lambda: "ENDED" in heard.states)
            assert not client.in_sync(ALC)
            second = mold.session_bytes("DAY2")
            lines.send(mold.downstream(second, 1, [directory("ALC"), add_order(9, "B", 1, 77)]))
            await until(lambda: client.in_sync(ALC))
            assert client.book(ALC).best_bid() == (77, 1)
            assert (client.statistics.gaps, client.statistics.snapshots) == (0, 2)


async def test_datagrams_that_are_no_packet_are_counted_and_change_nothing() -> None:
    with lines_at() as lines:
        async with receiving(lines) as (client, heard):
            for garbage in (
                b"",
                b"x",
                mold.heartbeat(DAY1, 1)[:-1],
                mold.HEADER.pack(DAY1, 1, 9) + b"\0\1a",
                b"y" * 9_000,
            ):
                lines.send(garbage, 0)
            lines.send(mold.downstream(DAY1, 1, MESSAGES), 0)
            await until(lambda: client.in_sync(ALC))
            assert client.statistics.malformed == 5
            lines.send(mold.downstream(DAY1, 4, [directory("ALC")[:-1], execute_order(1, 1)]), 0)
            await until(lambda: client.statistics.frames == 5)
            assert (client.statistics.malformed, client.statistics.lost, heard.states[-1]) == (6, 1, "GAP")


async def test_silence_is_told_and_the_lines_are_opened_anew(monkeypatch: Any) -> None:
    monkeypatch.setattr("tradewind.venue.itch.mold_source.REOPEN_S", 0.01)
    with lines_at() as lines:
        async with receiving(lines, silent_after_s=0.3) as (client, heard):
            lines.send(mold.downstream(DAY1, 1, MESSAGES))
            await until(lambda: client.in_sync(ALC))
            await until(lambda: "STALE" in heard.states and client.statistics.connections >= 2)
            assert not client.in_sync(ALC)
            lines.send(mold.downstream(DAY1, 4, [execute_order(1, 1)]))
            await until(lambda: client.statistics.trades == 1)
            assert client.statistics.gaps == 0


async def test_a_line_that_is_silent_beside_the_other_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with lines_at() as lines:
        async with receiving(lines, silent_after_s=0.3) as (client, _):
            lines.send(mold.downstream(DAY1, 1, MESSAGES))
            while "is silent" not in caplog.text:
                lines.send(mold.heartbeat(DAY1, 4), 1)
                await asyncio.sleep(0.02)
            while "is heard again" not in caplog.text:
                lines.send(mold.heartbeat(DAY1, 4))
                await asyncio.sleep(0.02)
            host, port = lines.addresses[0]
            assert caplog.messages == [f"line {host}:{port} is silent", f"line {host}:{port} is heard again"]
            assert client.statistics.connections == 1


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"lines": "nasdaq:1"}, "an IPv4 address is wanted"),
        ({"lines": "239.1.1.1:1,239.1.1.2:2,239.1.1.3:3"}, "the one or two lines"),
        ({"lines": "239.1.1.1"}, "write host and port"),
        ({"lines": "239.1.1.1:1", "interface": "lo"}, "an IPv4 address is wanted"),
        ({"lines": "239.1.1.1:1", "requests": "here"}, "write host and port"),
        ({"lines": "239.1.1.1:1", "session": "more than ten"}, "at most 10"),
    ],
)
def test_wrong_settings_of_lines_are_refused_in_words(own: dict[str, str], said: str) -> None:
    settings = VenueSettings(venue="NASDAQ", account="main", symbols="ALC", rest_url="", stream_url="", own=own)
    with pytest.raises(ValueError, match=said):
        market_data_of(adapter_named("itch"), settings)

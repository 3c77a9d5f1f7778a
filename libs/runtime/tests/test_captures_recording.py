"""Recording: files that survive a cut, a full or slow disk, and live feeds on loopback with awkward peers."""

import asyncio
import contextlib
import errno
import gzip
import os
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import WSMsgType, web
from packet_files import itch_messages, mold_stream
from typer.testing import CliRunner

from tradewind.runtime.captures.describing import describe
from tradewind.runtime.captures.frame_files import (
    MOLD,
    SOUP,
    FrameHeader,
    frame_bytes,
    header_bytes,
)
from tradewind.runtime.captures.itch_feeds import MoldSource, SoupLogin
from tradewind.runtime.captures.items import CaptureBroken, CaptureRefused
from tradewind.runtime.captures.json_feeds import JsonFeed, JsonSource, binance_feed, kraken_feed, okx_feed
from tradewind.runtime.captures.line_files import line_of
from tradewind.runtime.captures.opening import open_capture
from tradewind.runtime.captures.recording import BinaryFeed, CapturePlan, Recording
from tradewind.runtime.captures.writing import BLOCK_BYTES, MOST_WAITING, CaptureFailed, CaptureWriter, pack
from tradewind.runtime.cli import build_app
from tradewind.runtime.refusals import StartRefused
from tradewind.wire.market_batches import MarketBatch

DATA = Path(os.environ.get("TRADEWIND_TEST_DATA", Path(__file__).resolve().parents[3].parent / "shared" / "data"))
COUNTS = {"A": 4997, "F": 3, "E": 198, "D": 1745, "U": 12, "X": 45, "P": 5000, "S": 6, "R": 3, "H": 3}
START = 1_293_192_000_123_456_789


@pytest.fixture(scope="module")
def day() -> list[bytes]:
    path = DATA / "itch50" / "ex20101224.lenfixed.itch50"
    if not path.is_file():
        pytest.skip(f"no ITCH day {path}: set TRADEWIND_TEST_DATA")
    return itch_messages(path.read_bytes())


def silent(_: str) -> None:
    """Nobody is at the terminal."""


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(40):
        while not condition():
            await asyncio.sleep(0.01)


# -- files ---------------------------------------------------------------------------------------------------------


async def test_a_file_that_is_cut_off_anywhere_is_read_up_to_the_cut(tmp_path: Path) -> None:
    path = tmp_path / "whole.gz"
    writer = CaptureWriter(path, line_of)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(writer.run())
        for number in range(9_000):
            writer.write(START + number, b'{"number":%d,"%b":1}' % (number, os.urandom(40).hex().encode()))
        writer.close()
    whole = path.read_bytes()
    assert len(whole) > 300_000
    before = 0
    for size in range(20, len(whole) + 1, 9_973):
        path.write_bytes(whole[:size])
        frames: list[Any] = []
        with contextlib.suppress(CaptureBroken):
            for item in open_capture(path):
                frames.append(item)
        assert [at for at, _ in frames] == list(range(START, START + len(frames)))
        assert before <= len(frames) <= 9_000
        before = len(frames)
    assert before > 8_000


def test_a_binary_file_that_is_cut_off_says_so_and_gives_what_is_there(tmp_path: Path, day: list[bytes]) -> None:
    content = header_bytes(FrameHeader(MOLD, "NASDAQ"))
    content += b"".join(frame_bytes(START + number, packet) for number, packet in enumerate(mold_stream(day[:700])))
    path = tmp_path / "cut"
    for packed in (gzip.compress(content)[:-200], gzip.compress(content[:-3])):
        path.write_bytes(packed)
        reader = open_capture(path)
        with pytest.raises(CaptureBroken, match="cut off or damaged"):
            list(reader)
        assert 400 < reader.counts.messages < 700
        assert "cut off" in describe(open_capture(path)).broken


def test_lengths_that_lie_in_a_binary_file_are_not_believed(tmp_path: Path) -> None:
    head = header_bytes(FrameHeader(SOUP, "NASDAQ"))
    for lie in (struct.pack("<qI", 1, 1 << 30), struct.pack("<qI", 1, 0xFFFFFFFF), struct.pack("<qI", -1, 4) + b"Sxxx"):
        path = tmp_path / "lie"
        path.write_bytes(gzip.compress(head + lie + b"x" * 50))
        with pytest.raises(CaptureBroken, match="cannot be"):
            list(open_capture(path))
    path.write_bytes(gzip.compress(head[:8] + struct.pack("<I", 1 << 30) + b"x" * 50))
    with pytest.raises(CaptureRefused, match="a header of 1073741824 bytes"):
        open_capture(path)
    path.write_bytes(gzip.compress(header_bytes(FrameHeader("telepathy", "X"))))
    with pytest.raises(CaptureRefused, match="protocol 'telepathy'"):
        open_capture(path)


def test_raw_frames_come_back_as_they_were(tmp_path: Path) -> None:
    frames = [(START + number, os.urandom(number)) for number in range(50)]
    path = tmp_path / "raw"
    body = b"".join(frame_bytes(*frame) for frame in frames)
    path.write_bytes(pack(header_bytes(FrameHeader(MOLD, "X"))) + pack(body))
    assert list(open_capture(path, raw=True)) == frames


async def test_a_capture_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "there.gz"
    path.write_bytes(b"dear")
    with pytest.raises(CaptureRefused, match="is there already"):
        CaptureWriter(path, line_of)
    with pytest.raises(CaptureRefused, match="cannot be made"):
        CaptureWriter(tmp_path / "no" / "folder.gz", line_of)
    assert path.read_bytes() == b"dear"


class FullDisk:
    """A raw file on a disk that takes so many bytes and no more."""

    def __init__(self, file: Any, room: int) -> None:
        self._file = file
        self.room = room

    def write(self, data: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken: int = self._file.write(data[: self.room])
        self.room -= taken
        return taken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


async def test_a_full_disk_is_said_and_the_file_before_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "full.gz"
    feed = BinaryFeed("NASDAQ", group=("127.0.0.1", 0))
    said: list[str] = []
    recording = Recording(CapturePlan(feed, path), said.append)
    recording.writer._file = FullDisk(recording.writer._file, 400_000)  # type: ignore[assignment]
    running = asyncio.create_task(recording.run())
    await until(lambda: recording.source.notes.connections == 1)
    while not running.done():
        recording.writer.write(time.time_ns(), os.urandom(50_000))
        await asyncio.sleep(0.002)
    assert await running == 1
    assert "the disk is full; it is whole up to here" in said[-1]
    kept = list(open_capture(path, raw=True))
    assert len(kept) > 2
    assert recording.writer.statistics.lost + len(kept) == recording.writer.statistics.frames


async def test_a_disk_that_is_too_slow_loses_counted_frames_and_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "slow.gz"
    writer = CaptureWriter(path, line_of)
    frame = b"x" * (BLOCK_BYTES // 4)
    for number in range(6 * MOST_WAITING):  # nothing runs yet: the slowest disk there is
        writer.write(START + number, frame)
    assert writer.statistics.lost > 0
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(writer.run())
        writer.close()
    kept = list(open_capture(path))
    assert len(kept) + writer.statistics.lost == writer.statistics.frames


async def test_what_was_taken_is_on_the_disk_without_a_close(tmp_path: Path) -> None:
    path = tmp_path / "open.gz"
    writer = CaptureWriter(path, line_of)
    running = asyncio.create_task(writer.run())
    writer.write(START, b"{}")
    await until(lambda: writer.statistics.bytes_written > 0)
    assert list(open_capture(path)) == [(START, b"{}")]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_failure_is_raised_with_what_was_lost(tmp_path: Path) -> None:
    writer = CaptureWriter(tmp_path / "bad.gz", line_of)
    writer._file = FullDisk(writer._file, 0)  # type: ignore[assignment]
    writer.write(START, b"{}")
    writer.close()
    with pytest.raises(CaptureFailed, match="1 frames after it were lost"):
        await writer.run()


class SlowDisk(FullDisk):
    """A raw file that waits before each write until it is let go."""

    def __init__(self, file: Any) -> None:
        super().__init__(file, 1 << 30)
        self.reached = threading.Event()
        self.go = threading.Event()

    def write(self, data: bytes) -> int:
        self.reached.set()
        assert self.go.wait(30)
        return super().write(data)


async def test_a_cancel_in_the_middle_of_a_write_writes_each_frame_once(tmp_path: Path) -> None:
    path = tmp_path / "cancelled.gz"
    writer = CaptureWriter(path, line_of)
    disk = SlowDisk(writer._file)
    writer._file = disk  # type: ignore[assignment]
    running = asyncio.create_task(writer.run())
    for number in range(40):
        writer.write(START + number, b"x" * (BLOCK_BYTES // 4))
    await until(disk.reached.is_set)
    running.cancel()
    await asyncio.sleep(0)
    disk.go.set()
    await asyncio.wait([running])
    assert [at for at, _ in open_capture(path)] == list(range(START, START + 40))


# -- WebSockets ----------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def web_server(talk: Callable[[web.WebSocketResponse], Awaitable[None]]) -> AsyncIterator[str]:
    async def handle(request: web.Request) -> web.WebSocketResponse:
        answer = web.WebSocketResponse()
        await answer.prepare(request)
        await talk(answer)
        return answer

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"ws://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


@pytest.mark.parametrize(("make", "symbol"), [(okx_feed, "BTC-USDT"), (kraken_feed, "XBT/USD")])
async def test_subscribed_feeds_are_recorded_as_received_across_reconnects(
    tmp_path: Path, make: Callable[[list[str], str], JsonFeed], symbol: str
) -> None:
    asked: list[str] = []

    async def talk(socket: web.WebSocketResponse) -> None:
        message = await socket.receive()
        asked.append(message.data)
        for number in range(10):
            await socket.send_str(f'{{"arg":{{"channel":"books","instId":"{symbol}"}},"number":{number}}}\n')
        await socket.close()

    path = tmp_path / "feed.gz"
    async with web_server(talk) as url:
        recording = Recording(CapturePlan(make([symbol], url), path), silent)
        running = asyncio.create_task(recording.run())
        await until(lambda: len(asked) >= 2 and recording.writer.statistics.frames >= 20)
        recording.stop()
        assert await running == 0
    assert all(symbol in message and "book" in message for message in asked)
    frames = [frame for _, frame in open_capture(path) if isinstance(frame, bytes)]
    assert len(frames) == recording.writer.statistics.frames
    assert frames[0].rstrip() == b'{"arg":{"channel":"books","instId":"%b"},"number":0}' % symbol.encode()
    assert recording.source.notes.connections >= 2
    found = describe(open_capture(path))
    assert found.details == {f"books {symbol}": len(frames)}


async def test_a_silent_connection_is_made_anew_and_pings_are_sent() -> None:
    connections, pings = 0, 0

    async def talk(socket: web.WebSocketResponse) -> None:
        nonlocal connections, pings
        connections += 1
        async for message in socket:
            pings += message.type is WSMsgType.TEXT and message.data == "ping"

    async with web_server(talk) as url:
        source = JsonSource(JsonFeed("quiet", url, ping=(0.05, b"ping")), lambda _, __: None, stale_after_s=0.4)
        running = asyncio.create_task(source.run())
        await until(lambda: connections >= 2 and pings > 0)
        running.cancel()
        await asyncio.wait([running])


async def test_nobody_there_is_tried_again_and_said(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    recording = Recording(CapturePlan(okx_feed(["X"], f"ws://127.0.0.1:{port}"), tmp_path / "none.gz"), silent)
    running = asyncio.create_task(recording.run())
    await until(lambda: bool(recording.source.notes.last_error))
    recording.stop()
    assert await running == 0


def test_a_binance_capture_has_one_symbol() -> None:
    with pytest.raises(ValueError, match="one symbol"):
        binance_feed(["BTCUSDT", "ETHUSDT"], "ws://x", "http://x")


# -- ITCH ----------------------------------------------------------------------------------------------------------


class SoupServer:
    """A SoupBinTCP server that drops the connection after ``per_connection`` messages."""

    def __init__(self, messages: list[bytes], per_connection: int) -> None:
        self._messages = messages
        self._per_connection = per_connection
        self.logins: list[bytes] = []
        self.greeting = b""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            login = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            self.logins.append(login)
            if self.greeting:
                writer.write(self.greeting)
            else:
                self._serve(writer, int(login[27:47]))
            await writer.drain()
        writer.close()

    def _serve(self, writer: asyncio.StreamWriter, first: int) -> None:
        self._send(writer, b"A" + b"TESTDAY001".rjust(10) + str(first).encode().rjust(20))
        last = min(first + self._per_connection, len(self._messages) + 1)
        for number in range(first, last):
            self._send(writer, b"S" + self._messages[number - 1])
        self._send(writer, b"H")
        if last > len(self._messages):
            self._send(writer, b"Z")

    def _send(self, writer: asyncio.StreamWriter, packet: bytes) -> None:
        writer.write(struct.pack(">H", len(packet)) + packet)


@contextlib.asynccontextmanager
async def soup(messages: list[bytes], per_connection: int = 100_000) -> AsyncIterator[tuple[SoupServer, int]]:
    made = SoupServer(messages, per_connection)
    server = await asyncio.start_server(made.talk, "127.0.0.1", 0)
    yield made, server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


async def test_a_soup_session_is_recorded_resumed_and_read_as_the_itch_day(tmp_path: Path, day: list[bytes]) -> None:
    path = tmp_path / "soup.twc"
    async with soup(day, per_connection=5_000) as (server, port):
        feed = BinaryFeed("NASDAQ", login=SoupLogin("127.0.0.1", port, "user", "secret"))
        recording = Recording(CapturePlan(feed, path, rotate_bytes=60_000), silent)
        assert await recording.run() == 0
    assert [int(login[27:47]) for login in server.logins] == [1, 5_001, 10_001]
    assert [login[1:7] for login in server.logins] == [b"user  "] * 3
    total: dict[str, int] = {}
    sequences: list[int] = []
    for each in recording.writer.paths:
        reader = open_capture(each)
        for _, item in reader:
            assert isinstance(item, MarketBatch)
            sequences += item.records["sequence"].tolist()
        assert (reader.counts.gaps, reader.counts.malformed) == (0, 0)
        for kind in COUNTS:
            total[kind] = total.get(kind, 0) + reader.counts.details.get(f"ITCH {kind}", 0)
    assert total == COUNTS
    assert sequences == sorted(sequences)


@pytest.mark.parametrize(
    ("greeting", "words"),
    [
        (b"\x00\x02JA", "not authorized"),
        (b"\x00\x02JS", "no such session"),
    ],
)
async def test_a_refused_login_ends_the_recording_in_words(tmp_path: Path, greeting: bytes, words: str) -> None:
    said: list[str] = []
    async with soup([]) as (server, port):
        server.greeting = greeting
        feed = BinaryFeed("NASDAQ", login=SoupLogin("127.0.0.1", port))
        assert await Recording(CapturePlan(feed, tmp_path / "no.twc"), said.append).run() == 1
    assert words in said[-1]


@pytest.mark.parametrize(
    "greeting",
    [
        b"\x00\x0aHTTP/1.1 2",
        b"\xff\xffS",
        b"\x00\x1fA" + b"x" * 30,
        b"\x00\x05Shaha",
        b"\x00\x00",
    ],
)
async def test_a_server_that_sends_garbage_is_left_and_tried_again(tmp_path: Path, greeting: bytes) -> None:
    async with soup([]) as (server, port):
        server.greeting = greeting
        feed = BinaryFeed("NASDAQ", login=SoupLogin("127.0.0.1", port))
        recording = Recording(CapturePlan(feed, tmp_path / "garbage.twc"), silent)
        running = asyncio.create_task(recording.run())
        await until(lambda: len(server.logins) >= 2)
        recording.stop()
        assert await running == 0
        assert recording.writer.statistics.frames == 0


def test_a_login_that_the_protocol_cannot_carry_is_refused() -> None:
    with pytest.raises(ValueError, match=r"user .* at most 6"):
        SoupLogin("h", 1, "too long a name").packet("", 1)
    assert "secret" not in repr(SoupLogin("h", 1, "u", "secret"))


async def test_a_mold_feed_is_recorded_and_read_as_the_itch_day(tmp_path: Path, day: list[bytes]) -> None:
    path = tmp_path / "mold.twc"
    recording = Recording(CapturePlan(BinaryFeed("NASDAQ", group=("127.0.0.1", 0)), path), silent)
    source = recording.source
    assert isinstance(source, MoldSource)
    running = asyncio.create_task(recording.run())
    await until(source.listening.is_set)
    packets = mold_stream(day, 20)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number, packet in enumerate(packets):
            sender.sendto(packet, ("127.0.0.1", source.port))
            if number % 20 == 0:
                await until(lambda wanted=number: recording.writer.statistics.frames > wanted)  # type: ignore[misc]
    await until(lambda: recording.writer.statistics.frames == len(packets))
    recording.stop()
    assert await running == 0
    reader = open_capture(path)
    records = np.concatenate([item.records for _, item in reader if isinstance(item, MarketBatch)])
    assert {kind: reader.counts.details[f"ITCH {kind}"] for kind in COUNTS} == COUNTS
    assert (reader.counts.gaps, len(records)) == (0, reader.counts.records)


# -- the command ---------------------------------------------------------------------------------------------------


def test_info_says_what_is_in_a_file_and_that_it_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "some.gz"
    lines = [line_of(START + number, b'{"stream":"btcusdt@trade","data":{}}') for number in range(5)]
    path.write_bytes(pack(b"".join(lines)) + pack(b"no line\n"))
    done = CliRunner().invoke(build_app(), ["capture", "info", str(path), "--json"])
    assert done.exit_code == 0
    assert '"messages":5' in done.stdout
    assert '"malformed":1' in done.stdout
    assert '"first":"2010-12-24T12:00:00.123456789Z"' in done.stdout
    path.write_bytes(path.read_bytes()[:-9])
    done = CliRunner().invoke(build_app(), ["capture", "info", str(path)])
    assert done.exit_code == 1
    assert "cut off or damaged" in done.stdout


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--feed", "binance"], "--symbols"),
        (["--feed", "okx", "--symbols", "X", "--url", "http://x"], "ws://"),
        (
            ["--feed", "kraken", "--symbols", "X", "--url", "wss://exchange.example"],
            "REAL exchange; set TRADEWIND_LIVE",
        ),
        (["--feed", "binance", "--symbols", "X", "--rest-url", "https://exchange.example"], "REAL exchange"),
        (["--feed", "itch-mold", "--address", "233.54.12.111:26477"], "REAL exchange"),
        (["--feed", "itch-soup", "--address", "nowhere"], "HOST:PORT"),
        (["--feed", "itch-soup", "--address", "127.0.0.1:1", "--user", "much too long"], "at most 6"),
        (["info", "/nowhere/at/all"], "cannot be read"),
        (["info", __file__], "is no capture"),
        (["info", __file__, "--ports", "70000"], "--ports"),
    ],
)
def test_what_cannot_work_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], answer: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(build_app(), ["capture", *words])
    assert isinstance(done.exception, StartRefused)
    assert answer in str(done.exception)
    assert not list(tmp_path.iterdir())


def test_the_command_records_for_a_duration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "short.gz"
    words = ["capture", "--feed", "itch-mold", "--address", "127.0.0.1:0"]
    done = CliRunner().invoke(build_app(), [*words, "--out", str(path), "--duration", "0.2"])
    assert isinstance(done.exception, StartRefused)  # port 0 is for tests of the source alone
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words[-1] = f"127.0.0.1:{port}"
    done = CliRunner().invoke(build_app(), [*words, "--out", str(path), "--duration", "0.2"])
    assert done.exit_code == 0, done.output
    assert f"recorded {path}" in done.stdout
    assert describe(open_capture(path)).messages == 0

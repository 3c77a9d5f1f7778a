"""FIX sessions over QuickFIX: our initiator with our acceptor, and peers of raw bytes that do what they should not."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tradewind_native.fix_events import FixEvent, FixEventKind, SendResult

try:
    from tradewind_native.fix_sessions import FixEngine, FixSession
except ImportError as error:
    if {"all", "quickfix"} & set(os.environ.get("TRADEWIND_TEST_REQUIRE", "").split(",")):
        raise
    pytest.skip(str(error), allow_module_level=True)

_ORDER = b"35=D\x0111=order-1\x0121=1\x0155=BTC\x0154=1\x0138=2\x0140=2\x0144=10\x01"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Side:
    """An engine with one session whose events are kept."""

    def __init__(self, engine: FixEngine, session_id: str) -> None:
        self.engine = engine
        self.session_id = session_id
        self.events: list[FixEvent] = []

    def of(self, kind: FixEventKind) -> list[bytes]:
        """The messages of one kind so far."""
        return [event.message for event in self.events if event.kind is kind]

    async def until(self, true: Callable[[], object]) -> None:
        """Wait for something; the test's own time limit ends it."""
        while not true():
            await asyncio.sleep(0.02)

    async def logged_on(self) -> None:
        """Wait for the logon."""
        await self.until(lambda: self.engine.state(self.session_id).logged_on)


@contextlib.asynccontextmanager
async def running(kind: str, session: FixSession, folder: Path, **more: object) -> AsyncIterator[Side]:
    """A started engine, stopped in the end."""
    engine = FixEngine(kind, [session], folder, **more)  # type: ignore[arg-type]
    side = Side(engine, session.session_id)
    reading = asyncio.create_task(engine.run(side.events.extend))
    try:
        engine.start()
        yield side
    finally:
        await asyncio.to_thread(engine.stop)
        await reading


def pair(port: int, version: str = "FIX.4.4") -> tuple[FixSession, FixSession]:
    """Initiator's and acceptor's session."""
    return (
        FixSession(version, "US", "VENUE", port, "127.0.0.1", reconnect_s=1),
        FixSession(version, "VENUE", "US", port),
    )


@pytest.mark.parametrize("version", ["FIX.4.2", "FIX.4.4"])
async def test_messages_cross_both_ways(tmp_path: Path, version: str) -> None:
    """A message arrives as it was sent, and the sender knows its number."""
    ours, theirs = pair(free_port(), version)
    async with (
        running("acceptor", theirs, tmp_path / "v") as venue,
        running("initiator", ours, tmp_path / "us") as us,
    ):
        await us.logged_on()
        await venue.logged_on()
        assert us.engine.send(us.session_id, _ORDER) == SendResult(True, 2)
        assert us.engine.send(us.session_id, _ORDER + b"97=Y\x01") == SendResult(True, 3)
        await venue.until(lambda: len(venue.of(FixEventKind.MESSAGE)) == 2)
        first, second = venue.of(FixEventKind.MESSAGE)
        assert b"\x0111=order-1\x01" in first
        assert b"\x0134=2\x01" in first
        assert b"\x0197=Y\x01" in second
        assert venue.engine.send(venue.session_id, b"35=8\x0137=v1\x01") == SendResult(True, 2)
        await us.until(lambda: us.of(FixEventKind.MESSAGE))
        await us.until(lambda: us.engine.state(us.session_id)[2:] == (4, 3))
    assert us.of(FixEventKind.LOGOUT) == [b""]
    assert us.engine.statistics()["dropped"] == 0


async def test_nothing_is_stored_while_logged_out(tmp_path: Path) -> None:
    """What the caller was told is not sent must not go out by a later resend."""
    ours, theirs = pair(free_port())
    async with running("initiator", ours, tmp_path / "us") as us:
        assert us.engine.send(us.session_id, _ORDER) == SendResult(False, 0)
        async with running("acceptor", theirs, tmp_path / "v") as venue:
            await us.logged_on()
            assert us.engine.send(us.session_id, _ORDER).written
            await venue.until(lambda: venue.of(FixEventKind.MESSAGE))
            assert len(venue.of(FixEventKind.MESSAGE)) == 1


@pytest.mark.parametrize("gap_filled", [False, True])
async def test_numbers_survive_and_orders_are_sent_again_only_when_allowed(tmp_path: Path, gap_filled: bool) -> None:
    """A venue that lost a message asks again; it comes with PossDupFlag, or a gap fill stands for it."""
    ours, theirs = pair(free_port())
    types = frozenset({"D"}) if gap_filled else frozenset[str]()
    for run in range(2):
        engine_folder = tmp_path / "v"
        if run:
            forget_last_message(engine_folder)
        async with (
            running("acceptor", theirs, engine_folder) as venue,
            running("initiator", ours, tmp_path / "us", gap_fill_types=types) as us,
        ):
            await us.logged_on()
            await venue.logged_on()
            if not run:
                assert us.engine.send(us.session_id, _ORDER).written
                await venue.until(lambda: venue.of(FixEventKind.MESSAGE))
                continue
            # What the venue lost comes before whatever is sent from now on.
            us.engine.send(us.session_id, _ORDER.replace(b"order-1", b"order-2"))
            await venue.until(lambda: any(b"order-2" in text for text in venue.of(FixEventKind.MESSAGE)))
            again = [text for text in venue.of(FixEventKind.MESSAGE) if b"order-1" in text]
            assert [b"\x0143=Y\x01" in text for text in again] == [True] * (not gap_filled)


def forget_last_message(folder: Path) -> None:
    """The store as it was before the order and the logout."""
    (numbers,) = folder.glob("*.seqnums")
    sender, _ = numbers.read_text().split(":")
    numbers.write_text(f"{sender.strip()} : 0000000002")


async def test_a_slow_reader_slows_the_peer_and_loses_nothing(tmp_path: Path) -> None:
    """The queue is full long before the last message."""
    ours, theirs = pair(free_port())
    count = 200
    async with running("initiator", ours, tmp_path / "us") as us:
        engine = FixEngine("acceptor", [theirs], tmp_path / "v", capacity=8)
        engine.start()
        await us.logged_on()
        for _ in range(count):
            assert us.engine.send(us.session_id, _ORDER).written
        while engine.statistics()["waits"] == 0:
            await asyncio.sleep(0.02)
        got: list[FixEvent] = []
        while sum(event.kind is FixEventKind.MESSAGE for event in got) < count:
            got += engine.take(4)
            await asyncio.sleep(0)
        await asyncio.to_thread(engine.stop)
    numbers = [text.split(b"\x0134=")[1].split(b"\x01")[0] for kind, _, text in got if kind is FixEventKind.MESSAGE]
    assert numbers == [b"%d" % number for number in range(int(numbers[0]), int(numbers[0]) + count)]


async def test_refused_types_never_arrive(tmp_path: Path) -> None:
    """The peer gets a BusinessMessageReject."""
    ours, theirs = pair(free_port())
    async with (
        running("acceptor", theirs, tmp_path / "v", accept_types=frozenset({"F"})) as venue,
        running("initiator", ours, tmp_path / "us") as us,
    ):
        await us.logged_on()
        us.engine.send(us.session_id, _ORDER)
        await us.until(lambda: us.of(FixEventKind.MESSAGE))
        assert b"\x0135=j\x01" in us.of(FixEventKind.MESSAGE)[0]
        assert venue.of(FixEventKind.MESSAGE) == []


def framed(body: bytes, *, claim: int | None = None, checksum: int | None = None) -> bytes:
    """A message of the initiator."""
    head = b"8=FIX.4.4\x019=%d\x01" % (len(body) if claim is None else claim)
    total = sum(head + body) % 256 if checksum is None else checksum
    return head + body + b"10=%03d\x01" % total


def spoken(kind: bytes, number: int, rest: bytes = b"") -> bytes:
    """Body of a message of the raw peer."""
    now = time.strftime("%Y%m%d-%H:%M:%S", time.gmtime()).encode()
    return b"35=%s\x0134=%d\x0149=US\x0152=%s\x0156=VENUE\x01" % (kind, number, now) + rest


_HEARTBEAT = spoken(b"0", 2)


@contextlib.asynccontextmanager
async def raw_peer(side: Side, port: int, heartbeat_s: int = 30) -> AsyncIterator[asyncio.StreamWriter]:
    """A logged-on connection of bytes."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(framed(spoken(b"A", 1, b"98=0\x01108=%d\x01141=Y\x01" % heartbeat_s)))
    try:
        await side.logged_on()
        yield writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(framed(_HEARTBEAT)[:-12], id="truncated"),
        pytest.param(framed(_HEARTBEAT, claim=3), id="lying-length"),
        pytest.param(framed(_HEARTBEAT, claim=1_000_000_000), id="a-gigabyte-claimed"),
        pytest.param(framed(_HEARTBEAT, claim=-5), id="negative-length"),
        pytest.param(framed(_HEARTBEAT, checksum=0), id="wrong-checksum"),
        pytest.param(bytes(range(256)) * 64, id="noise"),
        pytest.param(b"8=FIX.4.4\x019=", id="half-a-head"),
    ],
)
async def test_garbage_after_logon_is_no_message_and_the_engine_lives(tmp_path: Path, garbage: bytes) -> None:
    """The next connection logs on."""
    port = free_port()
    _, theirs = pair(port)
    async with running("acceptor", theirs, tmp_path) as venue:
        async with raw_peer(venue, port) as peer:
            peer.write(garbage)
            await peer.drain()
            await asyncio.sleep(0.1)
        await venue.until(lambda: venue.of(FixEventKind.LOGOUT))
        assert venue.of(FixEventKind.MESSAGE) == []
        async with raw_peer(venue, port):
            assert venue.engine.state(venue.session_id).next_target == 2


async def test_sequence_reset_is_followed(tmp_path: Path) -> None:
    """A reset forward moves the number; one backward is refused."""
    port = free_port()
    _, theirs = pair(port)
    async with running("acceptor", theirs, tmp_path) as venue, raw_peer(venue, port) as peer:
        peer.write(framed(spoken(b"4", 2, b"36=40\x01")))
        await venue.until(lambda: venue.engine.state(venue.session_id).next_target == 40)
        peer.write(framed(spoken(b"4", 40, b"36=3\x01")))
        await venue.until(lambda: [text for text in venue.of(FixEventKind.ADMIN_OUT) if b"\x0135=3\x01" in text])
        assert venue.engine.state(venue.session_id).next_target == 40


async def test_a_silent_peer_is_asked_and_then_left(tmp_path: Path) -> None:
    """Heartbeat lost, or the connection half open: TestRequest, then the session ends."""
    port = free_port()
    _, theirs = pair(port)
    async with running("acceptor", theirs, tmp_path) as venue, raw_peer(venue, port, heartbeat_s=1):
        await venue.until(lambda: venue.of(FixEventKind.LOGOUT))
        assert any(b"\x0135=1\x01" in text for text in venue.of(FixEventKind.ADMIN_OUT))
        assert not venue.engine.state(venue.session_id).logged_on


@pytest.mark.parametrize("suffix", ["seqnums", "body", "header", "session"])
async def test_a_store_file_cut_off_in_mid_write(tmp_path: Path, suffix: str) -> None:
    """Numbers that are lost are said, not begun again; lost messages only cannot be sent again."""
    ours, theirs = pair(free_port())
    async with running("acceptor", theirs, tmp_path / "v"), running("initiator", ours, tmp_path / "us") as us:
        await us.logged_on()
        us.engine.send(us.session_id, _ORDER)
    (path,) = (tmp_path / "us").glob(f"*.{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    if suffix in ("seqnums", "session"):
        with pytest.raises(ValueError, match=f"{suffix} is cut off"):
            FixEngine("initiator", [ours], tmp_path / "us")
        return
    engine = FixEngine("initiator", [ours], tmp_path / "us")
    state = engine.state(ours.session_id)
    engine.stop()
    assert not state.logged_on
    assert state.next_sender > 1


async def test_a_session_is_in_one_engine_of_a_process(tmp_path: Path) -> None:
    """Its name is free again when the first engine has stopped."""
    _, theirs = pair(free_port())
    async with running("acceptor", theirs, tmp_path):
        with pytest.raises(ValueError, match="in use in this process"):
            FixEngine("acceptor", [theirs], tmp_path)
    async with running("acceptor", theirs, tmp_path) as venue:
        assert not venue.engine.state(venue.session_id).logged_on
    with pytest.raises(IndexError, match="stopped"):
        venue.engine.state(venue.session_id)


def refusals(folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """What an engine says to things it cannot use."""
    session = FixSession("FIX.4.4", "US", "VENUE", 1, "127.0.0.1")
    yield "at least one session", lambda: FixEngine("initiator", [], folder)
    missing_file = FixSession("FIX.4.4", "US", "VENUE", 1, "127.0.0.1", dictionary=folder / "none.xml")
    yield "no FIX data dictionary", lambda: FixEngine("initiator", [missing_file], folder)
    evil = FixSession("FIX.4.4", "US\n[SESSION]", "VENUE", 1, "127.0.0.1")
    yield "cannot be printed", lambda: FixEngine("initiator", [evil], folder)
    yield "starts with 35=", lambda: FixEngine("initiator", [session], folder).send(session.session_id, b"8=FIX")
    yield "no FIX session", lambda: FixEngine("initiator", [session], folder).send("other", _ORDER)


@pytest.mark.parametrize("index", range(5))
def test_what_cannot_be_used_is_said(tmp_path: Path, index: int) -> None:
    """Each in a sentence."""
    sentence, make = list(refusals(tmp_path))[index]
    with pytest.raises(ValueError, match=sentence):
        make()


async def test_dictionaries_are_used(tmp_path: Path, test_data: Path) -> None:
    """An order without its required fields is refused by the venue's session."""
    words = test_data / "fix" / "FIX44.xml"
    if not words.is_file():
        pytest.skip(f"no dictionary {words}: set TRADEWIND_TEST_DATA")
    ours, _ = pair(port := free_port())
    theirs = FixSession("FIX.4.4", "VENUE", "US", port, dictionary=words)
    async with (
        running("acceptor", theirs, tmp_path / "v") as venue,
        running("initiator", ours, tmp_path / "us") as us,
    ):
        await us.logged_on()
        us.engine.send(us.session_id, b"35=D\x0111=order-1\x01")
        await us.until(lambda: [text for text in us.of(FixEventKind.ADMIN_IN) if b"\x0135=3\x01" in text])
        assert venue.of(FixEventKind.MESSAGE) == []

"""What a FIX peer proves itself with, that it is nowhere to be read, and what is sent while nobody is logged on."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tradewind_native.fix_events import FixEvent, FixEventKind

try:
    from tradewind_native.fix_sessions import FixEngine, FixSession
except ImportError as error:
    if {"all", "quickfix"} & set(os.environ.get("TRADEWIND_TEST_REQUIRE", "").split(",")):
        raise
    pytest.skip(str(error), allow_module_level=True)

SECRET = "hush-hush-4711"


class Side:
    """One engine and all that it said."""

    def __init__(self, engine: FixEngine) -> None:
        self.engine = engine
        self.events: list[FixEvent] = []

    def kinds(self) -> set[FixEventKind]:
        return {event.kind for event in self.events}

    def received(self) -> list[bytes]:
        return [event.message for event in self.events if event.kind is FixEventKind.MESSAGE]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def side(kind: str, folder: Path, port: int, version: str, password: str, **more: bool) -> AsyncIterator[Side]:
    ours, theirs = ("VENUE", "CLIENT") if kind == "acceptor" else ("CLIENT", "VENUE")
    session = FixSession(
        version, ours, theirs, port, host="127.0.0.1", reconnect_s=1, username="someone", password=password
    )
    engine = FixEngine("acceptor" if kind == "acceptor" else "initiator", [session], folder, **more)
    end = Side(engine)
    engine.listen(end.events.extend)
    engine.start()
    try:
        yield end
    finally:
        engine.unlisten()
        await asyncio.to_thread(engine.stop, force=True)


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not what():
            await asyncio.sleep(0.02)


def written(folder: Path, names: str) -> str:
    return "".join(path.read_text("latin-1") for path in folder.glob(names))


@pytest.mark.parametrize("version", ["FIX.4.2", "FIX.4.4"])
async def test_the_right_password_logs_on_and_is_nowhere_to_be_read(tmp_path: Path, version: str) -> None:
    port = free_port()
    folders = tmp_path / "venue", tmp_path / "client"
    async with (
        side("acceptor", folders[0], port, version, SECRET) as venue,
        side("initiator", folders[1], port, version, SECRET) as client,
    ):
        await until(lambda: FixEventKind.LOGON in venue.kinds() & client.kinds())
        said = b"".join(event.message for event in venue.events + client.events)
    logon = {"FIX.4.2": b"\x0196=****", "FIX.4.4": b"\x01554=****"}[version]
    assert logon in said
    assert SECRET.encode() not in said
    for folder in folders:
        assert "35=A" in written(folder, "*.log")
        assert SECRET not in written(folder, "*.log")
    assert SECRET not in written(folders[0], "*")
    assert folders[1].stat().st_mode & 0o077 == 0
    assert SECRET not in repr(FixSession("FIX.4.4", "A", "B", 1, password=SECRET))


@pytest.mark.parametrize("version", ["FIX.4.2", "FIX.4.4"])
@pytest.mark.parametrize("password", ["wrong", "hush-hush-4711hush-hush-4711", ""])
async def test_a_wrong_password_is_refused(tmp_path: Path, version: str, password: str) -> None:
    port = free_port()
    async with (
        side("acceptor", tmp_path / "venue", port, version, SECRET) as venue,
        side("initiator", tmp_path / "client", port, version, password) as client,
    ):
        await until(lambda: any(b"wrong username or password" in event.message for event in venue.events))
        assert FixEventKind.LOGON not in venue.kinds() | client.kinds()


async def test_what_is_sent_while_the_peer_is_away_reaches_it_after_its_logon(tmp_path: Path) -> None:
    port = free_port()
    message = b"35=B\x01148=news\x0133=1\x0158=text\x01"
    async with side("acceptor", tmp_path / "venue", port, "FIX.4.4", SECRET, store_offline=True) as venue:
        async with side("initiator", tmp_path / "client", port, "FIX.4.4", SECRET) as client:
            await until(lambda: FixEventKind.LOGON in venue.kinds() & client.kinds())
        await until(lambda: FixEventKind.LOGOUT in venue.kinds())
        sent = venue.engine.send("FIX.4.4:VENUE->CLIENT", message)
        assert not sent.written
        assert sent.sequence > 1
        async with side("initiator", tmp_path / "client", port, "FIX.4.4", SECRET) as client:
            await until(client.received)
            assert b"\x0143=Y\x01" in client.received()[0]
            assert b"\x01148=news\x01" in client.received()[0]

"""Our FIX initiator against another engine, the acceptor of the PyPI ``quickfix``; either side is killed."""

import asyncio
import contextlib
import importlib.util
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tradewind.store.testing import missing
from tradewind.venue.adapter import OutcomeUnknown, VenueUnavailable
from tradewind.venue.fix_dictionaries import dictionary
from tradewind.venue.fix_fields import fix_body

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from fix_sender import ORDER, address  # noqa: E402

from tradewind.venue.fix.session import FixLink, LoggedOff, LoggedOn  # noqa: E402

if importlib.util.find_spec("tradewind_native.fix_quickfix") is None:
    missing("quickfix", "this build of tradewind-native has no QuickFIX", whole_module=True)
if importlib.util.find_spec("quickfix") is None:
    missing("peers", "the PyPI package quickfix is not installed: make peers", whole_module=True)

VERSIONS = pytest.mark.parametrize("version", ["FIX.4.2", "FIX.4.4"])
pytestmark = pytest.mark.timeout(180)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def process(script: str, *arguments: object) -> "Iterator[subprocess.Popen[str]]":
    """A script of this folder, killed in the end."""
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


@contextlib.contextmanager
def venue(port: int, folder: Path, version: str) -> Iterator[None]:
    """The acceptor, until it listens."""
    with process("quickfix_acceptor.py", port, folder, version, dictionary(version)) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "listening\n"
        yield


def received(folder: Path) -> list[tuple[str, str]]:
    """ClOrdID and PossDupFlag of every order that the venue has taken."""
    orders = folder / "orders"
    if not orders.exists():
        return []
    return [(name, again) for name, again in (line.split() for line in orders.read_text().splitlines())]


def order(name: str) -> bytes:
    return fix_body("D", ((11, name), *ORDER))


@VERSIONS
async def test_orders_and_reports_cross(tmp_path: Path, version: str) -> None:
    port = free_port()
    link = FixLink(address(port, tmp_path / "us", version))
    with venue(port, tmp_path / "venue", version):
        await link.open()
        try:
            answers = await asyncio.gather(
                *(link.ask(f"o{n}", order(f"o{n}"), lambda: None, 20, "order") for n in range(200))
            )
        finally:
            await link.close()
    assert [(each.fields[11], each.fields[39], each.fields[37]) for each in answers] == [
        (f"o{n}", "0", f"Vo{n}") for n in range(200)
    ]
    assert received(tmp_path / "venue") == [(f"o{n}", "N") for n in range(200)]


@VERSIONS
async def test_the_venue_is_killed_with_an_order_in_flight(tmp_path: Path, version: str) -> None:
    """Its fate is unknown, it is never sent again, and the session goes on when the venue is back."""
    port = free_port()
    link = FixLink(address(port, tmp_path / "us", version))
    happened: list[object] = []
    try:
        with venue(port, tmp_path / "venue", version):
            await link.open()
            await link.ask("first", order("first"), lambda: None, 20, "order")
            flying = asyncio.create_task(link.ask("silent-1", order("silent-1"), lambda: None, 60, "order"))
            while ("silent-1", "N") not in received(tmp_path / "venue"):
                await asyncio.sleep(0.01)
        with pytest.raises(OutcomeUnknown, match="ask for the order's status"):
            await flying
        with pytest.raises(VenueUnavailable):
            await link.ask("away", order("away"), lambda: None, 20, "order")
        with venue(port, tmp_path / "venue", version):
            await link.open()
            await link.ask("after", order("after"), lambda: None, 20, "order")
        happened = await link.next_happenings()
    finally:
        await link.close()
    assert [name for name, _ in received(tmp_path / "venue")] == ["first", "silent-1", "after"]
    kinds = [type(each) for each in happened if isinstance(each, LoggedOn | LoggedOff)]
    assert kinds[:3] == [LoggedOn, LoggedOff, LoggedOn]


@VERSIONS
async def test_our_process_is_killed_again_and_again_and_no_order_comes_twice(tmp_path: Path, version: str) -> None:
    port = free_port()
    told: list[str] = []
    first = 0
    with venue(port, tmp_path / "venue", version):
        for _ in range(4):
            with process("fix_sender.py", port, tmp_path / "us", version, first) as sender:
                assert sender.stdout is not None
                for _ in range(60):
                    told.append(await asyncio.to_thread(sender.stdout.readline))
                sender.kill()
                # It went on until it was dead: what it said meanwhile are names that are used up.
                told += (await asyncio.to_thread(sender.stdout.read)).splitlines()
            names = [line.split()[1] for line in told if line.startswith("sending o")]
            first = int(names[-1].removeprefix("o")) + 1
        # Once more to its end, so that what the last one left behind is settled.
        with process("fix_sender.py", port, tmp_path / "us", version, first) as sender:
            assert sender.stdout is not None
            while not (line := await asyncio.to_thread(sender.stdout.readline)).endswith(" 0\n"):
                assert line, "it ended"
    counts = Counter(name for name, _ in received(tmp_path / "venue"))
    assert set(counts.values()) == {1}
    answered = {line.split()[0] for line in told if line.strip().endswith(" 0")}
    assert len(answered) > 60
    assert answered <= set(counts)


@pytest.mark.parametrize("suffix", ["seqnums", "session"])
async def test_a_store_file_cut_off_in_mid_write_is_said(tmp_path: Path, suffix: str) -> None:
    port = free_port()
    with venue(port, tmp_path / "venue", "FIX.4.4"):
        link = FixLink(address(port, tmp_path / "us", "FIX.4.4"))
        await link.open()
        await link.close()
        [path] = (tmp_path / "us").glob(f"*.{suffix}")
        path.write_bytes(path.read_bytes()[:7])
        with pytest.raises(Exception, match="is cut off: put it back from a copy"):
            await link.open()
    assert received(tmp_path / "venue") == []

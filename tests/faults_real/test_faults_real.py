"""A short run of real faults on each broker ends without a violation; and what injects them does what it says."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from faults_real.__main__ import MISSING
from faults_real.injections import KINDS, plan
from faults_real.links import Link
from tradewind.bus.brokers.broker_process import free_ports
from tradewind.bus.brokers.required import missing

TESTS = Path(__file__).resolve().parents[1]
INJECTIONS = 14
WAIT_S = 20.0
CLIENTS: list[asyncio.StreamWriter] = []


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "faults_real", "--folder", str(folder / "run"), *arguments]


@pytest.mark.brokers
@pytest.mark.timeout(900)
@pytest.mark.parametrize("broker", ["kafka", "rabbitmq"])
def test_a_short_run_has_no_violation(tmp_path: Path, broker: str) -> None:
    done = subprocess.run(
        command(tmp_path, "--seed", "5", "--injections", str(INJECTIONS), "--bus", broker),
        cwd=TESTS,
        capture_output=True,
        text=True,
        timeout=840,
        check=False,
    )
    print(done.stdout[-6_000:])
    if done.returncode == MISSING:
        missing(broker, done.stdout.strip()[-500:])
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-4_000:]
    assert f"{INJECTIONS} injections on {broker}" in done.stdout


@pytest.mark.brokers
@pytest.mark.timeout(300)
def test_an_interrupted_run_leaves_no_process_and_no_mount(tmp_path: Path) -> None:
    run = subprocess.Popen(
        command(tmp_path, "--injections", "50"),
        cwd=TESTS,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    logs = tmp_path / "run" / "logs"
    started: list[psutil.Process] = []
    deadline = time.monotonic() + 200
    while run.poll() is None and time.monotonic() < deadline and len(list(logs.glob("*.log"))) < 9:
        time.sleep(0.1)
    with contextlib.suppress(psutil.NoSuchProcess):
        started = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(signal.SIGTERM)
    output, _ = run.communicate(timeout=90)
    if run.returncode == MISSING:
        missing("kafka", output.strip()[-500:])
    assert len(started) > 9, output
    gone, alive = psutil.wait_procs(started, timeout=WAIT_S)
    assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE], gone
    assert not [one.mountpoint for one in psutil.disk_partitions(all=True) if str(tmp_path) in one.mountpoint]


def test_the_seed_decides_the_plan() -> None:
    one, same, other = list(plan(1, 200)), list(plan(1, 200)), list(plan(2, 200))
    assert one == same != other
    hit = {(injection.kind, injection.target) for injection in one}
    assert hit == {(kind, target) for kind, (targets, *_) in KINDS.items() for target in targets}
    for injection in one:
        _, least, most = KINDS[injection.kind]
        assert least <= injection.seconds <= most


@pytest.fixture
async def echo() -> AsyncIterator[str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(100):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # the link is cut
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
async def link(echo: str) -> AsyncIterator[Link]:
    async with Link("echo", free_ports(1)[0], echo).run() as opened:
        yield opened
    while CLIENTS:
        CLIENTS.pop().transport.abort()


class Client:
    """One connection through a link."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        CLIENTS.append(writer)

    @classmethod
    async def of(cls, link: Link) -> "Client":
        return cls(*await asyncio.open_connection("127.0.0.1", link.port))

    async def says(self, text: bytes, timeout_s: float = WAIT_S) -> bytes:
        self.writer.write(text)
        async with asyncio.timeout(timeout_s):
            return await self.reader.read(100)


async def test_a_link_passes_everything(link: Link) -> None:
    client = await Client.of(link)
    assert await client.says(b"hello") == b"hello"


async def test_a_cut_is_heard_at_once_and_new_connections_work(link: Link) -> None:
    client = await Client.of(link)
    assert await client.says(b"1") == b"1"
    link.reset()
    with pytest.raises(OSError):  # noqa: PT011 - a reset, however it is told
        await client.says(b"2")
    assert await (await Client.of(link)).says(b"3") == b"3"


async def test_a_refusing_link_lets_nobody_in_until_it_is_healed(link: Link) -> None:
    link.refuse()
    with contextlib.suppress(OSError):
        assert await (await Client.of(link)).says(b"1") == b""
    link.heal()
    assert await (await Client.of(link)).says(b"2") == b"2"


async def test_a_frozen_link_gives_everything_later(link: Link) -> None:
    client = await Client.of(link)
    link.freeze()
    with pytest.raises(TimeoutError):
        await client.says(b"1", timeout_s=0.2)
    link.heal()
    async with asyncio.timeout(WAIT_S):
        assert await client.reader.read(100) == b"1"


async def test_a_half_open_connection_says_nothing_until_it_is_ended(link: Link) -> None:
    client = await Client.of(link)
    assert await client.says(b"1") == b"1"
    link.lose()
    with pytest.raises(TimeoutError):
        await client.says(b"2", timeout_s=0.2)
    assert await (await Client.of(link)).says(b"3") == b"3"
    link.end_lost()
    with pytest.raises(OSError):  # noqa: PT011 - a reset, however it is told
        await client.says(b"4")

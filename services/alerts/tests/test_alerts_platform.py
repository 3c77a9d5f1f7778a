"""The real platform, its venue in another process: the venue dies, people are told once, and once when it is back."""

import asyncio
import contextlib
import os
import pathlib
import signal
import socket
import sys
from collections.abc import AsyncIterator

import aiohttp
import pytest
from alerts_kit import Hook, MailServer

pytestmark = pytest.mark.timeout(240)
COMMAND = (sys.executable, "-m", "tradewind.runtime")
PLATFORM = ("market-data", "execution", "risk", "portfolio", "alerts")
WAIT_S = 90.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def running(*words: str, env: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of the platform in its own group; stopped in order at the end, by force when it does not stop."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRADEWIND_")}
    process = await asyncio.create_subprocess_exec(*COMMAND, *words, env=kept | env, start_new_session=True)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), 30.0)
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def until_told(hook: Hook, *wanted: str) -> None:
    async with asyncio.timeout(WAIT_S):
        while [kind for kind, _ in hook.of("BookOutOfSync")] != list(wanted):
            await asyncio.sleep(0.05)


async def until_noted(hook: Hook) -> None:
    """Nothing is being sent for a moment: what was answered is noted by then. A death before that sends it again."""
    answered = -1
    while answered != len(hook.bodies):
        answered = len(hook.bodies)
        await asyncio.sleep(1.0)


async def until_ready(port: int, service: str) -> None:
    """A process says at its health port that a service is ready."""
    async with asyncio.timeout(WAIT_S), aiohttp.ClientSession() as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError, KeyError):
                async with session.get(f"http://127.0.0.1:{port}/state") as answer:
                    rows = (await answer.json())["services"]
                if {row["name"]: row["state"] for row in rows}[service] == "ready":
                    return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
async def test_the_venue_dies_and_comes_back_with_a_restart_in_between(
    tmp_path: pathlib.Path, end: signal.Signals
) -> None:
    venue_port, health_port = free_port(), free_port()
    venue = {"TRADEWIND_DATA_DIR": str(tmp_path / "venue"), "TRADEWIND_SIM_VENUE_PORT": str(venue_port)}
    async with Hook().running() as hook:
        platform = {
            "TRADEWIND_DATA_DIR": str(tmp_path / "platform"),
            "TRADEWIND_HEALTH_PORT": str(health_port),
            "TRADEWIND_VENUE_REST_URL": f"http://127.0.0.1:{venue_port}",
            "TRADEWIND_VENUE_STREAM_URL": f"ws://127.0.0.1:{venue_port}",
            "TRADEWIND_ALERTS_WEBHOOK_URL": hook.url,
            "TRADEWIND_ALERTS_EVALUATE_EVERY_S": "0.2",
            "TRADEWIND_ALERTS_FEED_S": "1",
            "TRADEWIND_ALERTS_CLEAR_S": "1",
            "TRADEWIND_ALERTS_GROUP_S": "0",
        }
        async with contextlib.AsyncExitStack() as stack:
            sim = await stack.enter_async_context(running("run", "sim-venue", env=venue))
            async with running("up", *PLATFORM, env=platform) as first:
                await until_ready(health_port, "market-data")
                await until_ready(health_port, "alerts")
                assert hook.of("BookOutOfSync") == []
                sim.kill()
                await sim.wait()
                await until_told(hook, "OPENED")
                await until_noted(hook)
                first.send_signal(end)
                await first.wait()
        async with running("up", *PLATFORM, env=platform):
            await until_ready(health_port, "alerts")
            async with running("run", "sim-venue", env=venue):
                await until_told(hook, "OPENED", "RESOLVED")
                await until_ready(health_port, "market-data")
        assert [kind for kind, _ in hook.of("BookOutOfSync")] == ["OPENED", "RESOLVED"]
        assert {subject for _, subject in hook.of("BookOutOfSync")} == {"BINANCE"}
        deliveries = [one["X-Tradewind-Delivery"] for one in hook.headers]
        assert len(deliveries) == len(set(deliveries))


async def command(env: dict[str, str], *words: str) -> tuple[int, str]:
    """A command of a person: exit status and what it says."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRADEWIND_")}
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *words, env=kept | env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(process.communicate(), WAIT_S)
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_a_person_tries_the_channels_and_takes_an_alert_on(tmp_path: pathlib.Path) -> None:
    api_port, token = free_port(), "rita-0123456789abcdef0123456789abcdef"
    person = {"TRADEWIND_API_URL": f"http://127.0.0.1:{api_port}", "TRADEWIND_API_TOKEN": token}
    async with Hook().running() as hook, MailServer().running() as mail:
        platform = {
            "TRADEWIND_DATA_DIR": str(tmp_path / "platform"),
            "TRADEWIND_API_PORT": str(api_port),
            "TRADEWIND_API_OPERATOR_TOKENS": f"rita:risk:{token}",
            "TRADEWIND_ALERTS_WEBHOOK_URL": hook.url,
            "TRADEWIND_ALERTS_SMTP_HOST": "127.0.0.1",
            "TRADEWIND_ALERTS_SMTP_PORT": str(mail.port),
            "TRADEWIND_ALERTS_SMTP_SECURITY": "none",
            "TRADEWIND_ALERTS_EMAIL_FROM": "alerts@desk.example",
            "TRADEWIND_ALERTS_EMAIL_TO": "anna@desk.example",
            "TRADEWIND_ALERTS_GROUP_S": "0",
        }
        async with running("up", "api", "alerts", "risk", env=platform):
            async with asyncio.timeout(WAIT_S):
                while (await command(person, "alerts", "list"))[0] != 0:
                    await asyncio.sleep(0.5)
            status, said = await command(person, "alerts", "test")
            assert (status, len(hook.bodies), len(mail.messages)) == (0, 1, 1), said
            assert "This is a test" in mail.texts()[0]
            status, said = await command(
                person, "kill", "engage", "firm", "--why", "drill of alerts", "--yes", "--wait", "0"
            )
            assert status == 0, said
            async with asyncio.timeout(WAIT_S):
                while not hook.of("KillSwitchEngaged"):
                    await asyncio.sleep(0.1)
            status, said = await command(person, "alerts", "list")
            assert status == 1
            number = next(line.split()[0] for line in said.splitlines() if "KillSwitchEngaged" in line)
            status, said = await command(person, "alerts", "ack", number, "--why", "it is a drill")
            assert status == 0, said
            status, said = await command(person, "alerts", "list")
            assert "ACKNOWLEDGED by rita" in said

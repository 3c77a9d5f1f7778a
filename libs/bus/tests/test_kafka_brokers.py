"""The way to a real Kafka: installing it, running it in the foreground, and that it never outlives who started it."""

import asyncio
import re
import signal
import socket
import sys
from pathlib import Path

import pytest
from bus_contract import WAIT_S, collect, order_topic, publish_all, texts

from tradewind.bus.brokers.__main__ import main
from tradewind.bus.brokers.broker_process import free_ports
from tradewind.bus.brokers.kafka_install import ARCHIVE, kafka_home, kafka_version
from tradewind.bus.brokers.required import missing
from tradewind.bus.connecting import connect

RUN = (sys.executable, "-m", "tradewind.bus.brokers", "run", "kafka")


@pytest.fixture
def installed() -> None:
    if not kafka_home().exists():
        missing("kafka", f"no Kafka in {kafka_home()}; run: python -m tradewind.bus.brokers install kafka")


async def url_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), WAIT_S * 2)).decode()
    found = re.fullmatch(r"kafka: (kafka://127\.0\.0\.1:\d+)\n", line)
    assert found, line
    return found.group(1)


async def refused(url: str) -> None:
    """Until nobody listens there any more."""
    host, port = url.removeprefix("kafka://").split(":")
    async with asyncio.timeout(WAIT_S * 2):
        while True:
            try:
                socket.create_connection((host, int(port)), 1.0).close()
            except ConnectionRefusedError:
                return
            await asyncio.sleep(0.05)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_a_broker_ends_with_the_command_that_runs_it(number: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(*RUN, stdout=asyncio.subprocess.PIPE)
    try:
        url = await url_of(process)
        bus = await connect(url)
        topic = order_topic()
        subscription = await bus.subscribe(topic, group="reader")
        await publish_all(bus, topic, "a", ["one"])
        assert texts(await collect(subscription, 1)) == ["one"]
        await bus.close()
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), WAIT_S * 2) == (0 if number != signal.SIGKILL else -number)
        await refused(url)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.usefixtures("installed")
async def test_data_in_a_folder_is_there_the_next_time(tmp_path: Path) -> None:
    topic = order_topic()
    for turn in range(2):
        process = await asyncio.create_subprocess_exec(
            *RUN, "--data", str(tmp_path / "data"), stdout=asyncio.subprocess.PIPE
        )
        try:
            bus = await connect(await url_of(process))
            await publish_all(bus, topic, "a", [str(turn)])
            assert texts(await bus.replay(topic)) == [str(each) for each in range(turn + 1)]
            await bus.close()
        finally:
            process.terminate()
            await process.wait()


def test_what_is_not_installed_says_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRADEWIND_KAFKA_HOME", str(tmp_path / "nothing"))
    assert main(["run", "kafka"]) == 1
    assert "python -m tradewind.bus.brokers install kafka" in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["install", "kafka"]) == 1
    assert "install maven" in capsys.readouterr().err
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert main(["run", "kafka"]) == 1
    assert "Java 17" in capsys.readouterr().err


def test_an_installation_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text("#!/bin/sh\necho no network here; exit 1\n")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", str(maven.parent))
    monkeypatch.setenv("TRADEWIND_KAFKA_HOME", str(tmp_path / "home" / "kafka"))
    assert main(["install", "kafka"]) == 1
    assert "no network here" in capsys.readouterr().err
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.usefixtures("installed")
def test_what_is_installed_stays(capsys: pytest.CaptureFixture[str]) -> None:
    if not (kafka_home() / ARCHIVE).exists():
        pytest.skip("an installation of somebody else, without our archive of classes")
    assert main(["install", "kafka"]) == 0
    assert capsys.readouterr().out == f"Kafka {kafka_version()} was already in {kafka_home()}\n"


def test_a_missing_component_is_skipped_or_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_TEST_REQUIRE", "postgres")
    with pytest.raises(pytest.skip.Exception, match="no such thing"):
        missing("kafka", "no such thing")
    for required in ("all", "postgres, kafka"):
        monkeypatch.setenv("TRADEWIND_TEST_REQUIRE", required)
        with pytest.raises(pytest.fail.Exception, match="asks for kafka"):
            missing("kafka", "no such thing")


def test_ports_are_free_and_different() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    for port in ports:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))

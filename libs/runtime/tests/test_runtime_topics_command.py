"""The command `tradewind topics` inside this process, on a bus that stands in for a broker."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from topic_samples import BTCUSDT, EVIL, MARKET, batch, cancel, defined, filled
from typer.testing import CliRunner

from tradewind.bus import connecting
from tradewind.bus.dead_letters import dead_lettered
from tradewind.bus.interface import Start
from tradewind.bus.memory import MemoryBus
from tradewind.model.identifiers import Venue
from tradewind.runtime import cli
from tradewind.runtime.refusals import StartRefused
from tradewind.wire.topics import ORDERS_COMMANDS, ORDERS_EVENTS, REF_INSTRUMENTS, dead_letters_of, market_events

RUNNER = CliRunner()
Capture = pytest.CaptureFixture[str]


class _LeftOpen(MemoryBus):
    """A broker outlives those who look at it."""

    async def close(self) -> None: ...


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> MemoryBus:
    bus = _LeftOpen()

    async def open_it(_url: str) -> MemoryBus:
        return bus

    monkeypatch.setitem(connecting.TRANSPORTS, "standin", open_it)
    monkeypatch.setenv("TRADEWIND_BUS_URL", "standin://somewhere")
    return bus


def publish(*sent: Callable[[], Awaitable[Any]]) -> None:
    async def all_of_them() -> None:
        for one in sent:
            await one()

    asyncio.run(all_of_them())


def topics(*arguments: str) -> Any:
    return RUNNER.invoke(cli.build_app(), ["topics", *arguments])


def tailed(capfd: Capture, *arguments: str) -> list[str]:
    """The lines of `tail`, which writes past Python's standard output."""
    result = topics("tail", *arguments)
    assert result.exit_code == 0, result.exception
    return capfd.readouterr().out.splitlines()


def _filled_broker(bus: MemoryBus) -> None:
    async def letters() -> None:
        [delivery] = await bus.replay(ORDERS_COMMANDS)
        letter = dead_lettered(delivery, EVIL)
        await bus.publish(dead_letters_of("orders.commands"), "BINANCE-main", letter)

    publish(
        lambda: bus.publish(REF_INSTRUMENTS, BTCUSDT, defined()),
        lambda: bus.publish(ORDERS_COMMANDS, "BINANCE-main", cancel(1)),
        lambda: bus.publish(ORDERS_EVENTS, "BINANCE-main", filled()),
        lambda: bus.publish(MARKET, "BINANCE", batch(3)),
        lambda: bus.subscribe(ORDERS_COMMANDS, group="execution.BINANCE-main", start=Start.EARLIEST),
        letters,
    )


@pytest.mark.parametrize("command", ["list", "tail", "lag", "replay"])
def test_every_command_has_an_example_in_its_help(command: str) -> None:
    result = topics(command, "--help")
    assert result.exit_code == 0
    assert f"tradewind topics {command}" in result.output.partition("Example")[2]


def test_list_shows_topics_groups_and_only_dead_letters_that_are_there(broker: MemoryBus) -> None:
    _filled_broker(broker)
    result = topics("list")
    assert result.exit_code == 0, result.exception
    rows = {line.split()[0]: line.split() for line in result.output.splitlines()}
    assert rows["md.events.binance"] == ["md.events.binance", "market-data", "venue", "1", "1d", "1", "-", "-"]
    assert rows["orders.commands"][-2:] == ["execution.BINANCE-main", "1"]
    assert "orders.commands.dead-letter" in rows
    assert "orders.events.dead-letter" not in rows


def test_list_knows_the_venues_of_all_instruments(broker: MemoryBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_VENUE", "KRAKEN")
    publish(
        lambda: broker.publish(REF_INSTRUMENTS, BTCUSDT, defined()),
        lambda: broker.publish(market_events(Venue("KRAKEN")), "KRAKEN", batch(1)),
    )
    rows = {row["topic"]: row for row in json.loads(topics("list", "--json").output)}
    assert (rows["md.events.binance"]["messages"], rows["md.events.kraken"]["messages"]) == (0, 1)
    assert rows["ref.instruments"]["compacted"] is True


def test_tail_shows_messages_and_records_with_decimals(broker: MemoryBus, capfd: Capture) -> None:
    _filled_broker(broker)
    lines = tailed(capfd, "orders.events", "md.events.binance", "--from", "earliest", "--limit", "4")
    assert len(lines) == 4
    assert [line for line in lines if "orders.events" in line and "price=61837.63" in line]
    assert len([line for line in lines if "BTCUSDT.BINANCE TRADE BUY 61837.63 x 1.50000" in line]) == 3


def test_tail_of_dead_letters_shows_reason_and_message_without_harm(broker: MemoryBus, capfd: Capture) -> None:
    _filled_broker(broker)
    [line] = tailed(capfd, "orders.commands.dead-letter", "--from", "earliest", "--limit", "1")
    assert r'reason="a\x1b[2J\x1b]0;title' in line
    assert "CancelAllOrders v1 account_id=BINANCE-main reason=drill" in line
    assert line.isprintable()


def test_tail_as_json(broker: MemoryBus, capfd: Capture) -> None:
    _filled_broker(broker)
    [line] = tailed(capfd, "md.events.binance", "--from", "0", "--type", "TRADE", "--limit", "1", "--json")
    assert json.loads(line)["price"] == "61837.63"


def test_lag_by_group_and_partition(broker: MemoryBus) -> None:
    _filled_broker(broker)
    rows = json.loads(topics("lag", "orders.commands", "--json").output)
    assert [row["partition"] for row in rows] == [0, 1, 2, 3]
    assert sorted(row["lag"] for row in rows) == [0, 0, 0, 1]
    table = topics("lag").output
    assert table.count("execution.BINANCE-main") == 4


def test_replay_writes_a_file_and_says_what_is_in_it(broker: MemoryBus, tmp_path: Path) -> None:
    _filled_broker(broker)
    path = tmp_path / "market.jsonl"
    result = topics("replay", "md.events.binance", "--to", str(path), "--key", BTCUSDT)
    assert result.exit_code == 0, result.exception
    assert result.stderr == f"tradewind: {path}: 3 lines of 1 messages\n"
    assert [json.loads(line)["size"] for line in path.read_text().splitlines()] == ["1.50000"] * 3


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["tail", "orders.evnts"], "there is no topic 'orders.evnts'; near it: orders.events"),
        (["tail", "md.events.binanse"], "there is no topic 'md.events.binanse'; near it: md.events.binance"),
        (["tail", "orders.events", "--from", "soon"], "--from 'soon': it takes earliest, latest"),
        (["tail", "orders.events", "--type", "Filled"], "there is no message type 'Filled'; near it: OrderFilled"),
        (["replay", "orders.events", "--to", "/nowhere/a", "--until", "x"], "--until 'x': it takes earliest"),
        (["replay", "orders.events", "--to", "/nowhere/a"], "/nowhere/a cannot be written: No such file"),
        (["lag", "orders"], "there is no topic 'orders'; near it: "),
    ],
)
def test_a_mistake_is_said_with_what_to_do(broker: MemoryBus, arguments: list[str], complaint: str) -> None:
    result = topics(*arguments)
    assert isinstance(result.exception, StartRefused)
    assert complaint in str(result.exception)
    assert broker.statistics().subscriptions == []


@pytest.mark.parametrize(
    "arguments", [["list"], ["tail", "md.status"], ["lag"], ["replay", "orders.events", "--to", "a"]]
)
def test_the_memory_bus_cannot_be_looked_at(arguments: list[str]) -> None:
    result = topics(*arguments)
    assert isinstance(result.exception, StartRefused)
    assert "memory://, which lives inside the platform's own process" in str(result.exception)
    assert "set TRADEWIND_BUS_URL to the broker" in str(result.exception)


def test_one_plane_is_shown_without_the_other(
    broker: MemoryBus, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    _filled_broker(broker)
    monkeypatch.setenv("TRADEWIND_ORDERS_URL", "memory://")
    result = topics("list")
    assert result.exit_code == 0, result.exception
    assert "one plane is not shown: the bus is memory://" in result.stderr
    assert "orders.commands" not in result.stdout
    lines = tailed(capfd, "md.events.binance", "--from", "earliest", "--limit", "3")
    assert "6183763m x 150000m" in lines[0]
    assert "memory://" in str(topics("tail", "orders.events").exception)


def test_a_broker_that_does_not_answer_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(url: str) -> MemoryBus:
        raise ConnectionRefusedError(f"cannot reach {url}")

    monkeypatch.setitem(connecting.TRANSPORTS, "standin", away)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        monkeypatch.setenv("TRADEWIND_BUS_URL", f"standin://trader:geheim@127.0.0.1:{port}")
        result = topics("list")
    assert isinstance(result.exception, StartRefused)
    assert str(result.exception).startswith(f"no broker answers at standin://127.0.0.1:{port} (")
    assert str(result.exception).endswith("start it, or correct TRADEWIND_BUS_URL")
    assert "geheim" not in str(result.exception)


def test_a_transport_that_does_not_exist_names_those_that_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_BUS_URL", "nats://127.0.0.1")
    assert "TRADEWIND_BUS_URL: no bus transport for nats://" in str(topics("list").exception)


def test_a_broker_that_goes_away_is_said_in_one_line(broker: MemoryBus, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*_: Any, **__: Any) -> Any:
        raise ConnectionResetError("connection reset")

    monkeypatch.setattr(broker, "subscribe", gone)
    result = topics("tail", "orders.events", "md.events.binance")
    assert isinstance(result.exception, StartRefused)
    assert str(result.exception) == "the broker does not answer any more (connection reset); start it and try again"

"""Tail, replay, list and lag of `tradewind topics` on a bus that is handed in."""

import asyncio
import gzip
import io
import json
import os
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from topic_samples import BTCUSDT, MARKET, batch, cancel, defined, filled

from tradewind.bus.interface import Start
from tradewind.bus.memory import MemoryBus
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.topics import exporting
from tradewind.runtime.topics.choosing import Choice
from tradewind.runtime.topics.exporting import Exported, export
from tradewind.runtime.topics.instruments import KnownInstruments
from tradewind.runtime.topics.json_lines import JsonLines
from tradewind.runtime.topics.overviews import describe, lag_rows, lag_table, list_rows, list_table
from tradewind.runtime.topics.places import AtOffset, AtTime, Place
from tradewind.runtime.topics.tailing import tail
from tradewind.runtime.topics.text_lines import TextLines
from tradewind.runtime.topics.writing import LimitReached, LineWriter, OutputClosed
from tradewind.wire.topics import (
    ACCOUNT_EVENTS,
    ORDERS_COMMANDS,
    ORDERS_EVENTS,
    REF_INSTRUMENTS,
    RISK_COMMANDS,
    Plane,
    Topic,
)


@pytest.fixture
async def bus() -> Any:
    opened = MemoryBus()
    yield opened
    await opened.close()


class Written:
    """A file that stands in for standard output."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("w+b", buffering=0)

    def writer(self, limit: int | None = None, encoding: str = "utf-8") -> LineWriter:
        return LineWriter(self.file.fileno(), limit, encoding)

    @property
    def lines(self) -> list[str]:
        self.file.seek(0)
        return self.file.read().decode().splitlines()


@pytest.fixture
def output(tmp_path: Path) -> Iterator[Written]:
    written = Written(tmp_path / "output")
    yield written
    written.file.close()


class TestWriting:
    async def test_the_limit_counts_lines_over_all_calls(self, output: Written) -> None:
        writer = output.writer(3)
        await writer.write(["a", "b"])
        with pytest.raises(LimitReached):
            await writer.write(iter(["c", "d"]))
        assert output.lines == ["a", "b", "c"]

    async def test_many_lines_are_written_whole(self, output: Written) -> None:
        await output.writer().write(str(number) for number in range(5_000))
        assert output.lines == [str(number) for number in range(5_000)]
        with pytest.raises(LimitReached):
            await output.writer(2_500).write(str(number) for number in range(5_000))
        assert len(output.lines) == 7_500

    async def test_what_the_terminal_cannot_show_is_escaped(self, output: Written) -> None:
        await output.writer(encoding="ascii").write(["Grüße"])
        assert output.lines == [r"Gr\xfc\xdfe"]

    async def test_a_reader_that_has_left_ends_the_work(self) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        with pytest.raises(OutputClosed):
            await LineWriter(writing).write(["a"])
        os.close(writing)

    async def test_a_reader_that_does_not_read_stops_only_the_writer(self) -> None:
        reading, writing = os.pipe()
        lines = [f"{number:09}" for number in range(50_000)]
        read = b""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(LineWriter(writing).write(lines))
            await asyncio.sleep(0.05)
            assert not task.done()
            while not task.done() or select.select((reading,), (), (), 0)[0]:
                if select.select((reading,), (), (), 0)[0]:
                    read += os.read(reading, 100_000)
                await asyncio.sleep(0)
        assert read.decode().splitlines() == lines
        os.close(reading)
        os.close(writing)


def _said(_text: str) -> None: ...


class TestTail:
    @pytest.fixture(autouse=True)
    def _keep(self, output: Written) -> None:
        self.output = output

    async def _tail(
        self, bus: MemoryBus, topics: list[Topic], place: Place, limit: int, said: Any = _said
    ) -> list[str]:
        instruments = KnownInstruments(bus)
        await instruments.read()
        shape = TextLines(instruments, Choice(), named=True)
        buses = dict.fromkeys(Plane, bus)
        await tail(buses, topics, place, shape, instruments, self.output.writer(limit), said)
        return self.output.lines

    async def test_it_shows_what_is_there_and_what_comes(self, bus: MemoryBus) -> None:
        await bus.publish(ORDERS_COMMANDS, "a", cancel(1, "first"))
        async with asyncio.TaskGroup() as tasks:
            shown_lines = tasks.create_task(self._tail(bus, [ORDERS_COMMANDS, ORDERS_EVENTS], Start.EARLIEST, 3))
            while len(bus.statistics().subscriptions) < 2:
                await asyncio.sleep(0)
            await bus.publish(ORDERS_COMMANDS, "a", cancel(2, "second"))
            await bus.publish(ORDERS_EVENTS, "a", filled())
        lines = shown_lines.result()
        assert [line.split()[1] for line in lines].count("orders.commands") == 2
        assert "reason=first" in lines[0]
        assert bus.statistics().subscriptions == []

    async def test_latest_shows_only_what_comes(self, bus: MemoryBus) -> None:
        await bus.publish(ORDERS_COMMANDS, "a", cancel(1, "old"))
        async with asyncio.TaskGroup() as tasks:
            shown_lines = tasks.create_task(self._tail(bus, [ORDERS_COMMANDS], Start.LATEST, 1))
            while not bus.statistics().subscriptions:
                await asyncio.sleep(0)
            await bus.publish(ORDERS_COMMANDS, "a", cancel(2, "new"))
        assert "reason=new" in shown_lines.result()[0]

    async def test_an_instrument_defined_later_is_found(self, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tradewind.runtime.topics.instruments._READ_AGAIN_S", 0.0)
        await bus.publish(MARKET, "BINANCE", batch(1))
        async with asyncio.TaskGroup() as tasks:
            shown_lines = tasks.create_task(self._tail(bus, [MARKET], Start.EARLIEST, 2))
            while not bus.statistics().subscriptions or bus.statistics().subscriptions[0].lag:
                await asyncio.sleep(0)
            await bus.publish(REF_INSTRUMENTS, BTCUSDT, defined())
            await bus.publish(MARKET, "BINANCE", batch(1))
        first, second = shown_lines.result()
        assert "6183763m x 150000m" in first
        assert "61837.63 x 1.50000" in second

    async def test_a_slow_reader_is_told_what_it_lost(self, bus: MemoryBus) -> None:
        said: list[str] = []
        async with asyncio.TaskGroup() as tasks:
            shown_lines = tasks.create_task(self._tail(bus, [MARKET], Start.LATEST, 64, said.append))
            while not bus.statistics().subscriptions:
                await asyncio.sleep(0)
            for _ in range(100):
                bus.publish_now(MARKET, "BINANCE", batch(2))
        assert "flags=GAP" in shown_lines.result()[0]
        assert said == ["md.events.binance: 72 market records came faster than they could be shown"]

    async def test_from_the_earliest_nothing_is_lost(self, bus: MemoryBus) -> None:
        for _ in range(100):
            bus.publish_now(MARKET, "BINANCE", batch(2))
        lines = await self._tail(bus, [MARKET], Start.EARLIEST, 200)
        assert len(lines) == 200
        assert not [line for line in lines if "GAP" in line]


Report = list[tuple[int, int]]


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


class TestReplay:
    async def _export(
        self, bus: MemoryBus, topic: Topic, path: Path, begin: Place = Start.EARLIEST, until: Place = Start.LATEST
    ) -> tuple[Exported, Report]:
        report: Report = []
        shape = JsonLines(KnownInstruments(None), Choice())
        done = await export(bus, topic, begin, until, path, shape, lambda read, total: report.append((read, total)))
        return done, report

    async def test_everything_kept_is_written_and_nothing_that_comes_later(
        self, bus: MemoryBus, tmp_path: Path
    ) -> None:
        for number in range(200):
            await bus.publish(ORDERS_COMMANDS, f"k{number % 9}", cancel(number))
        path = tmp_path / "commands.jsonl"
        done, report = await self._export(bus, ORDERS_COMMANDS, path)
        written = [json.loads(line) for line in path.read_text().splitlines()]
        assert done == Exported(200, 200, 0)
        assert {one["message"]["event_id"] for one in written} == {f"e{number}" for number in range(200)}
        for partition in range(4):
            offsets = [one["offset"] for one in written if one["partition"] == partition]
            assert offsets == list(range(len(offsets)))
        assert (report[0], report[-1]) == ((0, 200), (200, 200))
        assert _names(tmp_path) == ["commands.jsonl"]
        assert bus.statistics().subscriptions == []

    async def test_market_data_is_written_by_record_and_compressed(self, bus: MemoryBus, tmp_path: Path) -> None:
        for _ in range(300):
            bus.publish_now(MARKET, "BINANCE", batch(3))
        path = tmp_path / "market.jsonl.gz"
        done, _ = await self._export(bus, MARKET, path)
        with gzip.open(path, "rt", encoding="ascii") as file:
            kinds = [json.loads(line)["type"] for line in file]
        assert done == Exported(300, 900, 0)
        assert kinds == ["TRADE"] * 900

    async def test_offsets_bound_it(self, bus: MemoryBus, tmp_path: Path) -> None:
        for number in range(20):
            await bus.publish(RISK_COMMANDS, "firm", cancel(number))
        path = tmp_path / "some.jsonl"
        done, report = await self._export(bus, RISK_COMMANDS, path, AtOffset(5), AtOffset(9))
        assert [json.loads(line)["offset"] for line in path.read_text().splitlines()] == [5, 6, 7, 8]
        assert (done.messages, report[-1]) == (4, (4, 4))

    async def test_times_bound_it(self, bus: MemoryBus, tmp_path: Path) -> None:
        for number in range(40):
            await bus.publish(ORDERS_COMMANDS, f"key{number % 7}", cancel(number))
        every = await bus.replay(ORDERS_COMMANDS)
        begin, until = every[10].ts_publish, every[30].ts_publish
        path = tmp_path / "some.jsonl"
        await self._export(bus, ORDERS_COMMANDS, path, AtTime(begin), AtTime(until))
        times = sorted(json.loads(line)["ts_publish"] for line in path.read_text().splitlines())
        assert times == sorted(one.ts_publish for one in every if begin <= one.ts_publish < until)

    @pytest.mark.parametrize(
        ("begin", "until"), [(Start.LATEST, Start.LATEST), (Start.EARLIEST, Start.EARLIEST), (AtOffset(9), AtOffset(3))]
    )
    async def test_nothing_asked_for_is_an_empty_file(
        self, bus: MemoryBus, tmp_path: Path, begin: Place, until: Place
    ) -> None:
        for number in range(20):
            await bus.publish(RISK_COMMANDS, "firm", cancel(number))
        done, report = await self._export(bus, RISK_COMMANDS, tmp_path / "none.jsonl", begin, until)
        assert (done, report) == (Exported(0, 0, 0), [(0, 0)])
        assert (tmp_path / "none.jsonl").read_bytes() == b""

    async def test_a_file_that_is_there_stays(self, bus: MemoryBus, tmp_path: Path) -> None:
        path = tmp_path / "kept.jsonl"
        path.write_text("mine")
        with pytest.raises(StartRefused, match="is there already; give --to another name"):
            await self._export(bus, RISK_COMMANDS, path)
        assert path.read_text() == "mine"

    async def test_a_folder_that_is_not_there_is_refused(self, bus: MemoryBus, tmp_path: Path) -> None:
        with pytest.raises(StartRefused, match="cannot be written: No such file or directory"):
            await self._export(bus, RISK_COMMANDS, tmp_path / "nowhere" / "a.jsonl")

    async def test_a_full_disk_leaves_nothing(
        self, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        def full(file: Any, lines: Iterator[str]) -> int:
            with open("/dev/full", "wb", buffering=0) as device:
                return written(device, lines)

        written = exporting._put
        monkeypatch.setattr(exporting, "_put", full)
        await bus.publish(RISK_COMMANDS, "firm", cancel(1))
        with pytest.raises(StartRefused, match="No space left on device"):
            await self._export(bus, RISK_COMMANDS, tmp_path / "a.jsonl")
        assert _names(tmp_path) == []

    async def test_a_cancelled_replay_leaves_nothing(self, bus: MemoryBus, tmp_path: Path) -> None:
        await bus.publish(RISK_COMMANDS, "firm", cancel(1))
        started = asyncio.Event()
        shape = JsonLines(KnownInstruments(None), Choice())

        async def run() -> None:
            await export(
                bus,
                RISK_COMMANDS,
                Start.EARLIEST,
                Start.LATEST,
                tmp_path / "a.jsonl",
                shape,
                lambda *_: started.set(),
            )

        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(run())
            await started.wait()
            task.cancel()
        assert task.cancelled()
        assert _names(tmp_path) == []

    async def test_what_a_broker_counts_but_never_gives_is_said(
        self, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(exporting, "QUIET_S", 0.05)
        await bus.publish(RISK_COMMANDS, "firm", cancel(1))
        true_description = await bus.describe(RISK_COMMANDS)
        end = true_description.partitions[0].end + 3

        async def description(_topic: Topic) -> Any:
            kept = type(true_description.partitions[0])(0, end)
            return type(true_description)(RISK_COMMANDS.name, (kept,), {})

        monkeypatch.setattr(bus, "describe", description)
        done, _ = await self._export(bus, RISK_COMMANDS, tmp_path / "a.jsonl")
        assert done == Exported(1, 1, 3)


class TestOverviews:
    async def test_topics_with_what_they_keep_and_who_is_behind(self, bus: MemoryBus) -> None:
        group = await bus.subscribe(ORDERS_COMMANDS, group="execution.\x1b[31m[red]x", start=Start.EARLIEST)
        for number in range(6):
            await bus.publish(ORDERS_COMMANDS, f"k{number}", cancel(number))
        described = await describe(dict.fromkeys(Plane, bus), [MARKET, ORDERS_COMMANDS, ACCOUNT_EVENTS])
        rows = {row["topic"]: row for row in list_rows(described)}
        commands = rows["orders.commands"]
        assert (commands["messages"], commands["groups"]) == (6, {"execution.\x1b[31m[red]x": 6})
        assert (commands["plane"], commands["retention_s"], commands["compacted"]) == ("orders", 604_800, False)
        assert rows["md.events.binance"]["messages"] == 0
        lags = lag_rows(described)
        assert sum(row["lag"] for row in lags) == 6
        assert {row["partition"] for row in lags} == {0, 1, 2, 3}
        console = Console(file=io.StringIO(), width=200, force_terminal=True, color_system=None)
        console.print(list_table(described))
        console.print(lag_table(lags))
        page = console.file.getvalue()  # type: ignore[attr-defined]
        assert r"execution.\x1b[31m[red]x" in page
        assert "\x1b[31m" not in page
        await group.close()

    async def test_a_plane_that_is_not_there_is_left_out(self, bus: MemoryBus) -> None:
        described = await describe({Plane.ORDERS: bus}, [MARKET, ORDERS_COMMANDS])
        assert [row["topic"] for row in list_rows(described)] == ["orders.commands"]

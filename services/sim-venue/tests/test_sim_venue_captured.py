"""A live feed of this venue, recorded as `tradewind capture` does, and replayed by another venue from the file."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tradewind.runtime.captures.describing import CaptureDescription, describe
from tradewind.runtime.captures.json_feeds import binance_feed
from tradewind.runtime.captures.opening import open_capture
from tradewind.runtime.captures.recording import CapturePlan, Recording
from tradewind.services.sim_venue.capture import CaptureLine, read_capture


async def _record(venue: Any, path: Path, until: Callable[[Recording], bool], rotate_bytes: int = 0) -> Recording:
    feed = binance_feed(["BTCUSDT"], venue.url.replace("http", "ws"), venue.url)
    recording = Recording(CapturePlan(feed, path, rotate_bytes=rotate_bytes), lambda _: None)
    running = asyncio.create_task(recording.run())
    async with asyncio.timeout(40):
        while not until(recording) and not running.done():
            await asyncio.sleep(0.05)
    recording.stop()
    assert await running == 0
    return recording


async def _describe(path: Path) -> CaptureDescription:
    return await asyncio.to_thread(lambda: describe(open_capture(path)))


async def test_a_recorded_feed_is_replayed_from_the_file(start_venue: Any, tmp_path: Path) -> None:
    live = await start_venue(events_per_s=500)
    path = tmp_path / "live.gz"
    recording = await _record(
        live, path, lambda one: one.writer.statistics.frames > 800 and bool(one.source.notes.snapshots)
    )
    found = await _describe(path)
    assert found.messages == recording.writer.statistics.frames
    assert (found.gaps, found.malformed, found.backwards, found.broken) == (0, 0, 0, "")
    assert found.details["depth snapshot"] == 1
    assert found.details["btcusdt@depth@100ms"] > 0
    replayed = await start_venue(mode="replay", capture=path, speed=0, data_dir=tmp_path / "second")
    async with replayed.session.ws_connect(
        f"{replayed.url}/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade"
    ) as stream:
        received: list[bytes] = []

        async def listen() -> None:
            async for message in stream:
                received.append(str(message.data).encode())

        listening = asyncio.create_task(listen())
        await asyncio.wait_for(replayed.venue.player.finished.wait(), 30)
        lines = [
            line for line in await asyncio.to_thread(_lines, path) if not line.frame.startswith(b'{"lastUpdateId"')
        ]
        async with asyncio.timeout(20):
            while len(received) < len(lines):
                await asyncio.sleep(0.01)
        listening.cancel()
        await asyncio.wait([listening])
    status = replayed.venue.player.status
    assert received == [line.frame for line in lines]
    assert (status.state, status.malformed, status.unknown, status.gaps) == ("ended", 0, 0, 0)


def _lines(path: Path) -> list[CaptureLine]:
    return list(read_capture(path))


async def test_every_file_of_a_rotation_has_its_own_snapshot(start_venue: Any, tmp_path: Path) -> None:
    live = await start_venue(events_per_s=500)
    path = tmp_path / "live.gz"
    recording = await _record(
        live,
        path,
        lambda one: len(one.writer.paths) >= 3 and one.source.notes.snapshots >= len(one.writer.paths),
        rotate_bytes=5_000,
    )
    assert [each.name for each in recording.writer.paths[:3]] == ["live.gz", "live.0002.gz", "live.0003.gz"]
    described = [await _describe(each) for each in recording.writer.paths]
    assert sum(one.messages for one in described) == recording.writer.statistics.frames
    for one in described[:3]:
        assert one.details["depth snapshot"] >= 1


@pytest.mark.parametrize("form", ["pcap", "frames"])
async def test_a_capture_of_another_form_is_refused_in_words(start_venue: Any, tmp_path: Path, form: str) -> None:
    import gzip

    path = tmp_path / "other"
    path.write_bytes(b"\xd4\xc3\xb2\xa1" + bytes(20) if form == "pcap" else gzip.compress(b"TWCAP1\r\n" + bytes(20)))
    with pytest.raises(Exception, match="it has no frames of Binance"):
        await start_venue(mode="replay", capture=path, speed=0)

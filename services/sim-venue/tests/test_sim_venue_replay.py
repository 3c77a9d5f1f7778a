"""Replay: frames unaltered, the snapshot at its place, damaged files, and the real capture."""

import asyncio
import gzip
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from replay_frames import ALL, FRAMES, SNAPSHOT, STREAMS, T0, depth, write

from tradewind.runtime.refusals import StartRefused
from tradewind.services.sim_venue.replaying import _Pace

REAL = Path(os.environ.get("TRADEWIND_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
REAL_CAPTURE = REAL / "binance-spot" / "btcusdt_20240808.gz"


async def _finished(venue: Any) -> dict[str, Any]:
    await asyncio.wait_for(venue.venue.player.finished.wait(), 30)
    status: dict[str, Any] = await venue.status()
    return status


async def _listen(venue: Any, path: str, count: int) -> list[str]:
    async with venue.session.ws_connect(venue.url + path, max_msg_size=0) as socket:
        return [(await socket.receive(timeout=10)).data for _ in range(count)]


@pytest.mark.parametrize("speed", [0, 1, 50])
async def test_frames_come_unaltered_and_in_order(start_venue: Any, tmp_path: Path, speed: float) -> None:
    capture = write(tmp_path / "c.gz", FRAMES)
    venue = await start_venue(mode="replay", capture=capture, speed=speed)
    assert (await venue.status())["state"] == "waiting"
    got = await _listen(venue, f"/stream?streams={ALL}", 5)
    assert got == [frame.decode() for frame in FRAMES if frame is not SNAPSHOT]
    status = await _finished(venue)
    assert status["state"] == "ended"
    assert status["ended"] is True
    assert (status["frames"], status["frames_sent"], status["frames_total"], status["malformed"]) == (6, 5, 6, 0)


async def test_raw_connections_get_the_data_alone(start_venue: Any, tmp_path: Path) -> None:
    venue = await start_venue(mode="replay", capture=write(tmp_path / "c.gz", FRAMES), speed=0)
    got = await _listen(venue, "/ws/btcusdt@depth@100ms", 3)
    assert [json.loads(text)["u"] for text in got] == [103, 106, 110]


async def test_each_connection_gets_only_its_streams(start_venue: Any, tmp_path: Path) -> None:
    venue = await start_venue(mode="replay", capture=write(tmp_path / "c.gz", FRAMES), speed=0)
    async with venue.session.ws_connect(f"{venue.url}/ws/btcusdt@trade") as trades:
        await _listen(venue, "/stream?streams=btcusdt@depth@100ms", 3)
        assert json.loads((await trades.receive(timeout=5)).data)["t"] == 1


async def test_the_play_keeps_the_recorded_times() -> None:
    pace = _Pace(2.0)
    assert pace.wait_s(T0) == 0
    assert 9.0 < pace.wait_s(T0 + 20 * 10**9) <= 10.0
    assert pace.wait_s(T0 - 10**9) == 0
    pace.delay(5.0)
    assert 14.0 < pace.wait_s(T0 + 20 * 10**9) <= 15.0
    assert _Pace(0).wait_s(T0 + 10**12) == 0


async def test_duration_ends_the_play_early(start_venue: Any, tmp_path: Path) -> None:
    capture = write(tmp_path / "c.gz", FRAMES, step_ns=1_000_000_000)
    venue = await start_venue(mode="replay", capture=capture, speed=0, duration_s=1.5)
    await _listen(venue, f"/stream?streams={ALL}", 2)
    assert (await _finished(venue))["frames"] == 2


async def test_a_held_play_waits_for_its_start_and_can_be_stopped(start_venue: Any, tmp_path: Path) -> None:
    frames = FRAMES * 50
    venue = await start_venue(mode="replay", capture=write(tmp_path / "c.gz", frames, 10**9), speed=1, hold=True)
    async with venue.session.ws_connect(f"{venue.url}/stream?streams={ALL}") as socket:
        await asyncio.wait_for(venue.venue.hub.somebody_listens(STREAMS[0]), 5)
        assert (await venue.status())["state"] == "waiting"
        assert (await venue.call("POST", "/sim/v1/start")).body == {}
        assert (await socket.receive(timeout=5)).data == FRAMES[0].decode()
        assert (await venue.status())["began_ns"] > 0
        await venue.call("POST", "/sim/v1/stop")
        status = await _finished(venue)
    assert (status["state"], status["ended"], status["frames_total"]) == ("ended", True, 300)
    assert status["frames_sent"] < 5
    assert status["ended_ns"] > status["began_ns"]


async def test_a_play_that_never_began_can_be_stopped(start_venue: Any, tmp_path: Path) -> None:
    venue = await start_venue(mode="replay", capture=write(tmp_path / "c.gz", FRAMES), hold=True)
    await venue.call("POST", "/sim/v1/stop")
    assert (await _finished(venue))["state"] == "ended"


async def test_a_waiting_snapshot_is_the_recorded_one_and_later_ones_are_the_book(
    start_venue: Any, tmp_path: Path
) -> None:
    venue = await start_venue(mode="replay", capture=write(tmp_path / "c.gz", FRAMES), speed=0)
    path = "/api/v3/depth?symbol=BTCUSDT&limit=1000"
    waiting = asyncio.create_task(venue.session.get(venue.url + path))
    short = asyncio.create_task(venue.get("/api/v3/depth?symbol=BTCUSDT&limit=1"))
    while venue.venue._rest.requests < 2:
        await asyncio.sleep(0.01)
    await _listen(venue, f"/stream?streams={ALL}", 5)
    async with await waiting as response:
        assert await response.read() == SNAPSHOT
    assert (await short).body["bids"] == [["100.00000000", "1.00000000"]]
    await _finished(venue)
    book = (await venue.get(path)).body
    assert book["lastUpdateId"] == 110
    # The update to 106 reaches over the snapshot's 105: its levels are in, those of the update to 103 are not.
    assert book["bids"] == [
        ["100.00000000", "2.00000000"],
        ["99.00000000", "2.00000000"],
        ["98.00000000", "1.00000000"],
    ]
    assert [price for price, _ in book["asks"]] == ["101.50000000", "102.00000000", "103.00000000"]
    best = (await venue.get("/api/v3/ticker/bookTicker?symbol=BTCUSDT")).body
    assert (best["bidPrice"], best["askPrice"]) == ("100.00000000", "101.50000000")
    trades = (await venue.get("/api/v3/trades?symbol=BTCUSDT")).body
    assert [(each["id"], each["price"], each["isBuyerMaker"]) for each in trades] == [(1, "100.00000000", True)]


async def test_without_a_snapshot_the_wait_is_bounded(start_venue: Any, tmp_path: Path) -> None:
    venue = await start_venue(
        mode="replay", capture=write(tmp_path / "c.gz", FRAMES[:2]), speed=0, snapshot_wait_s=0.05
    )
    await _listen(venue, f"/stream?streams={ALL}", 2)
    assert (await venue.get("/api/v3/depth?symbol=BTCUSDT")).error == (503, -1001)


async def test_a_hole_in_the_recording_is_counted_and_the_book_goes_on(start_venue: Any, tmp_path: Path) -> None:
    frames = [*FRAMES, depth(115, 116, [["100.00", "7"]], []), depth(90, 95, [["100.00", "9"]], [])]
    venue = await start_venue(mode="replay", capture=write(tmp_path / "c.gz", frames), speed=0)
    await _listen(venue, f"/stream?streams={ALL}", 7)
    assert (await _finished(venue))["gaps"] == 1
    book = (await venue.get("/api/v3/depth?symbol=BTCUSDT")).body
    assert (book["lastUpdateId"], book["bids"][0]) == (116, ["100.00000000", "7.00000000"])


async def test_malformed_lines_are_counted_and_passed_over(start_venue: Any, tmp_path: Path) -> None:
    capture = tmp_path / "c.gz"
    bad = [
        b"no time here",
        b"12x34 {}",
        b"99999999999999999999999 {}",
        b"",
        b"%d" % T0,
        b"%d {}" % T0,
        b'%d {"stream":"btcusdt@trade","data":{"e":"trade"}}' % T0,
        b'%d {"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1' % T0,
        b'%d {"lastUpdateId":"x","bids":[],"asks":[]}' % T0,
        b"%d \xff\xfe" % T0,
    ]
    good = [b"%d %s" % (T0, frame) for frame in FRAMES]
    unknown = b'%d {"stream":"btcusdt@kline_1m","data":{"e":"kline","E":1,"s":"BTCUSDT"}}' % T0
    with gzip.open(capture, "wb") as file:
        file.write(b"\n".join([*bad, *good, unknown]))
    venue = await start_venue(mode="replay", capture=capture, speed=0)
    await _listen(venue, f"/stream?streams={ALL}", 5)
    status = await _finished(venue)
    assert (status["malformed"], status["unknown"], status["frames"]) == (len(bad), 1, 7)
    assert status["state"] == "ended"


async def test_a_truncated_capture_stops_with_a_word(start_venue: Any, tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.gz", FRAMES * 500).read_bytes()
    capture = tmp_path / "cut.gz"
    capture.write_bytes(whole[: len(whole) * 2 // 3])
    venue = await start_venue(mode="replay", capture=capture, speed=0)
    async with venue.session.ws_connect(f"{venue.url}/stream?streams={ALL}", max_msg_size=0):
        status = await _finished(venue)
    assert (status["state"], status["ended"], status["malformed"]) == ("failed", True, 1)
    assert "cut off or damaged" in status["error"]
    assert 0 < status["frames_total"] < 3_000


@pytest.mark.parametrize("content", [b"", b"not gzip at all", b"\x1f\x8b\x08\x00broken"])
async def test_a_file_that_is_no_capture_is_refused_at_the_start(
    start_venue: Any, tmp_path: Path, content: bytes
) -> None:
    capture = tmp_path / "c.gz"
    capture.write_bytes(content)
    with pytest.raises(StartRefused, match=r"cannot play .*c\.gz"):
        await start_venue(mode="replay", capture=capture)
    with pytest.raises(StartRefused, match="cannot play"):
        await start_venue(mode="replay", capture=tmp_path / "nothing.gz")


async def test_the_play_waits_while_nobody_listens(start_venue: Any, tmp_path: Path) -> None:
    frames = [SNAPSHOT] + [depth(n, n, [["100.00", str(n)]], []) for n in range(106, 2_000)]
    venue = await start_venue(mode="replay", capture=write(tmp_path / "c.gz", frames), speed=20)
    await _listen(venue, "/stream?streams=btcusdt@depth@100ms", 5)
    paused = (await venue.status())["frames_sent"]
    assert paused < 1_894
    async with venue.session.ws_connect(f"{venue.url}/stream?streams={ALL}", max_msg_size=0) as socket:
        first = json.loads((await socket.receive(timeout=5)).data)["data"]
        snapshot = (await venue.get("/api/v3/depth?symbol=BTCUSDT")).body
        assert snapshot["lastUpdateId"] + 1 >= first["U"]
        assert (await _finished(venue))["frames_sent"] == 1_894


async def test_at_full_speed_a_client_that_does_not_read_holds_the_play_and_is_cut(
    start_venue: Any, tmp_path: Path
) -> None:
    frames = [SNAPSHOT] + [depth(n, n, [["100.00", "1"]] * 200, []) for n in range(106, 3_106)]
    venue = await start_venue(mode="replay", capture=write(tmp_path / "c.gz", frames), speed=0, slow_client_s=0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", venue.venue.port, limit=1_024)
    writer.write(
        f"GET /stream?streams={ALL} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    while not venue.venue.hub.slow_clients_cut:
        await asyncio.sleep(0.02)
    assert (await venue.status())["frames_sent"] < 3_000
    writer.close()


@pytest.mark.skipif(
    not REAL_CAPTURE.is_file(), reason=f"no recorded capture at {REAL_CAPTURE}; set TRADEWIND_TEST_DATA"
)
async def test_the_real_capture(start_venue: Any) -> None:
    """Every frame comes through byte for byte, and the served book equals the exchange's own ticker."""
    venue = await start_venue(mode="replay", capture=REAL_CAPTURE, speed=0)
    with gzip.open(REAL_CAPTURE, "rb") as file:
        frames = [line.split(b" ", 1)[1].rstrip(b"\n").decode() for line in file]
    sent = [frame for frame in frames if frame.startswith('{"stream"')]
    got: list[str] = []
    async with venue.session.ws_connect(f"{venue.url}/stream?streams={ALL}", max_msg_size=0) as socket:
        while len(got) < len(sent):
            got.append((await socket.receive(timeout=10)).data)
    assert got == sent
    status = await _finished(venue)
    assert (status["frames"], status["frames_total"], status["malformed"], status["gaps"]) == (41_249, 41_249, 0, 0)
    book = (await venue.get("/api/v3/depth?symbol=BTCUSDT&limit=5000")).body
    bids, asks = _rebuilt(frames)
    assert {price: Decimal(size) for price, size in book["bids"]} == bids
    assert {price: Decimal(size) for price, size in book["asks"]} == asks


def _rebuilt(frames: list[str]) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """The book at the end, by plain Python, from the recorded snapshot and differences."""
    snapshot = next(json.loads(frame) for frame in frames if frame.startswith('{"last'))
    sides = {"b": dict(snapshot["bids"]), "a": dict(snapshot["asks"])}
    for frame in frames:
        data = json.loads(frame).get("data", {})
        if data.get("e") != "depthUpdate" or data["u"] <= snapshot["lastUpdateId"]:
            continue
        for side, levels in sides.items():
            levels.update(data[side])
    kept = [{price: Decimal(size) for price, size in levels.items() if Decimal(size)} for levels in sides.values()]
    return kept[0], kept[1]

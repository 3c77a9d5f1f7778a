"""A replay in lockstep: it stands after each step until it was told to go on, and its marks come last."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from replay_frames import ALL, FRAMES, write

from tradewind.runtime.lockstep import ReplayStep, SteppingVenue, lockstep_strategies
from tradewind.runtime.refusals import StartRefused

STEP_NS = 50_000_000


async def test_each_step_waits_for_its_answer(start_venue: Any, tmp_path: Path) -> None:
    capture = write(tmp_path / "c.gz", FRAMES, STEP_NS)
    venue = await start_venue(mode="replay", capture=capture, speed=0, lockstep=True)
    stepping = SteppingVenue(venue.url)
    async with venue.session.ws_connect(f"{venue.url}/stream?streams={ALL}") as socket:
        steps, frames = [], []
        for number in range(3):
            step = await stepping.next_step(number)
            while len(frames) < step.frames:
                frames.append((await socket.receive(timeout=10)).data)
            with pytest.raises(TimeoutError):
                await socket.receive(timeout=0.05)
            steps.append(step)
            await stepping.answer(step.number)
    await asyncio.wait_for(venue.venue.player.finished.wait(), 30)
    # Two lines of 50 ms are a step of 100 ms; the snapshot among them is no frame of the stream.
    assert steps == [ReplayStep(1, 2, False), ReplayStep(2, 3, True), ReplayStep(3, 5, True)]
    assert frames == [frame.decode() for frame in FRAMES if not frame.startswith(b'{"lastUpdateId"')]
    await stepping.close()


async def test_an_answer_for_another_step_moves_nothing(start_venue: Any, tmp_path: Path) -> None:
    capture = write(tmp_path / "c.gz", FRAMES, STEP_NS)
    venue = await start_venue(mode="replay", capture=capture, speed=0, lockstep=True)
    stepping = SteppingVenue(venue.url)
    async with venue.session.ws_connect(f"{venue.url}/stream?streams={ALL}"):
        assert (await stepping.next_step(0)).number == 1
        await stepping.answer(2)
        await stepping.answer(0)
        assert (await stepping.next_step(0)).number == 1
        async with venue.session.post(f"{venue.url}/sim/v1/step?number=x") as refused:
            assert refused.status == 400
    await stepping.close()


async def test_the_balances_come_after_all_that_the_private_stream_owes(start_venue: Any, tmp_path: Path) -> None:
    capture = write(tmp_path / "c.gz", FRAMES, STEP_NS)
    venue = await start_venue(mode="replay", capture=capture, speed=0, lockstep=True)
    stepping = SteppingVenue(venue.url)
    key = (await venue.call("POST", "/api/v3/userDataStream", key="test-key")).body["listenKey"]
    async with (
        venue.session.ws_connect(f"{venue.url}/stream?streams={ALL}"),
        venue.session.ws_connect(f"{venue.url}/ws/{key}") as private,
    ):
        for number in range(2):
            await stepping.answer((await stepping.next_step(number)).number)
        await stepping.next_step(2)
        times = []
        for number in range(3):
            await venue.order(price=f"{90 + number}", quantity="0.1")
            times.append(await stepping.say_balances())
            events = []
            while not events or events[-1].get("u") != times[-1]:
                events.append(json.loads((await private.receive(timeout=10)).data))
            assert [event["e"] for event in events].count("executionReport") == 1
            assert {entry["a"]: entry["l"] for entry in events[-1]["B"]}["USDT"] != "0.00000000"
    assert times == sorted(set(times))
    await stepping.close()


async def test_lockstep_is_for_a_replay_only(start_venue: Any) -> None:
    with pytest.raises(StartRefused, match="TRADEWIND_LOCKSTEP is for a replay"):
        await start_venue(lockstep=True)


async def test_without_lockstep_nobody_can_step(start_venue: Any, tmp_path: Path) -> None:
    venue = await start_venue(mode="replay", capture=write(tmp_path / "c.gz", FRAMES))
    async with venue.session.get(f"{venue.url}/sim/v1/step?after=0") as answer:
        assert answer.status == 404


def test_the_setting_names_strategies() -> None:
    assert lockstep_strategies(" a, b ,,") == {"a", "b"}
    assert lockstep_strategies("") == frozenset()

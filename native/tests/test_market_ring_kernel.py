"""The ring of market records: against its Python model, under a thread, on the event loop, under ThreadSanitizer."""

import asyncio
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.venue.itch.ring_model import RingModel
from tradewind.wire.market_records import RecordArray, RecordFlag, empty_records
from tradewind_native.market_ring import MarketRing
from tradewind_native.ring_reader import RingReader

HERE = Path(__file__).parent
SOURCES = HERE.parent / "src"
WEAKENED = {
    "the producer's head": ("RING_STORE(ring->head, head + fits, __ATOMIC_SEQ_CST)", "SEQ_CST"),
    "the consumer's head": ("RING_LOAD(ring->head, __ATOMIC_ACQUIRE) - ring->taken", "ACQUIRE"),
    "the consumer's tail": ("RING_STORE(ring->tail, ring->taken, __ATOMIC_RELEASE)", "RELEASE"),
}


def numbered(first: int, count: int) -> RecordArray:
    records = empty_records(count)
    records["sequence"] = np.arange(first, first + count)
    return records


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([1, 2, 8, 16]),
    st.lists(st.tuples(st.sampled_from(["push", "take", "arm"]), st.integers(0, 20)), max_size=40),
)
def test_ring_and_model_do_the_same(capacity: int, steps: list[tuple[str, int]]) -> None:
    ring, model = MarketRing(capacity), RingModel(capacity)
    sequence = 1
    for name, count in steps:
        if name == "push":
            records = numbered(sequence, count)
            assert ring.push(records) == model.push(records)
            sequence += count
        elif name == "arm":
            assert ring.arm() == model.arm()
        else:
            assert ring.take(count).tobytes() == model.take(count).tobytes()
            ring.release()
            model.release()
        assert ring.statistics() == model.statistics()
    ring.close()
    assert ring.push(numbered(1, 1)) == -1


@pytest.mark.parametrize("capacity", [0, -1, 3, 2**33])
def test_a_capacity_is_a_power_of_two(capacity: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        MarketRing(capacity)


def test_a_batch_is_the_rings_memory_and_must_be_given_back() -> None:
    ring = MarketRing(8)
    ring.push(numbered(1, 3))
    batch = ring.take(8)
    assert not batch.flags.writeable
    with pytest.raises(BufferError, match="taken already"):
        ring.take(8)
    kept = batch[1:]
    del batch
    with pytest.raises(BufferError, match="copy what is kept"):
        ring.release()
    del kept
    ring.release()
    assert ring.statistics()["used"] == 0


async def test_five_million_of_a_thread_reach_the_loop_without_loss() -> None:
    ring, seen = MarketRing(2**20), [0, 0]
    total = 5_000_000
    thread = threading.Thread(target=lambda: (_produce_slowly(ring, total), ring.close()))

    def deliver(batch: RecordArray) -> None:
        assert int(batch["sequence"][0]) == seen[0] + 1
        assert int(batch["sequence"][-1]) == seen[0] + len(batch)
        seen[0] += len(batch)
        seen[1] += int(np.count_nonzero(batch["flags"] & RecordFlag.GAP))

    thread.start()
    await RingReader(ring, 65_536).run(deliver)
    thread.join()
    assert (seen, ring.statistics()["dropped"], ring.statistics()["written"]) == ([total, 0], 0, total)


def _produce_slowly(ring: MarketRing, total: int) -> None:
    """A burst as large as there is room: on a busy machine nobody knows how long the loop is away."""
    sequence = 1
    block = numbered(1, 65_536)
    while sequence <= total:
        if ring.capacity - ring.statistics()["used"] < len(block):
            threading.Event().wait(0.001)
            continue
        piece = block[: min(len(block), total - sequence + 1)]
        ring.push(piece)
        sequence += len(piece)
        block["sequence"] += len(piece)


async def test_a_burst_without_regard_loses_only_what_it_counts_and_marks() -> None:
    ring, sequences, gaps = MarketRing(1024), [0], [0]
    total = 2_000_000

    def deliver(batch: RecordArray) -> None:
        numbers = batch["sequence"].astype(np.int64)
        before = np.concatenate(([sequences[0]], numbers[:-1]))
        marked = (batch["flags"] & RecordFlag.GAP) != 0
        assert np.array_equal(numbers != before + 1, marked)
        sequences[0] = int(numbers[-1])
        gaps[0] += int(np.count_nonzero(marked))

    thread = threading.Thread(target=lambda: (ring.produce(total), ring.close()))
    thread.start()
    await RingReader(ring, 256).run(deliver)
    thread.join()
    counters = ring.statistics()
    assert counters["written"] + counters["dropped"] == total
    assert counters["high_water"] <= 1024
    assert gaps[0] > 0 or counters["dropped"] == 0 or sequences[0] < total


async def test_a_cancelled_reader_goes_on_later_and_a_failed_callback_is_heard() -> None:
    ring, seen = MarketRing(64), list[int]()
    reading = asyncio.create_task(RingReader(ring).run(lambda batch: seen.extend(batch["sequence"].tolist())))
    ring.push(numbered(1, 2))
    while not seen:
        await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    ring.push(numbered(3, 2))

    def fail(batch: Any) -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        await RingReader(ring).run(fail)
    ring.push(numbered(5, 1))
    ring.close()
    await RingReader(ring).run(lambda batch: seen.extend(batch["sequence"].tolist()))
    assert seen == [1, 2, 5]


def _missing(what: str, reason: str) -> NoReturn:
    if {"all", what} & set(os.environ.get("TRADEWIND_TEST_REQUIRE", "").split(",")):
        pytest.fail(reason)
    pytest.skip(reason)


def _sanitized(tmp_path: Path, source: str, sanitizer: str, compiler: str, *options: str) -> Path:
    if (found := shutil.which(compiler)) is None:
        _missing(compiler, f"no {compiler}")
    program = tmp_path / "program"
    flags = [f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all", "-g", "-O1", *options, f"-I{SOURCES}"]
    probe = tmp_path / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    for build in ([found, *flags[:1], str(probe), "-o", str(program)], [str(program)]):
        if (answer := subprocess.run(build, capture_output=True, text=True, check=False)).returncode:
            _missing(compiler, f"{compiler} cannot do -fsanitize={sanitizer} here: {answer.stderr[-300:]}")
    built = subprocess.run(
        [found, *flags, str(HERE / source), "-o", str(program)], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return program


def _under_thread_sanitizer(tmp_path: Path, *options: str, runs: int = 1) -> subprocess.CompletedProcess[str]:
    """The first run that fails, or the last: what the threads meet differs from run to run."""
    flags = (*options, "-std=c11", "-D_GNU_SOURCE", "-pthread")
    program = _sanitized(tmp_path, "ring_stress.c", "thread", "gcc", *flags)
    for _ in range(runs):
        ran = subprocess.run([program], capture_output=True, text=True, check=False, timeout=60)
        if ran.returncode:
            break
    return ran


@pytest.mark.timeout(300)
def test_the_ring_has_no_race_under_thread_sanitizer(tmp_path: Path) -> None:
    ran = _under_thread_sanitizer(tmp_path, runs=5)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.timeout(300)
@pytest.mark.parametrize("place", WEAKENED)
def test_a_weaker_memory_order_is_a_race_that_is_found(tmp_path: Path, place: str) -> None:
    line, order = WEAKENED[place]
    header = tmp_path / "tradewind_native" / "market_ring.h"
    header.parent.mkdir()
    text = (SOURCES / "tradewind_native" / "market_ring.h").read_text()
    assert text.count(line) == 1
    header.write_text(text.replace(line, line.replace(order, "RELAXED")))
    ran = _under_thread_sanitizer(tmp_path, f"-I{tmp_path}", runs=100)
    assert ran.returncode != 0
    assert "WARNING: ThreadSanitizer: data race" in ran.stderr


@pytest.mark.timeout(300)
def test_mutated_itch_is_safe_under_address_and_undefined_sanitizers(tmp_path: Path) -> None:
    program = _sanitized(tmp_path, "itch_mutations.cpp", "address,undefined", "g++", "-std=c++17")
    ran = subprocess.run([program], capture_output=True, text=True, check=False, timeout=240)
    assert ran.returncode == 0, ran.stdout + ran.stderr

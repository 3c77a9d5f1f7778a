"""ITCH bytes to market records against a bare C decode, with books against PyPI peers, and the ring; CPU time, one run.

``itchcpp`` and ``itchfeed`` are measured where they are installed, and left out where not.
"""

import asyncio
import ctypes
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from tradewind_native.itch import ItchDecoder
from tradewind_native.market_record import MARKET_RECORD
from tradewind_native.market_ring import MarketRing
from tradewind_native.order_books import OrderBooks
from tradewind_native.ring_reader import RingReader

HERE = Path(__file__).parent
ROUNDS, PIECE = 15, 65_536
BURST, RING, PER_SECOND = 5_000_000, 2**20, 5_000_000


def number_of(symbol: str) -> int:
    return zlib.crc32(symbol.encode())


def best_ns(work: Callable[[], Any], messages: int) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time_ns()
        work()
        best = min(best, (time.process_time_ns() - start) / messages)
    return best


def pieces_of(data: bytes) -> list[bytes]:
    """Pieces of whole messages, as a reader of a file gives them."""
    decoder, pieces, at = ItchDecoder(number_of, 0), list[bytes](), 0
    while at < len(data):
        size = decoder.decode(data[at : at + PIECE])
        pieces.append(data[at : at + size])
        decoder.take()
        at += size
    return pieces


def decode(pieces: list[bytes], books: OrderBooks | None = None) -> None:
    decoder = ItchDecoder(number_of, 0)
    for piece in pieces:
        decoder.decode(piece)
        records = decoder.take()
        if books is not None:
            books.apply(records)


def bare(data: bytes, folder: Path) -> Callable[[], Any]:
    """The bare C decode, compiled here, after a check that it makes the same records."""
    library = folder / "bare.so"
    command = [
        "cc",
        "-O3",
        "-shared",
        "-fPIC",
        f"-I{HERE.parent / 'src'}",
        str(HERE / "itch_bare.c"),
        "-o",
        str(library),
    ]
    subprocess.run(command, check=True)
    function = ctypes.CDLL(str(library)).itch_bare
    function.restype = ctypes.c_size_t
    function.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p]
    numbers = np.zeros(65_536, dtype=np.uint32)
    for symbol, locate in _listed(data):
        numbers[locate] = number_of(symbol)
    out = np.zeros(len(data) // 12 + 2, dtype=MARKET_RECORD)
    arguments = (data, len(data), numbers.ctypes.data, out.ctypes.data)
    made = function(*arguments)
    decoder = ItchDecoder(number_of, 0)
    decoder.decode(data)
    if out[:made].tobytes() != decoder.take().tobytes():
        raise RuntimeError("the two sides made different records: the comparison means nothing")
    keep = (numbers, out)
    return lambda: (function(*arguments), keep)


def _listed(data: bytes) -> list[tuple[str, int]]:
    listed, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 2], "big")
        message = data[at + 2 : at + 2 + size]
        if message[:1] == b"R":
            listed.append((message[11:19].decode().rstrip(), int.from_bytes(message[1:3], "big")))
        at += size + 2
    return listed


def itchfeed_parse(data: bytes) -> Callable[[], Any] | None:
    """PyPI itchfeed over the bytes, or None."""
    # Else it hands the work to itchcpp where that is installed.
    os.environ["ITCH_NO_CPP"] = "1"
    try:
        parser = importlib.import_module("itch.parser")
    except ImportError:
        return None
    return lambda: sum(1 for _ in parser.MessageParser().parse_stream(data))


def itchcpp_books(data: bytes) -> Callable[[], Any] | None:
    """PyPI itchcpp's BookManager over the bytes, all of it in C++, or None."""
    try:
        book = importlib.import_module("itchcpp.book")
    except ImportError:
        return None
    return lambda: book.BookManager().process_stream(data)


LAG_EVERY_S = 0.001


async def _read_and_watch(reader: RingReader, deliver: Callable[[Any], None], lags: list[float]) -> None:
    """Read to the end; how late a sleep of a millisecond ends meanwhile is the loop's lag."""
    reading = asyncio.ensure_future(reader.run(deliver))
    while not reading.done():
        due = time.monotonic() + LAG_EVERY_S  # the loop's own clock has whole milliseconds
        await asyncio.wait([reading], timeout=LAG_EVERY_S)
        lags.append(time.monotonic() - due)
    reading.result()


def burst(paced: bool) -> dict[str, float]:
    """A vendor thread writes records; a reader on the loop counts them and reads every sequence."""
    lags: list[float] = []
    ring, seen = MarketRing(RING), [0, 0]

    def deliver(batch: Any) -> None:
        seen[0] += len(batch)
        seen[1] = int(batch["sequence"][-1])

    def produce() -> None:
        block = BURST // 1000
        start = time.monotonic()
        if not paced:
            ring.produce(BURST)
        for index in range(1000 if paced else 0):
            ring.produce(block)
            time.sleep(max(0.0, start + (index + 1) * block / PER_SECOND - time.monotonic()))
        ring.close()

    thread = threading.Thread(target=produce)
    cpu, wall = time.process_time_ns(), time.monotonic()
    thread.start()
    uvloop.run(_read_and_watch(RingReader(ring), deliver, lags))
    thread.join()
    took = time.monotonic() - wall
    counters = ring.statistics()
    return {
        "records_per_s": BURST / took,
        "cpu_ns": (time.process_time_ns() - cpu) / BURST,
        "dropped": counters["dropped"],
        "wake_ups": counters["wake_ups"],
        "high_water": counters["high_water"],
        "lag_p99_ms": float(np.percentile(lags, 99)) * 1000,
    }


def run(path: str | Path) -> dict[str, Any]:
    """ns of CPU time a message for each way, and the ring's counters."""
    data = Path(path).read_bytes()
    pieces = pieces_of(data)
    messages = 0
    with tempfile.TemporaryDirectory(prefix="tradewind-itch-") as folder:
        counter = ItchDecoder(number_of, 0)
        counter.decode(data)
        messages = counter.messages
        result: dict[str, Any] = {
            "messages": messages,
            "bare_c_ns": best_ns(bare(data, Path(folder)), messages),
            "records_ns": best_ns(lambda: decode(pieces), messages),
            "books_ns": best_ns(lambda: decode(pieces, OrderBooks()), messages),
        }
    result["of_bare_c"] = result["bare_c_ns"] / result["records_ns"]
    if (peer := itchfeed_parse(data)) is not None:
        result["itchfeed_ns"] = best_ns(peer, messages)
    if (peer := itchcpp_books(data)) is not None:
        result["itchcpp_books_ns"] = best_ns(peer, messages)
    result["burst_paced"] = burst(paced=True)
    result["burst_unpaced"] = burst(paced=False)
    return result


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1]), indent=2))

"""Binance frames to market records: the native decoder against the fastest Python that we could write.

The Python side is msgspec typed decoding with one reused Decoder, then the same records, byte for byte. It is not the
kernel's twin: it leaves out what the twin checks and leans on what this capture happens to hold (eight decimals in
every number, one symbol), which only makes it faster.
"""

import gzip
import json
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tradewind_native.binance import BinanceDecoder
from tradewind_native.market_record import MARKET_RECORD

SYMBOL, NUMBER, PRICE_PRECISION, SIZE_PRECISION = "BTCUSDT", 1, 2, 8
PRICE_DIVISOR = 10 ** (8 - PRICE_PRECISION)
NS_PER_MS = 1_000_000
ROUNDS = 5
BATCH_FRAMES = 64

TRADE, TOP_OF_BOOK, LEVEL = 1, 2, 3
BUY, SELL, LAST = 1, 2, 1
RECORD = struct.Struct("<qqqqQQIBBBBQ")
TWO_RECORDS = struct.Struct("<qqqqQQIBBBBQqqqqQQIBBBBQ")

Frames = list[tuple[int, bytes]]


class Event(msgspec.Struct, gc=False):
    e: str = ""
    E: int = 0
    U: int = 0
    u: int = 0
    t: int = 0
    T: int = 0
    m: bool = False
    p: str = ""
    q: str = ""
    b: str | list[tuple[str, str]] = ""
    B: str = ""
    a: str | list[tuple[str, str]] = ""
    A: str = ""


class Combined(msgspec.Struct, gc=False):
    data: Event


class PythonDecoder:
    """The same records as the native decoder makes, by msgspec, struct and numpy."""

    def __init__(self) -> None:
        self._parse = msgspec.json.Decoder(Combined).decode
        self._parts: list[bytes] = []
        self._latest = 0

    def decode(self, frame: bytes, ts_recv: int) -> None:
        event = self._parse(frame).data
        if not event.e:
            self._ticker(event, ts_recv)
        elif event.e == "depthUpdate":
            self._depth(event, ts_recv)
        else:
            self._trade(event, ts_recv)

    def _ticker(self, event: Any, ts_recv: int) -> None:
        at, update = self._latest or ts_recv, event.u
        bid, bid_size = int(event.b.replace(".", "")) // PRICE_DIVISOR, int(event.B.replace(".", ""))
        ask, ask_size = int(event.a.replace(".", "")) // PRICE_DIVISOR, int(event.A.replace(".", ""))
        self._parts.append(
            TWO_RECORDS.pack(
                *(at, ts_recv, bid, bid_size, 0, update, NUMBER, TOP_OF_BOOK, BUY, 0, 0, 0),
                *(at, ts_recv, ask, ask_size, 0, update, NUMBER, TOP_OF_BOOK, SELL, LAST, 0, 0),
            )
        )

    def _trade(self, event: Any, ts_recv: int) -> None:
        price, size = int(event.p.replace(".", "")) // PRICE_DIVISOR, int(event.q.replace(".", ""))
        side = SELL if event.m else BUY
        at, trade = event.T * NS_PER_MS, event.t
        self._parts.append(RECORD.pack(at, ts_recv, price, size, trade, trade, NUMBER, TRADE, side, LAST, 0, 0))
        self._latest = max(self._latest, event.E * NS_PER_MS)

    def _depth(self, event: Any, ts_recv: int) -> None:
        levels = event.b + event.a
        at = event.E * NS_PER_MS
        self._latest = max(self._latest, at)
        records = np.empty(len(levels) or 1, dtype=MARKET_RECORD)
        records[:] = (at, ts_recv, 0, 0, event.U, event.u, NUMBER, LEVEL, BUY if levels else 0, 0, 0, 0)
        if levels:
            texts = " ".join([text for level in levels for text in level]).replace(".", "").split()
            numbers = np.array(list(map(int, texts)), dtype=np.int64)
            records["price"] = numbers[0::2] // PRICE_DIVISOR
            records["size"] = numbers[1::2]
            records["side"][len(event.b) :] = SELL
        records["flags"][-1] = LAST
        self._parts.append(records.tobytes())

    def take(self) -> Any:
        records = np.frombuffer(b"".join(self._parts), dtype=MARKET_RECORD)
        self._parts.clear()
        return records


def native_decoder() -> BinanceDecoder:
    return BinanceDecoder([(SYMBOL, NUMBER, PRICE_PRECISION, SIZE_PRECISION)])


def read_frames(capture: Path) -> Frames:
    """The stream frames of a capture: a local time in ns, a space, the JSON on each line."""
    lines = gzip.decompress(capture.read_bytes()).splitlines()
    pairs = (line.split(b" ", 1) for line in lines)
    return [(int(at), frame) for at, frame in pairs if b'"stream"' in frame]


def decode_each(decoder: Any, frames: Frames) -> None:
    """An array after each frame, as a live connection takes them."""
    decode, take = decoder.decode, decoder.take
    for ts_recv, frame in frames:
        decode(frame, ts_recv)
        take()


def decode_batches(decoder: Any, batches: list[Frames]) -> None:
    """An array after each batch of frames, as a busy connection or a replay takes them."""
    decode, take = decoder.decode, decoder.take
    for batch in batches:
        for ts_recv, frame in batch:
            decode(frame, ts_recv)
        take()


def ns_per_frame(make: Callable[[], Any], work: Callable[[Any, Any], None], inputs: Any, frames: int) -> float:
    """Best process CPU time of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        decoder = make()
        start = time.process_time_ns()
        work(decoder, inputs)
        best = min(best, (time.process_time_ns() - start) / frames)
    return best


def decode_all(decoder: Any, frames: Frames) -> bytes:
    """The bytes of all records: both sides must have done the same work."""
    parts = []
    for ts_recv, frame in frames:
        decoder.decode(frame, ts_recv)
        parts.append(decoder.take().tobytes())
    return b"".join(parts)


def run(capture_path: str | Path) -> dict[str, Any]:
    """Both sides over the stream frames of a capture: ns per frame, and how many times faster the native one is.

    ``ratio`` is the smaller one of two ways to use a decoder: an array after each frame, and after 64 frames.
    """
    frames = read_frames(Path(capture_path))
    native_bytes = decode_all(native_decoder(), frames)
    if native_bytes != decode_all(PythonDecoder(), frames):
        raise RuntimeError("the two sides made different records: the comparison means nothing")
    result: dict[str, Any] = {"frames": len(frames), "records": len(native_bytes) // MARKET_RECORD.itemsize}
    batches = [frames[first : first + BATCH_FRAMES] for first in range(0, len(frames), BATCH_FRAMES)]
    ways: dict[str, tuple[Callable[[Any, Any], None], Any]] = {
        "each": (decode_each, frames),
        "batch": (decode_batches, batches),
    }
    for name, (work, inputs) in ways.items():
        native = ns_per_frame(native_decoder, work, inputs, len(frames))
        python = ns_per_frame(PythonDecoder, work, inputs, len(frames))
        result[name] = {
            "native_ns_per_frame": round(native, 1),
            "python_ns_per_frame": round(python, 1),
            "ratio": round(python / native, 2),
        }
    result["ratio"] = min(result["each"]["ratio"], result["batch"]["ratio"])
    return result


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1]), indent=2))

"""A Binance depth frame of 20 levels a side to market records: the kernel beside a hand-written C parser and msgspec.

CPU time, one run. The C parser takes the frame's form for granted and makes the same records, which is checked first.
"""

import ctypes
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tradewind.wire.market_records import MARKET_RECORD
from tradewind_native.binance import BinanceDecoder

HERE = Path(__file__).resolve().parent
ROUNDS, FRAMES, LEVELS = 9, 20_000, 20
TAKE_EVERY = 64
INSTRUMENTS = [("BTCUSDT", 1, 2, 8)]


class Depth(msgspec.Struct):
    """What msgspec decodes to: the levels stay texts."""

    e: str
    E: int
    s: str
    U: int
    u: int
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]


class Envelope(msgspec.Struct):
    """A combined stream's frame."""

    stream: str
    data: Depth


def frame() -> bytes:
    """As the venue writes it."""
    sides = [[[f"{60_000 + n * step}.{n:02d}000000", f"{n + 1}.{n:05d}000"] for n in range(LEVELS)] for step in (-1, 1)]
    data = {"e": "depthUpdate", "E": 1_723_161_253_937, "s": "BTCUSDT", "U": 5_000_000_001, "u": 5_000_000_040}
    whole = {"stream": "btcusdt@depth@100ms", "data": {**data, "b": sides[0], "a": sides[1]}}
    return json.dumps(whole, separators=(",", ":")).encode()


def best_us(work: Callable[[], Any]) -> float:
    """CPU time of one of FRAMES calls, microseconds, in the best round."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time_ns()
        work()
        best = min(best, (time.process_time_ns() - start) / FRAMES)
    return best / 1000


def bare(text: bytes, folder: Path, wanted: Any) -> Callable[[], Any]:
    """FRAMES calls of the C parser in a loop of C, after a check that it makes the same records."""
    source = folder / "loop.c"
    source.write_text(
        f'#include "{HERE / "depth_bare.c"}"\n'
        "size_t loop(const char* frame, MarketRecord* out, size_t times) {\n"
        "    size_t made = 0;\n    for (size_t n = 0; n < times; ++n) { made += depth_bare(frame, 7, out);\n"
        '        __asm__ volatile("" : : "r"(out) : "memory"); }\n    return made;\n}\n'
    )
    library = folder / "bare.so"
    subprocess.run(
        ["cc", "-O3", "-shared", "-fPIC", f"-I{HERE.parent / 'src'}", str(source), "-o", str(library)], check=True
    )
    function = ctypes.CDLL(str(library)).loop
    function.restype = ctypes.c_size_t
    function.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t]
    out = np.zeros(2 * LEVELS, dtype=MARKET_RECORD)
    made = function(text, out.ctypes.data, 1)
    if made != 2 * LEVELS or any((out[name] != wanted[name]).any() for name in ("price", "size", "side", "ts_event")):
        raise RuntimeError("the two sides made different records: the comparison means nothing")
    return lambda: function(text, out.ctypes.data, FRAMES)


def run() -> dict[str, float]:
    """Microseconds a frame for each way, and the ratios."""
    text = frame()
    decoder = BinanceDecoder(INSTRUMENTS)
    typed = msgspec.json.Decoder(Envelope)

    def decode() -> None:
        for number in range(FRAMES):
            decoder.decode(text, 7)
            if number % TAKE_EVERY == 0:
                decoder.take()
        decoder.take()

    def decode_typed() -> None:
        for _ in range(FRAMES):
            typed.decode(text)

    decoder.decode(text, 7)
    with tempfile.TemporaryDirectory(prefix="tradewind-depth-") as folder:
        bare_us = best_us(bare(text, Path(folder), decoder.take()))
    native_us, msgspec_us = best_us(decode), best_us(decode_typed)
    return {
        "native_us": native_us,
        "bare_us": bare_us,
        "msgspec_us": msgspec_us,
        "of_bare": native_us / bare_us,
        "times_faster_than_msgspec": msgspec_us / native_us,
    }


if __name__ == "__main__":
    print(json.dumps({name: round(value, 3) for name, value in run().items()}))

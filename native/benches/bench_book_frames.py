"""OKX and Kraken frames to records: nanoseconds a frame, beside msgspec's typed decoding alone.

``bench_book_frames.py FOLDER``: the folder that holds ``okx/`` and ``kraken/``. msgspec only reads the JSON into
structs and tuples of texts; it makes no number and no record, so it does less than the decoder.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tradewind_native.book_checksums import kraken_checksum, okx_checksum
from tradewind_native.book_frames import BookFrameDecoder, KrakenDecoder, OkxDecoder
from tradewind_native.order_book import OrderBook

ROUNDS = 7
Level = tuple[str, str, str, str]
KrakenLevel = tuple[str, str, str]


class Argument(msgspec.Struct, gc=False):
    channel: str
    instId: str


class OkxBook(msgspec.Struct, gc=False):
    asks: list[Level]
    bids: list[Level]
    ts: str
    checksum: int


class OkxFrame(msgspec.Struct, gc=False):
    arg: Argument
    action: str
    data: list[OkxBook]


class KrakenBook(msgspec.Struct, gc=False):
    a: list[KrakenLevel] = []
    b: list[KrakenLevel] = []
    c: str = ""


def frames_of(path: Path) -> list[bytes]:
    """The frames of a capture: lines of time, colon, frame."""
    pairs = (line.partition(": ") for line in path.read_text().splitlines())
    return [frame.encode() for at, _, frame in pairs if at.replace(".", "").isdigit()]


def fastest_ns(work: Callable[[], Any], count: int) -> float:
    """CPU time of one of ``count`` pieces of work, in the fastest round."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time_ns()
        work()
        best = min(best, (time.process_time_ns() - began) / count)
    return best


def compare(name: str, frames: list[bytes], decoder: BookFrameDecoder, typed: Any, check: Callable[[Any], int]) -> None:
    """One line for one venue."""

    def native() -> None:
        decode, take = decoder.decode, decoder.take
        for frame in frames:
            decode(frame, 1)
            take()

    def python() -> None:
        decode = typed.decode
        for frame in frames:
            decode(frame)

    book = OrderBook(decoder.decode(frames[0], 1) and decoder.instrument)
    book.apply(decoder.take())
    ours, theirs = fastest_ns(native, len(frames)), fastest_ns(python, len(frames))
    checksum = fastest_ns(lambda: [check(book) for _ in range(1_000)], 1_000)
    size = sum(map(len, frames)) / len(frames)
    print(
        f"{name}: {len(frames)} updates of {size:.0f} bytes: to records {ours:.0f} ns, msgspec typed alone "
        f"{theirs:.0f} ns ({theirs / ours:.1f}x), checksum of the book {checksum:.0f} ns"
    )


def main(folder: Path) -> None:
    """Both venues."""
    okx = [frame for frame in frames_of(folder / "okx" / "OKX.ws.1.0") if b'"action":"update"' in frame]
    names = [("BTC-USD-220527", 1, 1, 0), ("UNI-USD-SWAP", 2, 3, 0), ("BTC-USDT", 3, 1, 8)]
    compare("okx", okx, OkxDecoder(names), msgspec.json.Decoder(OkxFrame), lambda book: okx_checksum(book, 1, 8))
    kraken = [frame for frame in frames_of(folder / "kraken" / "KRAKEN.ws.50.first60") if b'"c":' in frame]
    pairs = [(pair, n, 10, 8) for n, pair in enumerate({json.loads(frame)[-1] for frame in kraken}, 1)]
    typed = msgspec.json.Decoder(tuple[int, KrakenBook, str, str])
    compare("kraken", kraken * 10, KrakenDecoder(pairs), typed, lambda book: kraken_checksum(book, 0, 0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

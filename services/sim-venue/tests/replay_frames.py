"""A tiny capture, frame by frame."""

import gzip
import json
from pathlib import Path
from typing import Any

STREAMS = ("btcusdt@depth@100ms", "btcusdt@bookTicker", "btcusdt@trade")
ALL = "/".join(STREAMS)
T0 = 1_700_000_000_000_000_000


def depth(first: int, final: int, bids: list[list[str]], asks: list[list[str]]) -> bytes:
    data = {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": first, "u": final, "b": bids, "a": asks}
    return _frame("btcusdt@depth@100ms", data)


def ticker(update: int, bid: tuple[str, str], ask: tuple[str, str]) -> bytes:
    data = {"u": update, "s": "BTCUSDT", "b": bid[0], "B": bid[1], "a": ask[0], "A": ask[1]}
    return _frame("btcusdt@bookTicker", data)


def trade(number: int, price: str, size: str, *, buyer_is_maker: bool) -> bytes:
    data = {"e": "trade", "E": 1, "s": "BTCUSDT", "t": number, "p": price, "q": size, "T": 1, "m": buyer_is_maker}
    return _frame("btcusdt@trade", {**data, "M": True})


def _frame(stream: str, data: dict[str, Any]) -> bytes:
    return json.dumps({"stream": stream, "data": data}, separators=(",", ":")).encode()


SNAPSHOT = (
    b'{"lastUpdateId":105,"bids":[["100.00000000","1.00000000"],["99.00000000","2.00000000"]],'
    b'"asks":[["101.00000000","1.50000000"],["102.00000000","3.00000000"]]}'
)
FRAMES = [
    depth(101, 103, [["100.00", "5"]], []),
    depth(104, 106, [["98.00", "1"]], [["103.00", "1"]]),
    SNAPSHOT,
    depth(107, 110, [["100.00", "2"]], [["101.00", "0"], ["101.50", "1"]]),
    ticker(110, ("100.00", "2"), ("101.50", "1")),
    trade(1, "100.00", "0.5", buyer_is_maker=True),
]


def write(path: Path, frames: list[bytes], step_ns: int = 1_000_000) -> Path:
    with gzip.open(path, "wb") as file:
        for number, frame in enumerate(frames):
            file.write(b"%d %s\n" % (T0 + number * step_ns, frame))
    return path

"""What it costs to show a strategy one quote, beside unpacking the same records with struct and with numpy's tolist.

Run it with ``python libs/strategy/benches/bench_dispatch.py``. "single" is a batch of one quote, as at normal speed;
"burst" is a batch of 200 quotes.
"""

import json
import struct
import time
from collections.abc import Callable
from typing import Any, Final

from tradewind.strategy import Quote, Strategy
from tradewind.strategy import testing as kit
from tradewind.wire.market_records import RecordArray

QUOTES: Final = 200_000
BURST: Final = 200
ROUNDS: Final = 3
WHOLE_RECORD: Final = struct.Struct("<qqqqQQIBBBBQ")


class NoOperation(Strategy):
    """Listens to quotes and does nothing."""

    def on_quote(self, quote: Quote) -> None:
        """Nothing."""


def cost_ns(quotes_per_batch: int, handle: Callable[[RecordArray], Any]) -> float:
    """Nanoseconds per quote, the best of some rounds."""
    records = kit.batch(*(kit.quote(100 + n, 101 + n, sequence=n) for n in range(quotes_per_batch)))
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter_ns()
        for _ in range(QUOTES // quotes_per_batch):
            handle(records)
        best = min(best, time.perf_counter_ns() - begin)
    return best / QUOTES


def walked(records: RecordArray) -> None:
    """Through the engine."""
    for _ in ENGINE.walk(records):
        raise AssertionError("a strategy that does nothing made a command")


ENGINE: Final = kit.engine(NoOperation())


def main() -> None:
    """Print one JSON object."""
    result = {}
    for name, size in (("single", 1), ("burst", BURST)):
        result[f"{name}_walk_ns"] = round(cost_ns(size, walked))
        result[f"{name}_tolist_ns"] = round(cost_ns(size, lambda records: records.tolist()))
        result[f"{name}_struct_ns"] = round(cost_ns(size, lambda records: list(WHOLE_RECORD.iter_unpack(records.data))))
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

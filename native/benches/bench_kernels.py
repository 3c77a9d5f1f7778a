"""Order book and matching engine against their Python twins, on seeded flow; a ratio below 3 would delete a kernel."""

import json
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import tradewind_native.matching as matching_kernel
import tradewind_native.order_book as book_kernel
from tradewind.venue import matching as matching_twin
from tradewind.venue import order_book as book_twin
from tradewind_native.market_record import MARKET_RECORD

SEED = 20_240_808
ROUNDS = 3
INSTRUMENT, LEVEL_KIND = 1, 3
BUY, SELL = 1, 2
BATCHES, BATCH_RECORDS = 2_000, 24
ORDERS = 20_000
MIDDLE, SPREAD = 6_180_000, 400

Operation = tuple[str, tuple[Any, ...], dict[str, Any]]


def book_batches() -> list[Any]:
    """Level changes around a middle price, near the best ones more often than far away, as a depth stream has them."""
    flow = random.Random(SEED)
    batches = []
    for _ in range(BATCHES):
        records = np.zeros(BATCH_RECORDS, dtype=MARKET_RECORD)
        records["instrument"], records["kind"] = INSTRUMENT, LEVEL_KIND
        for record in records:
            record["side"] = side = flow.choice((BUY, SELL))
            distance = int(flow.expovariate(1 / SPREAD))
            record["price"] = MIDDLE - distance if side == BUY else MIDDLE + 1 + distance
            record["size"] = flow.choice((0, flow.randrange(1, 10**9)))
        records.flags.writeable = False
        batches.append(records)
    return batches


def order_flow() -> list[Operation]:
    """Limit orders around a middle price, of which some trade, cancels and market orders."""
    flow = random.Random(SEED)
    operations: list[Operation] = []
    for order_id in range(1, ORDERS + 1):
        side, size = flow.choice((BUY, SELL)), flow.randrange(1, 1_000)
        distance = int(flow.gauss(40, 40))
        price = MIDDLE - distance if side == BUY else MIDDLE + distance
        options = {"owner": flow.randrange(4)}
        draw = flow.random()
        if draw < 0.4:
            operations.append(("cancel", (flow.randrange(max(1, order_id - 500), order_id + 1),), {}))
        elif draw < 0.5:
            options["market"] = True
        operations.append(("submit", (order_id, side, price, size), options))
    return operations


def apply_batches(book: Any, batches: list[Any]) -> None:
    apply, best = book.apply, book.best_bid
    for records in batches:
        apply(records)
        best()


def run_operations(engine: Any, operations: list[Operation]) -> None:
    methods = {"submit": engine.submit, "cancel": engine.cancel}
    for name, arguments, options in operations:
        methods[name](*arguments, **options)


def ns_per_call(make: Callable[[], Any], work: Callable[[Any, list[Any]], None], inputs: list[Any]) -> float:
    """Best process CPU time of some rounds, per input."""
    best = float("inf")
    for _ in range(ROUNDS):
        subject = make()
        start = time.process_time_ns()
        work(subject, inputs)
        best = min(best, (time.process_time_ns() - start) / len(inputs))
    return best


def compared(kernel: Callable[[], Any], twin: Callable[[], Any], work: Any, inputs: list[Any]) -> dict[str, float]:
    """Both sides over the same inputs; they must end with the same levels."""
    ends = []
    for make in (kernel, twin):
        subject = make()
        work(subject, inputs)
        ends.append([subject.levels(side, len(inputs)) for side in (BUY, SELL)])
    if ends[0] != ends[1]:
        raise RuntimeError("kernel and twin ended with different levels: the comparison means nothing")
    native, python = ns_per_call(kernel, work, inputs), ns_per_call(twin, work, inputs)
    return {"native_ns": round(native, 1), "python_ns": round(python, 1), "ratio": round(python / native, 2)}


def run() -> dict[str, dict[str, float]]:
    """ns per batch of 24 level changes (order_book) and per order or cancel (matching), kernel and twin."""
    return {
        "order_book": compared(
            lambda: book_kernel.OrderBook(INSTRUMENT),
            lambda: book_twin.OrderBook(INSTRUMENT),
            apply_batches,
            book_batches(),
        ),
        "matching": compared(
            matching_kernel.MatchingEngine, matching_twin.MatchingEngine, run_operations, order_flow()
        ),
    }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))

"""ExecutionReport and market data bytes to typed records: kernels, twins, PyPI ``quickfix``'s parse; CPU time, one run.

``quickfix`` is measured where it is installed, and left out where not: its parse alone, and with the same fields read
as text (its numbers are text still).
"""

import json
import time
from collections.abc import Callable
from typing import Any

from tradewind.venue import fix_messages as twin
from tradewind.venue.fix_dictionaries import dictionary as fix_dictionary
from tradewind.venue.fix_market_data import FixDecoder as TwinDecoder
from tradewind_native.book_frames import FixDecoder
from tradewind_native.fix_messages import read_execution_report

HEADER_TAGS = (35, 34, 49, 56)
BODY_TAGS = (37, 11, 17, 150, 39, 55, 54, 38, 44, 32, 31, 151, 14, 6, 60)
INSTRUMENTS = [("BTCUSDT", 1, 2, 1)]
ROUNDS, MESSAGES, SLOW_MESSAGES = 9, 20_000, 2_000
BODY = (
    b"35=8\x0134=7\x0149=VENUE\x0152=20260101-00:00:00\x0156=US\x0137=v-1\x0111=c-1\x0117=e-1\x01150=1\x0139=1\x01"
    b"55=BTCUSDT\x0154=1\x0138=2.5\x0144=10.25\x0132=1\x0131=10.20\x01151=1.5\x0114=1\x016=10.2\x01"
    b"60=20260101-00:00:00\x01"
)


def book(levels: int = 10) -> bytes:
    """The body of a snapshot with so many levels of a side."""
    entries = b"".join(
        b"269=%d\x01270=%d.%02d\x01271=%d.5\x01" % (side, 60_000 + side, level, level + 1)
        for side in (0, 1)
        for level in range(levels)
    )
    head = b"35=W\x0134=7\x0149=VENUE\x0152=20260101-00:00:00.123\x0156=US\x01262=1\x0155=BTCUSDT\x01"
    return head + b"268=%d\x01" % (2 * levels) + entries


def message(body: bytes = BODY) -> bytes:
    """One whole message."""
    start = b"8=FIX.4.4\x019=%d\x01" % len(body) + body
    return start + b"10=%03d\x01" % (sum(start) % 256)


def best_us(work: Callable[[], Any], count: int) -> float:
    """CPU time of one call, microseconds, in the best round."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time_ns()
        for _ in range(count):
            work()
        best = min(best, (time.process_time_ns() - start) / count)
    return best / 1000


def parse_and_read(quickfix: Any, text: str) -> None:
    """What a program that uses quickfix does to get at the same fields."""
    parsed = quickfix.Message(text, True)
    header = parsed.getHeader()
    for tag in HEADER_TAGS:
        header.getField(tag)
    for tag in BODY_TAGS:
        parsed.getField(tag)


def run() -> dict[str, float]:
    """Microseconds of each way, and the ratios."""
    whole, snapshot = message(), message(book())
    text, snapshot_text = whole.decode("latin-1"), snapshot.decode("latin-1")
    decoder, twin_decoder = FixDecoder(INSTRUMENTS), TwinDecoder(INSTRUMENTS)
    native = best_us(lambda: read_execution_report(whole, 2, 3), MESSAGES)
    row = {
        "native_us": native,
        "python_us": best_us(lambda: twin.read_execution_report(whole, 2, 3), SLOW_MESSAGES),
        "book_native_us": best_us(lambda: (decoder.decode(snapshot, 1), decoder.take()), MESSAGES),
        "book_python_us": best_us(lambda: (twin_decoder.decode(snapshot, 1), twin_decoder.take()), SLOW_MESSAGES // 4),
    }
    try:
        import quickfix
    except ImportError:
        print("quickfix is not installed: its row is left out")
    else:
        row["quickfix_us"] = best_us(lambda: quickfix.Message(text, True), SLOW_MESSAGES)
        row["quickfix_with_fields_us"] = best_us(lambda: parse_and_read(quickfix, text), SLOW_MESSAGES)
        row["book_quickfix_us"] = best_us(lambda: quickfix.Message(snapshot_text, True), SLOW_MESSAGES)
        dictionary = quickfix.DataDictionary(str(fix_dictionary("FIX.4.4")))
        row["book_quickfix_with_groups_us"] = best_us(
            lambda: quickfix.Message(snapshot_text, dictionary, True), SLOW_MESSAGES
        )
        row["times_faster_than_its_parse"] = row["quickfix_us"] / native
        row["book_times_faster_than_its_parse"] = row["book_quickfix_us"] / row["book_native_us"]
        row["book_times_faster_than_parse_with_groups"] = row["book_quickfix_with_groups_us"] / row["book_native_us"]
        row["times_faster_than_parse_with_fields"] = row["quickfix_with_fields_us"] / native
    return row


if __name__ == "__main__":
    print(json.dumps({name: round(value, 3) for name, value in run().items()}))

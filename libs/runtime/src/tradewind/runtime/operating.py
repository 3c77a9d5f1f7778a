"""What ``tradewind orders`` and ``tradewind accounts`` do, by way of the platform's api service.

Everything printed came from outside and goes through ``shown``: a reason cannot write on the terminal by itself.
"""

import time
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

import msgspec

from tradewind.runtime.platform_api import PlatformApi
from tradewind.runtime.topics.plain_text import shown, shown_time

DONE: Final = 0
NOT_DONE: Final = 1
_LOOK_S: Final = 0.25
_PATIENCE_S: Final = 30.0
_MOST: Final = 500
_NS: Final = 1_000_000_000


class OrderRow(msgspec.Struct):
    """An order as the api shows it; times are ns as text."""

    client_order_id: str
    strategy_id: str
    instrument_id: str
    side: str
    size: str
    filled_size: str
    status: str
    outcome: str
    unknown_since: str | None = None
    reason: str | None = None


class _Page(msgspec.Struct):
    orders: list[OrderRow]


class _Story(msgspec.Struct):
    order: OrderRow


class _Difference(msgspec.Struct):
    currency: str
    at_venue: str
    in_books: str


class _Comparison(msgspec.Struct):
    ts_event: str | None
    differences: list[_Difference]


class Operating:
    """The commands against one address. ``say`` takes a line for the person."""

    def __init__(self, url: str, say: Callable[[str], None]) -> None:
        self._api = PlatformApi(url)
        self._say = say

    def orders(self, *, unknown: bool) -> int:
        """Print the orders without a known end; the exit code is 1 while one of them is UNKNOWN."""
        rows = self._api.get(f"/orders?status=open&limit={_MOST}", _Page).orders
        doubtful = [row for row in rows if row.outcome == "UNKNOWN"]
        for row in doubtful if unknown else rows:
            self._say(_line(row, time.time_ns()))
        if not rows or (unknown and not doubtful):
            self._say("No order's outcome is unknown." if unknown else "No order is open.")
        return NOT_DONE if doubtful else DONE

    def resolve(self, name: str, resolution: str, *, why: str) -> int:
        """Give the word, and wait until the order path has taken it."""
        body = {"resolution": resolution, "why": why}
        self._api.post(f"/orders/{quote(name, safe='')}/resolve", body)
        return self._until(name, lambda row: row.outcome != "UNKNOWN")

    def claim(self, name: str, strategy_id: str, *, why: str) -> int:
        """Give the order to a strategy, and wait until it is its own."""
        body = {"strategy_id": strategy_id, "why": why}
        self._api.post(f"/orders/{quote(name, safe='')}/claim", body)
        return self._until(name, lambda row: row.strategy_id == strategy_id)

    def comparison(self) -> int:
        """Print by how much the venue's balances and the books differ; the exit code is 1 when they do."""
        found = self._api.get("/reconciliation", _Comparison)
        if not found.differences:
            self._say("The venue's balances and the books agree, as far as they were compared.")
            return DONE
        self._say(f"Since {shown_time(int(found.ts_event or 0))} the venue and the books differ:")
        for one in found.differences:
            self._say(
                f"  {shown(one.currency)}: {shown(one.at_venue)} at the venue, {shown(one.in_books)} in the books"
            )
        self._say("  Nothing is set right by itself: docs/operating/reconciliation-difference.md")
        return NOT_DONE

    def _until(self, name: str, done: Callable[[OrderRow], bool]) -> int:
        until_s = time.monotonic() + _PATIENCE_S
        while True:
            row = self._api.get(f"/orders/{quote(name, safe='')}", _Story).order
            if done(row):
                self._say(_line(row, time.time_ns()))
                return DONE
            if time.monotonic() >= until_s:
                self._say(_line(row, time.time_ns()))
                self._say("It has not taken effect; look at `tradewind status` and at the audit for a refusal.")
                return NOT_DONE
            time.sleep(_LOOK_S)


def _line(row: OrderRow, now_ns: int) -> str:
    age = ""
    if row.unknown_since is not None:
        age = f" UNKNOWN for {(now_ns - int(row.unknown_since)) / _NS:,.0f} s"
    fields = (row.client_order_id, row.strategy_id, row.instrument_id, row.side, row.size, row.status)
    reason = f" ({shown(row.reason)})" if row.reason else ""
    return f"{'  '.join(shown(field) for field in fields)}  filled {shown(row.filled_size)}{age}{reason}"

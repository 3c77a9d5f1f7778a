"""Fault scripts: a seed and rules. ``script_reading`` reads and checks them.

A rule is one lie, what it hits, and how often. Rules are looked at in their order; of those about requests the first
that hits decides, the same for events; ``stale_view`` and ``skewed_clock`` add to whatever else happens.
"""

from typing import Final

import msgspec

ENDPOINTS: Final = (
    "new_order", "test_order", "cancel_order", "cancel_all", "cancel_replace", "query_order", "open_orders",
    "all_orders", "my_trades", "account", "open_user_stream", "prolong_user_stream", "end_user_stream", "ping", "time",
    "exchange_info", "depth", "trades", "aggregate_trades", "book_ticker", "ticker_24h",
)  # fmt: skip
ORDER_ENDPOINTS: Final = ("new_order", "cancel_order", "cancel_all", "cancel_replace")
VIEW_ENDPOINTS: Final = ("query_order", "open_orders", "all_orders", "my_trades", "account")
EVENT_KINDS: Final = ("NEW", "TRADE", "CANCELED", "EXPIRED", "TRADE_PREVENTION", "POSITION")
STREAMS: Final = ("depth@100ms", "trade", "bookTicker")

REQUEST_LIES: Final = {
    "late_request": "it reaches the engine ms late",
    "stuck_request": "no answer ever; executed ms late, unless its receive window has passed by then",
    "lost_request": "no answer ever, not executed",
    "late_answer": "executed at once, answered ms late",
    "lost_answer": "executed, no answer ever",
    "doubled_answer": "answered, and ms later the same answer once more on the same connection",
    "cut_before": "the connection is closed, not executed",
    "cut_after": "executed, then the connection is closed without an answer",
    "error_before": "answered with status and code, not executed",
    "error_after": "executed, and answered with status and code",
    "throttled": "429 with Retry-After, not executed",
    "banned": "418 with Retry-After, not executed",
    "clock_refused": "-1021, not executed",
    "fill_before_ack": "percent of a new resting order trades; the answer comes ms later and does not show it",
    "fill_before_cancel": "percent of the order trades just before the cancel",
    "fill_after_cancel": "the same, but the answer says canceled without the trade, whose event leaves ms later",
}
EVENT_LIES: Final = {
    "late_event": "leaves ms late; later ones overtake it",
    "slow_stream": "leaves ms late and everything behind it waits",
    "missing_event": "never leaves",
    "doubled_event": "leaves copies times, ms between them",
    "reordered_event": "leaves after after_events later ones, or after ms",
    "cut_stream": "is lost, and the connections of the stream are closed",
}
VIEW_LIE: Final = "stale_view"
CLOCK_LIE: Final = "skewed_clock"
LIES: Final = {
    **REQUEST_LIES,
    **EVENT_LIES,
    VIEW_LIE: "queries show what was ms ago",
    CLOCK_LIE: "the venue's clock is off by ms, between from_ms and until_ms",
}
MAX_RULES: Final = 100
MAX_SCRIPT_BYTES: Final = 16_384
MAX_MS: Final = 600_000
MAX_STALE_MS: Final = 60_000
MAX_COUNT: Final = 1_000_000_000
MAX_COPIES: Final = 10
MAX_TEXT: Final = 64


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One lie. What it hits: ``on`` (events: private or market), ``endpoints``, ``events`` and ``streams`` (empty: the
    lie's own), ``symbol``, ``client_order_id`` (a prefix), from ``from_ms`` until ``until_ms`` after the script was
    set. How often: the ``nth`` match is the first to be hit, then every ``every``-th, each time ``run`` in a row, each
    with ``probability``, ``times`` in all (0: no limit).
    """

    lie: str
    name: str = ""
    on: str = "private"
    endpoints: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    symbol: str = ""
    client_order_id: str = ""
    from_ms: int = 0
    until_ms: int = 0
    nth: int = 1
    every: int = 1
    run: int = 1
    times: int = 0
    probability: float = 1.0
    ms: int = 0
    jitter_ms: int = 0
    percent: int = 100
    copies: int = 2
    after_events: int = 1
    status: int = 503
    code: int = -1001
    retry_after_s: int = 1


class FaultScript(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All lies of a run. Without rules the venue is honest."""

    seed: int = 1
    rules: tuple[Rule, ...] = ()

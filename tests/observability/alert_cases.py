"""When each alert of ``docker/prometheus/alerts.yml`` fires and when it does not, and the words that come of it."""

import dataclasses
from typing import Final

INTERVAL: Final = "15s"
RULE_INTERVAL: Final = "7s"
"""Not in step with the samples, as in life: increase() then has edges to reckon to."""
ASKED_AT: Final = "15m"
_TOLD: Final = 60
"""Samples of ASKED_AT at INTERVAL."""


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """One alert. ``fires`` and ``quiet`` are values of ``series`` in promtool's notation, one each INTERVAL."""

    alert: str
    series: str
    fires: str
    quiet: str
    severity: str
    summary: str
    page: str
    labels: tuple[tuple[str, str], ...] = ()


def always(value: int) -> str:
    """The same value at every look."""
    return f"{value}+0x{_TOLD + 4}"


def since(samples: int, before: int, then: int) -> str:
    """``before``, and ``then`` for the last so many samples until ASKED_AT."""
    return f"{before}+0x{_TOLD - samples} {then}+0x{samples + 4}"


_EXECUTION: Final = (("instance", "execution:9100"), ("job", "tradewind"))
_LABELS: Final = 'instance="execution:9100",job="tradewind",service="execution"'
_RUNTIME: Final = 'instance="execution:9100",job="tradewind",service="runtime"'
CASES: Final = (
    Case(
        "ServiceAway",
        'up{instance="execution:9100",job="tradewind"}',
        since(4, 1, 0),
        since(1, 1, 0),
        "critical",
        "execution:9100 does not answer",
        "service-away",
        _EXECUTION,
    ),
    Case(
        "ServiceNotReady",
        f"tradewind_service_ready{{{_LABELS}}}",
        since(6, 1, 0),
        since(2, 1, 0),
        "warning",
        "No copy of execution is ready",
        "service-away",
        (("service", "execution"),),
    ),
    Case(
        "ServiceRestarting",
        f"tradewind_service_restarts_total{{{_LABELS}}}",
        since(20, 0, 3),
        since(20, 0, 2),
        "warning",
        "execution is started again and again",
        "service-away",
        (("service", "execution"),),
    ),
    Case(
        "OrderOutcomeUnknown",
        f"tradewind_orders_unknown_age_seconds{{{_LABELS}}}",
        always(31),
        always(30),
        "critical",
        "An order's outcome has been unknown for 31 s",
        "unknown-order",
    ),
    Case(
        "OrderEndContradicted",
        f"tradewind_order_ends_contradicted_total{{{_LABELS}}}",
        since(4, 2, 3),
        always(3),
        "critical",
        "The venue showed an order that was held to be dead",
        "unknown-order",
        (*_EXECUTION, ("service", "execution")),
    ),
    Case(
        "ReconciliationDifference",
        f"tradewind_reconciliation_differences{{{_LABELS}}}",
        always(2),
        always(0),
        "critical",
        "2 balances differ from the books",
        "reconciliation-difference",
    ),
    Case(
        "LeaseLost",
        f"tradewind_leases_lost_total{{{_LABELS}}}",
        since(20, 0, 3),
        since(20, 0, 2),
        "warning",
        "The execution service lost its lease 3 times in an hour",
        "lease-lost",
        (*_EXECUTION, ("service", "execution")),
    ),
    Case(
        "KillSwitchNotFlat",
        f"tradewind_kill_switch_not_flat_age_seconds{{{_LABELS}}}",
        always(61),
        always(60),
        "critical",
        "A kill switch has not been proven flat for 61 s",
        "kill-switch",
    ),
    Case(
        "StrategyFailed",
        'tradewind_strategy_failed{instance="a:9100",job="tradewind",service="market-maker"}',
        always(1),
        always(0),
        "critical",
        "market-maker was stopped by its own error",
        "strategy-failed",
        (("service", "market-maker"),),
    ),
    Case(
        "BookOutOfSync",
        f"tradewind_books_in_sync{{{_LABELS}}}",
        since(4, 1, 0),
        since(1, 1, 0),
        "critical",
        "No order book is in sync",
        "market-data-away",
    ),
    Case(
        "OrderMessagesWait",
        f'tradewind_bus_lag{{{_RUNTIME},topic="orders.events",group="portfolio"}}',
        since(6, 0, 1001),
        since(2, 0, 1001),
        "warning",
        "portfolio is 1001 messages behind on orders.events",
        "messages-wait",
        (("group", "portfolio"), ("topic", "orders.events")),
    ),
    Case(
        "MessagePutAside",
        f"tradewind_bus_dead_lettered_total{{{_RUNTIME}}}",
        since(4, 0, 1),
        always(1),
        "warning",
        "execution:9100 put a message aside",
        "messages-wait",
        (*_EXECUTION, ("service", "runtime")),
    ),
    Case(
        "EventLoopLate",
        f"tradewind_loop_lag_seconds{{{_RUNTIME}}}",
        since(4, 0, 2),
        since(1, 0, 2),
        "warning",
        "The event loop of execution:9100 is 2 s late",
        "event-loop-late",
        (("instance", "execution:9100"),),
    ),
    Case(
        "RecordsWaitForTheDatabase",
        f"tradewind_recorder_backlog_records{{{_LABELS}}}",
        since(6, 0, 200_001),
        since(2, 0, 200_001),
        "warning",
        "200001 records wait for the database",
        "records-wait",
    ),
)

"""The one naming scheme of metrics; what does not fit is refused where it is registered.

``tradewind_<what>[_<unit>][_total]``: words of a-z and 0-9, base units (seconds, bytes, a ratio from 0 to 1, a time as
seconds since 1970), counters end in ``_total``, every metric has a help text, and labels have few values. A number of
things has no unit, or the thing's name. ``docs/operating/metrics.md`` has the scheme in words and all names.
"""

import re
from collections.abc import Iterable
from typing import Final

NAMESPACE: Final = "tradewind"
UNITS: Final = frozenset({"", "seconds", "bytes", "ratio", "timestamp_seconds", "records", "points"})
LABELS: Final = frozenset(
    {
        "service",
        "topic",
        "group",
        "venue",
        "instrument",
        "strategy",
        "currency",
        "channel",
        "scope",
        "limit",
        "kind",
        "status",
        "lie",
    }
)
"""All have values that the deployment bounds; ids of orders, events and people are none."""
MOST_SERIES: Final = 1_000
"""Sets of labels under one name; past it the rest are counted together, as ``other``."""
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_FOREIGN: Final = frozenset({"ns", "us", "ms", "minutes", "hours", "days", "percent", "pct", "bits", "kb", "mb", "gb"})
_RESERVED: Final = frozenset({"total", "count", "sum", "bucket", "created", "info"})


class MetricNameRefused(ValueError):
    """A metric does not fit the scheme; the message says what to change."""


def counter_name(name: str) -> str:
    """The full name of a counter, without the ``_total`` that Prometheus' own client adds.

    Raises:
        MetricNameRefused: see the module.
    """
    return _full_name(name, "")


def gauge_name(name: str, unit: str) -> str:
    """The full name of a gauge.

    Raises:
        MetricNameRefused: see the module.
    """
    return _full_name(name, unit)


def latency_name(name: str) -> str:
    """The full name of a histogram of durations.

    Raises:
        MetricNameRefused: see the module.
    """
    return _full_name(name, "seconds")


def check_meaning(name: str, documentation: str, labels: Iterable[str]) -> None:
    """Refuse a metric that nobody could understand, or whose labels could have any number of values.

    Raises:
        MetricNameRefused: see the module.
    """
    if not documentation.strip() or documentation.strip() == name:
        raise MetricNameRefused(f"metric {name} has no help text: say in a few words what it counts")
    if unknown := set(labels) - LABELS:
        raise MetricNameRefused(f"metric {name} has labels outside the scheme: {', '.join(sorted(unknown))}")


def _full_name(name: str, unit: str) -> str:
    words = name.split("_")
    if not _NAME.fullmatch(name) or words[0] == NAMESPACE:
        raise MetricNameRefused(f"metric {name!r}: words of a-z and 0-9 joined by _, without {NAMESPACE}_ before them")
    if words[-1] in _RESERVED:
        raise MetricNameRefused(f"metric {name} ends in a word that Prometheus adds itself: leave it out")
    if foreign := _FOREIGN & set(words):
        raise MetricNameRefused(f"metric {name} counts in {', '.join(foreign)}: use seconds, bytes or a ratio")
    if unit not in UNITS:
        raise MetricNameRefused(f"metric {name} has the unit {unit!r}: take one of {', '.join(sorted(UNITS - {''}))}")
    return f"{NAMESPACE}_{name}_{unit}" if unit else f"{NAMESPACE}_{name}"

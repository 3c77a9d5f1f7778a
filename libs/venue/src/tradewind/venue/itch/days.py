"""The day that ITCH times count from: they are nanoseconds since midnight in New York and do not say of which day."""

import datetime
import time
from collections.abc import Callable
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_NEW_YORK: Final = "America/New_York"
_NS_PER_S: Final = 1_000_000_000


def missing_zone() -> str:
    """One sentence when this machine does not know New York's time; empty when it does."""
    try:
        ZoneInfo(_NEW_YORK)
    except ZoneInfoNotFoundError:
        return "this machine has no time zone data; install the system's package tzdata, or PyPI's."
    return ""


def midnight_of(day: datetime.date) -> int:
    """UTC nanoseconds of the midnight in New York at which a day begins."""
    return int(datetime.datetime.combine(day, datetime.time(), ZoneInfo(_NEW_YORK)).timestamp()) * _NS_PER_S


def midnight_before(ts_ns: int) -> int:
    """UTC nanoseconds of the midnight in New York before a moment."""
    return midnight_of(datetime.datetime.fromtimestamp(ts_ns // _NS_PER_S, ZoneInfo(_NEW_YORK)).date())


def midnights(day: str) -> Callable[[], int]:
    """Which midnight a session counts from: that of a day like 2010-12-24, or where none is named today's.

    Raises:
        ValueError: not such a day.
    """
    if not day:
        return lambda: midnight_before(time.time_ns())
    fixed = midnight_of(datetime.date.fromisoformat(day))
    return lambda: fixed

"""Between ns since the epoch and the microsecond timestamps of PostgreSQL, without a float in between."""

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
LAST_NS: Final = 2**63 - 1
FIRST_NS: Final = -LAST_NS
"""The ends of what int64 nanoseconds since the epoch can say."""


def to_timestamp(ns: int) -> datetime:
    """``ns`` since the epoch, cut to the microsecond.

    Raises:
        ValueError: outside int64, so that it cannot be ns since the epoch.
    """
    if not FIRST_NS <= ns <= LAST_NS:
        raise ValueError(f"time {ns} is not in ns since the epoch")
    return _EPOCH + timedelta(microseconds=ns // 1_000)


def to_ns(timestamp: datetime) -> int:
    """Ns since the epoch of an aware timestamp."""
    return (timestamp - _EPOCH) // _MICROSECOND * 1_000


EARLIEST: Final = to_timestamp(FIRST_NS)
"""Before it is nothing."""
LATEST: Final = to_timestamp(LAST_NS) + _MICROSECOND
"""After everything."""

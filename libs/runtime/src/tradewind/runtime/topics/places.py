"""Where reading begins and ends: an offset, a time, or an end of the topic."""

import datetime
import re
import time
from typing import Final, NamedTuple

from tradewind.bus.interface import Bus, Offsets, Start, TopicDescription
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.topics.plain_text import shown
from tradewind.wire.topics import Topic

_SECOND_NS: Final = 1_000_000_000
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_AGO: Final = re.compile(r"(\d{1,9})([smhd])")
_FRACTION: Final = re.compile(r"\.(\d{1,9})")
_MIN_TIME_NS: Final = 10**17
"""A whole number from here on is a time in ns (1973), below it an offset, which no topic will ever reach."""
_PROBE_MESSAGES: Final = 1_000
"""How many messages are looked at to find where each partition of a topic begins at a time."""

_HINT: Final = "it takes earliest, latest, an offset, a time (2026-11-22T14:00:00Z, or ns) or an age (15m, 2h, 1d)"


class AtOffset(NamedTuple):
    """From or until this offset, in every partition."""

    offset: int


class AtTime(NamedTuple):
    """From or until this publish time, in ns."""

    ts_ns: int


Place = Start | AtOffset | AtTime


def parse_place(text: str, option: str) -> Place:
    """What ``--from`` and ``--until`` take.

    Raises:
        StartRefused: none of it.
    """
    lowered = text.strip().lower()
    if lowered in (Start.EARLIEST.value, Start.LATEST.value):
        return Start(lowered)
    if lowered.isascii() and lowered.isdigit() and len(lowered) < 20:
        number = int(lowered)
        return AtTime(number) if number >= _MIN_TIME_NS else AtOffset(number)
    if ago := _AGO.fullmatch(lowered):
        return AtTime(max(time.time_ns() - int(ago[1]) * _UNITS_S[ago[2]] * _SECOND_NS, 0))
    if (ts_ns := _iso_time_ns(text.strip())) is not None:
        return AtTime(ts_ns)
    raise StartRefused(f"{option} {shown(text)!r}: {_HINT}")


def _iso_time_ns(text: str) -> int | None:
    fraction = _FRACTION.search(text)
    try:
        moment = datetime.datetime.fromisoformat(_FRACTION.sub("", text, count=1))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    since = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    whole_ns = (since.days * _UNITS_S["d"] + since.seconds) * _SECOND_NS
    ts_ns = whole_ns + (int(fraction[1].ljust(9, "0")) if fraction else 0)
    return ts_ns if ts_ns >= 0 else None


class Beginning(NamedTuple):
    """How to subscribe, and what to pass over: messages published before ``oldest_ns``."""

    start: Start | Offsets
    oldest_ns: int


async def beginning(bus: Bus, topic: Topic, place: Place) -> Beginning:
    """The subscription's start for a place."""
    match place:
        case AtOffset(offset):
            kept = (await bus.describe(topic)).partitions
            # Past the end there is nothing to begin at, so what comes next is first.
            return Beginning({index: min(offset, one.end) for index, one in enumerate(kept)}, 0)
        case AtTime(ts_ns):
            return Beginning(await _offsets_at(bus, topic, ts_ns), ts_ns)
        case _:
            return Beginning(place, 0)


async def _offsets_at(bus: Bus, topic: Topic, ts_ns: int) -> Offsets:
    # The ends are read first: what is published in between is after them and cannot be missed.
    kept = (await bus.describe(topic)).partitions
    limit = 1 if topic.partitions == 1 else _PROBE_MESSAGES
    found = await bus.replay(topic, from_time_ns=ts_ns, limit=limit)
    offsets: dict[int, int] = {}
    for delivery in found:
        offsets.setdefault(delivery.partition, delivery.offset)
    for index, one in enumerate(kept):
        if index not in offsets:
            # A probe that was cut short says nothing of the partitions that it did not reach.
            offsets[index] = one.first if found and len(found) == limit else one.end
    return offsets


def first_offsets(kept: TopicDescription, begin: Beginning) -> list[int]:
    """The first offset of each partition that reading will give."""
    if begin.start is Start.LATEST:
        return [one.end for one in kept.partitions]
    if isinstance(begin.start, Start):
        return [one.first for one in kept.partitions]
    return [max(begin.start.get(index, 0), one.first) for index, one in enumerate(kept.partitions)]

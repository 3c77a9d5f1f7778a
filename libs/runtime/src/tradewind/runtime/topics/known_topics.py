"""From a name that a person typed to a topic."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tradewind.model.identifiers import Venue
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.topics.plain_text import shown
from tradewind.wire.encoding import MESSAGE_TYPES
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import RecordKind
from tradewind.wire.topics import FIXED_TOPICS, Topic, dead_letters_of, market_events

_MAX_NEAR: Final = 4
_MARKET_PREFIX: Final = market_events(Venue("")).name
_VENUE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

TYPE_NAMES: Final = (MarketBatch.__name__, *MESSAGE_TYPES, *RecordKind.__members__)
"""What ``--type`` takes: a message type, or a kind of market record."""


class UnknownTopic(StartRefused):
    """No topic has this name; the message says which are near."""


def topics_of(venues: Iterable[str]) -> dict[str, Topic]:
    """Name -> topic: market data of the venues, then all others; without the dead letters."""
    markets = (market_events(Venue(venue)) for venue in dict.fromkeys(venues) if _VENUE.fullmatch(venue))
    return {topic.name: topic for topic in (*markets, *FIXED_TOPICS)}


def with_dead_letters(topics: Mapping[str, Topic]) -> dict[str, Topic]:
    """The same and their dead-letter topics, after all others."""
    letters = (dead_letters_of(name) for name in topics)
    return {**topics, **{topic.name: topic for topic in letters}}


def named_topics(names: Sequence[str], known: Mapping[str, Topic]) -> list[Topic]:
    """The topics of these names, each once.

    Raises:
        UnknownTopic: there is no such topic.
    """
    if unknown := next((name for name in names if name not in known), None):
        raise UnknownTopic(f"there is no topic {shown(unknown)!r}; {_near(unknown, list(known))}")
    return [known[name] for name in dict.fromkeys(names)]


def check_names(names: Iterable[str], venue: str) -> None:
    """Refuse a wrong name before any broker is asked. Which venues have market data only a broker knows.

    Raises:
        UnknownTopic: there can be no such topic.
    """
    known = with_dead_letters(topics_of([venue]))
    named_topics([name for name in names if not name.startswith(_MARKET_PREFIX)], known)


def checked_type(name: str | None) -> str | None:
    """A name that ``--type`` takes.

    Raises:
        StartRefused: no message type and no kind of market record.
    """
    if name is not None and name not in TYPE_NAMES:
        raise StartRefused(f"there is no message type {shown(name)!r}; {_near(name, TYPE_NAMES)}")
    return name


def _near(name: str, names: Sequence[str]) -> str:
    lowered = {one.lower(): one for one in names}
    if near := difflib.get_close_matches(name.lower(), lowered, n=_MAX_NEAR, cutoff=0.5):
        return f"near it: {', '.join(lowered[one] for one in near)}"
    return f"there are: {', '.join(names)}"

"""The order of one publisher's messages, as its readers can check it: who sent, which number, and which came before.

A queue that was full begins to accept again by itself, and may then take a message before an earlier one that it has
rejected and that is on its way again. And what is sent again because nobody knew whether it had arrived may be there
twice. Both show in the message id, ``<publisher>-<number>-<number before>``: a message whose predecessor has not come
is held back until it has, for a few seconds; one that has come is dropped. So order and single delivery hold as long as
one reader reads a queue; a reader that takes over knows nothing of what came before, and begins with what comes first.
"""

import bisect
import collections
import dataclasses
import operator
from collections.abc import Iterator
from typing import Final

from tradewind.bus.rabbitmq_messages import Arrival

HOLD_S: Final = 5.0
"""How long a message waits for its predecessor; then something outside the platform took that from the queue."""

_PUBLISHERS: Final = 1_000
_HOLES: Final = 16
_PARTS: Final = 3
_number_of: Final = operator.itemgetter(0)


def message_id(publisher: str, number: int, before: int) -> str:
    """The id of a message; ``before`` is -1 for a publisher's first."""
    return f"{publisher}-{number}-{before if before >= 0 else ''}"


def _parsed(text: str | None) -> tuple[str, int, int] | None:
    parts = (text or "").split("-")
    if len(parts) != _PARTS or not parts[1].isdecimal() or not (parts[2].isdecimal() or not parts[2]):
        return None  # Not from one of us: there is nothing to check.
    return parts[0], int(parts[1]), int(parts[2] or -1)


@dataclasses.dataclass(slots=True)
class _Story:
    """What came from one publisher."""

    last: int
    held: list[tuple[int, int, Arrival]] = dataclasses.field(default_factory=list)  # number, number before, message
    held_since: float = 0.0
    holes: collections.deque[range] = dataclasses.field(default_factory=lambda: collections.deque(maxlen=_HOLES))


class InOrder:
    """The messages of one queue, each publisher's in order and once."""

    def __init__(self) -> None:
        self.repeated = 0
        self._stories: collections.OrderedDict[str, _Story] = collections.OrderedDict()

    def take(self, one: Arrival, now: float) -> list[Arrival]:
        """What can be handed on now that ``one`` has come. Nothing: it is held back, or was here already."""
        if (parsed := _parsed(one.message_id)) is None:
            return [one]
        publisher, number, before = parsed
        if (story := self._stories.get(publisher)) is None:
            self._stories[publisher] = _Story(number)
            if len(self._stories) > _PUBLISHERS:
                self._stories.popitem(last=False)
            return [one]
        if number <= story.last:
            return self._late(story, number, one)
        if before <= story.last:
            story.last = number
            return [one, *self._fitting(story, now)] if story.held else [one]
        if not story.held:
            story.held_since = now
        bisect.insort(story.held, (number, before, one), key=_number_of)
        return []

    def overdue(self, now: float) -> list[Arrival]:
        """What was held back for too long; its predecessors are no longer waited for."""
        result: list[Arrival] = []
        for story in self._stories.values():
            if story.held and now - story.held_since >= HOLD_S:
                before = story.held[0][1]
                story.holes.append(range(story.last + 1, before + 1))
                story.last = max(story.last, before)
                result += self._fitting(story, now)
        return result

    def held(self) -> Iterator[Arrival]:
        """What is held back now."""
        for story in self._stories.values():
            yield from (one for _, _, one in story.held)

    def _late(self, story: _Story, number: int, one: Arrival) -> list[Arrival]:
        for place, hole in enumerate(story.holes):
            if number in hole:
                story.holes[place] = range(number + 1, hole.stop)
                return [one]
        self.repeated += 1
        return []

    def _fitting(self, story: _Story, now: float) -> list[Arrival]:
        result = []
        while story.held and story.held[0][1] <= story.last:
            number, _, one = story.held.pop(0)
            if number > story.last:
                story.last = number
                result.append(one)
            else:
                self.repeated += 1
        story.held_since = now
        return result


class Once:
    """The messages of one stream, each once: a stream rejects nothing, so it has no holes, only what was resent."""

    def __init__(self) -> None:
        self._last: collections.OrderedDict[str, int] = collections.OrderedDict()

    def is_new(self, one: Arrival) -> bool:
        """Whether it was not here already."""
        if (parsed := _parsed(one.message_id)) is None:
            return True
        publisher, number, _ = parsed
        if number <= self._last.get(publisher, -1):
            return False
        self._last[publisher] = number
        if len(self._last) > _PUBLISHERS:
            self._last.popitem(last=False)
        return True

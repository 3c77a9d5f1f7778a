"""Change tracking: every change of the view model gets a rising revision, so that a client is told what is new to it.

A client remembers one number, the revision it has seen. Whatever was changed since is sent, however long ago that was:
a client that comes late or reads slowly gets fewer and larger messages, never a queue.
"""

import itertools
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Revisions:
    """The counter that all parts of one view model share."""

    __slots__ = ("now", "prices")

    def __init__(self) -> None:
        self.now = 0
        self.prices = 0
        """Of the last change of any price: many instruments, and each client asks."""

    def next(self) -> int:
        """The revision of the next change."""
        self.now += 1
        return self.now


class Tail(Generic[V]):
    """The newest ``capacity`` items of an endless series."""

    def __init__(self, revisions: Revisions, capacity: int) -> None:
        self._revisions = revisions
        self._items: deque[tuple[int, V]] = deque(maxlen=capacity)
        self.revision = 0

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[V]:
        """Oldest first."""
        return (item for _, item in self._items)

    def extend(self, items: Iterable[V]) -> None:
        """Add items, oldest first, as one change."""
        self.revision = revision = self._revisions.next()
        self._items.extend((revision, item) for item in items)

    def put_before(self, items: list[V]) -> None:
        """Add older items, oldest first, as far as there is room; clients that are there already are not told."""
        room = (self._items.maxlen or 0) - len(self._items)
        self._items.extendleft((0, item) for item in itertools.islice(reversed(items), room))

    def newest(self, count: int) -> list[V]:
        """At most ``count`` items, newest first."""
        return [item for _, item in itertools.islice(reversed(self._items), count)]

    def since(self, revision: int) -> list[V]:
        """Items added after ``revision``, oldest first."""
        new = [item for _, item in itertools.takewhile(lambda entry: entry[0] > revision, reversed(self._items))]
        new.reverse()
        return new


class Latest(Generic[K, V]):
    """The present value of each key, in order of its last change; a new key beyond ``capacity`` is not taken."""

    def __init__(self, revisions: Revisions, capacity: int) -> None:
        self._revisions = revisions
        self._capacity = capacity
        self._entries: OrderedDict[K, tuple[int, V]] = OrderedDict()
        self.revision = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def get(self, key: K) -> V | None:
        """The value of a key, if there is one."""
        entry = self._entries.get(key)
        return entry[1] if entry else None

    def set(self, key: K, value: V) -> None:
        """Give a key its value; it counts as changed even when the value is the same object."""
        if key not in self._entries and len(self._entries) >= self._capacity:
            return
        self.revision = self._revisions.next()
        self._entries[key] = (self.revision, value)
        self._entries.move_to_end(key)

    def evict(self, key: K) -> None:
        """Forget a key. Clients are not told."""
        del self._entries[key]

    def items(self) -> Iterator[tuple[K, V]]:
        """All keys and values, the one unchanged for longest first."""
        return ((key, value) for key, (_, value) in self._entries.items())

    def values(self) -> Iterator[V]:
        """All values, the one unchanged for longest first."""
        return (value for _, value in self._entries.values())

    def newest(self) -> Iterator[V]:
        """All values, the last changed first."""
        return (value for _, value in reversed(self._entries.values()))

    def since(self, revision: int) -> list[V]:
        """Values changed after ``revision``, the last changed first."""
        changed = itertools.takewhile(lambda entry: entry[0] > revision, reversed(self._entries.values()))
        return [value for _, value in changed]

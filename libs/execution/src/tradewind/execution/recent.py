"""A bounded memory of what was seen lately; the oldest is forgotten first. The store knows the rest."""

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The newest ``capacity`` entries by key."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: dict[K, V] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The entry of ``key``, if it is still remembered."""
        return self._entries.get(key)

    def put(self, key: K, value: V) -> None:
        """Remember an entry; over capacity the oldest goes."""
        self._entries[key] = value
        if len(self._entries) > self._capacity:
            del self._entries[next(iter(self._entries))]

    def pop(self, key: K) -> V | None:
        """Forget and return an entry."""
        return self._entries.pop(key, None)

    def items(self) -> list[tuple[K, V]]:
        """All keys and entries, oldest first."""
        return list(self._entries.items())

    def values(self) -> list[V]:
        """All entries, oldest first."""
        return list(self._entries.values())

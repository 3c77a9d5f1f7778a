"""Which partition a key belongs to, and which member of a group reads it. Pure functions, no state."""

import functools
import zlib
from collections.abc import Sequence
from typing import TypeVar

M = TypeVar("M")


@functools.lru_cache(maxsize=4096)
def partition_of(key: str, partitions: int) -> int:
    """The partition of a key: CRC-32 of its UTF-8, the same in every process and on every start."""
    return zlib.crc32(key.encode()) % partitions if partitions > 1 else 0


def rebalanced(owners: Sequence[M | None], members: Sequence[M]) -> list[M | None]:
    """The owner of each partition after members came or went: evenly spread, with as few moves as that allows.

    A move costs a redelivery of what was uncommitted, so an owner that can keep its partition keeps it.
    """
    result: list[M | None] = [owner if owner is not None and owner in members else None for owner in owners]
    if not members:
        return result
    held: dict[M, list[int]] = {member: [] for member in members}
    for partition, owner in enumerate(result):
        if owner is not None:
            held[owner].append(partition)
    orphans = [partition for partition, owner in enumerate(result) if owner is None]
    while True:
        poorest = min(members, key=lambda member: len(held[member]))
        if orphans:
            partition = orphans.pop(0)
        else:
            richest = max(members, key=lambda member: len(held[member]))
            if len(held[richest]) - len(held[poorest]) <= 1:
                return result
            partition = held[richest].pop()
        held[poorest].append(partition)
        result[partition] = poorest

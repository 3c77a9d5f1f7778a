"""How far the recorder has come in each topic, written in the transaction of the rows that it tells of."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from tradewind.store.database import Database

if TYPE_CHECKING:
    from tradewind.store.database import Connection

_SAVE = """
    INSERT INTO recorder_positions (topic, partition, next_offset, ts_publish)
    SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[])
    ON CONFLICT (topic, partition) DO UPDATE
    SET next_offset = EXCLUDED.next_offset, ts_publish = EXCLUDED.ts_publish
"""


class RecorderPosition(msgspec.Struct, frozen=True):
    """``next_offset`` is the first that is not stored; ``ts_publish`` (ns) is of the message before it."""

    topic: str
    partition: int
    next_offset: int
    ts_publish: int


async def save_positions(connection: "Connection", positions: Sequence[RecorderPosition]) -> None:
    """Write them as part of the caller's transaction; at most one for each partition."""
    if positions:
        await connection.execute(_SAVE, *map(list, zip(*map(msgspec.structs.astuple, positions), strict=True)))


class RecorderPositionRepository:
    """The table ``recorder_positions``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, topic: str) -> dict[int, RecorderPosition]:
        """Positions by partition; none on the first start.

        Raises:
            DatabaseUnavailable: no answer.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch("SELECT * FROM recorder_positions WHERE topic = $1", topic)
        return {row["partition"]: RecorderPosition(**row) for row in rows}

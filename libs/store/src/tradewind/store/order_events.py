"""Order events as they were told on the bus, over time: written by the recorder, read by whoever asks what happened.

One order's story comes from the order path's own journal (the view ``order_stories``), which is never behind.
"""

from collections.abc import Sequence
from typing import Final

from tradewind.model.identifiers import AccountId
from tradewind.store.database import Database
from tradewind.store.page_limits import checked_limit
from tradewind.store.recorder_positions import RecorderPosition, save_positions
from tradewind.store.timestamps import EARLIEST, LATEST, to_timestamp
from tradewind.wire.encoding import VERSIONS, decode, encode, type_name
from tradewind.wire.events import OrderEvent

_INSERT: Final = """
    INSERT INTO order_events (ts, ts_event, ts_init, event_id, account_id, strategy_id, instrument_id, client_order_id,
                              sequence, type, version, status, payload)
    SELECT * FROM unnest($1::timestamptz[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
                         $8::text[], $9::integer[], $10::text[], $11::integer[], $12::text[], $13::bytea[])
    ON CONFLICT DO NOTHING
"""
_EVENTS: Final = """
    SELECT type, version, payload FROM order_events WHERE account_id = $1 AND ts >= $2 AND ts < $3
    ORDER BY ts DESC, ts_event DESC, client_order_id DESC, sequence DESC LIMIT $4
"""


class OrderEventRepository:
    """The table ``order_events``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, events: Sequence[OrderEvent], positions: Sequence[RecorderPosition] = ()) -> int:
        """Store the events that are not there yet, and the positions, in one transaction; returns how many were new.

        Raises:
            ValueError: a time is not in ns since the epoch.
            DatabaseUnavailable: perhaps written; the same call may be made again.
        """
        columns = [list(column) for column in zip(*map(_row, events), strict=True)]
        async with self._database.transaction() as connection:
            done = await connection.execute(_INSERT, *columns) if columns else "INSERT 0 0"
            await save_positions(connection, positions)
        return int(done.rpartition(" ")[2])

    async def events(
        self, account_id: AccountId, *, start_ns: int | None = None, end_ns: int | None = None, limit: int = 1_000
    ) -> list[OrderEvent]:
        """The newest ``limit`` events with ``start_ns <= ts_event < end_ns`` (cut to the microsecond), oldest first.

        Raises:
            ValueError: the limit or a time is out of range.
            DatabaseUnavailable: no answer.
        """
        start = EARLIEST if start_ns is None else to_timestamp(start_ns)
        end = LATEST if end_ns is None else to_timestamp(end_ns)
        async with self._database.connection() as connection:
            rows = await connection.fetch(_EVENTS, account_id, start, end, checked_limit(limit))
        messages = [decode(row["type"], row["version"], row["payload"]) for row in reversed(rows)]
        return [message for message in messages if isinstance(message, OrderEvent)]


def _row(event: OrderEvent) -> tuple[object, ...]:
    name = type_name(event)
    return (
        to_timestamp(event.ts_event),
        event.ts_event,
        event.ts_init,
        event.event_id,
        event.account_id,
        event.strategy_id,
        event.instrument_id,
        event.client_order_id,
        event.sequence,
        name,
        VERSIONS[name],
        event.status.value,
        encode(event),
    )

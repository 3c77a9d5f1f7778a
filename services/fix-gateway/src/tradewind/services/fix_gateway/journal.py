"""The order path's journal, from which reports are made: committed with the orders themselves and never behind."""

from typing import Final

import msgspec

from tradewind.model.identifiers import AccountId, StrategyId
from tradewind.store.database import Database
from tradewind.wire.encoding import decode
from tradewind.wire.events import OrderEvent

_END: Final = "SELECT COALESCE((SELECT id FROM journal WHERE account_id = $1 ORDER BY id DESC LIMIT 1), 0)"
_EVENTS: Final = """
SELECT j.id, j.type, j.version, j.payload FROM journal j JOIN orders o USING (account_id, client_order_id)
WHERE j.account_id = $1 AND o.strategy_id = $2 AND j.id > $3 AND j.id <= $4 AND j.sequence > 0 ORDER BY j.id LIMIT $5
"""


class JournalPage(msgspec.Struct, frozen=True, kw_only=True):
    """Order events of one strategy with their journal ids; all up to ``through`` are in it or before it."""

    events: list[tuple[int, OrderEvent]]
    through: int


class Journal:
    """The journal of one account."""

    def __init__(self, database: Database, account_id: AccountId) -> None:
        self._database = database
        self._account_id = account_id

    async def end(self) -> int:
        """The id of the newest row.

        Raises:
            DatabaseUnavailable: no answer.
        """
        async with self._database.connection() as connection:
            end: int = await connection.fetchval(_END, self._account_id)
        return end

    async def after(self, strategy_id: StrategyId, journal_id: int, most: int) -> JournalPage:
        """What has happened to a strategy's orders after a place, oldest first.

        Raises:
            DatabaseUnavailable: no answer.
        """
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            end = await connection.fetchval(_END, self._account_id)
            rows = await connection.fetch(_EVENTS, self._account_id, strategy_id, journal_id, end, most)
        decoded = ((row["id"], decode(row["type"], row["version"], row["payload"])) for row in rows)
        events = [(number, event) for number, event in decoded if isinstance(event, OrderEvent)]
        is_all = len(rows) < most
        return JournalPage(events=events, through=max(end, journal_id) if is_all else rows[-1]["id"])

"""What a strategy remembers over a crash, and all that the store knows of it, as one picture.

A checkpoint stands at a place in the journal: the state contains every order event of the strategy up to there and none
after it. So a restart is the checkpoint, then the events after it, in their order, each once.
"""

from typing import Any, Final

import msgspec

from tradewind.model.identifiers import AccountId, ClientOrderId, StrategyId, TradeId
from tradewind.model.orders import Order
from tradewind.model.positions import Position
from tradewind.store.database import Database
from tradewind.store.order_store import order_from_row
from tradewind.wire.encoding import decode
from tradewind.wire.events import OrderEvent

LARGEST_CHECKPOINT_BYTES: Final = 16_000_000
RECENT_TRADES: Final = 10_000
RECENT_ORDERS: Final = 1_000
MAX_EVENTS: Final = 100_000
"""Order events that a restart reads; a checkpoint that is further behind is of no use."""

LastEvent = tuple[ClientOrderId, int]
"""The newest order event that a state contains: whose, and its ``sequence``."""


class CheckpointRefused(Exception):
    """It was not saved and never will be: see the message."""


class StoredCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The last checkpoint of a strategy. ``saved_ns`` is the database's clock in ns UTC."""

    state: bytes
    run: int
    journal_id: int
    saved_ns: int


class StrategyPicture(msgspec.Struct, frozen=True, kw_only=True):
    """What the store knows of one strategy on one account, at one moment.

    ``orders`` have no known end; ``closed`` are the newest of those that have one. ``trade_ids`` are the account's
    newest fills, all contained in ``positions``. ``events`` are the strategy's own after its checkpoint, in order: at
    most MAX_EVENTS + 1. ``journal_id`` is where the picture itself stands.
    """

    checkpoint: StoredCheckpoint | None
    positions: list[Position]
    orders: list[Order]
    closed: list[Order]
    trade_ids: list[TradeId]
    events: list[OrderEvent]
    journal_id: int


class CheckpointRepository:
    """The table ``checkpoints``: the last state of each strategy."""

    def __init__(self, database: Database, account_id: AccountId) -> None:
        self._database = database
        self._account_id = account_id

    async def save(
        self, strategy_id: StrategyId, state: bytes, *, run: int, journal_id: int, last_event: LastEvent | None = None
    ) -> int:
        """Replace the strategy's state; returns the place in the journal that it stands at.

        That is the place of ``last_event``, or ``journal_id`` when no event came since then.

        Raises:
            CheckpointRefused: too large, or a newer start has written its own, or the journal has no such event.
            DatabaseUnavailable: not saved, or the answer was lost; the call may be repeated.
        """
        if len(state) > LARGEST_CHECKPOINT_BYTES:
            raise CheckpointRefused(
                f"the checkpoint of {strategy_id} has {len(state)} bytes, at most {LARGEST_CHECKPOINT_BYTES} are kept; "
                "keep less state, or rebuild it from market data"
            )
        order_id, sequence = last_event or (None, None)
        async with self._database.connection() as connection:
            saved: int | None = await connection.fetchval(
                _SAVE, strategy_id, state, run, journal_id, self._account_id, order_id, sequence
            )
            newest: int | None = None
            if saved is None:
                newest = await connection.fetchval("SELECT run FROM checkpoints WHERE strategy_id = $1", strategy_id)
        if saved is not None:
            return saved
        if newest is not None and newest > run:
            raise CheckpointRefused(
                f"start {newest} of {strategy_id} has written its checkpoint, this is start {run}; "
                "stop one of the two: a strategy runs once"
            )
        raise CheckpointRefused(
            f"the journal of {self._account_id} does not hold event {sequence} of {order_id}, which {strategy_id} was "
            "told; check that this strategy uses the database of the execution service that it hears"
        )

    async def load(self, strategy_id: StrategyId) -> StoredCheckpoint | None:
        """The strategy's last checkpoint; None when it never saved one.

        Raises:
            DatabaseUnavailable: no answer.
        """
        async with self._database.connection() as connection:
            return await _checkpoint(connection, strategy_id)

    async def picture(self, strategy_id: StrategyId) -> StrategyPicture:
        """All that the store knows of a strategy, read from one snapshot of the database.

        Raises:
            DatabaseUnavailable: no answer.
        """
        account_id = self._account_id
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            checkpoint = await _checkpoint(connection, strategy_id)
            journal_id = await connection.fetchval(_JOURNAL_END, account_id)
            after = journal_id if checkpoint is None else checkpoint.journal_id
            events = await connection.fetch(_EVENTS, account_id, strategy_id, after, MAX_EVENTS + 1)
            positions = await connection.fetch(_POSITIONS, account_id, strategy_id)
            orders = await connection.fetch(_ORDERS, account_id, strategy_id)
            closed = await connection.fetch(_CLOSED, account_id, strategy_id, RECENT_ORDERS)
            trades = await connection.fetch(_TRADES, account_id, RECENT_TRADES)
        found = [decode(row["type"], row["version"], row["payload"]) for row in events]
        return StrategyPicture(
            checkpoint=checkpoint,
            positions=[msgspec.convert(dict(row), Position) for row in positions],
            orders=[order_from_row(row) for row in orders],
            closed=[order_from_row(row) for row in reversed(closed)],
            trade_ids=[TradeId(row["trade_id"]) for row in reversed(trades)],
            events=[event for event in found if isinstance(event, OrderEvent) and event.strategy_id == strategy_id],
            journal_id=journal_id,
        )


async def _checkpoint(connection: Any, strategy_id: StrategyId) -> StoredCheckpoint | None:
    row = await connection.fetchrow(_LOAD, strategy_id)
    return None if row is None else StoredCheckpoint(**dict(row))


_SAVE: Final = """
WITH place AS (
    SELECT CASE WHEN $6::text IS NULL THEN $4::bigint
           ELSE (SELECT id FROM journal WHERE account_id = $5 AND client_order_id = $6 AND sequence = $7::integer
                 AND sequence > 0) END AS id
)
INSERT INTO checkpoints AS c (strategy_id, state, ts, run, journal_id)
SELECT $1, $2, clock_timestamp(), $3, greatest(place.id, $4) FROM place WHERE place.id IS NOT NULL
ON CONFLICT (strategy_id) DO UPDATE
SET state = EXCLUDED.state, ts = EXCLUDED.ts, run = EXCLUDED.run, journal_id = EXCLUDED.journal_id
WHERE c.run <= EXCLUDED.run
RETURNING journal_id
"""
_LOAD: Final = (
    "SELECT state, run, journal_id, (extract(epoch FROM ts) * 1000000000)::bigint AS saved_ns"
    " FROM checkpoints WHERE strategy_id = $1"
)
_JOURNAL_END: Final = "SELECT COALESCE((SELECT id FROM journal WHERE account_id = $1 ORDER BY id DESC LIMIT 1), 0)"
_EVENTS: Final = """
SELECT j.type, j.version, j.payload FROM journal j JOIN orders o USING (account_id, client_order_id)
WHERE j.account_id = $1 AND o.strategy_id = $2 AND j.id > $3 AND j.sequence > 0 ORDER BY j.id LIMIT $4
"""
_POSITIONS: Final = "SELECT * FROM positions WHERE account_id = $1 AND strategy_id = $2"
_UNFINISHED: Final = "(status NOT IN ('DENIED', 'REJECTED', 'FILLED', 'CANCELED', 'EXPIRED') OR outcome = 'UNKNOWN')"
_ORDERS: Final = (
    f"SELECT * FROM orders WHERE account_id = $1 AND strategy_id = $2 AND {_UNFINISHED}"  # noqa: S608 - our own words
    " ORDER BY ts_init, client_order_id"
)
_CLOSED: Final = (
    f"SELECT * FROM orders WHERE account_id = $1 AND strategy_id = $2 AND NOT {_UNFINISHED}"  # noqa: S608 - as above
    " ORDER BY ts_init DESC, client_order_id LIMIT $3"
)
_TRADES: Final = "SELECT trade_id FROM fills WHERE account_id = $1 ORDER BY ts_event DESC, trade_id LIMIT $2"

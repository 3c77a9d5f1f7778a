"""What a strategy remembers over a restart, as bytes of its own making."""

from typing import Final

from tradewind.model.identifiers import StrategyId
from tradewind.store.database import Database

LARGEST_CHECKPOINT_BYTES: Final = 16_000_000


class CheckpointRepository:
    """The table ``checkpoints``: the last state of each strategy."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, strategy_id: StrategyId, state: bytes) -> None:
        """Replace the strategy's state.

        Raises:
            ValueError: larger than LARGEST_CHECKPOINT_BYTES.
            DatabaseUnavailable: not saved, or the answer was lost; the call may be repeated.
        """
        if len(state) > LARGEST_CHECKPOINT_BYTES:
            raise ValueError(
                f"the checkpoint of {strategy_id} has {len(state)} bytes, at most {LARGEST_CHECKPOINT_BYTES} are kept; "
                "keep less state, or rebuild it from market data"
            )
        async with self._database.connection() as connection:
            await connection.execute(
                "INSERT INTO checkpoints (strategy_id, state, ts) VALUES ($1, $2, clock_timestamp()) "
                "ON CONFLICT (strategy_id) DO UPDATE SET state = EXCLUDED.state, ts = EXCLUDED.ts",
                strategy_id,
                state,
            )

    async def load(self, strategy_id: StrategyId) -> bytes | None:
        """The strategy's last state; None when it never saved one.

        Raises:
            DatabaseUnavailable: no answer.
        """
        async with self._database.connection() as connection:
            state: bytes | None = await connection.fetchval(
                "SELECT state FROM checkpoints WHERE strategy_id = $1", strategy_id
            )
        return state

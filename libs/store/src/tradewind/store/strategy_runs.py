"""The durable count of a strategy's starts, from which its order ids are made."""

from tradewind.model.identifiers import StrategyId
from tradewind.store.database import Database


class StrategyRunRepository:
    """The table ``strategy_runs``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def next_run(self, strategy_id: StrategyId) -> int:
        """The number of this start, from 1; no two calls get the same, whichever process makes them.

        Raises:
            DatabaseUnavailable: no answer; the number may have been used up, which does no harm.
        """
        async with self._database.connection() as connection:
            run: int = await connection.fetchval(
                "INSERT INTO strategy_runs AS r (strategy_id, run) VALUES ($1, 1) "
                "ON CONFLICT (strategy_id) DO UPDATE SET run = r.run + 1 RETURNING run",
                strategy_id,
            )
        return run

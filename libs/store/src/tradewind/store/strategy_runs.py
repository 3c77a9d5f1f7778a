"""The durable count of a strategy's starts, from which its order ids are made."""

from tradewind.model.identifiers import StrategyId
from tradewind.store.database import Database


class StrategyRunRepository:
    """The table ``strategy_runs``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def next_run(self, strategy_id: StrategyId, holder: str = "") -> int:
        """The number of this start, from 1; no two calls get the same, whichever process makes them.

        ``holder`` names the caller: from now on the strategy is its, and no other's.

        Raises:
            DatabaseUnavailable: no answer; the number may have been used up, which does no harm.
        """
        async with self._database.connection() as connection:
            run: int = await connection.fetchval(
                "INSERT INTO strategy_runs AS r (strategy_id, run, holder) VALUES ($1, 1, $2) "
                "ON CONFLICT (strategy_id) DO UPDATE SET run = r.run + 1, holder = $2 RETURNING run",
                strategy_id,
                holder,
            )
        return run

"""Reference and market data, equity, audit, trading states, runs, checkpoints."""

from tradewind.store.migrations.steps import run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    run_sql(__file__)

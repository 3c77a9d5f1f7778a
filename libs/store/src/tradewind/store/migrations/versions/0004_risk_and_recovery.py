"""Risk counters, the kill switch, what reconciliation found, and strategies' checkpoints."""

from tradewind.store.migrations.steps import run_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    run_sql(__file__)

"""The order path: orders, events, fills, positions, books, outbox, leases."""

from tradewind.store.migrations.steps import run_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    run_sql(__file__)

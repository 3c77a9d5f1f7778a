"""The recorder's tables, bars of five widths, and TimescaleDB where it can be had."""

from tradewind.store.migrations.steps import run_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    run_sql(__file__)

"""The page and its people: users, sessions, tokens, audit lines; alerts; what strategies are set to."""

from tradewind.store.migrations.steps import run_sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply the SQL file of the same name."""
    run_sql(__file__)

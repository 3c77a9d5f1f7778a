"""The schema's history: one SQL file and one Alembic revision for each step, applied in the order of their numbers."""

from tradewind.store.migrations.runner import MigrationError, current_revision, head_revision, migrate

__all__ = ["MigrationError", "current_revision", "head_revision", "migrate"]

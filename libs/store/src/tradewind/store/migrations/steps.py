"""Put one SQL file into the script that Alembic writes."""

from pathlib import Path

from alembic import op

_SQL = Path(__file__).parent / "sql"


def run_sql(revision_file: str) -> None:
    """Add the SQL file of a revision: the file in ``sql/`` with the same name as the revision's module.

    It is written as it stands; through ``op.execute`` a percent sign or a colon in it would be taken for a parameter.
    """
    script = (_SQL / f"{Path(revision_file).stem}.sql").read_text(encoding="utf-8")
    op.get_context().impl.static_output(script)

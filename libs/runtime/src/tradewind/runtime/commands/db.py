"""``tradewind db``: the database's schema."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from tradewind.runtime.stop_signals import StopSwitch


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(name="db", help="The database's schema.", no_args_is_help=True, rich_markup_mode=None)
    group.callback()(_group)
    group.command("migrate")(migrate)
    app.add_typer(group)


def migrate() -> None:
    """Bring the database to this version's schema. Safe to run again, and from several processes at once.

    Without TRADEWIND_POSTGRES_DSN it is the embedded database under TRADEWIND_DATA_DIR.

    \b
    Examples:
      tradewind db migrate
      TRADEWIND_POSTGRES_DSN=postgresql://me@db/tradewind tradewind db migrate
    """
    # Imported late: stores and buses take most of a second, which --help and --version need not wait for.
    from tradewind.runtime.process_running import load_platform_settings, run_process
    from tradewind.runtime.stores_starting import open_postgres

    platform = load_platform_settings()

    async def main(_switch: "StopSwitch") -> None:
        async with open_postgres(platform) as started:
            applied = ", ".join(started.applied)
            typer.echo(f"applied: {applied}" if applied else "nothing to do; the database is up to date")

    raise typer.Exit(run_process(main))


def _group() -> None:
    """The database's schema: migrate."""

"""``tradewind up``: services in one process."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up")(up)


def up(
    services: Annotated[
        list[str] | None, typer.Argument(metavar="[SERVICE ...]", help="Names of services; none means all.")
    ] = None,
) -> None:
    """Run all services, or the named ones, in one process.

    A service that fails is started again with back-off. The first Ctrl-C stops everything in order: strategies first,
    then the api, feeds, the order path, the books, and the simulated venue last. A second Ctrl-C ends at once.

    \b
    Examples:
      tradewind up
      tradewind up sim-venue market-data api
      TRADEWIND_API_PORT=9000 tradewind up
      TRADEWIND_POSTGRES_DSN=postgresql://me@db/tradewind tradewind up
    """
    # Imported late: stores and buses take most of a second, which --help and --version need not wait for.
    from tradewind.runtime.service_registry import load_services
    from tradewind.runtime.service_running import run_services

    raise typer.Exit(run_services(load_services(services), live_status=True))

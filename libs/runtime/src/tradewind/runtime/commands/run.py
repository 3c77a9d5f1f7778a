"""``tradewind run``: one service in one process, as a container does."""

from typing import Annotated

import typer

from tradewind.runtime.supervised import end_with_parent


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(service: Annotated[str, typer.Argument(help="The service's name, as `tradewind services` lists it.")]) -> None:
    """Run one service until it is stopped by SIGTERM or Ctrl-C.

    With TRADEWIND_HEALTH_PORT set it answers /healthz, /readyz and /metrics there.

    \b
    Examples:
      tradewind run market-data
      TRADEWIND_HEALTH_PORT=9100 TRADEWIND_LOG_FORMAT=json tradewind run recorder
    """
    # Before anything that takes time: a supervisor that ended meanwhile must not leave us behind.
    end_with_parent()
    # Imported late: stores and buses take most of a second, which --help and --version need not wait for.
    from tradewind.runtime.service_registry import load_services
    from tradewind.runtime.service_running import run_services

    raise typer.Exit(run_services(load_services([service]), live_status=False))

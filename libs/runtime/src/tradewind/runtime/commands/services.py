"""``tradewind services``: what is installed."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from tradewind.runtime.service import Service


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("services")(services)


def services() -> None:
    """List the installed services, what each is for the platform, and the variables that set it up.

    \b
    Example:
      tradewind services
    """
    # Imported late: the services' code takes most of a second, which --help and --version need not wait for.
    from rich.console import Console
    from rich.table import Table

    from tradewind.runtime.service_registry import load_services

    table = Table("service", "kind", "variables", box=None, pad_edge=False)
    for name, service in load_services().items():
        table.add_row(name, service.kind.name.lower().replace("_", "-"), _variables(service))
    Console().print(table)


def _variables(service: "Service") -> str:
    from tradewind.runtime.settings import service_prefix

    prefix = service_prefix(service.name)
    return "\n".join(prefix + field.upper() for field in service.settings.__struct_fields__) or "-"

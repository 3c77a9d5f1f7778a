"""``tradewind services``: what is installed."""

import typer
from rich.console import Console
from rich.table import Table

from tradewind.runtime.service import Service
from tradewind.runtime.service_registry import load_services
from tradewind.runtime.settings import service_prefix


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("services")(services)


def services() -> None:
    """List the installed services, what each is for the platform, and the variables that set it up.

    Example:

      tradewind services
    """
    table = Table("service", "kind", "variables", box=None, pad_edge=False)
    for name, service in load_services().items():
        table.add_row(name, service.kind.name.lower().replace("_", "-"), _variables(service))
    Console().print(table)


def _variables(service: Service) -> str:
    prefix = service_prefix(service.name)
    return "\n".join(prefix + field.upper() for field in service.settings.__struct_fields__) or "-"

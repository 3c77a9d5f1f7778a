"""``tradewind venues``: the exchange adapters, and what each can do on this machine."""

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("venues")(venues)


def venues() -> None:
    """List the installed exchange adapters, what each can do, and what is missing here for those that cannot work.

    TRADEWIND_VENUE_ADAPTER chooses one by its name.

    \b
    Example:
      tradewind venues
    """
    # Imported late: the adapters' code takes most of a second, which --help and --version need not wait for.
    from rich.console import Console
    from rich.table import Table

    from tradewind.venue.adapters import installed_adapters

    table = Table("adapter", "market data", "orders", "what", box=None, pad_edge=False)
    for one in installed_adapters():
        can = ["yes" if able and not one.missing else "no" for able in (one.market_data, one.execution)]
        what = f"{one.about}\ncannot be used here: {one.missing}".strip() if one.missing else one.about
        table.add_row(one.name, *can, what)
    Console(markup=False).print(table)

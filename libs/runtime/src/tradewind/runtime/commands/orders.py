"""``tradewind orders`` and ``tradewind accounts``: what an operator looks at and decides, by way of the api service."""

from typing import Annotated, Final

import typer

Name = Annotated[str, typer.Argument(metavar="ORDER", help="The order's client_order_id.")]
Why = Annotated[str, typer.Option("--why", help="The reason, for the audit: 3 to 200 characters.")]
Url = Annotated[str, typer.Option(envvar="TRADEWIND_API_URL", help="Address of the platform's api service.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

_URL: Final = "http://127.0.0.1:8080"
_ORDERS_HELP: Final = """Look at open orders; end a doubt; give an external order to a strategy.

See docs/operating/unknown-order.md before you resolve anything.

\b
Examples:
  tradewind orders list --unknown
  tradewind orders resolve ema-cross-3-17 NOT_AT_VENUE --why "the venue's desk has no such order"
  tradewind orders claim web_1f3a ema-cross --why "sent by hand for it"
"""
_ACCOUNTS_HELP: Final = """Compare the account at the venue with the books.

\b
Example:
  tradewind accounts reconcile
"""


def register(app: typer.Typer) -> None:
    """Add the groups."""
    orders = typer.Typer(name="orders", help=_ORDERS_HELP, no_args_is_help=True, rich_markup_mode=None)
    orders.command("list")(list_orders)
    orders.command("resolve")(resolve)
    orders.command("claim")(claim)
    app.add_typer(orders)
    accounts = typer.Typer(name="accounts", help=_ACCOUNTS_HELP, no_args_is_help=True, rich_markup_mode=None)
    accounts.command("reconcile")(reconcile)
    app.add_typer(accounts)


def list_orders(
    unknown: Annotated[bool, typer.Option("--unknown", help="Only those whose outcome is UNKNOWN.")] = False,
    url: Url = _URL,
) -> None:
    """Show orders without a known end. Leaves with 1 while the outcome of one is UNKNOWN, else with 0.

    \b
    Example:
      tradewind orders list --unknown
    """
    # Imported late, here and below: every process of a service loads all commands.
    from tradewind.runtime.operating import Operating

    raise typer.Exit(Operating(url, typer.echo).orders(unknown=unknown))


def resolve(
    name: Name,
    resolution: Annotated[str, typer.Argument(help="What you have found out: NOT_AT_VENUE, CANCELED or EXPIRED.")],
    why: Why,
    yes: Yes = False,
    url: Url = _URL,
) -> None:
    """End the doubt about an order by your word. If the venue contradicts it later, the venue is believed.

    \b
    Example:
      tradewind orders resolve ema-cross-3-17 CANCELED --why "seen canceled on the venue's page"
    """
    from tradewind.runtime.operating import Operating

    if not yes and not typer.confirm(f"Have you looked at the venue yourself, and is {name} {resolution} there?"):
        raise typer.Exit(1)
    raise typer.Exit(Operating(url, typer.echo).resolve(name, resolution, why=why))


def claim(
    name: Name,
    strategy: Annotated[str, typer.Argument(help="The strategy that the order's later fills go to.")],
    why: Why,
    url: Url = _URL,
) -> None:
    """Give an open order of EXTERNAL to a strategy. What has filled stays in EXTERNAL's book.

    \b
    Example:
      tradewind orders claim web_1f3a ema-cross --why "sent by hand for it"
    """
    from tradewind.runtime.operating import Operating

    raise typer.Exit(Operating(url, typer.echo).claim(name, strategy, why=why))


def reconcile(url: Url = _URL) -> None:
    """Show the last comparison of the venue's balances with the books. Leaves with 1 when they differ, else with 0.

    \b
    Example:
      tradewind accounts reconcile
    """
    from tradewind.runtime.operating import Operating

    raise typer.Exit(Operating(url, typer.echo).comparison())

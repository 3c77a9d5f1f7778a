"""``tradewind login`` and ``tradewind logout``: who the commands on this machine act as."""

from typing import Annotated, Final

import typer

Url = Annotated[str, typer.Option(envvar="TRADEWIND_API_URL", help="Address of the platform's api service.")]
_URL: Final = "http://127.0.0.1:8080"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("login")(login)
    app.command("logout")(logout)


def login(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Your name on the platform.")],
    days: Annotated[int, typer.Option("--days", min=1, max=365, help="How long the token lasts.")] = 30,
    url: Url = _URL,
) -> None:
    """Log in to a platform, so that kill, orders, accounts and status act as you.

    What is kept is an api token in a file of your own, never the password. TRADEWIND_API_TOKEN and
    TRADEWIND_API_TOKEN_FILE come before it.

    \b
    Example:
      tradewind login anna
    """
    # Imported late: every process of a service loads all commands.
    from tradewind.runtime.logging_in import log_in

    log_in(url, name, typer.prompt("Password", hide_input=True), days, typer.echo)


def logout(url: Url = _URL) -> None:
    """Revoke the token that `tradewind login` made, and forget it.

    \b
    Example:
      tradewind logout
    """
    from tradewind.runtime.logging_in import log_out

    log_out(url, typer.echo)

"""``tradewind kill``: engage a kill switch, look at it, release it; by way of the platform's api service."""

from typing import Annotated, Final

import typer

Scope = Annotated[
    str,
    typer.Argument(metavar="SCOPE", help="firm, account:BINANCE-main, strategy:ema-cross, instrument:BTCUSDT.BINANCE."),
]
Why = Annotated[str, typer.Option("--why", help="The reason, for the audit: 3 to 200 characters.")]
Actor = Annotated[str, typer.Option("--actor", help="With --past-api: who does it.  [default: your user name]")]
Url = Annotated[str, typer.Option(envvar="TRADEWIND_API_URL", help="Address of the platform's api service.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

_URL: Final = "http://127.0.0.1:8080"
_HELP: Final = """Halt trading of a scope, cancel everything there, close positions if asked, and prove it.

A switch goes through ENGAGED, CANCELING, FLATTENING (with --flatten), VERIFYING to FLAT: proven by the venue's own
snapshot. STUCK says what is in the way, and goes on trying. It stays engaged, over every restart, until `kill release`
by another person than the one who engaged it. Who you are: `tradewind login`.
See docs/operating/kill-switch.md.

\b
Examples:
  tradewind kill engage firm --why "fills look wrong"
  tradewind kill engage strategy:ema-cross --flatten --why "runaway" --yes
  tradewind kill status
  tradewind kill release firm --why "cause found and fixed"
"""


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(name="kill", help=_HELP, no_args_is_help=True, rich_markup_mode=None)
    group.command("engage")(engage)
    group.command("status")(status)
    group.command("release")(release)
    app.add_typer(group)


def engage(
    scope: Scope,
    why: Why,
    flatten: Annotated[bool, typer.Option("--flatten", help="Close the scope's positions at the market too.")] = False,
    actor: Actor = "",
    yes: Yes = False,
    wait_s: Annotated[float, typer.Option("--wait", min=0, help="Seconds to watch it come to FLAT; 0: do not.")] = 300,
    past_api: Annotated[
        bool, typer.Option("--past-api", help="Hand it to the broker itself: for when the api service is away.")
    ] = False,
    url: Url = _URL,
) -> None:
    """Engage the kill switch of a scope and show its stages until it is FLAT.

    Leaves with 0 when it is FLAT, with 1 when it is not yet; the platform goes on either way. Engaging again is
    harmless, and may add --flatten.

    \b
    Examples:
      tradewind kill engage firm --why "fills look wrong"
      tradewind kill engage account:BINANCE-main --flatten --why "leaving the market" --yes
      TRADEWIND_BUS_URL=kafka://127.0.0.1:9092 tradewind kill engage firm --why "page is dead" --past-api
    """
    # Imported late, here and below: every process of a service loads all commands.
    from tradewind.runtime.killing import Killing, hand_over

    asked = f"Halt {scope}, cancel everything that rests in it{' and CLOSE its positions at the market' * flatten}?"
    if not yes and not typer.confirm(asked):
        raise typer.Exit(1)
    if past_api:
        hand_over(scope, flatten=flatten, why=why, actor=actor)
        typer.echo(
            "The broker has it. Look at `tradewind kill status` when the api service is back, and at risk's log."
        )
        return
    raise typer.Exit(Killing(url, typer.echo).engage(scope, flatten=flatten, why=why, wait_s=wait_s))


def status(url: Url = _URL) -> None:
    """Show the engaged kill switches and the last released. Leaves with 1 while one is engaged, else with 0.

    \b
    Example:
      tradewind kill status
    """
    from tradewind.runtime.killing import Killing

    raise typer.Exit(Killing(url, typer.echo).status())


def release(
    scope: Scope,
    why: Why,
    state: Annotated[str, typer.Option("--state", help="What the scope may do then: ACTIVE or REDUCING.")] = "ACTIVE",
    force: Annotated[
        bool, typer.Option("--force", help="Although it was not proven flat. Look at the venue yourself first.")
    ] = False,
    yes: Yes = False,
    url: Url = _URL,
) -> None:
    """Release the kill switch of a scope: trading goes on there. It must be FLAT, or --force.

    \b
    Examples:
      tradewind kill release firm --why "cause found and fixed"
      tradewind kill release strategy:ema-cross --state REDUCING --why "closing by hand"
    """
    from tradewind.runtime.killing import Killing

    asked = f"Release {scope} {'WITHOUT proof that it is flat ' * force}to {state}?"
    if not yes and not typer.confirm(asked):
        raise typer.Exit(1)
    raise typer.Exit(Killing(url, typer.echo).release(scope, state=state, force=force, why=why))

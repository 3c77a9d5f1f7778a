"""``tradewind strategies``: start, stop and change strategies, by way of the api service."""

from typing import Annotated, Final

import typer

Name = Annotated[str, typer.Argument(metavar="STRATEGY", help="Its id, as `tradewind strategies list` shows it.")]
Why = Annotated[str, typer.Option("--why", help="The reason, for the audit: 3 to 200 characters.")]
Url = Annotated[str, typer.Option(envvar="TRADEWIND_API_URL", help="Address of the platform's api service.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to look for what comes of it; 0: do not.")]

_URL: Final = "http://127.0.0.1:8080"
_WAIT_S: Final = 30.0
_HELP: Final = """Start and stop strategies, and change their settings.

The process of a strategy stays; what you ask for is remembered over every restart. See docs/strategies/running.md.

\b
Examples:
  tradewind strategies list
  tradewind strategies stop ema-cross --policy flatten --why "news at 14:00"
  tradewind strategies set ema-cross fast_s=0.8 size=0.02 --restart --why "slower"
  tradewind strategies start ema-cross --why "news are over"
"""


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(name="strategies", help=_HELP, no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_strategies)
    group.command("start")(start)
    group.command("stop")(stop)
    group.command("set")(change)
    app.add_typer(group)


def list_strategies(url: Url = _URL) -> None:
    """Show every strategy: its state, and why. Leaves with 1 when one does not do what was asked for, else with 0.

    \b
    Example:
      tradewind strategies list
    """
    # Imported late, here and below: every process of a service loads all commands.
    from tradewind.runtime.strategy_operating import StrategyOperating

    raise typer.Exit(StrategyOperating(url, typer.echo).show_all())


def start(
    name: Name,
    why: Why,
    policy: Annotated[
        str, typer.Option("--policy", help="resume, flatten or adopt, for this start alone: it ends a hold.")
    ] = "",
    wait_s: Wait = _WAIT_S,
    url: Url = _URL,
) -> None:
    """Start a strategy that is stopped, held or FAILED. Leaves with 0 when it runs, with 1 when it does not yet.

    \b
    Examples:
      tradewind strategies start ema-cross --why "news are over"
      tradewind strategies start ema-cross --policy adopt --why "looked at it: the position is ours"
    """
    from tradewind.runtime.strategy_operating import StrategyOperating

    raise typer.Exit(StrategyOperating(url, typer.echo).start(name, why=why, policy=policy, wait_s=wait_s))


def stop(
    name: Name,
    why: Why,
    policy: Annotated[
        str,
        typer.Option(
            "--policy",
            help="resume: cancel its orders; flatten: close its positions too; hold: leave all.  [default: its own]",
        ),
    ] = "",
    yes: Yes = False,
    wait_s: Wait = _WAIT_S,
    url: Url = _URL,
) -> None:
    """Stop a strategy until it is started again. Leaves with 0 when it is stopped, with 1 when it is not yet.

    \b
    Examples:
      tradewind strategies stop ema-cross --why "news at 14:00"
      tradewind strategies stop ema-cross --policy flatten --why "it loses" --yes
    """
    from tradewind.runtime.strategy_operating import StrategyOperating

    closes = " and CLOSE its positions at the market" if policy == "flatten" else ""
    if not yes and not typer.confirm(f"Stop {name}{closes}?"):
        raise typer.Exit(1)
    raise typer.Exit(StrategyOperating(url, typer.echo).stop(name, why=why, policy=policy, wait_s=wait_s))


def change(
    name: Name,
    values: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=VALUE...", help="Settings; the others stay.")
    ] = None,
    why: Why = "",
    policy: Annotated[str, typer.Option("--policy", help="Its checkpoint policy from the next start on.")] = "",
    restart: Annotated[bool, typer.Option("--restart", help="Start it anew with them now.")] = False,
    wait_s: Wait = _WAIT_S,
    url: Url = _URL,
) -> None:
    """Store settings, or a checkpoint policy; without values show the settings. They count from the next start.

    \b
    Examples:
      tradewind strategies set ema-cross
      tradewind strategies set ema-cross fast_s=0.8 size=0.02 --restart --why "slower"
      tradewind strategies set ema-cross --policy hold --why "a person looks first"
    """
    from tradewind.runtime.strategy_operating import StrategyOperating

    desk = StrategyOperating(url, typer.echo)
    raise typer.Exit(desk.change(name, values or [], why=why, policy=policy, restart=restart, wait_s=wait_s))

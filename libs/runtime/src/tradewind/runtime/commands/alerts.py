"""``tradewind alerts``: what is wrong, taking it on, and trying the channels; by way of the platform's api service."""

from typing import Annotated, Final

import typer

from tradewind.runtime.platform_api import DEFAULT_URL, URL_VARIABLE

Url = Annotated[str, typer.Option(envvar=URL_VARIABLE, help="Address of the platform's api service.")]

_HELP: Final = """What is wrong, who works on it, and whether people can be told.

See docs/operating/alerts.md for what each alert means and what to do first.

\b
Examples:
  tradewind alerts list
  tradewind alerts ack 12 --why "looking at the venue"
  tradewind alerts test
"""


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(name="alerts", help=_HELP, no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_alerts)
    group.command("ack")(acknowledge)
    group.command("test")(try_channels)
    app.add_typer(group)


def list_alerts(
    everything: Annotated[bool, typer.Option("--all", help="Those of the last 30 days that are over too.")] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Show the alerts that are not resolved. Leaves with 1 while one is OPEN, else with 0.

    \b
    Example:
      tradewind alerts list --all
    """
    # Imported late, here and below: every process of a service loads all commands.
    from tradewind.runtime.alerting import Alerting

    raise typer.Exit(Alerting(url, typer.echo).show(everything=everything))


def acknowledge(
    alert_id: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="As `tradewind alerts list` shows it.")],
    why: Annotated[str, typer.Option("--why", help="What you do about it, for the audit: 3 to 200 characters.")],
    url: Url = DEFAULT_URL,
) -> None:
    """Take an alert on: nobody is reminded of it any more. It ends by itself when its cause does.

    \b
    Example:
      tradewind alerts ack 12 --why "looking at the venue"
    """
    from tradewind.runtime.alerting import Alerting

    raise typer.Exit(Alerting(url, typer.echo).acknowledge(str(alert_id), why))


def try_channels(
    wait_s: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for what becomes of it.")] = 30,
    url: Url = DEFAULT_URL,
) -> None:
    """Send one test message to each channel. Leaves with 0 when all took it.

    \b
    Example:
      tradewind alerts test
    """
    from tradewind.runtime.alerting import Alerting

    raise typer.Exit(Alerting(url, typer.echo).test(wait_s))

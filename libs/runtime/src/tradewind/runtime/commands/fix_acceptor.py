"""``tradewind fix-acceptor``: a FIX acceptor that sends back what it gets, for acceptance tests of the protocol."""

from typing import Annotated, Final

import typer

_PORTS: Final = (1, 65535)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("fix-acceptor")(fix_acceptor)


def fix_acceptor(
    port: Annotated[int, typer.Option(min=_PORTS[0], max=_PORTS[1], help="Where to listen, on every interface.")],
    begin_string: Annotated[str, typer.Option(help="FIX.4.2 or FIX.4.4.")] = "FIX.4.4",
    echo: Annotated[bool, typer.Option("--echo", help="Send NewOrderSingle and SecurityDefinition back.")] = False,
    sender: Annotated[str, typer.Option(help="Our SenderCompID.")] = "ISLD",
    target: Annotated[str, typer.Option(help="The peer's SenderCompID; TW and the version when left out.")] = "",
) -> None:
    """Answer one FIX session until Ctrl-C. Both numbers start at 1 with each logon.

    \b
    Example:
      tradewind fix-acceptor --echo --port 5001 --begin-string FIX.4.2
    """
    # Imported late: every process of a service loads all commands.
    from tradewind.runtime.fix_echo import AcceptorPlan, serve

    if not echo:
        raise typer.BadParameter("say --echo: it is the one way in which this acceptor answers", param_hint="--echo")
    plan = AcceptorPlan(port, begin_string, sender, target or f"TW{''.join(begin_string.split('.')[1:])}")
    raise typer.Exit(serve(plan, typer.echo))

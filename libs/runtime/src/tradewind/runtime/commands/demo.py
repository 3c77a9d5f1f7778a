"""``tradewind demo``: everything at once on the simulated venue."""

from pathlib import Path
from typing import Annotated

import typer

from tradewind.runtime.demo.venue_paths import VenuePath


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    replay: Annotated[Path | None, typer.Option(help="A capture to play instead of the venue's own flow.")] = None,
    speed: Annotated[str, typer.Option(help="Of a replay: 1 as recorded, 10 ten times as fast, max.")] = "1",
    duration: Annotated[float | None, typer.Option(help="Leave after so many seconds.")] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Without the page.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Where the databases are kept.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write the figures of the run to this JSON file.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the venue's own flow: the same seed, the same market.")] = None,
    processes: Annotated[bool, typer.Option("--processes", help="Each service as a process of its own.")] = False,
    bus: Annotated[
        str | None, typer.Option(metavar="URL", help="The broker; TRADEWIND_BUS_URL if it has a password.")
    ] = None,
    lockstep: Annotated[
        bool, typer.Option("--lockstep", help="A replay waits at each step until every strategy has answered.")
    ] = False,
    venue: Annotated[
        VenuePath | None, typer.Option(help="How orders and data travel; binance when left out. fix needs QuickFIX.")
    ] = None,
) -> None:
    """Trade on a simulated exchange, in one process, with the page open.

    Without --replay the simulated venue makes its own order flow and the demo runs until Ctrl-C; what it traded is
    kept in ~/.local/share/tradewind. With --replay it plays recorded Binance spot traffic to its end, in a temporary
    folder unless --data-dir names one, prints what happened and leaves. No real exchange is ever reached.

    With --processes each service is a process, and they meet at a broker: --bus URL, TRADEWIND_BUS_URL, or
    kafka://127.0.0.1:9092. On a broker every demo gives its topics a prefix of its own. With --lockstep the orders and
    fills of a replay depend on nobody's speed: `outcome` in the report is then the same on every bus.

    --venue chooses the way to the simulated venue: REST and streams as Binance has them, FIX 4.4 for orders, or (itch)
    market data over ITCH 5.0 and orders over OUCH 4.2.

    \b
    Examples:
      tradewind demo
      tradewind demo --duration 60 --headless
      tradewind demo --replay btcusdt.gz --speed 10
      tradewind demo --replay btcusdt.gz --speed max --headless --report out.json
      tradewind demo --venue fix
      tradewind demo --venue itch
      tradewind demo --processes
      tradewind demo --processes --bus amqp://127.0.0.1:5672 --replay btcusdt.gz --speed max --lockstep
    """
    # Imported late: see commands/run.py.
    from tradewind.runtime.demo.options import DemoOptions, parse_speed
    from tradewind.runtime.demo.running import run_demo

    options = DemoOptions(
        replay, parse_speed(speed), duration, headless, data_dir, report, seed, processes, bus, lockstep, venue
    )
    raise typer.Exit(run_demo(options))

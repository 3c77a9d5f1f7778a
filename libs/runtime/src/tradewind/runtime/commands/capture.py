"""``tradewind capture``: records a live feed, and says what is in a recorded one."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from tradewind.runtime.captures.recording import CapturePlan

_BYTES_PER_MB: Final = 1_000_000
_LAST_PORT: Final = 65_535
_STOP_BUDGET_S: Final = 30.0

_HELP: Final = """Record a live feed with nanosecond receive times, or look into a capture.

Frames are written as they are received, packed, and are on disk within about a second; a file that is cut off can be
read up to the cut. Ctrl-C ends a recording. JSON feeds become the form that `tradewind demo --replay` plays
(Binance's frames). An address that is not on this machine needs TRADEWIND_LIVE=yes; no order and no key is sent.

\b
Examples:
  tradewind capture --feed binance --symbols BTCUSDT --out btcusdt.gz
  tradewind capture --feed okx --symbols BTC-USDT --duration 60
  tradewind capture --feed kraken --symbols XBT/USD --rotate-mb 500
  tradewind capture --feed itch-soup --address 127.0.0.1:9100 --user demo
  tradewind capture --feed itch-mold --address 233.54.12.111:26477
  tradewind capture info btcusdt.gz
"""


class FeedName(StrEnum):
    """The feeds that can be recorded."""

    BINANCE = "binance"
    OKX = "okx"
    KRAKEN = "kraken"
    ITCH_SOUP = "itch-soup"
    ITCH_MOLD = "itch-mold"


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(name="capture", help=_HELP, invoke_without_command=True, rich_markup_mode=None)
    group.callback()(capture)
    group.command("info")(info)
    app.add_typer(group)


def capture(
    context: typer.Context,
    feed: Annotated[FeedName | None, typer.Option(help="What to record.")] = None,
    symbols: Annotated[str, typer.Option(help="In the venue's own words, comma-separated; JSON feeds only.")] = "",
    out: Annotated[Path | None, typer.Option(help="The file; a name with the time when left out.")] = None,
    duration: Annotated[float | None, typer.Option(min=0.1, help="Stop after so many seconds.")] = None,
    rotate_mb: Annotated[float, typer.Option(min=0, help="A new file after so many MB on disk; 0: never.")] = 0,
    url: Annotated[str, typer.Option(help="Of the WebSocket; TRADEWIND_VENUE_STREAM_URL.")] = "",
    rest_url: Annotated[str, typer.Option(help="For Binance's snapshots: TRADEWIND_VENUE_REST_URL.")] = "",
    address: Annotated[str, typer.Option(metavar="HOST:PORT", help="Of an ITCH server or multicast group.")] = "",
    interface: Annotated[str, typer.Option(help="The local IP address by which a group is joined.")] = "0.0.0.0",  # noqa: S104
    user: Annotated[str, typer.Option(help="Of a SoupBinTCP login.")] = "",
    password: Annotated[str, typer.Option(envvar="TRADEWIND_CAPTURE_PASSWORD", help="Of a SoupBinTCP login.")] = "",
    session: Annotated[str, typer.Option(help="Of a SoupBinTCP login; the running one when left out.")] = "",
    venue: Annotated[str, typer.Option(help="Whose instruments ITCH has.")] = "NASDAQ",
) -> None:
    """Record a feed; the help is that of the group."""
    if context.invoked_subcommand is not None:
        return
    if feed is None:
        typer.echo(context.get_help())
        raise typer.Exit
    # Imported late: every process of a service loads all commands.
    from tradewind.runtime.captures.feed_choosing import FeedWords, plan_of

    words = FeedWords(feed.value, symbols, url, rest_url, address, interface, user, password, session, venue)
    raise typer.Exit(_record(plan_of(words, out, duration, int(rotate_mb * _BYTES_PER_MB))))


def info(
    file: Annotated[Path, typer.Argument(help="A capture; gzip or plain.")],
    ports: Annotated[str, typer.Option(help="UDP ports of a packet capture, comma-separated; all when left out.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say what is in a capture: messages, times, gaps, and its books against the venue's own checksums or tickers.

    The exit code is 1 when it is cut off or damaged, or when a book differs from the venue's.

    \b
    Examples:
      tradewind capture info btcusdt.gz
      tradewind capture info session.pcapng --ports 26477
    """
    # Imported late: see capture.
    import msgspec

    from tradewind.runtime.captures.describing import describe
    from tradewind.runtime.captures.items import CaptureRefused
    from tradewind.runtime.captures.opening import open_capture
    from tradewind.runtime.refusals import StartRefused

    wanted = [part.strip() for part in ports.split(",") if part.strip()]
    if not all(part.isdecimal() and 0 < int(part) <= _LAST_PORT for part in wanted):
        raise StartRefused(f"--ports {ports}: say UDP ports, such as 26477,26478")
    try:
        found = describe(open_capture(file, ports=frozenset(int(part) for part in wanted)))
    except CaptureRefused as refusal:
        raise StartRefused(str(refusal)) from refusal
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        for name, value in msgspec.to_builtins(found).items():
            typer.echo(f"{name.replace('_', ' '):<18}" + ("\n" + " " * 18).join(_shown(value)))
    raise typer.Exit(0 if found.is_whole else 1)


def _shown(value: object) -> list[str]:
    if not isinstance(value, dict):
        return [f"{value}"]
    return [
        f"{kind.replace('_', ' ')}: {each:,}" if isinstance(each, int) else f"{kind.replace('_', ' ')}: {each}"
        for kind, each in value.items()
        if each != ""
    ]


def _record(plan: "CapturePlan") -> int:
    # Imported late: see capture.
    import asyncio

    from tradewind.runtime.captures.items import CaptureRefused
    from tradewind.runtime.captures.recording import Recording
    from tradewind.runtime.refusals import StartRefused
    from tradewind.runtime.service_running import say
    from tradewind.runtime.stop_signals import StopSwitch, stop_signals

    async def main() -> int:
        recording = Recording(plan, say)
        with stop_signals(StopSwitch(recording.stop), _STOP_BUDGET_S):
            say(f"recording to {plan.path}; Ctrl-C ends it")
            return await recording.run()

    try:
        return asyncio.run(main())
    except (CaptureRefused, ValueError) as refusal:
        raise StartRefused(str(refusal)) from refusal

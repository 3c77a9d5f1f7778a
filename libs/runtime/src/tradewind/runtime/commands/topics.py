"""``tradewind topics``: what is on the bus."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from tradewind.runtime.topics.looking import Look

Json = Annotated[bool, typer.Option("--json", help="For programs: JSON instead of a table or text.")]
Key = Annotated[str | None, typer.Option(help="Only messages of this key, or market records of this instrument.")]
Type = Annotated[
    str | None, typer.Option("--type", help="Only this message type (OrderFilled), or kind of market record (TRADE).")
]
From = Annotated[
    str, typer.Option("--from", help="earliest, latest, an offset, a time (2026-11-22T14:00:00Z) or an age (15m, 2h).")
]
Names = Annotated[list[str], typer.Argument(metavar="TOPIC ...", help="Names, as `tradewind topics list` shows them.")]

_HELP: Final = """What is on the bus: topics, messages, lag.

It looks from outside, while the platform runs, at the broker of TRADEWIND_BUS_URL (or of TRADEWIND_MARKET_DATA_URL and
TRADEWIND_ORDERS_URL), and takes nothing from anybody.

\b
Examples:
  tradewind topics list
  tradewind topics tail orders.events
  tradewind topics tail orders.commands.dead-letter --from earliest
  tradewind topics lag --watch
  tradewind topics replay md.events.binance --to binance.jsonl.gz --from 1h
"""
_WATCH_INTERVAL_S: Final = 2.0


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(name="topics", help=_HELP, no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_topics)
    group.command("tail")(tail)
    group.command("lag")(lag)
    group.command("replay")(replay)
    app.add_typer(group)


def list_topics(as_json: Json = False) -> None:
    """List the topics: plane, key, partitions, retention, messages kept, and the lag of each group.

    A dead-letter topic is shown when there is something on it.

    \b
    Example:
      tradewind topics list
    """
    # Imported late, here and below: see commands/run.py.
    from tradewind.runtime.topics.known_topics import with_dead_letters
    from tradewind.runtime.topics.looking import INTERRUPTED_EXIT_CODE, look
    from tradewind.runtime.topics.overviews import describe, list_rows, list_table, messages_kept
    from tradewind.runtime.topics.watching import plain_console

    async def work(found: "Look") -> int:
        plain = found.topics
        described = await describe(found.buses, with_dead_letters(plain).values())
        wanted = {topic: one for topic, one in described.items() if topic.name in plain or messages_kept(one)}
        _print(list_rows(wanted)) if as_json else plain_console().print(list_table(wanted))
        return 0

    raise typer.Exit(look([], work, interrupted=INTERRUPTED_EXIT_CODE))


def tail(
    topics: Names,
    begin: From = "latest",
    key: Key = None,
    kind: Type = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Leave after so many lines.")] = None,
    as_json: Json = False,
) -> None:
    """Show messages decoded, one per line, those that come too, until Ctrl-C.

    A line has the publish time, partition@offset, the key, the type and the fields that matter. Of market data each
    record is a line, with the time of its event. Prices and sizes are decimals; `m` after one says that it is a
    mantissa, because its instrument is not on ref.instruments.

    \b
    Examples:
      tradewind topics tail orders.commands orders.events
      tradewind topics tail orders.events --from 2h --type OrderFilled
      tradewind topics tail md.events.binance --key BTCUSDT.BINANCE --type TRADE
      tradewind topics tail account.events --from earliest --limit 100 --json
      tradewind topics tail orders.commands.dead-letter --from earliest
    """
    from tradewind.runtime.topics.choosing import Choice
    from tradewind.runtime.topics.json_lines import JsonLines
    from tradewind.runtime.topics.known_topics import checked_type
    from tradewind.runtime.topics.looking import look, say
    from tradewind.runtime.topics.places import parse_place
    from tradewind.runtime.topics.tailing import tail as follow
    from tradewind.runtime.topics.text_lines import TextLines
    from tradewind.runtime.topics.writing import standard_output

    place = parse_place(begin, "--from")
    choice = Choice(key, checked_type(kind))

    async def work(found: "Look") -> int:
        named = found.named(topics)
        text = TextLines(found.instruments, choice, named=len(named) > 1)
        shape = JsonLines(found.instruments, choice) if as_json else text
        await follow(found.buses, named, place, shape, found.instruments, standard_output(limit), say)
        return 0

    raise typer.Exit(look(topics, work, interrupted=0))


def lag(
    topics: Annotated[list[str] | None, typer.Argument(metavar="[TOPIC ...]", help="Names; none means all.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Again every 2 s, until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """Show how many messages each group has not yet committed, by partition.

    Market data has no groups: its readers skip ahead when they are slow, and count what they lost.

    \b
    Examples:
      tradewind topics lag
      tradewind topics lag orders.commands --watch
    """
    from tradewind.runtime.topics.looking import look
    from tradewind.runtime.topics.watching import lag_screen, watch_lag

    interval_s = _WATCH_INTERVAL_S if watch else None

    async def work(found: "Look") -> int:
        named = found.named(topics) if topics else list(found.topics.values())
        with lag_screen(live=watch) as screen:
            await watch_lag(found.buses, named, interval_s, _print if as_json else screen)
        return 0

    raise typer.Exit(look(topics or [], work, interrupted=0))


def replay(
    topic: Annotated[str, typer.Argument(metavar="TOPIC")],
    to: Annotated[Path, typer.Option("--to", help="A new file; a name that ends in .gz is compressed.")],
    begin: From = "earliest",
    until: Annotated[str, typer.Option(help="As --from; latest is what the topic holds when this starts.")] = "latest",
    key: Key = None,
    kind: Type = None,
) -> None:
    """Write what a topic keeps to a file of JSON lines, one message or market record each.

    The file appears when it is complete. Messages are in order per partition.

    \b
    Examples:
      tradewind topics replay orders.events --to orders.jsonl
      tradewind topics replay md.events.binance --to trades.jsonl.gz --from 2h --until 1h --type TRADE
    """
    from tradewind.runtime.topics.choosing import Choice
    from tradewind.runtime.topics.exporting import export
    from tradewind.runtime.topics.json_lines import JsonLines
    from tradewind.runtime.topics.known_topics import checked_type
    from tradewind.runtime.topics.looking import INTERRUPTED_EXIT_CODE, look, say
    from tradewind.runtime.topics.places import parse_place
    from tradewind.runtime.topics.progress import progress_bar

    start, end = parse_place(begin, "--from"), parse_place(until, "--until")
    choice = Choice(key, checked_type(kind))

    async def work(found: "Look") -> int:
        [named] = found.named([topic])
        with progress_bar(named.name) as progress:
            shape = JsonLines(found.instruments, choice)
            done = await export(found.buses[named.plane], named, start, end, to, shape, progress)
        say(f"{to}: {done.lines:,} lines of {done.messages:,} messages")
        if done.unread:
            say(f"{done.unread:,} messages that the broker counts could not be read")
        return 1 if done.unread else 0

    raise typer.Exit(look([topic], work, interrupted=INTERRUPTED_EXIT_CODE))


def _print(rows: object) -> None:
    typer.echo(json.dumps(rows, indent=2))

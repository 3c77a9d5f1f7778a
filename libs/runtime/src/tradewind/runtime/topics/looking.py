"""From the command line to the brokers and back: opens what is asked for, ends well, says errors in one line."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from typing import Final

from tradewind.bus.interface import BusClosed
from tradewind.runtime import loop
from tradewind.runtime.logging import configure_logging
from tradewind.runtime.refusals import StartRefused, refusal_in
from tradewind.runtime.settings import PlatformSettings, load_settings
from tradewind.runtime.topics.brokers import Buses, open_buses
from tradewind.runtime.topics.instruments import KnownInstruments
from tradewind.runtime.topics.known_topics import check_names, named_topics, topics_of, with_dead_letters
from tradewind.runtime.topics.plain_text import shown
from tradewind.runtime.topics.writing import OutputClosed
from tradewind.wire.topics import Plane, Topic

INTERRUPTED_EXIT_CODE: Final = 130
_READ_TIMEOUT_S: Final = 30.0


class Look:
    """What a command of ``tradewind topics`` works with: open buses, the instruments, and the topics there are."""

    def __init__(self, buses: Buses, platform: PlatformSettings) -> None:
        self.buses = buses
        self.instruments = KnownInstruments(buses.get(Plane.ORDERS))
        self._venue = platform.venue

    async def read_instruments(self) -> None:
        """Once, at the beginning."""
        async with asyncio.timeout(_READ_TIMEOUT_S):
            await self.instruments.read()

    @property
    def topics(self) -> dict[str, Topic]:
        """Name -> topic, without dead letters: market data of this platform's venue and of all that are defined."""
        return topics_of([self._venue, *self.instruments.venues])

    def named(self, names: Sequence[str]) -> list[Topic]:
        """The topics of these names, dead letters among them.

        Raises:
            StartRefused: there is no such topic, or its plane could not be opened.
        """
        return named_topics(names, with_dead_letters(self.topics))


Work = Callable[[Look], Awaitable[int]]


def look(names: Collection[str], work: Work, *, interrupted: int) -> int:
    """Open the planes that topics of these ``names`` are on (no name: any plane) and do the work; gives the exit code.

    Ctrl-C and SIGTERM end it in order, with the exit code ``interrupted``.

    Raises:
        StartRefused: the user must change something.
    """
    platform = load_settings(PlatformSettings)
    configure_logging(platform.log_level, platform.log_format)
    check_names(names, platform.venue)
    needed = {_plane_of(name) for name in names}
    try:
        return loop.run(_look(platform, needed, work))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return interrupted
    except OutputClosed:
        return 0


def _plane_of(name: str) -> Plane:
    is_market = name.startswith("md.") and not name.endswith(".dead-letter")
    return Plane.MARKET_DATA if is_market else Plane.ORDERS


async def _look(platform: PlatformSettings, needed: set[Plane], work: Work) -> int:
    with _terminated_by_signal():
        async with open_buses(platform, needed) as (buses, missing):
            if not buses:
                raise StartRefused(missing[0])
            for reason in missing:
                say(f"one plane is not shown: {reason}")
            return await _work(Look(buses, platform), work)


async def _work(look: Look, work: Work) -> int:
    try:
        await look.read_instruments()
        return await work(look)
    except BaseExceptionGroup as group:
        raise _cause(group) from group
    except (BusClosed, OSError) as error:
        raise _gone(error) from error


def _cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one thing to say of what a task group raised."""
    if (refusal := refusal_in(group)) is not None:
        return refusal
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return _gone(first) if isinstance(first, OSError) else first


def _gone(error: OSError) -> StartRefused:
    return StartRefused(f"the broker does not answer any more ({shown(str(error))}); start it and try again")


@contextlib.contextmanager
def _terminated_by_signal() -> Iterator[None]:
    """SIGTERM ends the work as Ctrl-C does, so that nothing half done is left."""
    running = asyncio.get_running_loop()
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("this must run as a task")
    running.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    finally:
        running.remove_signal_handler(signal.SIGTERM)


def say(text: str) -> None:
    """One line beside the output."""
    sys.stderr.write(f"tradewind: {text}\n")
    sys.stderr.flush()

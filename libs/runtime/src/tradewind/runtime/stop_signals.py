"""Ctrl-C and SIGTERM: the first one stops in order, the second ends the process at once.

After the first signal a timer on a thread of its own ends the process if it has not ended by itself, so that a service
that blocks the event loop cannot keep it alive.
"""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final

from tradewind.runtime.logging import write_line
from tradewind.runtime.supervised import is_supervised

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
AT_ONCE_EXIT_CODE: Final = 130
STUCK_EXIT_CODE: Final = 70
_STUCK_MARGIN_S: Final = 3.0


class StopSwitch:
    """What the first signal does. Until something better is set it cancels the main task."""

    def __init__(self, stop: Callable[[], object]) -> None:
        self.stop = stop
        self.pulled = False

    def pull(self) -> None:
        """Stop, as the first signal does."""
        self.pulled = True
        self.stop()


@contextlib.contextmanager
def stop_signals(switch: StopSwitch, stop_budget_s: float) -> Iterator[None]:
    """Handle both signals while the block runs. Only on the main thread, inside the running loop."""
    loop = asyncio.get_running_loop()
    stuck = threading.Timer(stop_budget_s + _STUCK_MARGIN_S, _end_stuck)
    stuck.daemon = True

    def first(number: int) -> None:
        for each in SIGNALS:
            loop.remove_signal_handler(each)
            # A plain handler runs between two byte codes, so it works even while a service blocks the loop.
            signal.signal(each, _end_at_once)
        stuck.start()
        if not is_supervised():  # a supervisor that stops its processes has said so itself
            name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
            write_line(f"\n{name}: stopping; once more ends at once")
        switch.pull()

    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        loop.add_signal_handler(number, first, number)
    try:
        yield
    finally:
        stuck.cancel()
        for number in SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])


def _end_at_once(_number: int, _frame: FrameType | None) -> None:
    _say("ended at once; orders that were open may still be open")
    os._exit(AT_ONCE_EXIT_CODE)


def _end_stuck() -> None:
    _say("a service did not let the process stop; ended by force")
    os._exit(STUCK_EXIT_CODE)


def _say(text: str) -> None:
    sys.stderr.write(f"\n{text}\n")
    sys.stderr.flush()

"""From the command line to the event loop and back: errors for people, signals, exit codes."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final

from tradewind.runtime import loop
from tradewind.runtime.logging import configure_logging
from tradewind.runtime.refusals import USER_ERROR_EXIT_CODE, StartRefused
from tradewind.runtime.settings import PlatformSettings, load_settings
from tradewind.runtime.stop_signals import STUCK_EXIT_CODE, StopSwitch, stop_signals
from tradewind.runtime.supervising import STOP_BUDGET_S

Main = Callable[[StopSwitch], Coroutine[Any, Any, None]]


def load_platform_settings() -> PlatformSettings:
    """The platform's settings from the environment, with logging set up as they say.

    Raises:
        SettingsError: a variable is wrong.
    """
    platform = load_settings(PlatformSettings)
    configure_logging(platform.log_level, platform.log_format)
    return platform


def run_process(main: Main, stop_budget_s: float = STOP_BUDGET_S) -> int:
    """Run ``main`` on the event loop until it returns or a signal stops it; gives the exit code.

    A process that has not stopped a little after ``stop_budget_s`` from the signal is ended by force.

    ``main`` gets the switch that the first signal pulls and puts its own way to stop there; before that the signal
    cancels it. 0 means that it ended, or was stopped, in order; 2 that the user must change something (one line on
    standard error).
    """
    try:
        loop.run(_guarded(main, stop_budget_s))
    except StartRefused as refusal:
        sys.stderr.write(f"tradewind: {refusal}\n")
        return USER_ERROR_EXIT_CODE
    return 0


async def _guarded(main: Main, stop_budget_s: float) -> None:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("run_process must run its main as a task")
    switch = StopSwitch(task.cancel)
    try:
        with stop_signals(switch, stop_budget_s):
            await main(switch)
    except asyncio.CancelledError:
        if not switch.pulled:
            raise
    finally:
        _end_if_stuck()


def _end_if_stuck() -> None:
    # The loop closes only when every task has ended; one that ignores its cancellation would hold the process for ever.
    timer = threading.Timer(_LAST_WAIT_S, os._exit, (STUCK_EXIT_CODE,))
    timer.daemon = True
    timer.start()


_LAST_WAIT_S: Final = 3.0

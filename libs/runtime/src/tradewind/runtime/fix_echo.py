"""The acceptor of ``tradewind fix-acceptor``: one session that sends application messages back.

It answers as the acceptance tests of QuickFIX want it: NewOrderSingle (unless PossResend repeats a ClOrdID) and
SecurityDefinition come back, and every other application message is refused.
"""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tradewind.runtime.stop_signals import StopSwitch, stop_signals
from tradewind.venue.fix_dictionaries import dictionary

if TYPE_CHECKING:
    from tradewind_native.fix_events import FixEvent

ECHOED: Final = frozenset({"D", "d"})
_STOP_BUDGET_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class AcceptorPlan:
    """What to listen for."""

    port: int
    begin_string: str
    sender: str
    target: str


def serve(plan: AcceptorPlan, say: Callable[[str], object]) -> int:
    """Answer until a signal; the exit code. What is wrong at the start is one line and 1."""
    try:
        asyncio.run(_answer(plan, dictionary(plan.begin_string), say))
    except (ImportError, OSError, ValueError) as error:
        say(str(error))
        return 1
    return 0


async def _answer(plan: AcceptorPlan, checked_by: Path, say: Callable[[str], object]) -> None:
    # Loaded late: QuickFIX may be missing, and then the rest of the platform works without it.
    from tradewind_native.fix_events import FixEventKind
    from tradewind_native.fix_sessions import FixEngine, FixSession

    session = FixSession(
        plan.begin_string, plan.sender, plan.target, plan.port, dictionary=checked_by, reset_on_logon=True
    )

    def show(events: "Sequence[FixEvent]") -> None:
        for event in events:
            if event.kind in (FixEventKind.LOGON, FixEventKind.LOGOUT):
                say(f"{event.session_id}: {event.kind.name.lower()}")

    with tempfile.TemporaryDirectory(prefix="tradewind-fix-") as folder:
        engine = FixEngine("acceptor", [session], Path(folder), accept_types=ECHOED, echo=True)
        engine.start()
        say(f"{session.session_id} listens on port {plan.port}")
        asked = asyncio.Event()
        with stop_signals(StopSwitch(asked.set), _STOP_BUDGET_S):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(engine.run(show))
                await asked.wait()
                await asyncio.to_thread(engine.stop)

"""A strategy's log lines, told on the bus for the people who look at the page. The process's own log loses nothing.

Bounds: LINES_PER_S with a burst of BURST; what exceeds it is counted, and the next line that goes out carries the
count. Texts and fields are cut. It never waits, and a bus that is closed is no error.
"""

import contextlib
import time
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
import structlog

from tradewind.bus.interface import Bus, BusClosed
from tradewind.model.identifiers import StrategyId
from tradewind.runtime.logging import redact_secrets
from tradewind.wire.events import StrategyLogged
from tradewind.wire.messages import EventIds
from tradewind.wire.topics import STRATEGY_LOGS

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger

LINES_PER_S: Final = 20.0
BURST: Final = 100.0
LONGEST_TEXT: Final = 1_000
LONGEST_VALUE: Final = 300
MAX_FIELDS: Final = 20


class LogTeller:
    """Of one host. ``telling(log)`` gives a logger that writes to ``log`` and tells the same."""

    def __init__(self, bus: Bus, strategy_id: StrategyId) -> None:
        self._bus = bus
        self._strategy_id = strategy_id
        self._ids = EventIds()
        self._tokens = BURST
        self._seen_s = time.monotonic()
        self._left_out = 0

    def telling(self, log: "FilteringBoundLogger") -> "FilteringBoundLogger":
        """The same log, told as well; what its level leaves out is not told either."""
        filtering = structlog.make_filtering_bound_logger(log.get_effective_level())
        return cast(
            "FilteringBoundLogger", structlog.wrap_logger(log, processors=[self._tell], wrapper_class=filtering)
        )

    def _tell(self, _logger: Any, level: str, event: "EventDict") -> tuple[tuple[Any], dict[str, Any]]:
        if self._may_tell():
            # Not the words of the traceback: those stand in the process's log.
            fields = redact_secrets(None, level, {key: value for key, value in event.items() if key != "event"})
            self._publish(level, str(event.get("event", "")), fields)
        else:
            self._left_out += 1
        return (event.pop("event", ""),), dict(event)

    def _may_tell(self) -> bool:
        now_s = time.monotonic()
        self._tokens = min(self._tokens + (now_s - self._seen_s) * LINES_PER_S, BURST)
        self._seen_s = now_s
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def _publish(self, level: str, text: str, fields: "EventDict") -> None:
        now_ns = time.time_ns()
        shown = {name: _shown(fields[name]) for name in list(fields)[:MAX_FIELDS]}
        message = StrategyLogged(
            event_id=(event_id := self._ids()),
            correlation_id=event_id,
            causation_id="",
            ts_event=now_ns,
            ts_init=now_ns,
            strategy_id=self._strategy_id,
            level="error" if level in ("exception", "critical", "fatal") else level,
            text=text[:LONGEST_TEXT],
            fields=msgspec.json.encode(shown).decode(),
            left_out=self._left_out,
        )
        with contextlib.suppress(BusClosed):
            self._bus.publish_now(STRATEGY_LOGS, self._strategy_id, message)
            self._left_out = 0


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    text = f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else str(value)
    return text[:LONGEST_VALUE]

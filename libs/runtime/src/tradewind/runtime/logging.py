"""Structured logs on standard error: one line per event, as JSON or for the eye.

Fields of every line: ``ts`` (ISO 8601, UTC), ``level``, ``service``, ``event``; what is about one order has its
``correlation_id``, and with traces on its ``trace_id``. Values under a key that names a secret
are replaced. Lines of third-party libraries (standard logging) come out in the same form.
"""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, Final, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from tradewind.runtime.settings import names_secret
from tradewind.runtime.tracing import add_trace_id

LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
REDACTED: Final = "***"
SUMMARY_INTERVAL_S: Final = 10.0
_MAX_KINDS: Final = 256


def configure_logging(level: str = "info", log_format: str = "console") -> None:
    """Set up logging of this process. ``level`` and ``log_format`` are checked where the settings are loaded.

    ``lines`` is JSON with tracebacks as text: what the log of several processes is merged from.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            add_trace_id,
            redact_secrets,
            *_renderers(log_format),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=_LineLogger,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_ForwardingHandler()]
    root.setLevel(max(LEVELS[level], logging.WARNING))


def get_logger(service: str) -> FilteringBoundLogger:
    """A logger whose lines carry ``service``."""
    return cast("FilteringBoundLogger", structlog.get_logger().bind(service=service))


def redact_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace values whose key names a secret, also one level down in a mapping."""
    for key, value in event.items():
        if names_secret(key):
            event[key] = REDACTED
        elif isinstance(value, Mapping):
            event[key] = {inner: REDACTED if names_secret(str(inner)) else held for inner, held in value.items()}
    return event


class RateLimitedLog:
    """Logs the first of each kind in full, counts the others, and writes one summary per kind at most every 10 s.

    The summary is written by the first call after the interval; ``flush`` writes what is left when its owner stops.
    Kinds are bounded: past 256 the rest are counted together as ``other``.
    """

    def __init__(
        self,
        log: FilteringBoundLogger,
        interval_s: float = SUMMARY_INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._interval_s = interval_s
        self._clock = clock
        self._next_summary_s: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def warning(self, kind: str, event: str, **fields: object) -> None:
        """One occurrence of ``kind``. ``fields`` are written for the first one only."""
        if kind not in self._next_summary_s and len(self._next_summary_s) >= _MAX_KINDS:
            kind = "other"
        now_s = self._clock()
        if kind not in self._next_summary_s:
            self._next_summary_s[kind] = now_s + self._interval_s
            self._log.warning(event, kind=kind, **fields)
            return
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if now_s >= self._next_summary_s[kind]:
            self._next_summary_s[kind] = now_s + self._interval_s
            self._summarize(kind)

    def flush(self) -> None:
        """Write the summaries that are due to nobody else."""
        for kind in list(self._counts):
            self._summarize(kind)

    def _summarize(self, kind: str) -> None:
        self._log.warning("repeated", kind=kind, count=self._counts.pop(kind))


def write_line(text: str) -> None:
    """One line to where the log goes: what ``sys.stderr`` is at that moment, for the live status line replaces it."""
    _sinks[-1](text + "\n")


@contextlib.contextmanager
def lines_go_to(sink: Callable[[str], None]) -> Iterator[None]:
    """Give the log's lines, with their ends, to ``sink`` while the block runs."""
    _sinks.append(sink)
    try:
        yield
    finally:
        _sinks.remove(sink)


def _to_standard_error(text: str) -> None:
    sys.stderr.write(text)


_sinks: Final[list[Callable[[str], None]]] = [_to_standard_error]


class _LineLogger:
    def __init__(self, *_args: Any) -> None: ...

    def msg(self, message: str) -> None:
        write_line(message)

    debug = info = warning = error = critical = exception = fatal = log = failure = msg


class _ForwardingHandler(logging.Handler):
    """Gives lines of standard logging the same form and place."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger().bind(service=record.name)
        extra: MutableMapping[str, Any] = {"exc_info": record.exc_info} if record.exc_info else {}
        log.log(record.levelno, record.getMessage(), **extra)


def _renderers(log_format: str) -> list[structlog.typing.Processor]:
    if log_format == "lines":
        return [structlog.processors.ExceptionRenderer(), structlog.processors.JSONRenderer(default=str)]
    if log_format == "json":
        # Local variables of a frame may hold keys and secrets that no redaction finds.
        transformer = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        return [structlog.processors.ExceptionRenderer(transformer), structlog.processors.JSONRenderer(default=str)]
    formatter = structlog.dev.plain_traceback
    return [
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=formatter, timestamp_key="ts")
    ]

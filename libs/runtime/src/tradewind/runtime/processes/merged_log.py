"""One log of many processes: whole events in order of arrival, each with the name of its service.

Children write one JSON object per line. A thread of this module renders and writes them, and the lines of the
supervisor's own log with them, so that a terminal that does not take its text stops neither the supervisor nor, through
a full pipe, a child: what waits is bounded per process, and what exceeds it is left out and counted in the log. Owner:
whoever enters the block; the thread ends with it, after it has written what it can within ``_CLOSE_TIMEOUT_S``.
"""

import collections
import contextlib
import json
import os
import sys
import threading
from collections.abc import Iterable, MutableMapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import structlog

from tradewind.runtime.logging import lines_go_to

MAX_WAITING_BYTES: Final = 1_048_576
_CLOSE_TIMEOUT_S: Final = 1.0
_BATCH: Final = 256
_STANDARD_ERROR: Final = 2
_OWN: Final = "supervisor"


class MergedLog:
    """Takes lines of children and writes them to standard error in the format of this process."""

    def __init__(self, log_format: str, max_waiting_bytes: int = MAX_WAITING_BYTES) -> None:
        self._render = _render_json if log_format == "json" else _ConsoleRender()
        self._child_format = "json" if log_format == "json" else "lines"
        self._max_waiting_bytes = max_waiting_bytes
        self._lines: collections.deque[tuple[str, bytes | str]] = collections.deque()
        self._waiting: collections.Counter[str] = collections.Counter()
        self._dropped: collections.Counter[str] = collections.Counter()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._write_until_closed, name="merged-log", daemon=True)
        self._own = contextlib.ExitStack()

    @property
    def child_format(self) -> str:
        """The log format that children must be given."""
        return self._child_format

    def add(self, service: str, lines: Iterable[bytes | str]) -> None:
        """Take lines of one child, or text as it shall be written. Never waits; too much is dropped and counted."""
        with self._changed:
            for line in lines:
                if self._waiting[service] + len(line) > self._max_waiting_bytes:
                    self._dropped[service] += 1
                    continue
                self._waiting[service] += len(line)
                self._lines.append((service, line))
            self._changed.notify()

    def __enter__(self) -> Self:
        self._thread.start()
        self._own.enter_context(lines_go_to(lambda text: self.add(_OWN, [text])))
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._own.close()
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(_CLOSE_TIMEOUT_S)

    def _write_until_closed(self) -> None:
        while batch := self._next_batch():
            text = "".join(self._text(service, line) for service, line in batch)
            try:
                _write(text)
            except (OSError, ValueError):
                return  # nobody reads any more; what comes is bounded and forgotten

    def _text(self, service: str, line: bytes | str) -> str:
        return line if isinstance(line, str) else f"{self._render(_event(service, line))}\n"

    def _next_batch(self) -> list[tuple[str, bytes | str]]:
        """Lines to write, at least one; none when it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._dropped or self._closed)
            batch = [self._lines.popleft() for _ in range(min(len(self._lines), _BATCH))]
            for service, line in batch:
                self._waiting[service] -= len(line)
            batch += [(service, _dropped_line(service, count)) for service, count in self._dropped.items()]
            self._dropped.clear()
            return batch


def _write(text: str) -> None:
    if sys.stderr is not sys.__stderr__:  # the live status line has taken its place
        sys.stderr.write(text)
        return
    # Not through its buffer: a thread that waits inside it would keep the interpreter from ending.
    rest = text.encode("utf-8", "replace")
    while rest:
        rest = rest[os.write(_STANDARD_ERROR, rest) :]


def _event(service: str, line: bytes) -> dict[str, Any]:
    """The event of a line; what is no event, such as the last words of an interpreter, becomes the text of one."""
    try:
        event = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        event = None
    if not isinstance(event, dict) or "event" not in event:
        text = line.decode("utf-8", "replace").rstrip("\r")
        return {"ts": _now(), "level": "info", "service": service, "event": text}
    if event.setdefault("service", service) != service:
        event["process"] = service
    return event


def _dropped_line(service: str, count: int) -> bytes:
    event = "log lines were left out: they came faster than they could be written"
    found = {"ts": _now(), "level": "warning", "service": service, "event": event, "lines": count}
    return msgspec.json.encode(found)


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _render_json(event: MutableMapping[str, Any]) -> str:
    return json.dumps(event)


class _ConsoleRender:
    def __init__(self) -> None:
        self._renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), timestamp_key="ts")

    def __call__(self, event: MutableMapping[str, Any]) -> str:
        return str(self._renderer(None, str(event.get("level", "")), event))

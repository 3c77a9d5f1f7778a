"""Traces of orders, from tick to fill: what a service calls, and the ids that make one trace of many processes.

Nothing travels with a message but what it has anyway. The trace's id is a hash of ``correlation_id``, a span's id a
hash of the id of the message or step that it shows, its parent's that of ``causation_id``: processes that have never
heard of each other write spans of one trace. Off, a call costs a look at ``tracer.is_on``; on, an append: the thread of
``trace_exporting`` hashes, samples and sends. When its queue is full, spans are dropped and counted.
"""

import collections
import enum
import hashlib
from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias

from structlog.typing import EventDict, WrappedLogger

QUEUE_SIZE: Final = 16_384
_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8
Attributes: TypeAlias = Mapping[str, str | int]
_NONE: Final[Attributes] = {}


class Step(enum.StrEnum):
    """The steps of an order's story, as spans are named."""

    TICK = "tick"
    DECISION = "decision"
    RISK = "risk check"
    COMMIT = "commit"
    SEND = "venue send"
    ACKNOWLEDGEMENT = "acknowledgement"
    FILL = "fill"
    BOOKING = "booking"


class Span(NamedTuple):
    """One step. ``story`` is the correlation id; ``identity`` and ``parent`` are ids of messages or of steps, an empty
    parent begins the trace; ``cause`` is story and id of what caused it in another trace. Times in ns, UTC."""

    service: str
    name: str
    story: str
    identity: str
    parent: str
    begun_ns: int
    ended_ns: int
    attributes: Attributes
    cause: tuple[str, str] | None


class Tracer:
    """The spans of a process on their way out."""

    def __init__(self) -> None:
        self.is_on = False
        """Look at it before anything is made for a span."""
        self.dropped = 0
        self._queue: collections.deque[Span] = collections.deque()

    def span(
        self,
        service: str,
        name: str,
        *,
        story: str,
        identity: str,
        parent: str,
        begun_ns: int,
        ended_ns: int,
        attributes: Attributes = _NONE,
        cause: tuple[str, str] | None = None,
    ) -> None:
        """Note a step that has ended. Never waits; past QUEUE_SIZE waiting spans it is counted as dropped."""
        if not self.is_on:
            return
        if len(self._queue) >= QUEUE_SIZE:
            self.dropped += 1
            return
        self._queue.append(
            Span(service, name, story, identity, parent, begun_ns, max(begun_ns, ended_ns), attributes, cause)
        )

    def take(self, most: int) -> list[Span]:
        """For the exporter: the oldest spans that wait."""
        taken: list[Span] = []
        while self._queue and len(taken) < most:
            taken.append(self._queue.popleft())
        return taken


tracer: Final = Tracer()
"""The tracer of this process."""


def trace_id(story: str) -> int:
    """The trace of a correlation id, 128 bits; the same in every process."""
    # Never zero in practice; the standard's only forbidden value is one of 2**128.
    return int.from_bytes(hashlib.blake2b(story.encode(), digest_size=_TRACE_BYTES).digest()) or 1


def span_id(identity: str) -> int:
    """The span of a message's or step's id, 64 bits."""
    return int.from_bytes(hashlib.blake2b(identity.encode(), digest_size=_SPAN_BYTES).digest()) or 1


def send_identity(command_id: str) -> str:
    """The id of the step in which the order of a command goes to the venue; all that the venue says follows from it."""
    return f"{command_id}/send"


def add_trace_id(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A processor of logs: the trace beside the correlation id, as tools that join both want it."""
    if tracer.is_on and isinstance(story := event.get("correlation_id"), str):
        event["trace_id"] = format(trace_id(story), "032x")
    return event

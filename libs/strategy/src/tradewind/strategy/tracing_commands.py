"""Spans of a strategy's commands: the tick that reached it, and its decision. Used only while traces are on."""

import time

from tradewind.runtime.tracing import Step, tracer
from tradewind.wire.commands import OrderCommand
from tradewind.wire.events import OrderEvent

_MARKET_DATA = "market-data"
_FROM_MARKET_DATA = "md:"


class CommandTraces:
    """Remembers what the strategy is reacting to, and since when."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._begun_ns = 0
        self._event: OrderEvent | None = None

    def begin(self, event: OrderEvent | None = None) -> None:
        """A batch of market data, or an order event, has come to the strategy."""
        self._begun_ns = time.time_ns()
        self._event = event

    def published(self, command: OrderCommand) -> None:
        """The bus has a command; ``ts_event`` is when the data that caused it was received from the venue."""
        parent, cause = command.causation_id, None
        # Who publishes may have been told of something newer meanwhile; a command is never older than its own making.
        begun_ns = min(self._begun_ns or command.ts_init, command.ts_init)
        if parent.startswith(_FROM_MARKET_DATA):
            self._tick(command, begun_ns)
        elif parent and (self._event is None or self._event.correlation_id != command.correlation_id):
            event = self._event
            cause = (event.correlation_id, parent) if event is not None and event.event_id == parent else None
            parent = ""
        tracer.span(
            self._service,
            Step.DECISION,
            story=command.correlation_id,
            identity=command.event_id,
            parent=parent,
            begun_ns=begun_ns,
            ended_ns=time.time_ns(),
            attributes={"tradewind.command": type(command).__name__},
            cause=cause,
        )

    def _tick(self, command: OrderCommand, begun_ns: int) -> None:
        """Market data does not know what it will cause; the tick that caused something is told of here in its name."""
        tracer.span(
            _MARKET_DATA,
            Step.TICK,
            story=command.correlation_id,
            identity=command.causation_id,
            parent="",
            begun_ns=min(command.ts_event, begun_ns),
            ended_ns=begun_ns,
        )

"""Handing one command of a hand to the bus, and saying so when the bus does not take it."""

import asyncio
import time
from typing import Final

from fastapi import HTTPException, Request

from tradewind.runtime.tracing import Step, tracer
from tradewind.services.api.routes.access import Access
from tradewind.services.api.routes.authorization import client_of
from tradewind.services.api.view_model.views import Problem, Responses
from tradewind.wire.messages import Message
from tradewind.wire.topics import Topic

NOT_TAKEN: Final[Responses] = {
    403: {"model": Problem, "description": "From a page of another origin"},
    415: {"model": Problem, "description": "Neither JSON nor the header X-Tradewind-Request"},
    504: {"model": Problem, "description": "The bus did not take it in time; whether it will is not known"},
}


async def publish(access: Access, request: Request, topic: Topic, key: str, command: Message) -> None:
    """Log a command and publish it.

    Raises:
        HTTPException: 504 when the bus did not take it in time, 503 when the bus is away.
    """
    access.log_command(command, client_of(request))
    timeout_s = access.settings.publish_timeout_s
    try:
        async with asyncio.timeout(timeout_s):
            await access.bus_for(topic).publish(topic, key, command)
        _trace(access.context.name, command)
    except TimeoutError:
        raise HTTPException(
            504, f"{topic.name} did not take the command within {timeout_s:.0f} s; look whether it took effect"
        ) from None
    except ConnectionError as error:
        raise HTTPException(503, f"the message bus is away, nothing was sent: {error}") from error


def _trace(service: str, command: Message) -> None:
    """The decision was a hand's: from the request, checked, to the bus."""
    tracer.span(
        service,
        Step.DECISION,
        story=command.correlation_id,
        identity=command.event_id,
        parent=command.causation_id,
        begun_ns=command.ts_init,
        ended_ns=time.time_ns(),
        attributes={"tradewind.command": type(command).__name__},
    )

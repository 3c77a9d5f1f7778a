"""Does to a request what the liar's plan says. Starts no task: each request's own handler waits.

Bound: ``MAX_HELD`` requests that wait at the same time; past it the venue is honest about new ones.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final

from aiohttp import web

from tradewind.services.sim_venue.faults.desk import FaultDesk
from tradewind.services.sim_venue.faults.plans import HONEST, Refusal, RequestFacts, RequestPlan
from tradewind.services.sim_venue.parameters import Parameters
from tradewind.services.sim_venue.refusals import Refused

MAX_HELD: Final = 1_000
_LOOK_EVERY_S: Final = 0.25
_MS_PER_S: Final = 1_000
_NAMES: Final = ("newClientOrderId", "origClientOrderId", "cancelOrigClientOrderId")


class LyingRequests:
    """Asks the liar and waits as it says."""

    def __init__(self, desk: FaultDesk) -> None:
        self._desk = desk
        self._held = 0

    def plan(self, endpoint: str, parameters: Parameters) -> RequestPlan:
        """What happens to a request."""
        if not self._desk.liar.script.rules or self._held >= MAX_HELD:
            return HONEST
        named = _NAMES[1:] if endpoint == "cancel_order" else _NAMES
        name = next((found for each in named if (found := parameters.optional(each))), "")
        facts = RequestFacts(endpoint=endpoint, symbol=parameters.optional("symbol") or "", client_order_id=name)
        return self._desk.liar.request(facts, self._desk.true_ms())

    async def wait(self, ms: int) -> None:
        """Let the time of a plan pass."""
        if ms:
            with self._holding():
                await asyncio.sleep(ms / _MS_PER_S)

    async def lose(self, request: web.Request, ms: int) -> None:
        """Answer nothing: after the time, or as soon as the client has given up, the connection is closed."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + ms / _MS_PER_S
        with self._holding():
            while (left_s := until_s - loop.time()) > 0 and is_open(request):
                await asyncio.sleep(min(left_s, _LOOK_EVERY_S))
        if request.transport is not None:
            request.transport.abort()

    def double(self, request: web.Request, response: web.Response, ms: int) -> None:
        """Let an answer leave once more, some time after it has left."""
        if request.transport is None or not isinstance(response.body, bytes):
            return
        head = f"HTTP/1.1 {response.status} {response.reason}\r\nContent-Type: application/json\r\n"
        again = f"{head}Content-Length: {len(response.body)}\r\n\r\n".encode() + response.body
        # Not before the answer itself: that leaves as soon as the request's handler has returned.
        asyncio.get_running_loop().call_later(max(ms, 1) / _MS_PER_S, _write_again, request.transport, again)

    @contextlib.contextmanager
    def _holding(self) -> Iterator[None]:
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1


def _write_again(transport: asyncio.Transport, answer: bytes) -> None:
    if not transport.is_closing():
        transport.write(answer)


def is_open(request: web.Request) -> bool:
    """Whether the client is still there."""
    return request.transport is not None and not request.transport.is_closing()


def refused(refusal: Refusal) -> Refused:
    """A refusal of the liar as one of the venue."""
    return Refused(refusal.code, refusal.message, refusal.status, refusal.retry_after_s)

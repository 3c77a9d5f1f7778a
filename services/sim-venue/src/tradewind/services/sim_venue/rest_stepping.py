"""The HTTP side of a replay in lockstep. None of this exists at a real exchange, and none of it without lockstep."""

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from tradewind.services.sim_venue.stepping import StepGate

_POLL_S: Final = 5.0


class StepEndpoints:
    """``GET /sim/v1/step?after=N``, ``POST /sim/v1/step?number=N`` and ``POST /sim/v1/balances``."""

    def __init__(self, gate: StepGate, say_balances: Callable[[], Awaitable[int]]) -> None:
        """``say_balances`` makes the private stream say the account's balances, after all that is still to be told;
        gives the time of that event in ms."""
        self._gate = gate
        self._say_balances = say_balances

    def routes(self) -> list[web.RouteDef]:
        """What the server adds."""
        return [
            web.get("/sim/v1/step", self._show),
            web.post("/sim/v1/step", self._answer),
            web.post("/sim/v1/balances", self._balances),
        ]

    async def _show(self, request: web.Request) -> web.Response:
        step = await self._gate.current(_number(request, "after"), _POLL_S)
        return web.json_response(None if step is None else dataclasses.asdict(step))

    async def _answer(self, request: web.Request) -> web.Response:
        number = _number(request, "number")
        if not self._gate.answered(number):
            raise web.HTTPConflict(text=f"step {number} does not wait for an answer")
        return web.json_response({})

    async def _balances(self, _request: web.Request) -> web.Response:
        return web.json_response({"update_time_ms": await self._say_balances()})


def _number(request: web.Request, name: str) -> int:
    text = request.query.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise web.HTTPBadRequest(text=f"{name}={text[:20]!r}: give a whole number")
    return int(text)

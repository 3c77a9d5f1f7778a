"""``GET``, ``PUT`` and ``DELETE /sim/v1/faults``: the lies of the venue, set and read back while it runs.

None of this exists at a real exchange. A script that cannot be used is refused whole and changes nothing.
"""

import asyncio
from typing import Final

import msgspec
from aiohttp import web

from tradewind.services.sim_venue.exchange import Exchange
from tradewind.services.sim_venue.faults.desk import FaultDesk
from tradewind.services.sim_venue.faults.script import MAX_SCRIPT_BYTES, FaultScript
from tradewind.services.sim_venue.faults.script_reading import ScriptRefused, parse_script
from tradewind.services.sim_venue.rest import BODY_TIMEOUT_S

PATH: Final = "/sim/v1/faults"


class FaultEndpoints:
    """What the server adds. ``fixed``: a replay in lockstep has no lies, it would not be the same twice."""

    def __init__(self, desk: FaultDesk, exchange: Exchange, *, fixed: bool) -> None:
        self._desk = desk
        self._exchange = exchange
        self._fixed = fixed

    def routes(self) -> list[web.RouteDef]:
        """The three methods."""
        return [web.get(PATH, self._show), web.put(PATH, self._set), web.delete(PATH, self._end)]

    async def _show(self, _request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(self._desk.shown()), content_type="application/json")

    async def _set(self, request: web.Request) -> web.Response:
        if self._fixed:
            raise web.HTTPConflict(text="a replay in lockstep takes no faults")
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                body = await request.read()
            script = parse_script(body, toml="toml" in request.content_type)
        except web.HTTPRequestEntityTooLarge:
            raise web.HTTPBadRequest(text=f"a script has at most {MAX_SCRIPT_BYTES} bytes") from None
        except TimeoutError:
            raise web.HTTPBadRequest(text="the script did not arrive; send it whole") from None
        except ScriptRefused as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        self._desk.tell(script, self._exchange)
        return await self._show(request)

    async def _end(self, request: web.Request) -> web.Response:
        self._desk.tell(FaultScript(), self._exchange)
        return await self._show(request)

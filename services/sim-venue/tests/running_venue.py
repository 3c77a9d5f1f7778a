"""A venue in this loop, and a client that signs."""

import asyncio
import dataclasses
import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp

from tradewind.runtime.logging import get_logger
from tradewind.services.sim_venue.server import SimVenue
from tradewind.services.sim_venue.settings import Settings

KEY = "test-key"
SECRET = "test-secret"


@dataclasses.dataclass
class Answer:
    """Status, decoded body and headers."""

    status: int
    body: Any
    headers: Any

    @property
    def error(self) -> tuple[int, int]:
        return self.status, self.body["code"]


@dataclasses.dataclass
class RunningVenue:
    """A venue in this loop and one HTTP session to it."""

    venue: SimVenue
    task: "asyncio.Task[None]"
    session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.venue.port}"

    async def call(self, method: str, path: str, *, key: str | None = None, data: str | None = None) -> Answer:
        headers = {"X-MBX-APIKEY": key} if key is not None else {}
        if data is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        async with self.session.request(method, self.url + path, headers=headers, data=data) as response:
            return Answer(response.status, await response.json(), response.headers)

    async def get(self, path: str) -> Answer:
        return await self.call("GET", path)

    async def signed(self, method: str, path: str, **parameters: Any) -> Answer:
        given = {"timestamp": int(time.time() * 1000), **parameters}
        query = urlencode({name: value for name, value in given.items() if value is not None})
        return await self.call(method, f"{path}?{query}&signature={sign(query)}", key=KEY)

    async def order(self, **parameters: Any) -> Answer:
        given = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", **parameters}
        return await self.signed("POST", "/api/v3/order", **given)

    async def status(self) -> dict[str, Any]:
        body: dict[str, Any] = (await self.get("/sim/v1/status")).body
        return body

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])
        await self.session.close()


def sign(text: str, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


async def start(settings: Settings, data_dir: Path, *, lockstep: bool = False) -> RunningVenue:
    venue = SimVenue(settings, data_dir, KEY, SECRET, get_logger("sim-venue"), lockstep=lockstep)
    task = asyncio.create_task(venue.run("127.0.0.1"))
    ready = asyncio.create_task(venue.ready.wait())
    await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        ready.cancel()
        task.result()
    return RunningVenue(venue, task, aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)))


StartVenue = Callable[..., Awaitable[RunningVenue]]

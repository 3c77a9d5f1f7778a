"""Carries injections out, one after the other and sometimes two at a time, and tells each in the timeline.

Tasks: one for each injection that lasts, owned by ``Injector.run``. Two at a time at most, never two on one target.
"""

import asyncio
import collections
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final

import aiohttp

from faults_real.fleet import EXECUTIONS, Fleet, Member
from faults_real.injections import HOLDER, STANDBY, Injection
from faults_real.links import Link
from faults_real.load import Load
from faults_real.servers import FillImpossible, Server, Servers, on_thread
from tradewind.services.sim_venue.faults import script_reading

_SLOWEST_S: Final = 0.3
_ASK_TIMEOUT_S: Final = 3.0
_USUAL_LIES: Final = "rude"
CLOCK_LIES: Final = frozenset({"skewed_clock"})
"""Not told here: the oracle reads the order of things from the venue's clock."""


class Timeline:
    """What happened when, a JSON object a line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._began = time.monotonic()
        self._file = path.open("a", encoding="utf-8")

    def tell(self, what: str, **facts: Any) -> None:
        """Write one line at once."""
        line = {"s": round(time.monotonic() - self._began, 3), "what": what, **facts}
        self._file.write(json.dumps(line, default=str) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class VenueLies:
    """The venue's fault scripts, set while it runs; a venue that is away keeps what it is told at its start."""

    def __init__(self, venue_url: str) -> None:
        self._url = f"{venue_url}/sim/v1/faults"

    async def tell(self, name: str) -> None:
        """Let it lie by a script that comes with it."""
        text = script_reading.load_script(script_reading.script_path(name))
        rules = [rule for rule in text.rules if rule.lie not in CLOCK_LIES]
        await self._send("PUT", _script_bytes(text.seed, rules))

    async def end(self) -> bool:
        """Let it be honest; False while it does not answer."""
        return await self._send("DELETE", b"")

    async def _send(self, method: str, body: bytes) -> bool:
        timeout = aiohttp.ClientTimeout(total=_ASK_TIMEOUT_S)
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.request(method, self._url, data=body) as answer,
            ):
                return answer.status == 200
        return False


def _script_bytes(seed: int, rules: Iterable[Any]) -> bytes:
    import msgspec

    return msgspec.json.encode({"seed": seed, "rules": list(rules)})


class Injector:
    """Everything that an injection may hit."""

    def __init__(
        self,
        fleet: Fleet,
        servers: Servers,
        links: dict[str, Link],
        load: Load,
        lies: VenueLies,
        timeline: Timeline,
    ) -> None:
        self._fleet = fleet
        self._servers = servers
        self._links = links
        self._load = load
        self._lies = lies
        self._timeline = timeline
        self._busy: dict[str, asyncio.Task[None]] = {}
        self.counts: collections.Counter[tuple[str, str]] = collections.Counter()
        self.impossible: collections.Counter[str] = collections.Counter()

    async def run(self, injections: Iterable[Injection], done: Callable[[Injection], None]) -> None:
        """Carry all out; ``done`` hears of each that began."""
        async with asyncio.TaskGroup() as tasks:
            for injection in injections:
                target = await self._resolve(injection.target)
                while (other := self._busy.get(target)) is not None and not other.done():
                    await asyncio.wait({other})
                self._timeline.tell(str(injection), number=injection.number, target=target)
                self.counts[injection.kind, injection.target] += 1
                task = tasks.create_task(self._inject(injection, target), name=f"inject.{injection.number}")
                self._busy[target] = task
                done(injection)
                if not injection.overlaps:
                    await asyncio.wait({one for one in self._busy.values() if not one.done()} or {task})
                await asyncio.sleep(injection.pause_s)

    def heal(self) -> None:
        """Whatever was left behind: frozen processes and links, half-open connections."""
        for member in self._fleet.members.values():
            member.thaw()
        for link in self._links.values():
            link.heal()
            link.end_lost()

    async def _resolve(self, target: str) -> str:
        if target not in (HOLDER, STANDBY):
            return target
        holder = await self._fleet.holder()
        return holder if target == HOLDER else next(name for name in EXECUTIONS if name != holder)

    async def _inject(self, injection: Injection, target: str) -> None:
        try:
            await self._act(injection, target)
        except FillImpossible as error:
            self.impossible[str(error)] += 1
            self._timeline.tell("could not be injected", number=injection.number, why=str(error))
        self._timeline.tell("is over", number=injection.number)

    async def _act(self, injection: Injection, target: str) -> None:
        kind, seconds = injection.kind, injection.seconds
        if kind in ("kill -9", "stop and go on", "stop past the lease"):
            await _hit_member(self._fleet.members[target], kind, seconds)
        elif kind.endswith("connections"):
            await _hit_link(self._links[target], kind, seconds, injection.part)
        elif kind in ("restart", "kill server", "freeze server", "fill up"):
            await _hit_server(self._servers[target], kind, seconds)
        elif kind == "FLUSHALL":
            await on_thread(self._servers.redis.flush)
        elif kind == "other lies":
            await self._lies.tell(target)
            await asyncio.sleep(seconds)
            await self._lies.tell(_USUAL_LIES)
        else:
            self._load.flood()


async def _hit_member(member: Member, kind: str, seconds: float) -> None:
    if kind == "kill -9":
        member.kill()
        return
    member.freeze()
    try:
        await asyncio.sleep(seconds)
    finally:
        member.thaw()


async def _hit_link(link: Link, kind: str, seconds: float, part: float) -> None:
    if kind == "cut connections":
        link.reset()
    elif kind == "half-open connections":
        link.lose()
    else:
        act: dict[str, Callable[[], None]] = {
            "refuse connections": link.refuse,
            "freeze connections": link.freeze,
            "slow connections": lambda: link.delay(part * _SLOWEST_S),
        }
        act[kind]()
        try:
            await asyncio.sleep(seconds)
        finally:
            link.heal()


async def _hit_server(server: Server, kind: str, seconds: float) -> None:
    ways: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
        "restart": (server.stop, server.start),
        "kill server": (server.kill, server.start),
        "freeze server": (server.freeze, server.thaw),
        "fill up": (server.fill, server.make_room),
    }
    break_it, mend_it = ways[kind]
    mended: Callable[[], Awaitable[None]] = lambda: on_thread(mend_it)  # noqa: E731
    try:
        await on_thread(break_it)
        await asyncio.sleep(seconds)
    except FillImpossible:
        raise
    except BaseException:
        await mended()
        raise
    await mended()

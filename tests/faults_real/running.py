"""One run from the first server to the verdict.

Order at the end: lies and load stop, everything that was left broken is mended, the services become well again, the
strategies stop and cancel, the venue's market stops, the records come to agree, the services stop, the oracle judges.
"""

import asyncio
import collections
import contextlib
import dataclasses
import os
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Final

import aiohttp
from faults.oracle import Limits
from faults.oracle_readers import keep_rows

from faults_real.faulting import Injector, Timeline, VenueLies
from faults_real.fleet import STRATEGIES, Fleet
from faults_real.injections import Injection, plan
from faults_real.links import HOST, Link
from faults_real.load import Load
from faults_real.servers import Servers
from faults_real.verdict import Recovery, Verdict, agree, judge, recover
from tradewind.bus.brokers.broker_process import free_ports
from tradewind.store.migrations import migrate

LIMITS: Final = Limits(
    max_order_notional=Decimal(3_000),
    max_instrument_notional=Decimal(12_000),
    max_account_notional=Decimal(12_000),
    max_open_orders_per_instrument=24,
    max_open_orders=24,
)
"""Small, so that the load runs into each of them."""
_EVENTS_PER_S: Final = 150
_START_TIMEOUT_S: Final = 180.0
_HONEST_TIMEOUT_S: Final = 120.0
_LOOK_EVERY_S: Final = 0.5
_ASK_TIMEOUT_S: Final = 5.0
LEDGER: Final = "sim-venue.sqlite3"
Say = Callable[[str], None]


class NeverReady(RuntimeError):
    """The platform did not become ready before the first fault: nothing was tried."""


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """What a run is asked for."""

    seed: int
    injections: int
    broker: str
    folder: Path


@dataclasses.dataclass(slots=True)
class Outcome:
    """What a run gives."""

    verdict: Verdict
    recovery: Recovery
    injected: collections.Counter[tuple[str, str]]
    impossible: collections.Counter[str]
    load: collections.Counter[str]
    starts: dict[str, int]
    own_ends: dict[str, list[str]]
    seconds: float


async def run(options: Options, timeline: Timeline, say: Say, progress: Callable[[Injection], None]) -> Outcome:
    """Start everything, inject, stop, judge.

    Raises:
        NeverReady: the platform did not even start.
        BrokerUnavailable, EmbeddedServerError: a server is missing here.
    """
    began = time.monotonic()
    servers = Servers(options.folder, options.broker)
    say(f"starting {options.broker}, PostgreSQL and Valkey")
    with servers.running():
        # Processes that have a parent leave it to the parent.
        await migrate(servers.postgres.dsn)
        async with _platform(options, servers) as (fleet, links, load, lies, venue_url):
            say("starting the services")
            await _until_ready(fleet)
            timeline.tell("all services are ready")
            await lies.tell("rude")
            injector = Injector(fleet, servers, links, load, lies, timeline)
            loading = asyncio.create_task(load.run(), name="load")
            try:
                await injector.run(plan(options.seed, options.injections), progress)
            finally:
                loading.cancel()
                await asyncio.gather(loading, return_exceptions=True)
            say("the faults have stopped; waiting until all is well again")
            await _make_honest(lies)
            injector.heal()
            timeline.tell("the faults have stopped")
            verdict, recovery = await _end(options, servers, fleet, load, venue_url, timeline, say)
        return Outcome(
            verdict=verdict,
            recovery=recovery,
            injected=injector.counts,
            impossible=injector.impossible,
            load=load.counts,
            starts={name: member.starts for name, member in fleet.members.items()},
            own_ends={name: member.ends for name, member in fleet.members.items() if member.ends},
            seconds=time.monotonic() - began,
        )


async def _end(
    options: Options, servers: Servers, fleet: Fleet, load: Load, venue_url: str, timeline: Timeline, say: Say
) -> tuple[Verdict, Recovery]:
    since = time.monotonic()
    dsn = servers.postgres.dsn
    ledger = options.folder / "data" / LEDGER
    recovery = await recover(fleet, dsn)
    timeline.tell("well again", **dataclasses.asdict(recovery))
    say("stopping the strategies and the market; waiting until both records agree")
    await asyncio.gather(*(fleet.members[name].stop() for name in STRATEGIES))
    async with _asking() as session, session.post(f"{venue_url}/sim/v1/stop") as answer:
        answer.raise_for_status()
    recovery.agreed_s = await agree(ledger, dsn, load.external, LIMITS, since)
    timeline.tell("the records agree" if recovery.agreed_s is not None else "the records do not agree")
    await asyncio.gather(*(member.stop() for name, member in fleet.members.items() if name != "sim-venue"))
    await fleet.members["sim-venue"].stop()
    verdict = await judge(ledger, dsn, load.external, LIMITS, recovery)
    if verdict.violations:
        await keep_rows(dsn, options.folder)
    for violation in verdict.violations:
        timeline.tell("violation", invariant=violation.invariant, where=violation.what)
    return verdict, recovery


@contextlib.asynccontextmanager
async def _platform(
    options: Options, servers: Servers
) -> AsyncIterator[tuple[Fleet, dict[str, Link], Load, VenueLies, str]]:
    """Links, and the services behind them."""
    venue_port, api_port = free_ports(2)
    venue = f"{HOST}:{venue_port}"
    targets = {
        "broker": servers.broker.address,
        "postgres": servers.postgres.socket,
        "redis": servers.redis.socket,
        "venue-rest": venue,
        "venue-stream": venue,
    }
    links = {name: Link(name, servers.ports[name], target) for name, target in targets.items()}
    environment = _environment(options, servers, venue_port, api_port)
    async with contextlib.AsyncExitStack() as stack:
        for link in links.values():
            await stack.enter_async_context(link.run())
        fleet = await stack.enter_async_context(Fleet(environment, options.folder / "logs").run())
        load = Load(options.seed, servers.broker.url, f"http://{venue}")
        yield fleet, links, load, VenueLies(f"http://{venue}"), f"http://{venue}"


def _environment(options: Options, servers: Servers, venue_port: int, api_port: int) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRADEWIND_")}
    ports = servers.ports
    limits = {
        f"TRADEWIND_EXECUTION_{field.name.upper()}": str(getattr(LIMITS, field.name))
        for field in dataclasses.fields(LIMITS)
    }
    return {
        **kept,
        **limits,
        "TRADEWIND_DATA_DIR": str(options.folder / "data"),
        "TRADEWIND_BUS_URL": servers.broker.url,
        "TRADEWIND_POSTGRES_DSN": f"postgresql://postgres@{HOST}:{ports['postgres']}/postgres?sslmode=disable",
        "TRADEWIND_REDIS_URL": f"redis://{HOST}:{ports['redis']}/0",
        "TRADEWIND_VENUE_REST_URL": f"http://{HOST}:{ports['venue-rest']}",
        "TRADEWIND_VENUE_STREAM_URL": f"ws://{HOST}:{ports['venue-stream']}",
        "TRADEWIND_API_PORT": str(api_port),
        "TRADEWIND_SIM_VENUE_PORT": str(venue_port),
        "TRADEWIND_SIM_VENUE_SEED": str(options.seed),
        "TRADEWIND_SIM_VENUE_EVENTS_PER_S": str(_EVENTS_PER_S),
    }


async def _until_ready(fleet: Fleet) -> None:
    began = time.monotonic()
    while not_ready := await fleet.not_ready():
        if time.monotonic() - began > _START_TIMEOUT_S:
            raise NeverReady("; ".join(f"{name}: {why}" for name, why in not_ready.items()))
        await asyncio.sleep(_LOOK_EVERY_S)


async def _make_honest(lies: VenueLies) -> None:
    """The venue may be on its way back from its last death; it forgets its lies then, too."""
    async with asyncio.timeout(_HONEST_TIMEOUT_S):
        while not await lies.end():
            await asyncio.sleep(_LOOK_EVERY_S)


def _asking() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ASK_TIMEOUT_S))

"""The service ``fix-gateway``: clients' own FIX engines trade through our risk and execution.

Tasks of one TaskGroup: QuickFIX's events (``receiving``), reports (``reporting``), the bus that wakes it, and asyncio's
server with its connections (``guard``). QuickFIX has threads of its own; its queue is bounded, and a full one holds the
clients up. On cancel clients are logged out, within LOGOUT_S; what is not handled then is asked for at the next start.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tradewind.runtime.refusals import PortTaken, StartRefused, is_address_in_use
from tradewind.runtime.service import Service, ServiceContext, ServiceKind
from tradewind.services.fix_gateway.guard import LOOPBACK, Guard
from tradewind.services.fix_gateway.journal import Journal
from tradewind.services.fix_gateway.receiving import Receiver
from tradewind.services.fix_gateway.reporting import Reporter, wake_on_events
from tradewind.services.fix_gateway.sessions import Sessions, logged_on
from tradewind.services.fix_gateway.settings import GatewaySettings
from tradewind.services.fix_gateway.store import Store, StoreDamaged
from tradewind.venue.fix_dictionaries import dictionary
from tradewind.wire.topics import ORDERS_EVENTS

if TYPE_CHECKING:
    from tradewind_native.fix_sessions import FixEngine

LOGOUT_S: Final = 2.0
CAPACITY: Final = 4_096
_LOOK_S: Final = 0.02


async def run(context: ServiceContext) -> None:
    """Serve until cancelled; without clients there is nothing to do and nothing listens."""
    settings: GatewaySettings = context.settings
    if not settings.listens:
        logged_on(context.metrics).set(0)
        context.log.info("no FIX client is configured, nothing listens; see docs/operating/fix-gateway.md")
        context.health.set_ready("off: no FIX client is configured")
        await asyncio.Event().wait()
    folder = context.platform.data_dir / "fix-gateway"
    sessions = Sessions(context, settings.comp_id, settings.clients())
    context.health.set_not_ready("waits for the database")
    await context.database.wait_until_available()
    async with AsyncExitStack() as stack:
        store = _store(folder)
        stack.callback(store.close)
        inner = _free_port()
        engine = _engine(settings, sessions, folder, inner)
        stack.push_async_callback(_stop, engine)
        events = await context.order_bus.subscribe(ORDERS_EVENTS)
        stack.push_async_callback(events.close)
        receiver, reporter = Receiver(context, store, sessions, engine), Reporter(context, store, sessions, engine)
        await receiver.restore(await Journal(context.database, sessions.desks[0].account_id).end())
        for desk in sessions.desks:
            await reporter.follow(desk)
        await receiver.publish_untold()
        engine.start()
        guard = Guard(context, settings, sessions, engine, inner)
        port = await stack.enter_async_context(_listening(guard, settings))
        stack.push_async_callback(_log_out, engine, sessions)
        context.log.info("FIX clients may log on", host=settings.host, port=port, clients=len(sessions.desks))
        sessions.tell()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(engine.run(receiver.take), name="fix-gateway.receiving")
            tasks.create_task(reporter.run(), name="fix-gateway.reporting")
            tasks.create_task(wake_on_events(events, sessions), name="fix-gateway.waking")


def _store(folder: Path) -> Store:
    try:
        return Store(folder / "gateway.sqlite")
    except StoreDamaged as error:
        raise StartRefused(str(error)) from error


def _engine(settings: GatewaySettings, sessions: Sessions, folder: Path, inner: int) -> "FixEngine":
    """QuickFIX's acceptor on loopback.

    Raises:
        StartRefused: QuickFIX is missing, or its store cannot be read.
    """
    # Loaded late: the rest of the platform runs without QuickFIX.
    try:
        from tradewind_native.fix_sessions import FixEngine, FixSession
    except ImportError as error:
        raise StartRefused(str(error)) from error
    wanted = [
        FixSession(
            desk.client.begin_string,
            settings.comp_id,
            desk.client.comp_id,
            inner,
            host=LOOPBACK,
            dictionary=dictionary(desk.client.begin_string),
            heartbeat_s=settings.heartbeat_s,
            username=desk.client.user,
            password=desk.client.password,
        )
        for desk in sessions.desks
    ]
    try:
        return FixEngine("acceptor", wanted, folder / "quickfix", capacity=CAPACITY)
    except ValueError as error:
        raise StartRefused(str(error)) from error


@asynccontextmanager
async def _listening(guard: Guard, settings: GatewaySettings) -> AsyncIterator[int]:
    """The guard's door, with the sentence that helps when its port is taken."""
    async with AsyncExitStack() as stack:
        try:
            port = await stack.enter_async_context(guard.listening())
        except OSError as error:
            if is_address_in_use(error):
                raise PortTaken(settings.port, "TRADEWIND_FIX_GATEWAY_PORT") from error
            raise StartRefused(f"TRADEWIND_FIX_GATEWAY_HOST={settings.host}: {error}") from error
        yield port


async def _log_out(engine: "FixEngine", sessions: Sessions) -> None:
    """Say good-bye to the clients, and give them a moment to answer."""
    for desk in sessions.desks:
        engine.logout(desk.session_id, "the gateway stops")
    with suppress(TimeoutError):
        async with asyncio.timeout(LOGOUT_S):
            while any(engine.state(desk.session_id).logged_on for desk in sessions.desks):
                await asyncio.sleep(_LOOK_S)


async def _stop(engine: "FixEngine") -> None:
    await asyncio.to_thread(engine.stop, force=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


SERVICE = Service(
    name="fix-gateway",
    kind=ServiceKind.EDGE,
    run=run,
    settings=GatewaySettings,
    stop_budget_s=LOGOUT_S + 2.0,
    only_with="clients_secret",
)

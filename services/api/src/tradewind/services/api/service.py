"""The api service: the platform's state and commands over HTTP and WebSocket, and the page."""

import asyncio
from importlib.metadata import version

from starlette.websockets import WebSocket

from tradewind.model.identifiers import AccountId
from tradewind.runtime.health import HealthBoard, process_health
from tradewind.runtime.metrics import ProcessMetrics, process_metrics
from tradewind.runtime.service import Service, ServiceContext, ServiceKind
from tradewind.runtime.venue_target import venue_target
from tradewind.services.api.application import build_application
from tradewind.services.api.by_hand.replacing import Replacer
from tradewind.services.api.counting import Counted, StreamCounts
from tradewind.services.api.logins.attempts import Attempts
from tradewind.services.api.logins.auditing import AuditTrail
from tradewind.services.api.logins.clients import Clients
from tradewind.services.api.logins.guard import Guard
from tradewind.services.api.logins.login_desk import LoginDesk
from tradewind.services.api.logins.throttling import Throttle
from tradewind.services.api.routes.access import Access
from tradewind.services.api.server import PageServer, bind
from tradewind.services.api.settings import ApiSettings, allowed_hosts, check_binding
from tradewind.services.api.stream.composing import Composer
from tradewind.services.api.stream.streaming import StreamHub
from tradewind.services.api.tls import tls_files
from tradewind.services.api.view_model.alert_views import AlertBoard
from tradewind.services.api.view_model.feeding import Feeder
from tradewind.services.api.view_model.kill_board import KillBoard
from tradewind.services.api.view_model.neighbours import Neighbours
from tradewind.services.api.view_model.queries import StoreQueries
from tradewind.services.api.view_model.state import ViewState
from tradewind.services.api.view_model.system_board import SystemBoard
from tradewind.store.audit import AuditRepository
from tradewind.store.redis_link import RedisLink
from tradewind.wire.topics import ORDERS_COMMANDS

DISTRIBUTION = "tradewind-service-api"


class ApiService:
    """One run of the service: its parts, wired."""

    def __init__(
        self,
        context: ServiceContext,
        board: HealthBoard = process_health,
        metrics: ProcessMetrics = process_metrics,
    ) -> None:
        settings: ApiSettings = context.settings
        host = context.platform.host
        check_binding(host, settings)
        self._context = context
        self._settings = settings
        self.tls = tls_files(settings, context.log)
        self._state = ViewState(settings)
        account_id = AccountId(f"{context.platform.venue}-{context.platform.account}")
        queries = StoreQueries(context.database, account_id, settings)
        program_version = version(DISTRIBUTION)
        self._neighbours = Neighbours(context.platform)
        destination = venue_target(context.platform).sentence
        composer = Composer(self._state, board, self._neighbours, destination=destination, version=program_version)
        self._alerts = AlertBoard(self._state.revisions)
        composer.parts.add_whole("alerts", lambda: self._alerts.revision, self._alerts.rows)
        self._kills = KillBoard(self._state.revisions, queries)
        composer.parts.add_whole("kill_switches", lambda: self._kills.revision, self._kills.rows)
        self._system = SystemBoard(context, self._state, queries, self._neighbours, board, metrics)
        composer.parts.add_whole("system", lambda: self._system.revision, self._system.view)
        self._feeder = Feeder(context, self._state, queries, settings)
        self._hub = StreamHub(self._state, composer, settings, self._abort)
        self._link = _redis_link(context)
        self.trail = AuditTrail(AuditRepository(context.database), settings.query_timeout_s, context.log)
        self._replacer = Replacer(
            self._state.ledger,
            context.bus_for(ORDERS_COMMANDS),
            self.trail,
            context.log,
            settle_s=settings.replace_settle_s,
        )
        self.attempts = Attempts(self._link)
        self.desk = LoginDesk(context.database, settings, self.attempts, self.trail, context.log)
        access = Access(
            context,
            settings,
            account_id,
            self._state,
            composer,
            queries,
            self._hub,
            board,
            metrics,
            self.desk,
            self.trail,
            Throttle(settings.requests_per_s_of_one),
            self._system,
            self._replacer,
        )
        self.application = build_application(access, program_version)
        guarded = Guard(
            self.application,
            hosts=allowed_hosts(host, settings),
            max_body_bytes=settings.max_body_bytes,
            clients=Clients(settings.trusted_proxies),
            requests_per_s=settings.requests_per_s,
        )
        tls = self.tls.context if self.tls else None
        counted = Counted(guarded, context.metrics)
        self._server = PageServer(counted, bind(host, settings.port), settings, tls)

    @property
    def port(self) -> int:
        """The port that was bound; with the setting 0 the system chose it."""
        return self._server.port

    @property
    def page(self) -> str:
        """The page's address, as links name it."""
        scheme = "https" if self.tls else "http"
        return self._settings.page_url.rstrip("/") or f"{scheme}://{self._context.platform.host}:{self.port}"

    async def run(self) -> None:
        """Serve until cancelled."""
        try:
            await self._run()
        finally:
            if self._link is not None:
                await self._link.close()

    async def _run(self) -> None:
        self._context.log.info("page", url=f"{self.page}/")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.desk.run())
            tasks.create_task(self.desk.offer_first_admin(self.page))
            tasks.create_task(self.trail.run())
            if self.tls is not None:
                tasks.create_task(self.tls.run())
            tasks.create_task(self._feeder.run())
            tasks.create_task(self._alerts.run(self._context))
            tasks.create_task(self._kills.run(self._context))
            tasks.create_task(self._system.run())
            tasks.create_task(self._replacer.run())
            tasks.create_task(self._hub.run())
            tasks.create_task(StreamCounts(self._hub.counters, self._context.metrics).run())
            tasks.create_task(self._neighbours.run())
            tasks.create_task(self._server.run(before_stop=self._hub.close))
            self._context.health.set_ready()

    def _abort(self, socket: WebSocket) -> None:
        self._server.abort(socket)


def _redis_link(context: ServiceContext) -> RedisLink | None:
    url = context.last_values.url
    if not url:
        return None
    return RedisLink(url, log=context.log, without="failed logins are counted by this process alone")


async def run(context: ServiceContext) -> None:
    """Run until cancelled.

    Raises:
        StartRefused: the port is taken, or the host would open the page to a network.
    """
    await ApiService(context).run()


SERVICE = Service(name="api", kind=ServiceKind.EDGE, run=run, settings=ApiSettings, stop_budget_s=1.0)

"""Puts the venue together and runs it: record, markets, exchange, HTTP and WebSocket on one port.

Owns the tasks: the record's writer, one flow for each symbol or one replay, and the expiry of listen keys. If one fails
the venue ends with its error; the record then tells the next run what is true.
"""

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web
from structlog.typing import FilteringBoundLogger

from tradewind.model.identifiers import InstrumentId
from tradewind.runtime.refusals import PortTaken, StartRefused, is_address_in_use
from tradewind.services.sim_venue.accounts import parse_balances
from tradewind.services.sim_venue.capture import check_capture
from tradewind.services.sim_venue.changes import Changes
from tradewind.services.sim_venue.exchange import Exchange, FeeRates
from tradewind.services.sim_venue.faults.desk import FaultDesk
from tradewind.services.sim_venue.faults.script_reading import ScriptRefused, load_script, script_path
from tradewind.services.sim_venue.fix.sessions import FixDesk
from tradewind.services.sim_venue.flow import FlowGenerator
from tradewind.services.sim_venue.flow_market import FlowMarket
from tradewind.services.sim_venue.flow_running import FlowStatus, run_flow
from tradewind.services.sim_venue.itch.feed import ItchFeed
from tradewind.services.sim_venue.ledger_file import LedgerFile
from tradewind.services.sim_venue.listings import Listing, listings_of
from tradewind.services.sim_venue.lying_streams import LyingStreams
from tradewind.services.sim_venue.ouch.sessions import OuchDesk
from tradewind.services.sim_venue.rate_limits import RateLimits
from tradewind.services.sim_venue.replay_matching import ReplayMarket
from tradewind.services.sim_venue.replaying import PlayStatus, ReplayPlayer
from tradewind.services.sim_venue.reports import account_position
from tradewind.services.sim_venue.rest import RestServer, endpoints
from tradewind.services.sim_venue.rest_account import AccountEndpoints, fee_rate
from tradewind.services.sim_venue.rest_cancel_replace import CancelReplace
from tradewind.services.sim_venue.rest_faults import FaultEndpoints
from tradewind.services.sim_venue.rest_public import PublicEndpoints, PublicSource
from tradewind.services.sim_venue.rest_stepping import StepEndpoints
from tradewind.services.sim_venue.settings import Settings
from tradewind.services.sim_venue.signing import KeyRing
from tradewind.services.sim_venue.soup.server import SoupLimits, SoupServer
from tradewind.services.sim_venue.stepping import StepGate
from tradewind.services.sim_venue.streams import StreamHub
from tradewind.services.sim_venue.user_streams import UserStreams
from tradewind.wire.market_records import instrument_number

ACCOUNT: Final = "main"
PORT_VARIABLE: Final = "TRADEWIND_SIM_VENUE_PORT"
LEDGER_NAME: Final = "sim-venue.sqlite3"
NUMBERS_OF_A_RUN: Final = 1_000_000_000
"""Update and trade ids that each run of the flow sets aside, so that no run ever repeats one."""
SESSIONS_OF_A_RUN: Final = 100_000
"""ITCH sessions that each run sets aside, so that no run ever names one as an earlier run did."""
ITCH_PORT_VARIABLE: Final = "TRADEWIND_SIM_VENUE_ITCH_PORT"
SOUP_PASSWORD_LENGTH: Final = 10
_SHUTDOWN_TIMEOUT_S: Final = 0.5


class SimVenue:
    """One simulated exchange. ``ready`` is set once ``port`` listens; ``finished`` when a replay has ended."""

    def __init__(
        self,
        settings: Settings,
        data_dir: Path,
        api_key: str,
        api_secret: str,
        log: FilteringBoundLogger,
        *,
        lockstep: bool = False,
    ) -> None:
        """Open the record and make the markets. ``lockstep``: a replay waits after each step (docs/protocols).

        Raises:
            StartRefused: a setting, the capture or the record cannot be used.
        """
        self.ready = asyncio.Event()
        self.port = 0
        self.ouch: OuchDesk | None = None
        self._settings = settings
        self._log = log
        self._listings = listings_of(settings.symbols)
        deposits = parse_balances(settings.initial_balances)
        self._check_replay(lockstep)
        self.hub = StreamHub(settings, log)
        self._users = UserStreams(self.hub, settings.listen_key_lifetime_s, now_ms)
        self.faults = FaultDesk(now_ms)
        self._streams = LyingStreams(self.faults, self.hub, self._users)
        self._limits = RateLimits(settings.request_weight_per_minute, settings.orders_per_10_s)
        self._keys = KeyRing()
        self._keys.add(ACCOUNT, api_key, api_secret)
        self._rest = RestServer(self._keys, self._limits, self.faults, log)
        self._sources: dict[str, PublicSource] = {}
        self._flows: list[tuple[FlowMarket, FlowStatus]] = []
        self.player: ReplayPlayer | None = None
        self.ledger = LedgerFile(data_dir / LEDGER_NAME)
        self._gate = StepGate(self.ledger.written, log) if lockstep else None
        self._said_balances_ms = 0
        self._state = self.ledger.load()
        self.exchange = Exchange(
            self._listings,
            self._state.balances,
            FeeRates(fee_rate(settings.maker_fee_rate), fee_rate(settings.taker_fee_rate)),
            self._append,
            self.faults.now_ms,
            next_order_id=self._state.next_order_id,
            next_trade_id=self._state.next_trade_id,
            max_open_orders=settings.max_open_orders,
        )
        if not self._state.balances.holdings:
            self.exchange.deposit(ACCOUNT, deposits)
        self._data_dir = data_dir
        self._fix = self._fix_desk(api_key, api_secret) if settings.fix_port else None
        self._soup_login = (settings.soup_user, settings.soup_password or api_secret[:SOUP_PASSWORD_LENGTH])
        self._soup_limits = SoupLimits(slow_client_s=settings.slow_client_s)
        if settings.ouch_port:
            self.ouch = self._ouch_desk()
        self.itch = self._itch_server() if settings.itch_port else None
        self._fault_endpoints = FaultEndpoints(self.faults, self.exchange, fixed=lockstep)
        self._lie_from_the_start(lockstep=lockstep)
        for listing in self._listings.values():
            self._list(listing)

    async def run(self, host: str) -> None:
        """Serve until cancelled.

        Raises:
            StartRefused: the port is taken or the host is not this machine's.
            LedgerFailed: the record cannot be written any more.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.ledger.run(self._deliver), name="sim-venue.ledger")
            tasks.create_task(self._streams.run(), name="sim-venue.departures")
            restored = self.exchange.restore(self._state.open_orders, expire=self._settings.mode == "replay")
            await self.ledger.written(restored or None)
            tasks.create_task(self._users.expire(), name="sim-venue.listen-keys")
            for market, status in self._flows:
                flow = run_flow(market, status, self._room, self._settings.duration_s)
                tasks.create_task(flow, name=f"sim-venue.flow.{market.listing.symbol}")
            if self.player is not None:
                tasks.create_task(self.player.count(), name="sim-venue.count")
                tasks.create_task(self.player.run(), name="sim-venue.replay")
            if self._fix is not None:
                fix = self._fix.run(host, self._settings.fix_port, self._data_dir)
                tasks.create_task(fix, name="sim-venue.fix")
            if self.ouch is not None:
                tasks.create_task(self.ouch.run(host, self._settings.ouch_port), name="sim-venue.ouch")
            if self.itch is not None:
                self._itch_feed.begin()
                tasks.create_task(self.itch.run(host, self._settings.itch_port), name="sim-venue.itch")
            await self._serve(host)

    def status(self) -> dict[str, Any]:
        """What ``GET /sim/v1/status`` answers. Times in ns UTC, 0 when not yet."""
        play = self.player.status if self.player is not None else self._flow_status()
        return {
            "mode": self._settings.mode,
            "ended": play.ended,
            **dataclasses.asdict(play),
            "flow_events": sum(market.events for market, _ in self._flows),
            "open_orders": len(self.exchange.open_orders),
            "stream_clients": self.hub.clients,
            "slow_clients_cut": self.hub.slow_clients_cut,
            "itch_clients": self.itch.clients if self.itch is not None else 0,
            "ouch_clients": self.ouch.server.clients if self.ouch is not None else 0,
            "requests": self._rest.requests,
            "refused": self._rest.refused,
            "throttled": self._limits.throttled,
            "lies_told": self.faults.told(),
        }

    def _fix_desk(self, api_key: str, api_secret: str) -> FixDesk:
        return FixDesk(ACCOUNT, self._settings.fix_client, (api_key, api_secret), self.exchange, self.ledger, self._log)

    def _ouch_desk(self) -> OuchDesk:
        return OuchDesk(ACCOUNT, self._soup_login, self.exchange, self.ledger, self._log, self._soup_limits)

    def _itch_server(self) -> SoupServer:
        self._itch_feed = ItchFeed(first_session=self.ledger.reserve("itch-session", SESSIONS_OF_A_RUN))
        return SoupServer(
            ITCH_PORT_VARIABLE, self._soup_login, lambda: self._itch_feed.session, self._log, self._soup_limits
        )

    def _deliver(self, account: str, event: bytes) -> None:
        self._streams.deliver(account, event)
        if self._fix is not None:
            self._fix.deliver(account, event)
        if self.ouch is not None:
            self.ouch.delivered()

    def _append(self, changes: Changes) -> int:
        self.faults.note(changes)
        if self.ouch is not None:
            self.ouch.note(changes)
        return self.ledger.append(changes)

    def _lie_from_the_start(self, *, lockstep: bool) -> None:
        name = self._settings.faults
        if not name:
            return
        if lockstep:
            raise StartRefused("TRADEWIND_LOCKSTEP takes no faults: unset TRADEWIND_SIM_VENUE_FAULTS")
        try:
            script = load_script(script_path(name))
        except ScriptRefused as error:
            raise StartRefused(f"TRADEWIND_SIM_VENUE_FAULTS: {error}") from error
        self.faults.tell(script, self.exchange, self._settings.fault_seed or None)
        self._log.warning("this venue lies", script=name, seed=self.faults.liar.seed, rules=len(script.rules))

    def _flow_status(self) -> PlayStatus:
        """The flows in the words of a play; it has ended when all of them have."""
        statuses = [status for _, status in self._flows]
        ended = all(status.ended_ns for status in statuses)
        return PlayStatus(
            state="ended" if ended else "playing",
            began_ns=min(status.began_ns for status in statuses),
            ended_ns=max(status.ended_ns for status in statuses) if ended else 0,
        )

    def _check_replay(self, lockstep: bool) -> None:
        if self._settings.mode != "replay":
            if lockstep:
                raise StartRefused("TRADEWIND_LOCKSTEP is for a replay: set TRADEWIND_SIM_VENUE_MODE=replay")
            return
        if len(self._listings) != 1:
            raise StartRefused("a replay has one symbol: set TRADEWIND_SIM_VENUE_SYMBOLS to the one of the capture")
        check_capture(self._settings.capture)

    def _list(self, listing: Listing) -> None:
        if self._settings.mode == "replay":
            self._list_replay(listing)
        else:
            self._list_flow(listing)

    def _list_replay(self, listing: Listing) -> None:
        number = instrument_number(InstrumentId(f"{listing.symbol}.SIM"))
        market = ReplayMarket(listing, number, self.exchange.on_fill)
        self.player = ReplayPlayer(
            self._settings, market, number, self.hub, self._streams.publish_burst, self._room, self._log, self._gate
        )
        self.exchange.markets[listing.symbol] = market
        self._sources[listing.symbol] = PublicSource(self.player.snapshot, market.best, lambda: market.trades)

    def _list_flow(self, listing: Listing) -> None:
        market = FlowMarket(
            listing,
            FlowGenerator(listing, self._settings.seed, self._settings.events_per_s),
            partial(self._publish, listing.stream),
            self.exchange.on_fill,
            start_ms=now_ms(),
            first_update_id=self.ledger.reserve(f"update-{listing.symbol}", NUMBERS_OF_A_RUN),
            first_trade_id=self.ledger.reserve(f"trade-{listing.symbol}", NUMBERS_OF_A_RUN),
            watcher=self._itch_feed.market_orders(listing) if self.itch is not None else None,
        )
        market.open()
        self._flows.append((market, FlowStatus()))
        self.exchange.markets[listing.symbol] = market
        self._sources[listing.symbol] = PublicSource(market.snapshot, market.best, lambda: market.trades)

    def _publish(self, symbol: str, kind: str, event: bytes) -> None:
        self._streams.publish(f"{symbol}@{kind}", event)

    async def _room(self) -> None:
        if self.ledger.overfull:
            await self.ledger.written()

    async def _serve(self, host: str) -> None:
        runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
        await runner.setup()
        try:
            await self._listen(runner, host)
            self.port = int(runner.addresses[0][1])
            self.ready.set()
            await asyncio.get_running_loop().create_future()
        finally:
            await self.hub.close()
            await runner.cleanup()

    async def _listen(self, runner: web.AppRunner, host: str) -> None:
        try:
            await web.TCPSite(runner, host, self._settings.port).start()
        except OSError as error:
            if is_address_in_use(error):
                raise PortTaken(self._settings.port, PORT_VARIABLE) from error
            raise StartRefused(f"{PORT_VARIABLE}={self._settings.port}: cannot listen on {host}: {error}") from error

    def _application(self) -> web.Application:
        app = web.Application(client_max_size=self._settings.max_body_bytes)
        public = PublicEndpoints(self.exchange, self._sources, self._limits)
        account = AccountEndpoints(self.exchange, self.ledger, self._users, self._limits, self.faults)
        replacing = CancelReplace(self.exchange, self.ledger, self._limits)
        app.add_routes([self._rest.route(endpoint) for endpoint in endpoints(public, account, replacing)])
        stream: Callable[[web.Request], Awaitable[web.StreamResponse]] = self.hub.serve
        app.add_routes([web.get(path, stream) for path in ("/ws", "/ws/{stream:.+}", "/stream")])
        if self._gate is not None:
            app.add_routes(StepEndpoints(self._gate, self._say_balances).routes())
        app.add_routes(self._fault_endpoints.routes())
        app.add_routes(
            [
                web.get("/sim/v1/status", self._show_status),
                web.post("/sim/v1/start", self._start_replay),
                web.post("/sim/v1/stop", self._stop_market),
                web.route("*", "/{path:.*}", self._rest.no_such_path),
            ]
        )
        return app

    async def _show_status(self, _request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(self.status()), content_type="application/json")

    async def _start_replay(self, _request: web.Request) -> web.Response:
        if self.player is not None:
            self.player.started.set()
        return web.json_response({})

    async def _say_balances(self) -> int:
        await self.ledger.written()
        # Later than every event before it, so that it can be told from them.
        self._said_balances_ms = max(now_ms(), self._said_balances_ms) + 1
        balances = self.exchange.balances
        holdings = [(asset, balances.of(ACCOUNT, asset)) for asset in balances.assets(ACCOUNT)]
        self._users.deliver(ACCOUNT, account_position(holdings, self._said_balances_ms))
        return self._said_balances_ms

    async def _stop_market(self, _request: web.Request) -> web.Response:
        """End the replay or the flow here, as if the capture ended. Orders are still taken."""
        if self.player is not None:
            self.player.stop()
        for _, status in self._flows:
            status.stop_asked = True
        return web.json_response({})


def now_ms() -> int:
    """The venue's clock: ms since the epoch, UTC."""
    return time.time_ns() // 1_000_000

"""What the gateway's tests share: a venue, the execution service, the gateway, and clients with FIX engines."""

import asyncio
import contextlib
import dataclasses
import os
import re
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from tradewind.bus.interface import Bus
from tradewind.bus.memory import MemoryBus
from tradewind.model.identifiers import AccountId
from tradewind.runtime.logging import get_logger
from tradewind.runtime.service import ServiceContext, ServiceKind
from tradewind.runtime.settings import PlatformSettings
from tradewind.runtime.testing import running, service_context
from tradewind.services.execution import service as execution
from tradewind.services.execution.settings import Settings as ExecutionSettings
from tradewind.services.fix_gateway.service import SERVICE
from tradewind.services.fix_gateway.settings import GatewaySettings
from tradewind.services.market_data import service as market_data
from tradewind.services.market_data.settings import MarketDataSettings
from tradewind.services.sim_venue.server import LEDGER_NAME, SimVenue
from tradewind.services.sim_venue.settings import Settings as VenueSettings
from tradewind.store.database import Database
from tradewind.store.order_store import OrderStore
from tradewind.venue.fix_dictionaries import dictionary
from tradewind.venue.fix_fields import Field, fields_of, fix_body, utc_timestamp
from tradewind.wire.commands import CancelAllOrders
from tradewind.wire.topics import ORDERS_COMMANDS
from tradewind_native.fix_events import FixEvent, FixEventKind

try:
    from tradewind_native.fix_sessions import FixEngine, FixSession
except ImportError as error:
    if {"all", "quickfix"} & set(os.environ.get("TRADEWIND_TEST_REQUIRE", "").split(",")):
        raise
    pytest.skip(str(error), allow_module_level=True)

KEY: Final = "test-key"
SECRET: Final = "test-secret"
PASSWORD: Final = "a-good-password"
CLIENTS: Final = f"""
[[client]]
comp_id = "ACME"
password = "{PASSWORD}"
strategy = "fix-acme"

[[client]]
comp_id = "OLD"
begin_string = "FIX.4.2"
password = "{PASSWORD}"
strategy = "fix-old"
"""
EXECUTION: Final = ExecutionSettings(
    max_open_orders=1_000,
    max_open_orders_per_instrument=1_000,
    max_account_notional=Decimal(10_000_000),
    max_instrument_notional=Decimal(10_000_000),
    lease_duration_s=2.0,
    lease_grace_s=0.2,
    send_margin_s=0.5,
    inflight_check_s=0.3,
    reconcile_every_s=2.0,
)
WAIT_S: Final = 20.0


@contextlib.asynccontextmanager
async def sim_venue(data_dir: Path) -> AsyncIterator[SimVenue]:
    """A venue with a book that hardly moves."""
    settings = VenueSettings(port=0, seed=7, events_per_s=0.001, max_open_orders=10_000)
    venue = SimVenue(settings, data_dir, KEY, SECRET, get_logger("sim-venue"))
    task = asyncio.ensure_future(venue.run("127.0.0.1"))
    try:
        await asyncio.wait_for(venue.ready.wait(), WAIT_S)
        yield venue
    finally:
        task.cancel()
        await asyncio.wait([task])


def platform_of(venue_port: int, data_dir: Path) -> PlatformSettings:
    """Settings of services that trade there."""
    return PlatformSettings(
        data_dir=data_dir,
        venue_rest_url=f"http://127.0.0.1:{venue_port}",
        venue_stream_url=f"ws://127.0.0.1:{venue_port}",
        venue_api_key=KEY,
        venue_api_secret=SECRET,
    )


@dataclasses.dataclass
class House:
    """What runs, and how to start and stop the gateway in it."""

    database: Database
    bus: Bus
    platform: PlatformSettings
    venue: SimVenue
    port: int

    @contextlib.asynccontextmanager
    async def gateway(self, clients: str = CLIENTS, **settings: Any) -> AsyncIterator[ServiceContext]:
        """The gateway for the length of the block."""
        made = GatewaySettings(clients_secret=clients, port=self.port, heartbeat_s=1, **settings)
        async with (
            service_context(
                "fix-gateway", ServiceKind.EDGE, made, self.database, bus=self.bus, platform=self.platform
            ) as context,
            running(SERVICE, context),
        ):
            await until(lambda: context.health.ready)
            yield context

    async def cancel_all(self) -> None:
        """What an operator does; returns when the venue has nothing of ours any more."""
        account = AccountId("BINANCE-main")
        now_ns = time.time_ns()
        command = CancelAllOrders(
            event_id=f"test-{now_ns}",
            correlation_id="test",
            causation_id="",
            ts_event=now_ns,
            ts_init=now_ns,
            account_id=account,
        )
        await self.bus.publish(ORDERS_COMMANDS, account, command)
        store = OrderStore(self.database, account)
        async with asyncio.timeout(WAIT_S):
            while await store.unfinished_orders():
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def services(database: Database, bus: Bus, venue_port: int, data_dir: Path) -> AsyncIterator[PlatformSettings]:
    """Market data and execution, ready; the settings that the gateway shares with them."""
    platform = platform_of(venue_port, data_dir)
    feeding, trading = ServiceKind.FEED, ServiceKind.ORDER_PATH
    md = MarketDataSettings()
    async with (
        service_context("market-data", feeding, md, database, bus=bus, platform=platform) as feed,
        running(market_data.SERVICE, feed),
        service_context("execution", trading, EXECUTION, database, bus=bus, platform=platform) as context,
        running(execution.SERVICE, context),
    ):
        await until(lambda: context.health.ready and feed.health.ready)
        yield platform


@contextlib.asynccontextmanager
async def house(database: Database, folder: Path, bus: Bus | None = None) -> AsyncIterator[House]:
    """Venue, market data and execution, on ``bus`` or on a memory bus."""
    bus = bus or MemoryBus()
    async with (
        sim_venue(folder / "venue") as venue,
        services(database, bus, venue.port, folder / "platform") as platform,
    ):
        yield House(database, bus, platform, venue, free_port())
    await bus.close()


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(true: Callable[[], object], timeout_s: float = WAIT_S) -> None:
    """Wait for something to hold."""
    async with asyncio.timeout(timeout_s):
        while not true():
            await asyncio.sleep(0.02)


Report = dict[int, str]


class Trader:
    """A client with its own FIX engine."""

    def __init__(self, engine: FixEngine, session_id: str) -> None:
        self.engine = engine
        self.session_id = session_id
        self.events: list[FixEvent] = []

    @property
    def reports(self) -> list[Report]:
        """Application messages so far, in order."""
        return [fields_of(event.message) for event in self.events if event.kind is FixEventKind.MESSAGE]

    def of(self, cl_ord_id: str) -> list[Report]:
        """Reports about one ClOrdID."""
        return [one for one in self.reports if cl_ord_id in (one.get(11), one.get(41))]

    def kinds(self, cl_ord_id: str) -> list[str]:
        """Their ExecTypes; 9 stands for an OrderCancelReject."""
        return [one.get(150, one[35]) for one in self.of(cl_ord_id)]

    @property
    def is_on(self) -> bool:
        """Whether the session is up."""
        return self.engine.state(self.session_id).logged_on

    def send(self, kind: str, *fields: Field) -> int:
        """Send a message; its number."""
        result = self.engine.send(self.session_id, fix_body(kind, fields))
        assert result.sequence > 0
        return result.sequence

    def order(self, name: str, *more: Field, size: str = "0.001", price: str = "30000", side: int = 1) -> int:
        """A limit order."""
        head: list[Field] = [(11, name), *([(21, 1)] if "4.2" in self.session_id else [])]
        terms: list[Field] = [(55, "BTCUSDT"), (54, side), (60, now()), (38, size), (40, 2), (44, price), (59, 1)]
        return self.send("D", *more, *head, *terms)

    def market(self, name: str, size: str = "0.001") -> int:
        """A market order to buy."""
        head: list[Field] = [(11, name), *([(21, 1)] if "4.2" in self.session_id else [])]
        return self.send("D", *head, (55, "BTCUSDT"), (54, 1), (60, now()), (38, size), (40, 1), (59, 3))

    def cancel(self, name: str, orig: str, *more: Field) -> int:
        """A cancel request."""
        return self.send("F", *more, (41, orig), (11, name), (55, "BTCUSDT"), (54, 1), (60, now()), (38, "0.001"))

    async def sees(self, cl_ord_id: str, *kinds: str) -> None:
        """Wait until these are the kinds of reports, in order."""
        try:
            await until(lambda: self.kinds(cl_ord_id) == list(kinds))
        except TimeoutError:
            raise AssertionError(f"{self.kinds(cl_ord_id)} in place of {kinds}: {self.of(cl_ord_id)}") from None


def now() -> str:
    """TransactTime."""
    return utc_timestamp(time.time_ns())


@contextlib.asynccontextmanager
async def trader(
    port: int, folder: Path, version: str = "FIX.4.4", *, name: str = "", password: str = PASSWORD, wait: bool = True
) -> AsyncIterator[Trader]:
    """A client that logs on."""
    name = name or {"FIX.4.4": "ACME", "FIX.4.2": "OLD"}[version]
    session = FixSession(
        version, name, "TRADEWIND", port, host="127.0.0.1", dictionary=dictionary(version), heartbeat_s=1,
        reconnect_s=1, username=name, password=password,
    )  # fmt: skip
    engine = FixEngine("initiator", [session], folder)
    one = Trader(engine, session.session_id)
    engine.start()
    task = asyncio.ensure_future(engine.run(one.events.extend))
    try:
        if wait:
            await until(lambda: one.is_on)
        yield one
    finally:
        await asyncio.to_thread(engine.stop, force=True)
        await task


def exec_ids(reports: list[Report]) -> list[str]:
    """ExecIDs of reports that are no repeats."""
    return [one[17] for one in reports if one[35] == "8" and one.get(97) != "Y"]


def names_at(venue_orders: list[str]) -> list[str]:
    """Client order ids of the gateway, as the venue has them."""
    return [one for one in venue_orders if re.fullmatch(r"fix-[a-z2-7]{24}", one)]


def at_venue(folder: Path) -> list[str]:
    """Client order ids in the venue's own record."""

    path = folder / "venue" / LEDGER_NAME
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as record:
        return names_at([row[0] for row in record.execute("SELECT client_order_id FROM orders ORDER BY order_id")])

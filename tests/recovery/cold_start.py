"""A cold start with much at the venue: thousands of open orders, and thousands of fills from while it was away.

Everything is real: the simulated venue over sockets, PostgreSQL, the whole execution service. The orders are put into
the store and into the venue directly, as an earlier process would have left them.
"""

import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any, Final

import msgspec

from recovery.kit import platform_of, until
from tradewind.execution.engine import ExecutionEngine, batch_of
from tradewind.execution.limits import RiskLimits
from tradewind.model.enums import OrderSide, OrderType, TimeInForce
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, StrategyId, Venue, VenueOrderId
from tradewind.model.instruments import Instrument
from tradewind.model.order_status import OrderStatus
from tradewind.runtime.service import ServiceContext, ServiceKind
from tradewind.runtime.testing import running, service_context
from tradewind.services.execution import service
from tradewind.services.execution.settings import Settings
from tradewind.services.sim_venue.exchange import OrderRequest
from tradewind.services.sim_venue.listings import KNOWN, symbol_info
from tradewind.services.sim_venue.orders import SIDES
from tradewind.services.sim_venue.server import ACCOUNT as VENUE_ACCOUNT
from tradewind.services.sim_venue.server import SimVenue
from tradewind.store.database import Database
from tradewind.store.leases import LeaseRepository
from tradewind.store.order_store import OrderStore
from tradewind.venue.binance.instruments import instrument_of
from tradewind.venue.binance.messages import SymbolInfo
from tradewind.venue.reports import OrderStatusReport
from tradewind.wire.commands import SubmitOrder
from tradewind.wire.messages import EventIds

ACCOUNT: Final = AccountId("BINANCE-main")
BTC: Final = InstrumentId("BTCUSDT.BINANCE")
OPEN, FILLED, PARTLY, CANCELED = 3_000, 2_400, 100, 200
"""Orders; each of FILLED has one fill, PARTLY are among OPEN with one fill each, CANCELED ended at the venue."""
_ONE: Final = 100_000_000
_CHUNK: Final = 500
_PRICE: Final = 3_000_000
_SIZE: Final = 100_000
_LARGE: Final = Decimal(10**9)
_UNLIMITED: Final = RiskLimits(
    max_open_orders=100_000,
    max_open_orders_per_instrument=100_000,
    max_instrument_notional=_LARGE,
    max_account_notional=_LARGE,
)


@dataclasses.dataclass
class Started:
    """A service that has become ready."""

    context: ServiceContext
    store: OrderStore
    took_s: float


@contextlib.asynccontextmanager
async def started(database: Database, venue: SimVenue) -> AsyncIterator[Started]:
    """The execution service, from its start to the end of the block; it is ready when the block begins."""
    # The limits stay as they come: what rests at the venue was allowed once, and is never dropped for them.
    platform = platform_of(venue.port, venue.port)
    kind = ServiceKind.ORDER_PATH
    begun_s = time.monotonic()
    async with (
        service_context("execution", kind, Settings(), database, platform=platform) as context,
        running(service.SERVICE, context),
    ):

        async def ready() -> bool:
            return context.health.ready

        await until(ready, 120)
        yield Started(context, OrderStore(database, ACCOUNT), time.monotonic() - begun_s)


async def leave_behind(database: Database, venue: SimVenue) -> None:
    """What an earlier process left, and what happened at the venue after its end."""
    async with started(database, venue):
        pass  # the account is seen for the first time, without orders
    names = [ClientOrderId(f"load-1-{number}") for number in range(OPEN + FILLED + CANCELED)]
    numbers = await _place(venue, names)
    await _store(database, instrument_of(msgspec.convert(_listed(), SymbolInfo), Venue("BINANCE")), numbers)
    there = {order.client_order_id: order for order in venue.exchange.orders_of(VENUE_ACCOUNT)}
    ends = names[OPEN:]
    for name in ends[:FILLED]:
        venue.exchange.fill_resting(there[name], there[name].remaining)
    for name in ends[FILLED:]:
        venue.exchange.cancel(there[name], f"c-{name}")
    for name in names[:PARTLY]:
        venue.exchange.fill_resting(there[name], there[name].remaining // 2)
    await venue.ledger.written()


def _listed() -> Any:
    return symbol_info(KNOWN["BTCUSDT"], OPEN)


async def _place(venue: SimVenue, names: list[ClientOrderId]) -> dict[ClientOrderId, VenueOrderId]:
    numbers = {}
    for count, name in enumerate(names):
        request = OrderRequest("BTCUSDT", SIDES["BUY"], "LIMIT", "GTC", 30_000 * _ONE, _SIZE, name)
        numbers[name] = VenueOrderId(str(venue.exchange.place(VENUE_ACCOUNT, request).order.order_id))
        if count % _CHUNK == 0:
            await venue.ledger.written()
    await venue.ledger.written()
    return numbers


async def _store(database: Database, instrument: Instrument, numbers: dict[ClientOrderId, VenueOrderId]) -> None:
    """As the order path would have written them: planned by the engine, committed in batches."""
    store, leases = OrderStore(database, ACCOUNT), LeaseRepository(database)
    lease = await leases.acquire(f"execution:{ACCOUNT}", "an earlier process")
    if lease is None:
        raise RuntimeError("the lease is still held; the service of the first start has not given it back")
    engine = ExecutionEngine(ACCOUNT, [instrument], _UNLIMITED, EventIds())
    engine.ledger.load([], await store.books())
    engine.not_ready_reason = None
    names = list(numbers)
    for begin in range(0, len(names), _CHUNK):
        some = names[begin : begin + _CHUNK]
        now_ns = time.time_ns()
        for plan in (
            engine.plan_commands([submit(name) for name in some], now_ns),
            engine.plan_reports([accepted(name, numbers[name]) for name in some], now_ns),
        ):
            await store.commit(batch_of(plan), lease=lease.name, epoch=lease.epoch, now_ns=now_ns)
    await store.aclose()
    await leases.release(lease)


def accepted(name: ClientOrderId, venue_order_id: VenueOrderId) -> OrderStatusReport:
    """What the venue said of one of the orders when it took it."""
    return OrderStatusReport(
        account_id=ACCOUNT,
        instrument_id=BTC,
        client_order_id=name,
        venue_order_id=venue_order_id,
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        status=OrderStatus.ACCEPTED,
        size=_SIZE,
        filled_size=0,
        price=_PRICE,
        ts_event=time.time_ns(),
    )


def submit(name: ClientOrderId) -> SubmitOrder:
    """The command of one of the orders."""
    now_ns = time.time_ns()
    return SubmitOrder(
        event_id=f"submit-{name}",
        correlation_id=name,
        causation_id="",
        ts_event=now_ns,
        ts_init=now_ns,
        strategy_id=StrategyId("load"),
        account_id=ACCOUNT,
        client_order_id=name,
        instrument_id=BTC,
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        size=_SIZE,
        price=_PRICE,
    )

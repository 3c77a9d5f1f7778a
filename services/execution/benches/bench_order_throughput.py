"""Orders through the whole path beside the same rows written by the bare driver to the same PostgreSQL.

Run: python services/execution/benches/bench_order_throughput.py [orders]

Ours: SubmitOrder commands on a memory bus, the whole execution service, a venue that answers at once, until every order
is ACCEPTED: bus, risk, state machine, messages, store and outbox together. The driver's: the same rows in the same
batches, ready made, each batch one transaction of COPY (new rows) and one UPDATE over arrays (changed rows), one after
the other on one connection. A ratio of throughput is ours over the driver's; of commit times, ours over the driver's.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import asyncpg
import numpy as np
import uvloop

from tradewind.model.accounts import Balance
from tradewind.model.enums import OrderSide, OrderType, TimeInForce
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, StrategyId, Venue, VenueOrderId
from tradewind.model.instruments import Instrument
from tradewind.model.order_status import OrderStatus
from tradewind.runtime.service import ServiceContext, ServiceKind
from tradewind.runtime.testing import running, service_context
from tradewind.services.execution import service
from tradewind.services.execution.settings import Settings
from tradewind.store import order_store
from tradewind.store.data_dir import make_folder, socket_folder
from tradewind.store.database import Database
from tradewind.store.migrations import migrate
from tradewind.store.order_store import OrderBatch, OrderStore
from tradewind.store.postgres_server import PostgresServer
from tradewind.venue.adapter import NewOrder
from tradewind.venue.reports import BalanceReport, FillReport, MassStatus, OrderStatusReport, StreamEvent, StreamResumed
from tradewind.wire.commands import SubmitOrder
from tradewind.wire.topics import ORDERS_COMMANDS

ORDERS: Final = 5_000
ACCOUNT: Final = AccountId("BINANCE-main")
LARGE: Final = Decimal(10**12)
BTC: Final = Instrument(
    instrument_id=InstrumentId("BTCUSDT.BINANCE"),
    venue=Venue("BINANCE"),
    symbol="BTCUSDT",
    base_currency="BTC",
    quote_currency="USDT",
    price_precision=2,
    size_precision=5,
    price_increment=1,
    size_increment=1,
    min_size=1,
    max_size=900_000_000,
    max_price=100_000_000,
    min_notional=Decimal(5),
)
SETTINGS: Final = Settings(
    max_open_orders=10**6,
    max_open_orders_per_instrument=10**6,
    max_instrument_notional=LARGE,
    max_account_notional=LARGE,
    max_command_age_s=600.0,
    reconcile_every_s=600.0,
    inflight_check_s=600.0,
    max_price_age_s=None,
)
JOURNAL: Final = (
    "account_id",
    "client_order_id",
    "sequence",
    "event_id",
    "topic",
    "type",
    "version",
    "payload",
    "ts_init",
)
UPDATE: Final = """
UPDATE orders o
SET status = n.status, venue_order_id = n.venue_order_id, event_count = n.event_count, ts_last = n.ts_last
FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::bigint[])
    AS n(client_order_id, status, venue_order_id, event_count, ts_last)
WHERE o.account_id = 'BINANCE-main' AND o.client_order_id = n.client_order_id
"""


class InstantVenue:
    """Takes every order at once."""

    venue = BTC.venue
    account_id = ACCOUNT
    visibility_delay_s = 5.0

    def __init__(self) -> None:
        self._taken = 0

    async def connect(self) -> None:
        """Always there."""

    async def instruments(self) -> Sequence[Instrument]:
        """One."""
        return [BTC]

    def prepare_order(self, order: NewOrder) -> "Prepared":
        """See ``ExecutionClient``."""
        return Prepared(self, order)

    async def balances(self) -> BalanceReport:
        """Plenty."""
        rows = tuple(Balance(currency=name, free=LARGE, locked=Decimal(0)) for name in ("BTC", "USDT"))
        return BalanceReport(account_id=ACCOUNT, balances=rows, snapshot=True, ts_event=time.time_ns())

    async def mass_status(self, _since_ns: int) -> MassStatus:
        """Nothing rests, as long as nothing was sent."""
        return MassStatus(
            account_id=ACCOUNT,
            open_orders=(),
            fills=(),
            positions=(),
            balances=await self.balances(),
            ts_event=time.time_ns(),
        )

    async def stream(self) -> AsyncIterator[StreamEvent]:
        """Up, and silent."""
        yield StreamResumed(account_id=ACCOUNT)
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        """Nothing is open."""

    def take(self, order: NewOrder) -> OrderStatusReport:
        """The venue's word."""
        self._taken += 1
        return OrderStatusReport(
            account_id=ACCOUNT,
            instrument_id=order.instrument_id,
            client_order_id=order.client_order_id,
            venue_order_id=VenueOrderId(str(self._taken)),
            side=order.side,
            order_type=order.order_type,
            time_in_force=TimeInForce.GTC,
            status=OrderStatus.ACCEPTED,
            size=order.size,
            filled_size=0,
            price=order.price,
            ts_event=time.time_ns(),
        )


class Prepared:
    """A request that is answered in the same step."""

    def __init__(self, venue: InstantVenue, order: NewOrder) -> None:
        self._venue = venue
        self._order = order

    async def send(self, on_first_byte: Callable[[], None]) -> Sequence[OrderStatusReport | FillReport]:
        """See ``PreparedOrder``."""
        on_first_byte()
        return [self._venue.take(self._order)]


class Recorder:
    """Keeps what each commit wrote and how long it took."""

    def __init__(self) -> None:
        self.batches: list[tuple[list[Any], list[Any], list[Any]]] = []
        self.took_ns: list[int] = []
        self._commit = OrderStore.commit

    def install(self) -> None:
        """Stand in the way of every commit."""
        recorder, commit = self, self._commit

        async def recorded(store: OrderStore, batch: OrderBatch, **rest: Any) -> int | None:
            new = [order_store._order_row(order) for order in batch.new_orders]
            changed = [order_store._order_row(order) for order in batch.orders]
            told = [order_store._journal_entry(item) for item in batch.outgoing]
            if new or changed:
                recorder.batches.append((new, changed, told))
            begun_ns = time.perf_counter_ns()
            position = await commit(store, batch, **rest)
            if new or changed:
                recorder.took_ns.append(time.perf_counter_ns() - begun_ns)
            return position

        OrderStore.commit = recorded  # type: ignore[method-assign]

    def remove(self) -> None:
        """Out of the way again."""
        OrderStore.commit = self._commit  # type: ignore[method-assign]


async def _ours(dsn: str, orders: int, recorder: Recorder | None) -> float:
    """Seconds from the first command to the last order being ACCEPTED in the store."""
    with patch.object(service, "execution_client_of", lambda *_: InstantVenue()):
        return await _until_all_are_accepted(dsn, orders, recorder)


async def _until_all_are_accepted(dsn: str, orders: int, recorder: Recorder | None) -> float:
    async with (
        Database(dsn) as database,
        service_context("execution", ServiceKind.ORDER_PATH, SETTINGS, database) as context,
        running(service.SERVICE, context),
    ):
        while not context.health.ready:
            await asyncio.sleep(0.01)
        if recorder is not None:
            recorder.install()
        try:
            begun_s = time.perf_counter()
            for number in range(orders):
                await context.order_bus.publish(ORDERS_COMMANDS, ACCOUNT, _command(number))
            await _until_accepted(context, orders)
            return time.perf_counter() - begun_s
        finally:
            if recorder is not None:
                recorder.remove()


async def _until_accepted(context: ServiceContext, orders: int) -> None:
    query = "SELECT count(*) FROM orders WHERE status = 'ACCEPTED'"
    async with context.database.connection() as connection:
        while await connection.fetchval(query) < orders:  # rarely: it counts all rows
            await asyncio.sleep(0.1)


async def _drivers(dsn: str, recorder: Recorder) -> list[int]:
    """Nanoseconds of each batch on a bare connection."""
    connection = await asyncpg.connect(dsn)
    update = await connection.prepare(UPDATE)
    took_ns = []
    now_ns = time.time_ns()
    for new, changed, told in recorder.batches:
        journal = [(ACCOUNT, *row, now_ns) for row in told]
        columns = [list(column) for column in zip(*((r[1], r[15], r[19], r[22], r[24]) for r in changed), strict=True)]
        begun_ns = time.perf_counter_ns()
        async with connection.transaction():
            if new:
                await connection.copy_records_to_table("orders", records=new)
            if columns:
                await update.fetch(*columns)
            await connection.copy_records_to_table("journal", records=journal, columns=JOURNAL)
        took_ns.append(time.perf_counter_ns() - begun_ns)
    await connection.close()
    return took_ns


def _command(number: int) -> SubmitOrder:
    now_ns = time.time_ns()
    return SubmitOrder(
        event_id=f"command-{number}",
        correlation_id=f"story-{number}",
        causation_id="",
        ts_event=now_ns,
        ts_init=now_ns,
        strategy_id=StrategyId("load"),
        account_id=ACCOUNT,
        client_order_id=ClientOrderId(f"load-1-{number}"),
        instrument_id=BTC.instrument_id,
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        size=10_000,
        price=6_000_000,
    )


async def run(orders: int = ORDERS) -> dict[str, float]:
    """Throughputs and commit times, and their ratios."""
    with tempfile.TemporaryDirectory(prefix="tradewind-bench-") as folder:
        path = Path(folder)
        server = PostgresServer(make_folder(path / "postgres"), socket_folder(path))
        await asyncio.to_thread(server.start)
        try:
            return await _compare(server, orders)
        finally:
            await asyncio.to_thread(server.stop)


async def _empty(dsn: str) -> None:
    async with Database(dsn) as database, database.connection() as connection:
        await connection.execute("TRUNCATE orders, journal, journal_published")


async def _compare(server: PostgresServer, orders: int) -> dict[str, float]:
    recorder = Recorder()
    await migrate(server.dsn)
    ours_s = await _ours(server.dsn, orders, None)
    await _empty(server.dsn)
    await _ours(server.dsn, orders, recorder)  # once more: keeping the rows costs time of its own
    await _empty(server.dsn)
    drivers_ns = await _drivers(server.dsn, recorder)
    drivers_s = sum(drivers_ns) / 1e9
    ours_p50, ours_p99 = np.percentile(recorder.took_ns, (50, 99))
    drivers_p50, drivers_p99 = np.percentile(drivers_ns, (50, 99))
    return {
        "orders": orders,
        "transactions": len(drivers_ns),
        "orders_per_s": orders / ours_s,
        "drivers_orders_per_s": orders / drivers_s,
        "throughput_ratio": drivers_s / ours_s,
        "commit_p50_us": ours_p50 / 1_000,
        "commit_p50_ratio": ours_p50 / drivers_p50,
        "commit_p99_us": ours_p99 / 1_000,
        "commit_p99_ratio": ours_p99 / drivers_p99,
    }


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else ORDERS
    print(json.dumps({name: round(value, 2) for name, value in uvloop.run(run(count)).items()}, indent=2))

"""A platform small enough for the api's tests: a memory bus, somebody who publishes on it, and the service itself."""

import asyncio
import contextlib
import dataclasses
import ssl
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any, Final

import aiohttp
import msgspec

from tradewind.bus.memory import MemoryBus
from tradewind.model.accounts import Balance
from tradewind.model.enums import LiquiditySide, OrderSide, OrderType, TimeInForce, TradingState
from tradewind.model.identifiers import (
    AccountId,
    ClientOrderId,
    InstrumentId,
    StrategyId,
    TradeId,
    Venue,
    VenueOrderId,
)
from tradewind.model.instruments import Instrument
from tradewind.model.order_status import OrderStatus
from tradewind.runtime.health import HealthBoard
from tradewind.runtime.logging import get_logger
from tradewind.runtime.metrics import Metrics, ProcessMetrics
from tradewind.runtime.service import ServiceContext, ServiceKind
from tradewind.runtime.settings import PlatformSettings
from tradewind.services.api.service import ApiService
from tradewind.services.api.settings import ApiSettings
from tradewind.store.database import Database
from tradewind.store.last_values import LastValues
from tradewind.wire.events import (
    AccountBalancesChanged,
    EquityChanged,
    FeedStatusChanged,
    InstrumentDefined,
    OrderAccepted,
    OrderCanceled,
    OrderEvent,
    OrderFilled,
    OrderInitialized,
    OrderSubmitted,
    PositionChanged,
    TradingStateChanged,
)
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import (
    RecordArray,
    RecordFlag,
    RecordKind,
    RecordSide,
    empty_records,
    instrument_number,
    read_only,
)
from tradewind.wire.messages import EventIds, Message
from tradewind.wire.topics import (
    ACCOUNT_EVENTS,
    MD_STATUS,
    ORDERS_EVENTS,
    REF_INSTRUMENTS,
    RISK_STATE,
    Topic,
    market_events,
)

VENUE: Final = Venue("BINANCE")
ACCOUNT: Final = AccountId("BINANCE-main")
BTCUSDT: Final = InstrumentId("BTCUSDT.BINANCE")
WAIT_S: Final = 10.0
PEOPLE: Final = {"anna": "admin", "rita": "risk", "tom": "trader", "vera": "viewer"}
"""Who has a token of the deployment's own in the tests' settings. Tests are anna when they say no more."""

Level = tuple[int, int]


def instrument_named(name: InstrumentId) -> Instrument:
    symbol = name.partition(".")[0]
    return Instrument(
        instrument_id=name,
        venue=VENUE,
        symbol=symbol,
        base_currency=symbol[:3],
        quote_currency=symbol[3:],
        price_precision=2,
        size_precision=8,
        price_increment=1,
        size_increment=1_000,
        min_size=1_000,
        max_size=9_000 * 10**8,
        max_price=1_000_000_00,
        min_notional=Decimal("5.00"),
    )


def record(
    kind: RecordKind,
    side: RecordSide = RecordSide.NONE,
    price: int = 0,
    size: int = 0,
    *,
    flags: int = 0,
    order_id: int = 0,
    instrument_id: InstrumentId = BTCUSDT,
) -> RecordArray:
    one = empty_records(1)
    now = time.time_ns()
    one[0] = (now, now, price, size, order_id, 1, instrument_number(instrument_id), kind, side, flags, 0, 0)
    return one


def snapshot(bids: list[Level], asks: list[Level], instrument_id: InstrumentId = BTCUSDT) -> list[RecordArray]:
    flags = RecordFlag.SNAPSHOT
    sides = ((RecordSide.BUY, bids), (RecordSide.SELL, asks))
    return [
        record(RecordKind.CLEAR, flags=flags, instrument_id=instrument_id),
        *(
            record(RecordKind.LEVEL, side, price, size, flags=flags, instrument_id=instrument_id)
            for side, levels in sides
            for price, size in levels
        ),
    ]


def token_of(name: str) -> str:
    """The api token of somebody of PEOPLE."""
    return f"{name}-0123456789abcdef0123456789abcdef"


def bearer(name: str) -> dict[str, str]:
    """The header that makes a request somebody's."""
    return {"Authorization": f"Bearer {token_of(name)}"}


class Publisher:
    """Says on the bus what the other services would say."""

    def __init__(self, bus: MemoryBus) -> None:
        self.bus = bus
        self._event_ids = EventIds()
        self._sequences: dict[str, int] = {}

    def identity(self, correlation_id: str = "") -> dict[str, Any]:
        event_id, now = self._event_ids(), time.time_ns()
        return {
            "event_id": event_id,
            "correlation_id": correlation_id or event_id,
            "causation_id": "",
            "ts_event": now,
            "ts_init": now,
        }

    async def send(self, topic: Topic, message: Message, key: str = ACCOUNT) -> None:
        await self.bus.publish(topic, key, message)

    async def records(self, *parts: RecordArray) -> None:
        whole = empty_records(sum(map(len, parts)))
        at = 0
        for part in parts:
            whole[at : at + len(part)] = part
            at += len(part)
        await self.bus.publish(market_events(VENUE), VENUE, MarketBatch(VENUE, read_only(whole)))

    async def instrument(self, name: InstrumentId = BTCUSDT) -> None:
        await self.send(REF_INSTRUMENTS, InstrumentDefined(instrument=instrument_named(name), **self.identity()), name)

    async def feed(self, state: str, instrument_id: InstrumentId | None = BTCUSDT) -> None:
        message = FeedStatusChanged(venue=VENUE, instrument_id=instrument_id, state=state, **self.identity())
        await self.send(MD_STATUS, message, instrument_id or VENUE)

    def _of_order(self, name: str, strategy: str, status: OrderStatus) -> dict[str, Any]:
        self._sequences[name] = sequence = self._sequences.get(name, 0) + 1
        return {
            **self.identity(name),
            "account_id": ACCOUNT,
            "strategy_id": StrategyId(strategy),
            "instrument_id": BTCUSDT,
            "client_order_id": ClientOrderId(name),
            "sequence": sequence,
            "status": status,
        }

    async def order(
        self, name: str, side: OrderSide, price: int, size: int, strategy: str = "market-maker"
    ) -> list[OrderEvent]:
        """An order that is taken, sent and accepted."""
        events: list[OrderEvent] = [
            OrderInitialized(
                side=side,
                order_type=OrderType.LIMIT,
                time_in_force=TimeInForce.GTC,
                size=size,
                price=price,
                **self._of_order(name, strategy, OrderStatus.INITIALIZED),
            ),
            OrderSubmitted(**self._of_order(name, strategy, OrderStatus.SUBMITTED)),
            OrderAccepted(
                venue_order_id=VenueOrderId(f"v-{name}"), **self._of_order(name, strategy, OrderStatus.ACCEPTED)
            ),
        ]
        for event in events:
            await self.send(ORDERS_EVENTS, event)
        return events

    async def canceled(self, name: str, strategy: str = "market-maker") -> None:
        event = OrderCanceled(**self._of_order(name, strategy, OrderStatus.CANCELED))
        await self.send(ORDERS_EVENTS, event)

    async def filled(
        self,
        name: str,
        side: OrderSide,
        price: int,
        size: int,
        strategy: str = "market-maker",
        liquidity_side: LiquiditySide = LiquiditySide.MAKER,
    ) -> OrderFilled:
        """The whole order fills at once."""
        event = OrderFilled(
            venue_order_id=VenueOrderId(f"v-{name}"),
            trade_id=TradeId(f"t-{name}"),
            side=side,
            price=price,
            size=size,
            filled_size=size,
            fee=Decimal("0.0125"),
            fee_currency="USDT",
            liquidity_side=liquidity_side,
            **self._of_order(name, strategy, OrderStatus.FILLED),
        )
        await self.send(ORDERS_EVENTS, event)
        return event

    async def position(self, strategy: str, signed_size: int, average_price: Decimal, realized_pnl: Decimal) -> None:
        message = PositionChanged(
            account_id=ACCOUNT,
            strategy_id=StrategyId(strategy),
            instrument_id=BTCUSDT,
            signed_size=signed_size,
            average_price=average_price,
            realized_pnl=realized_pnl,
            **self.identity(),
        )
        await self.send(ACCOUNT_EVENTS, message)

    async def equity(self, strategy: str, realized: Decimal, unrealized: Decimal, fees: Decimal) -> None:
        message = EquityChanged(
            account_id=ACCOUNT,
            strategy_id=StrategyId(strategy),
            currency="USDT",
            realized_pnl=realized,
            unrealized_pnl=unrealized,
            fees=fees,
            **self.identity(),
        )
        await self.send(ACCOUNT_EVENTS, message)

    async def balances(self, **free: Decimal) -> None:
        balances = tuple(Balance(currency=name, free=amount, locked=Decimal(0)) for name, amount in free.items())
        message = AccountBalancesChanged(account_id=ACCOUNT, balances=balances, snapshot=True, **self.identity())
        await self.send(ACCOUNT_EVENTS, message)

    async def trading_state(self, scope: str, state: TradingState, actor: str, why: str) -> None:
        message = TradingStateChanged(scope=scope, state=state, actor=actor, why=why, **self.identity())
        await self.send(RISK_STATE, message, scope)


@dataclasses.dataclass(slots=True)
class RunningApi:
    """One running service, and a client of it that is no browser."""

    service: ApiService
    task: "asyncio.Task[None]"
    bus: MemoryBus
    publisher: Publisher
    board: HealthBoard
    http: aiohttp.ClientSession

    @property
    def port(self) -> int:
        return self.service.port

    @property
    def origin(self) -> str:
        return f"{'https' if self.service.tls else 'http'}://127.0.0.1:{self.port}"

    async def get(self, path: str, **options: Any) -> tuple[int, Any]:
        async with self.http.get(self.origin + path, **options) as answer:
            return answer.status, await answer.json()

    async def post(self, path: str, body: object, **options: Any) -> tuple[int, Any]:
        async with self.http.post(self.origin + path, json=body, **options) as answer:
            return answer.status, await answer.json()

    async def patch(self, path: str, body: object, **options: Any) -> tuple[int, Any]:
        async with self.http.patch(self.origin + path, json=body, **options) as answer:
            return answer.status, await answer.json()

    async def delete(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        sent = {"X-Tradewind-Request": "yes", **(headers or {})}
        async with self.http.delete(self.origin + path, headers=sent) as answer:
            return answer.status, await answer.json() if answer.status != 204 else None

    @contextlib.asynccontextmanager
    async def visitor(self, tls: ssl.SSLContext | bool = True) -> "AsyncIterator[RunningApi]":
        """The same service as somebody meets it who has no token: with a browser's cookies, none at first."""
        jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address that is no name
        timeout = aiohttp.ClientTimeout(total=WAIT_S)
        connector = aiohttp.TCPConnector(ssl=tls)
        async with aiohttp.ClientSession(cookie_jar=jar, timeout=timeout, connector=connector) as http:
            yield dataclasses.replace(self, http=http)

    async def eventually(self, path: str, holds: Callable[[Any], bool]) -> Any:
        """The answer of a path, as soon as something holds of it."""
        deadline = time.monotonic() + WAIT_S
        while True:
            _, body = await self.get(path)
            if holds(body):
                return body
            if time.monotonic() > deadline:
                raise AssertionError(f"{path} still answers {body}")
            await asyncio.sleep(0.02)


def api_settings(**changes: Any) -> ApiSettings:
    tokens = " ".join(f"{name}:{role}:{token_of(name)}" for name, role in PEOPLE.items())
    fast = ApiSettings(
        port=0,
        stream_interval_ms=20,
        ingest_interval_ms=5,
        chart_interval_ms=50,
        operator_tokens=tokens,
        requests_per_s=10_000,
        requests_per_s_of_one=10_000,
    )
    return msgspec.structs.replace(fast, **changes)


def away_database() -> Database:
    """A database that was never opened: every use says that it is away."""
    return Database("postgresql://nobody@127.0.0.1:1/none")


@contextlib.asynccontextmanager
async def running_api(
    database: Database,
    settings: ApiSettings,
    platform: PlatformSettings | None = None,
    client_tls: ssl.SSLContext | bool = True,
) -> AsyncIterator[RunningApi]:
    bus, board, metrics = MemoryBus(), HealthBoard(), ProcessMetrics()
    context = ServiceContext(
        name="api",
        platform=platform or PlatformSettings(),
        settings=settings,
        market_bus=bus,
        order_bus=bus,
        database=database,
        last_values=LastValues("redis://127.0.0.1:1"),
        health=board.register("api", ServiceKind.EDGE),
        metrics=Metrics("api", metrics),
        log=get_logger("api"),
    )
    service = ApiService(context, board, metrics)
    timeout = aiohttp.ClientTimeout(total=WAIT_S)
    async with (
        aiohttp.ClientSession(
            timeout=timeout, headers=bearer("anna"), connector=aiohttp.TCPConnector(ssl=client_tls)
        ) as http,
        asyncio.TaskGroup() as tasks,
    ):
        task = tasks.create_task(service.run())
        running = RunningApi(service, task, bus, Publisher(bus), board, http)
        await running.eventually("/api/v1/health", lambda body: body["ready"])
        yield running
        task.cancel()
    await bus.close()

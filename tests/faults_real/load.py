"""The load: orders and cancels with known client ids, the same commands again, other commands with an id that is taken,
and orders that somebody else places at the venue.

Tasks, owned by ``Load.run``: one makes commands, one publishes them, one asks the venue for its price, one trades by
hand. Bound: ``_MOST_WAITING`` commands; past it the maker waits. On cancel what was not published is forgotten.
"""

import asyncio
import collections
import contextlib
import hashlib
import hmac
import random
import time
import urllib.parse
from typing import Any, Final

import aiohttp

from tradewind.bus.connecting import connect
from tradewind.bus.interface import Bus
from tradewind.model.enums import OrderSide, OrderType, TimeInForce
from tradewind.model.identifiers import AccountId, InstrumentId, StrategyId, client_order_id
from tradewind.wire.commands import CancelAllOrders, CancelOrder, OrderCommand, SubmitOrder
from tradewind.wire.messages import EventIds
from tradewind.wire.topics import ORDERS_COMMANDS

ACCOUNT: Final = AccountId("BINANCE-main")
STRATEGY: Final = StrategyId("load")
INSTRUMENT: Final = InstrumentId("BTCUSDT.BINANCE")
SYMBOL: Final = "BTCUSDT"
KEY: Final = "demo-key"
SECRET: Final = "demo-secret"
_PER_S: Final = 12.0
_MOST_WAITING: Final = 2_000
_FLOOD: Final = 300
_PUBLISH_TIMEOUT_S: Final = 5.0
_CONNECT_PAUSE_S: Final = 1.0
_PRICE_EVERY_S: Final = 0.5
_HAND_EVERY_S: Final = 8.0
_STEP: Final = 1_000
"""Least step of a size, as a mantissa."""
_KEPT: Final = 200


class Load:
    """Prices are mantissas at two decimals, sizes at eight, as the simulated venue lists them."""

    def __init__(self, seed: int, bus_url: str, venue_url: str) -> None:
        self._chance = random.Random(seed)
        self._bus_url = bus_url
        self._venue_url = venue_url
        self._event_ids = EventIds()
        self._waiting: collections.deque[OrderCommand] = collections.deque()
        self._wake = asyncio.Event()
        self._lately: collections.deque[SubmitOrder] = collections.deque(maxlen=_KEPT)
        self._price = 0
        self._number = 0
        self.counts: collections.Counter[str] = collections.Counter()
        self.external: set[str] = set()

    async def run(self) -> None:
        """Trade until cancelled."""
        timeout = aiohttp.ClientTimeout(total=2.0)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_price(session))
            tasks.create_task(self._make())
            tasks.create_task(self._publish())
            tasks.create_task(self._trade_by_hand(session))

    def flood(self) -> None:
        """Many commands at once."""
        for _ in range(_FLOOD):
            self._push(self._submit())

    async def _make(self) -> None:
        while True:
            await asyncio.sleep(self._chance.expovariate(_PER_S))
            if self._price and len(self._waiting) < _MOST_WAITING:
                self._push(self._command())

    def _push(self, command: OrderCommand) -> None:
        self._waiting.append(command)
        self._wake.set()

    def _command(self) -> OrderCommand:
        draw = self._chance.random()
        if not self._lately or draw < 0.5:
            return self._submit()
        earlier = self._chance.choice(self._lately)
        if draw < 0.82:
            self.counts["cancels"] += 1
            return CancelOrder(**self._identity(), **self._owner(), client_order_id=earlier.client_order_id)
        if draw < 0.89:
            self.counts["the same command again"] += 1
            return earlier
        if draw < 0.94:
            self.counts["another command with a taken id"] += 1
            return self._submit(earlier)
        self.counts["cancels of all"] += 1
        return CancelAllOrders(**self._identity(), account_id=ACCOUNT, strategy_id=STRATEGY)

    def _submit(self, taken: SubmitOrder | None = None) -> SubmitOrder:
        chance = self._chance
        if taken is None:
            self._number += 1
            self.counts["new orders"] += 1
        side = chance.choice((OrderSide.BUY, OrderSide.SELL))
        # Some rest far away, some at the touch, some go through it.
        away = chance.choice((-300, -50, 0, 50, 500, 3_000, 20_000))
        market = chance.random() < 0.1
        command = SubmitOrder(
            **self._identity(),
            **self._owner(),
            client_order_id=taken.client_order_id if taken else client_order_id(STRATEGY, 1, self._number),
            instrument_id=INSTRUMENT,
            side=side,
            order_type=OrderType.MARKET if market else OrderType.LIMIT,
            size=chance.randint(20, 1_500) * _STEP,
            time_in_force=TimeInForce.IOC if not market and chance.random() < 0.15 else TimeInForce.GTC,
            price=None if market else self._price - side.sign * away,
        )
        if taken is None:
            self._lately.append(command)
        return command

    def _identity(self) -> dict[str, Any]:
        event_id, now_ns = self._event_ids(), time.time_ns()
        return {
            "event_id": event_id,
            "correlation_id": event_id,
            "causation_id": "",
            "ts_event": now_ns,
            "ts_init": now_ns,
        }

    @staticmethod
    def _owner() -> dict[str, Any]:
        return {"strategy_id": STRATEGY, "account_id": ACCOUNT}

    # -- publishing ----------------------------------------------------------------------------------------------------

    async def _publish(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_PUBLISH_TIMEOUT_S):
                    bus = await connect(self._bus_url)
            except OSError:
                await asyncio.sleep(_CONNECT_PAUSE_S)
                continue
            try:
                await self._publish_on(bus)
            except OSError:
                self.counts["published again, the outcome being unknown"] += 1
            finally:
                with contextlib.suppress(OSError):
                    async with asyncio.timeout(_PUBLISH_TIMEOUT_S):
                        await bus.close()

    async def _publish_on(self, bus: Bus) -> None:
        while True:
            while not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            async with asyncio.timeout(_PUBLISH_TIMEOUT_S):
                await bus.publish(ORDERS_COMMANDS, ACCOUNT, self._waiting[0])
            self._waiting.popleft()
            self.counts["published"] += 1

    # -- the venue, past every link ------------------------------------------------------------------------------------

    async def _follow_price(self, session: aiohttp.ClientSession) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError, KeyError, ValueError):
                async with session.get(f"{self._venue_url}/api/v3/ticker/bookTicker?symbol={SYMBOL}") as answer:
                    best = await answer.json()
                    self._price = round((float(best["bidPrice"]) + float(best["askPrice"])) * 50)
            await asyncio.sleep(_PRICE_EVERY_S)

    async def _trade_by_hand(self, session: aiohttp.ClientSession) -> None:
        number = 0
        while True:
            await asyncio.sleep(self._chance.expovariate(1 / _HAND_EVERY_S))
            if not self._price:
                continue
            number += 1
            name = f"hand-{number}"
            self.external.add(name)
            self.counts["orders by hand at the venue"] += 1
            side = self._chance.choice(("BUY", "SELL"))
            away = self._chance.choice((-300, 50, 5_000)) * (1 if side == "BUY" else -1)
            order = {"side": side, "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.002"}
            price = f"{(self._price - away) / 100:.2f}"
            await self._ask(session, "POST", {**order, "price": price, "newClientOrderId": name})
            if self._chance.random() < 0.7:
                await asyncio.sleep(self._chance.uniform(0.5, 10.0))
                await self._ask(session, "DELETE", {"origClientOrderId": name})

    async def _ask(self, session: aiohttp.ClientSession, method: str, values: dict[str, str]) -> None:
        query = urllib.parse.urlencode({"symbol": SYMBOL, **values, "timestamp": str(time.time_ns() // 1_000_000)})
        signature = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
        url = f"{self._venue_url}/api/v3/order?{query}&signature={signature}"
        # Whether it took it is in its record.
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with session.request(method, url, headers={"X-MBX-APIKEY": KEY}) as answer:
                await answer.read()

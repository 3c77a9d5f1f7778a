"""An order path that stores before it tells, as execution does: real rows in a real database, a scripted venue."""

import asyncio
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Self

from checkpoint_events import initialized

from tradewind.bus.interface import Bus, Subscription
from tradewind.model.enums import OrderType
from tradewind.model.order_status import OrderStatus
from tradewind.model.orders import Order
from tradewind.model.positions import Position
from tradewind.store.database import Database
from tradewind.store.leases import Lease, LeaseRepository
from tradewind.store.order_store import OrderBatch, OrderStore, Outgoing
from tradewind.strategy.commanding import order_of
from tradewind.strategy.testing import ACCOUNT, BTC, STRATEGY, accepted, canceled, denied, filled
from tradewind.wire.commands import CancelAllOrders, CancelOrder, SubmitOrder
from tradewind.wire.events import OrderEvent, OrderFilled
from tradewind.wire.topics import ORDERS_EVENTS


class StoredOrderPath:
    """Accepts, fills market orders at once, cancels when told. The words in ``denials`` refuse one order each."""

    def __init__(self, bus: Bus, database: Database, lease: Lease) -> None:
        self._bus = bus
        self._store = OrderStore(database, ACCOUNT)
        self._lease = lease
        self.commands: list[Any] = []
        self.orders: dict[str, Order] = {}
        self.position = Position(account_id=ACCOUNT, strategy_id=STRATEGY, instrument_id=BTC)
        self.denials: list[str] = []
        self._busy = asyncio.Lock()

    @classmethod
    async def made(cls, bus: Bus, database: Database) -> Self:
        """With the lease of the account, and what the store knows already."""
        lease = await LeaseRepository(database, duration_s=0.1, grace_s=0.0).acquire(f"execution:{ACCOUNT}", "path")
        while lease is None:
            await asyncio.sleep(0.05)
            lease = await LeaseRepository(database, duration_s=0.1, grace_s=0.0).acquire(f"execution:{ACCOUNT}", "path")
        path = cls(bus, database, lease)
        path.orders = {order.client_order_id: order for order in await path._store.unfinished_orders()}
        for position in await path._store.positions():
            path.position = position
        return path

    async def run(self, subscription: Subscription) -> None:
        """Take commands until cancelled."""
        while True:
            for delivery in await subscription.receive():
                command = delivery.payload
                self.commands.append(command)
                if isinstance(command, SubmitOrder):
                    await self._submit(command)
                elif isinstance(command, CancelOrder | CancelAllOrders):
                    wanted = getattr(command, "client_order_id", None)
                    for order in self.open():
                        if wanted in (None, order.client_order_id):
                            await self.say(order, canceled)

    def open(self) -> list[Order]:
        """Orders without an end."""
        return [order for order in self.orders.values() if not order.status.is_closed]

    async def say(self, order: Order, *makers: Callable[[Order], OrderEvent]) -> None:
        """Make the next events of an order, commit them, then publish them."""
        async with self._busy:
            is_new, events = order.event_count == 0, []
            for make in makers:
                events.append(event := make(order))
                order.status, order.event_count = event.status, event.sequence
                if isinstance(event, OrderFilled):
                    order.filled_size = event.filled_size
                    self.position.apply(event.side.sign * event.size, Decimal(60_000), 5)
            batch = OrderBatch(
                new_orders=[order] if is_new else [],
                orders=[] if is_new else [order],
                positions=[self.position],
                outgoing=[
                    Outgoing(
                        topic=ORDERS_EVENTS,
                        message=event,
                        client_order_id=order.client_order_id,
                        sequence=event.sequence,
                    )
                    for event in events
                ],
            )
            await self._store.commit(batch, lease=self._lease.name, epoch=self._lease.epoch, now_ns=1)
            for event in events:
                await self._bus.publish(ORDERS_EVENTS, ACCOUNT, event)

    async def slip_in(self, order: Order) -> None:
        """Store an order and the position without an event, as if the journal of them were gone."""
        self.orders[order.client_order_id] = order
        batch = OrderBatch(new_orders=[order], positions=[self.position])
        await self._store.commit(batch, lease=self._lease.name, epoch=self._lease.epoch, now_ns=1)

    async def fill_one(self, chance: random.Random) -> None:
        """Fill a part of an open order, or cancel it."""
        if resting := self.open():
            order = chance.choice(resting)
            size = chance.randint(1, order.remaining_size)
            await self.say(order, (lambda one: filled(one, size)) if chance.random() < 0.8 else canceled)

    async def close(self) -> None:
        """Give the connection back."""
        await self._store.aclose()

    async def _submit(self, command: SubmitOrder) -> None:
        order = self.orders[command.client_order_id] = order_of(command)
        if self.denials:
            words = self.denials.pop(0)
            await self.say(order, initialized, lambda one: denied(one, words))
            return
        await self.say(order, initialized, accepted)
        if order.order_type is OrderType.MARKET:
            await self.say(order, lambda one: filled(one, one.size, 6_000_000))
            assert order.status is OrderStatus.FILLED

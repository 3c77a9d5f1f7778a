"""Refusing orders while the store is away.

A refusal in words goes out at once, so that nobody waits; it becomes a durable DENIED order when the store is back. The
commands stay uncommitted on the bus meanwhile, so that even a crash forgets none of them.
"""

import asyncio
import dataclasses
import time
from typing import Final

from tradewind.bus.interface import Start
from tradewind.execution.limits import Denial, DenyCode
from tradewind.execution.poison import fault_of
from tradewind.model.identifiers import AccountId, ClientOrderId
from tradewind.model.order_status import OrderStatus
from tradewind.runtime.service import ServiceContext
from tradewind.wire.commands import SubmitOrder
from tradewind.wire.events import OrderDenied
from tradewind.wire.messages import EventIds
from tradewind.wire.topics import ORDERS_COMMANDS, ORDERS_EVENTS

_MOST: Final = 10_000


@dataclasses.dataclass(slots=True)
class Carried:
    """What one session hands to the next: the only memory that outlives it, and none of it is needed after a crash."""

    refused: dict[str, SubmitOrder] = dataclasses.field(default_factory=dict)
    """Commands refused in words and not yet in the store, by event id."""
    in_doubt: set[str] = dataclasses.field(default_factory=set)
    """Commands whose commit may have happened: they must not be refused, only planned again."""
    forgotten: set[ClientOrderId] = dataclasses.field(default_factory=set)
    """Orders that the store turned out to know and memory did not."""


class Refuser:
    """Answers new orders while there is no session."""

    def __init__(self, context: ServiceContext, account_id: AccountId, carried: Carried, event_ids: EventIds) -> None:
        self._context = context
        self._account_id = account_id
        self._carried = carried
        self._event_ids = event_ids

    async def refuse_until(self, available: asyncio.Event) -> None:
        """Answer every new order with a denial until the store is available again."""
        group = group_of(self._account_id)
        subscription = await self._context.order_bus.subscribe(ORDERS_COMMANDS, group=group, start=Start.EARLIEST)
        try:
            while not available.is_set():
                for delivery in await subscription.receive(timeout_s=0.1):
                    command = delivery.payload
                    if isinstance(command, SubmitOrder) and fault_of(command) is None:
                        await self._refuse(command)
        finally:
            await subscription.close()

    async def _refuse(self, command: SubmitOrder) -> None:
        refused, in_doubt = self._carried.refused, self._carried.in_doubt
        new = command.event_id not in refused and command.event_id not in in_doubt
        if not new or command.account_id != self._account_id or len(refused) >= _MOST:
            return
        refused[command.event_id] = command
        now_ns = time.time_ns()
        message = OrderDenied(
            event_id=self._event_ids(),
            correlation_id=command.correlation_id,
            causation_id=command.event_id,
            ts_event=now_ns,
            ts_init=now_ns,
            account_id=command.account_id,
            strategy_id=command.strategy_id,
            instrument_id=command.instrument_id,
            client_order_id=command.client_order_id,
            sequence=1,
            status=OrderStatus.DENIED,
            reason=str(Denial(DenyCode.STORE_UNAVAILABLE)),
        )
        await self._context.order_bus.publish(ORDERS_EVENTS, command.account_id, message)


def group_of(account_id: AccountId) -> str:
    """The consumer group of the one service that owns an account."""
    return f"execution:{account_id}"

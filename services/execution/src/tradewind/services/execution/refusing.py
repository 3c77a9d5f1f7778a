"""Refusing orders while the store is away.

A refusal in words goes out at once, so that nobody waits; it becomes a durable DENIED order when the store is back. The
commands stay uncommitted on the bus meanwhile, so that even a crash forgets none of them.

Only who had the lease speaks, only as long as nobody else can have it, and only of commands that were made after the
session ended: all others may be orders already. Whoever leads next reads on the bus what was said. So no order lives
that a strategy was told is denied.
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
_MOST_WORDS: Final = 1_000_000
_WORDS_OVERLAP_S: Final = 60.0
_WORDS: Final = str(Denial(DenyCode.STORE_UNAVAILABLE))


@dataclasses.dataclass(slots=True)
class Carried:
    """What one session hands to the next: the only memory that outlives it, and none of it is needed after a crash."""

    refused: dict[str, SubmitOrder] = dataclasses.field(default_factory=dict)
    """Commands refused in words and not yet in the store, by event id."""
    in_doubt: set[str] = dataclasses.field(default_factory=set)
    """Commands whose commit may have happened: they must not be refused, only planned again."""
    told: set[str] = dataclasses.field(default_factory=set)
    """Commands that some process refused in words, by event id, as the bus tells it."""
    forgotten: set[ClientOrderId] = dataclasses.field(default_factory=set)
    """Orders that the store turned out to know and memory did not."""

    def was_refused(self, command: SubmitOrder) -> bool:
        """Whether a strategy was told that this command is denied."""
        return command.event_id in self.refused or command.event_id in self.told

    async def remember_words(self, context: ServiceContext, account_id: AccountId, max_age_s: float) -> None:
        """Read what was refused before the session: older commands than ``max_age_s`` are denied anyway."""
        since_ns = time.time_ns() - int((max_age_s + _WORDS_OVERLAP_S) * 1e9)
        deliveries = await context.order_bus.replay(ORDERS_EVENTS, from_time_ns=since_ns, limit=_MOST_WORDS)
        words = (delivery.payload for delivery in deliveries)
        self.told = {
            word.causation_id
            for word in words
            if isinstance(word, OrderDenied) and word.account_id == account_id and word.reason == _WORDS
        }


class Refuser:
    """Answers new orders while there is no session.

    Commands made before it began are left alone. ``until``: on the monotonic clock, the end of the lease.
    """

    def __init__(
        self,
        context: ServiceContext,
        account_id: AccountId,
        carried: Carried,
        event_ids: EventIds,
        until: float,
    ) -> None:
        self._context = context
        self._account_id = account_id
        self._carried = carried
        self._event_ids = event_ids
        self._since_ns = time.time_ns()
        self._until = until

    async def refuse_until(self, available: asyncio.Event) -> None:
        """Answer every new order with a denial until the store is available again or the lease is over."""
        group = group_of(self._account_id)
        subscription = await self._context.order_bus.subscribe(ORDERS_COMMANDS, group=group, start=Start.EARLIEST)
        try:
            while not available.is_set() and time.monotonic() < self._until:
                for delivery in await subscription.receive(timeout_s=0.1):
                    command = delivery.payload
                    if isinstance(command, SubmitOrder) and fault_of(command) is None and self._may_speak(command):
                        await self._refuse(command)
        finally:
            await subscription.close()

    def _may_speak(self, command: SubmitOrder) -> bool:
        return command.ts_init >= self._since_ns and time.monotonic() < self._until

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
            reason=_WORDS,
        )
        await self._context.order_bus.publish(ORDERS_EVENTS, command.account_id, message)


def group_of(account_id: AccountId) -> str:
    """The consumer group of the one service that owns an account."""
    return f"execution:{account_id}"

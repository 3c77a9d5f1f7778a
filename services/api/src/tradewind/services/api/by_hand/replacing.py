"""Changing an order at rest: it is cancelled, and once its end is known, another one is sent for what is left.

Two orders, never two at work: the second is sent only after the first is CANCELED and its filled size is known. Its id
is the first one's with a revision, so that whoever asks twice, here or at another copy of this service, can make but
one: the order path takes an id once. When the end does not come in time, when it is UNKNOWN, or when this process
stops, nothing more is sent; the first order is then as it is, and audit and log say so. A venue that tells of a fill
later than ``settle_s`` after it confirmed the cancel makes the two together larger by that fill.
"""

import asyncio
import dataclasses
import re
import time
from typing import Annotated, Final

import msgspec
from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field
from structlog.typing import FilteringBoundLogger

from tradewind.bus.interface import Bus
from tradewind.model.enums import Outcome
from tradewind.model.fixed_point import FixedPointError
from tradewind.model.identifiers import ClientOrderId
from tradewind.model.instruments import Instrument
from tradewind.model.order_status import OrderStatus
from tradewind.model.orders import Order
from tradewind.services.api.by_hand.order_entry import MANUAL, DecimalText, NewOrder, OrderRefused, Sentence
from tradewind.services.api.logins.auditing import AuditTrail
from tradewind.services.api.logins.identity import Identity
from tradewind.services.api.view_model.order_ledger import OrderLedger
from tradewind.store.database import DatabaseUnavailable
from tradewind.wire.commands import SubmitOrder
from tradewind.wire.topics import ORDERS_COMMANDS

MOST_WAITING: Final = 100
LOOK_S: Final = 0.02
LONGEST_ID: Final = 36
_REVISED: Final = re.compile(r"(.+)-r([0-9]+)")


class OrderChange(BaseModel):
    """What an order at rest shall be instead. ``size`` is with what is filled already."""

    model_config = ConfigDict(extra="forbid", strict=True)

    price: Annotated[DecimalText | None, Field(examples=["61837.63"])] = None
    size: Annotated[DecimalText | None, Field(examples=["0.01000000"])] = None
    why: Annotated[Sentence | None, Field(examples=["the market has moved"])] = None


@dataclasses.dataclass(frozen=True, slots=True)
class Replacement:
    """One change that waits for the first order's end, until ``until_s`` of the monotonic clock. ``command`` is of the
    whole size that is wanted, ``reason`` is what the order said before its cancel."""

    first: ClientOrderId
    command: SubmitOrder
    instrument: Instrument
    who: Identity
    until_s: float
    reason: str | None = None


def revised_id(client_order_id: ClientOrderId) -> ClientOrderId:
    """The id of what replaces an order: it follows from the order's own.

    Raises:
        HTTPException: 409, it would be longer than venues take.
    """
    found = _REVISED.fullmatch(client_order_id)
    stem, revision = (found[1], int(found[2]) + 1) if found else (client_order_id, 1)
    revised = f"{stem}-r{revision}"
    if len(revised) > LONGEST_ID:
        raise HTTPException(409, f"the name {client_order_id} is too long to be revised; cancel it and send another")
    return ClientOrderId(revised)


def changed(order: Order, change: OrderChange, instrument: Instrument) -> NewOrder:
    """The whole of the order as it shall be.

    Raises:
        HTTPException: 409, it cannot be changed.
        OrderRefused: it cannot be changed so.
    """
    if order.strategy_id != MANUAL:
        raise HTTPException(
            409,
            f"{order.client_order_id} is {order.strategy_id}'s, which would not know of the change; cancel it",
        )
    if order.price is None or order.outcome is Outcome.UNKNOWN or order.status.is_closed:
        what = "UNKNOWN" if order.outcome is Outcome.UNKNOWN else f"{order.order_type.value}, {order.status.value}"
        raise HTTPException(409, f"order {order.client_order_id} is {what}; only a LIMIT order at rest can be changed")
    price = change.price or instrument.format_price(order.price)
    size = change.size or instrument.format_size(order.size)
    wanted = NewOrder(
        instrument_id=order.instrument_id,
        side=order.side.value,
        size=size,
        price=price,
        time_in_force=order.time_in_force.value,  # type: ignore[arg-type]
        post_only=order.post_only,
        reduce_only=order.reduce_only,
    )
    try:
        new_price, new_size = instrument.price(price), instrument.size(size)
    except FixedPointError as error:
        raise OrderRefused(str(error)) from error
    if (new_price, new_size) == (order.price, order.size):
        raise OrderRefused("price and size are what they are already; nothing would change")
    if new_size <= order.filled_size:
        filled = instrument.format_size(order.filled_size)
        raise OrderRefused(f"{filled} of it is filled already; a size of {size} leaves nothing: cancel it instead")
    return wanted


class Replacer:
    """The changes that wait. ``run`` is one task, owned by the service; on cancel what waits is given up."""

    def __init__(
        self, ledger: OrderLedger, bus: Bus, trail: AuditTrail, log: FilteringBoundLogger, *, settle_s: float
    ) -> None:
        self._ledger = ledger
        self._bus = bus
        self._trail = trail
        self._log = log
        self._settle_s = settle_s
        self._waiting: dict[ClientOrderId, Replacement] = {}
        self._ended_s: dict[ClientOrderId, float] = {}
        self._is_waiting = asyncio.Event()

    def check_free(self, first: ClientOrderId) -> None:
        """Raises HTTPException: 409 when an order is being changed already, 503 when too many are."""
        if first in self._waiting:
            raise HTTPException(409, f"order {first} is being changed already")
        if len(self._waiting) >= MOST_WAITING:
            raise HTTPException(503, f"{MOST_WAITING} orders are being changed; try again in a moment")

    def begin(self, replacement: Replacement) -> None:
        """Wait for an order's end, from now on; ``check_free`` comes before, in the same step."""
        self._waiting[replacement.first] = replacement
        self._is_waiting.set()

    def forget(self, first: ClientOrderId) -> None:
        """The cancel was not given: nothing is waited for."""
        self._waiting.pop(first, None)
        self._ended_s.pop(first, None)

    async def run(self) -> None:
        """Look at what waits, again and again, until cancelled."""
        try:
            while True:
                await self._is_waiting.wait()
                for replacement in list(self._waiting.values()):
                    await self._look(replacement)
                if not self._waiting:
                    self._is_waiting.clear()
                await asyncio.sleep(LOOK_S)
        finally:
            for first in self._waiting:
                self._log.warning("an order's change is given up: this process stops", order=first)

    async def _look(self, replacement: Replacement) -> None:
        order, now_s = self._ledger.orders.get(replacement.first), time.monotonic()
        if order is not None and order.outcome is Outcome.UNKNOWN:
            # Whatever ends the doubt may be a person's word, not the venue's.
            await self._give_up(replacement, "what became of it is UNKNOWN; nothing more is sent for it")
        elif order is not None and order.status.is_closed:
            if now_s - self._ended_s.setdefault(replacement.first, now_s) < self._settle_s:
                return
            await self._conclude(replacement, order)
        elif order is not None and _is_at_work(order) and order.reason != replacement.reason:
            await self._give_up(replacement, f"the cancel was refused: {order.reason}")
        elif now_s >= replacement.until_s:
            await self._give_up(replacement, "its end is not known in time; it is left as it is")
        else:
            return
        self.forget(replacement.first)

    async def _conclude(self, replacement: Replacement, order: Order) -> None:
        left = replacement.command.size - order.filled_size
        if order.status is not OrderStatus.CANCELED:
            await self._give_up(replacement, f"it is {order.status.value}")
        elif left < replacement.instrument.min_size:
            await self._give_up(replacement, "nothing is left to send: the rest was filled meanwhile")
        else:
            await self._send(replacement, left)

    async def _send(self, replacement: Replacement, left: int) -> None:
        now_ns = time.time_ns()
        command = msgspec.structs.replace(replacement.command, size=left, ts_event=now_ns, ts_init=now_ns)
        try:
            async with asyncio.timeout(max(1.0, replacement.until_s - time.monotonic())):
                await self._bus.publish(ORDERS_COMMANDS, command.account_id, command)
        except (TimeoutError, ConnectionError) as error:
            # Whether the bus has it is not known; the order path takes the id once, if it comes at all.
            await self._give_up(replacement, f"the bus did not take what replaces it: {error}")
        else:
            self._log.info("order replaced", order=replacement.first, by=command.client_order_id)

    async def _give_up(self, replacement: Replacement, why: str) -> None:
        self._log.warning("an order's change is given up", order=replacement.first, reason=why)
        try:
            await self._trail.write(
                replacement.who,
                action="order.replace.given-up",
                subject=replacement.first,
                before="",
                after=replacement.command.client_order_id,
                why=why,
                urgent=True,
            )
        except DatabaseUnavailable:
            self._log.warning("the audit has no line of it", order=replacement.first)


def _is_at_work(order: Order) -> bool:
    return order.status.is_open and order.status is not OrderStatus.PENDING_CANCEL

"""Order events become reports, and reports reach the clients.

One task, owned by the service. It follows the journal of the order path into the store's outbox, and sends what is in
the outbox to the clients that are logged on. The bus only wakes it: what the bus loses or tells twice changes nothing.
What may have been sent before a crash is sent again with PossResend (97) and the same ExecID.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from tradewind.bus.interface import Subscription
from tradewind.runtime.service import ServiceContext
from tradewind.services.fix_gateway import reports
from tradewind.services.fix_gateway.handling import Desk
from tradewind.services.fix_gateway.journal import Journal, JournalPage
from tradewind.services.fix_gateway.sessions import Sessions
from tradewind.services.fix_gateway.store import OrderRow, Store, Tables
from tradewind.store.database import DatabaseUnavailable
from tradewind.wire import events

if TYPE_CHECKING:
    from tradewind_native.fix_sessions import FixEngine

LOOK_S: Final = 1.0
BATCH: Final = 64
_TOO_LATE: Final = 0
_BROKER: Final = 2
_POSS_RESEND: Final = b"97=Y\x01"


async def wake_on_events(subscription: Subscription, sessions: Sessions) -> None:
    """Look at the journal whenever the bus has an event of a client's order."""
    strategies = {desk.client.strategy_id for desk in sessions.desks}
    while True:
        for delivery in await subscription.receive():
            event = delivery.payload
            if isinstance(event, events.OrderEvent) and event.strategy_id in strategies:
                sessions.wake()


class Reporter:
    """All sessions' reports."""

    def __init__(self, context: ServiceContext, store: Store, sessions: Sessions, engine: "FixEngine") -> None:
        self._context = context
        self._store = store
        self._sessions = sessions
        self._engine = engine
        self._journal = Journal(context.database, sessions.desks[0].account_id)
        self._sent = context.metrics.counter("fix_messages_sent", "Messages to FIX clients that QuickFIX has stored")
        self._is_away = False

    async def run(self) -> None:
        """Follow and send until cancelled; looks once a second when nobody wakes it."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._sessions.woken.wait()
            self._sessions.woken.clear()
            for desk in self._sessions.desks:
                await self.follow(desk)
                if self._engine.state(desk.session_id).logged_on:
                    await self._send(desk)

    async def follow(self, desk: Desk) -> None:
        """Make the reports of what has happened since the last time."""
        place = await self._store.do(_place, desk.session_id)
        try:
            while (page := await self._journal.after(desk.client.strategy_id, place, BATCH)).through > place:
                await self._store.do(make_reports, desk, page)
                place = page.through
        except DatabaseUnavailable as error:
            self._context.health.set_not_ready(str(error))
            self._is_away = True
        else:
            if self._is_away:
                self._is_away = False
                self._sessions.tell()

    async def _send(self, desk: Desk) -> None:
        while waiting := await self._store.do(Tables.try_outgoing, desk.session_id, BATCH):
            sent, untried = 0, waiting[-1].number + 1
            for one in waiting:
                message = _told_again(one.message) if one.tried else one.message
                if not self._engine.send(desk.session_id, message).sequence:
                    untried = one.number + (1 if one.tried else 0)
                    break
                sent = one.number
                self._sent.inc()
            await self._store.do(Tables.settle_outgoing, desk.session_id, sent, untried)
            if sent != waiting[-1].number:
                return


def _told_again(message: bytes) -> bytes:
    head, soh, rest = message.partition(b"\x01")
    return head + soh + _POSS_RESEND + rest


def _place(tables: Tables, session_id: str) -> int:
    row = tables.session(session_id)
    return row.reported if row else 0


def make_reports(tables: Tables, desk: Desk, page: JournalPage) -> None:
    """One transaction: what the events tell the client goes into the outbox, and the place moves behind them."""
    for _, event in page.events:
        row = tables.order(event.client_order_id)
        # Orders of the strategy that a kill switch or a person made are not the client's.
        if row is None or row.session_id != desk.session_id or event.sequence <= row.sequence:
            continue
        _apply(row, event)
        for message in _told(tables, desk.client.begin_string, row, event):
            tables.put_outgoing(desk.session_id, message)
        tables.put_order(row)
    tables.set_reported(desk.session_id, page.through)


def _apply(row: OrderRow, event: events.OrderEvent) -> None:
    row.sequence = event.sequence
    row.status = event.status
    row.text = ""
    if isinstance(event, events.OrderFilled):
        row.paid = str(int(row.paid) + event.price * event.size)
        row.filled = event.filled_size
    elif isinstance(event, events.OrderOutcomeUnknown):
        row.text = f"what the venue did is not known, it is being asked: {event.reason}"
    elif isinstance(event, events.OrderDenied | events.OrderRejected):
        row.text = event.reason


def _told(tables: Tables, version: str, row: OrderRow, event: events.OrderEvent) -> list[bytes]:
    cancels = tables.open_cancels(row.client_order_id)
    newest = cancels[-1].cl_ord_id if cancels else ""
    refused = isinstance(event, events.OrderCancelRejected)
    messages: list[bytes] = []
    if not (refused and cancels) and (report := reports.event_report(version, row, event, newest)):
        messages.append(report)
    if not cancels or not (refused or row.status.is_closed):
        return messages
    tables.answer_cancels(row.client_order_id)
    if isinstance(event, events.OrderCanceled):
        # The report of the cancel is the newest request's answer.
        cancels = cancels[:-1]
    code, why = (_BROKER, event.reason) if isinstance(event, events.OrderCancelRejected) else (_TOO_LATE, "")
    why = why or f"the order is {row.status.value}"
    names = (one.cl_ord_id for one in cancels)
    return [*messages, *(reports.refused_cancel(version, name, row.cl_ord_id, row, code, why) for name in names)]

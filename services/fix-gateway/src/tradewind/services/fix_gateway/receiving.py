"""What QuickFIX hands on, in order: messages become commands, and are counted as handled once those are durable.

One caller, ``FixEngine.run``, which waits for each batch: while the broker or the database is away QuickFIX's bounded
queue fills and the clients are held up; nothing is lost. On cancel the batch under way is told again at the next start.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from tradewind.bus.interface import BusClosed
from tradewind.model.identifiers import InstrumentId
from tradewind.model.instruments import Instrument
from tradewind.runtime.service import ServiceContext
from tradewind.services.fix_gateway import reports
from tradewind.services.fix_gateway.handling import Command, Desk, Handled, plan, untold
from tradewind.services.fix_gateway.requests import instrument_of
from tradewind.services.fix_gateway.sessions import Sessions
from tradewind.services.fix_gateway.store import Store, Tables
from tradewind.store.database import DatabaseUnavailable
from tradewind.store.instruments import InstrumentRepository
from tradewind.venue.fix_fields import fields_of
from tradewind.wire.commands import CancelAllOrders
from tradewind.wire.topics import ORDERS_COMMANDS
from tradewind_native.fix_events import FixEvent, FixEventKind

if TYPE_CHECKING:
    from tradewind_native.fix_sessions import FixEngine

RETRY_S: Final = 0.5
LOOK_AGAIN_S: Final = 1.0
Fields = Mapping[int, str]


class Instruments:
    """Definitions by id, from the database; a name that is not there is looked for again, at most once a second."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._known: dict[InstrumentId, Instrument] = {}
        self._looked_s = -LOOK_AGAIN_S

    def find(self, instrument_id: InstrumentId) -> Instrument | None:
        """The definition that is known now."""
        return self._known.get(instrument_id)

    async def look_for(self, wanted: set[InstrumentId]) -> None:
        """Know these, where they exist; waits for the database."""
        while wanted - self._known.keys() and time.monotonic() - self._looked_s >= LOOK_AGAIN_S:
            try:
                found = await InstrumentRepository(self._context.database).load_all()
            except DatabaseUnavailable as error:
                self._context.health.set_not_ready(str(error))
                await asyncio.sleep(RETRY_S)
                continue
            self._known = {one.instrument_id: one for one in found}
            self._looked_s = time.monotonic()


class Receiver:
    """All sessions' events."""

    def __init__(self, context: ServiceContext, store: Store, sessions: Sessions, engine: "FixEngine") -> None:
        self._context = context
        self._store = store
        self._sessions = sessions
        self._engine = engine
        self._instruments = Instruments(context)
        self._handled: dict[str, int] = {}
        self._messages = context.metrics.counter("fix_messages_handled", "Messages of FIX clients that are handled")

    async def restore(self, journal_end: int) -> None:
        """Before the engine starts: have each client send again from the first message that is not handled."""
        for desk in self._sessions.desks:
            row = await self._store.do(_session_of, desk.session_id, journal_end)
            expected = min(self._engine.state(desk.session_id).next_target, row + 1)
            self._engine.expect(desk.session_id, expected)
            self._handled[desk.session_id] = expected - 1

    async def publish_untold(self) -> None:
        """Before the engine starts, after the journal was followed: what the order path has said nothing of."""
        for desk in self._sessions.desks:
            for command in await self._store.do(untold, desk):
                await self._publish(command)

    async def take(self, batch: Sequence[FixEvent]) -> None:
        """Handle one batch; see the module."""
        before = dict(self._handled)
        asked = [(event, fields_of(event.message)) for event in batch if event.kind is FixEventKind.MESSAGE]
        done = await self._plan(asked)
        for one in done:
            for command in one.commands:
                await self._publish(command)
        for event in batch:
            await self._note(event)
        moved = {session: number for session, number in self._handled.items() if before.get(session) != number}
        answers = [
            (event.session_id, message) for (event, _), one in zip(asked, done, strict=True) for message in one.answers
        ]
        if moved or answers:
            await self._store.do(_write, moved, answers)
        self._messages.inc(len(asked))
        self._sessions.wake()
        if not self._context.health.ready:
            self._sessions.tell()

    async def _plan(self, asked: Sequence[tuple[FixEvent, Fields]]) -> list[Handled]:
        if not asked:
            return []
        venue = self._sessions.venue
        await self._instruments.look_for({instrument_of(fields[55], venue) for _, fields in asked if 55 in fields})
        wanted = [(self._sessions.desk(event.session_id), fields) for event, fields in asked]
        return await self._store.do(self._plan_all, wanted)

    def _plan_all(self, tables: Tables, wanted: Sequence[tuple[Desk, Fields]]) -> list[Handled]:
        return [self._plan_one(tables, desk, fields) for desk, fields in wanted]

    def _plan_one(self, tables: Tables, desk: Desk, fields: Fields) -> Handled:
        try:
            with tables.alone():
                return plan(tables, desk, fields, self._instruments.find)
        except ValueError as error:
            # One client's words must not stop the others.
            self._context.log.warning("a FIX message was refused", client=desk.client.comp_id, reason=str(error))
            number, kind = int(fields.get(34, "0")), fields.get(35, "")
            return Handled(answers=[reports.business_reject(number, kind, "", 0, f"cannot be handled: {error}")])

    async def _publish(self, command: Command | CancelAllOrders) -> None:
        """Until the broker has it; the order path takes it once."""
        while True:
            try:
                await self._context.order_bus.publish(ORDERS_COMMANDS, command.account_id, command)
            except BusClosed:
                raise
            except ConnectionError as error:
                self._context.health.set_not_ready(f"the bus does not take orders: {error}")
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def _note(self, event: FixEvent) -> None:
        match event.kind:
            case FixEventKind.MESSAGE | FixEventKind.ADMIN_IN:
                self._count(event)
            case FixEventKind.LOGON:
                self._sessions.logged_on(event.session_id)
            case FixEventKind.LOGOUT:
                if self._sessions.logged_off(event.session_id):
                    await self._leave(self._sessions.desk(event.session_id))
            case FixEventKind.NOTE:
                self._context.log.debug("FIX session", session=event.session_id, said=event.message.decode("latin-1"))
            case _:
                pass

    async def _leave(self, desk: Desk) -> None:
        if not desk.client.cancel_on_logout:
            return
        now_ns, event_id = time.time_ns(), f"fix-{time.time_ns()}-logout"
        await self._publish(
            CancelAllOrders(
                event_id=event_id,
                correlation_id=event_id,
                causation_id="",
                ts_event=now_ns,
                ts_init=now_ns,
                account_id=desk.account_id,
                strategy_id=desk.client.strategy_id,
                reason=f"the FIX session of {desk.client.comp_id} has ended",
            )
        )

    def _count(self, event: FixEvent) -> None:
        """Too low a number only makes the client send again what is known; too high a one would lose something."""
        fields = fields_of(event.message)
        if not (told := fields.get(34, "")).isdecimal():
            return
        number, handled, kind = int(told), self._handled[event.session_id], fields.get(35)
        is_next = number == handled + 1
        if event.kind is FixEventKind.MESSAGE:
            # QuickFIX hands on application messages in order, each once: what is before this one was there.
            handled = number
        elif kind == "4" and is_next:
            handled = max(handled, int(fields.get(36, "1")) - 1)
        elif is_next or (kind == "A" and (fields.get(141) == "Y" or number <= handled)):
            # A Logon with a low number: the numbers begin anew.
            handled = number
        self._handled[event.session_id] = handled


def _session_of(tables: Tables, session_id: str, journal_end: int) -> int:
    row = tables.session(session_id)
    if row is None:
        tables.begin_session(session_id, journal_end)
        return 0
    return row.handled


def _write(tables: Tables, moved: Mapping[str, int], answers: Sequence[tuple[str, bytes]]) -> None:
    for session_id, message in answers:
        tables.put_outgoing(session_id, message)
    for session_id, number in moved.items():
        tables.set_handled(session_id, number)

"""The venue's FIX acceptor: a session for orders and one for drop copy, in both versions, for the one account.

Order of one session's requests: as they came, each finished (and in the record) before the next. Order of reports: that
of the record. A report for a session that is logged off is stored with its number, and the client gets it by its resend
request. Bound: QuickFIX's queue, behind which the peer waits. On cancel the sessions log out.

A ClOrdID is taken once, for ever: told again with PossDupFlag or PossResend it is answered with where the order stands,
told again without either it is refused.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from structlog.typing import FilteringBoundLogger

from tradewind.runtime.refusals import StartRefused
from tradewind.services.sim_venue.exchange import Exchange
from tradewind.services.sim_venue.fix import messages
from tradewind.services.sim_venue.fix.requests import WrongField, client_id, order_request
from tradewind.services.sim_venue.ledger_file import LedgerFile
from tradewind.services.sim_venue.orders import VenueOrder
from tradewind.services.sim_venue.refusals import Refused
from tradewind.venue.fix_dictionaries import BEGIN_STRINGS, dictionary
from tradewind.venue.fix_fields import Field, fields_of

if TYPE_CHECKING:
    from tradewind_native.fix_events import FixEvent

SENDER: Final = "SIM"
DROP_COPY: Final = "-DC"
"""What is added to the client's CompID for its drop copy session."""
FOLDER: Final = "sim-venue-fix"
_ALL_ORDERS: Final = "7"
_OVERLOADED: Final = "the venue is overloaded; try again later"
_EVENTS: Final = msgspec.json.Decoder()

Handler = Callable[["_Session", dict[int, str]], Awaitable[None]]


class _Session:
    """One session: its name for the engine, its version, whether orders may come over it."""

    def __init__(self, name: str, version: str, *, takes_orders: bool) -> None:
        self.name = name
        self.version = version
        self.takes_orders = takes_orders
        self.was_used = False
        """A client has logged on, in this run or an earlier one: it wants all reports from then on."""


class FixDesk:
    """Takes orders over FIX and reports over it. ``run`` owns the sessions."""

    def __init__(
        self,
        account: str,
        client: str,
        credentials: tuple[str, str],
        exchange: Exchange,
        ledger: LedgerFile,
        log: FilteringBoundLogger,
    ) -> None:
        """``credentials``: the account's key and secret, which are a Logon's Username and Password.

        Raises:
            StartRefused: this machine has no QuickFIX.
        """
        try:
            from tradewind_native.fix_events import FixEventKind
            from tradewind_native.fix_sessions import FixEngine, FixSession
        except ImportError as error:
            raise StartRefused(f"TRADEWIND_SIM_VENUE_FIX_PORT: {error} Or set it to 0.") from error
        self._kinds = FixEventKind
        self._make_engine, self._make_session = FixEngine, FixSession
        self._account = account
        self._client = client
        self._credentials = credentials
        self._exchange = exchange
        self._ledger = ledger
        self._log = log
        self._engine: Any = None
        self._sessions: dict[str, _Session] = {}
        self._numbers = itertools.count(time.time_ns())
        self._handlers: dict[str, Handler] = {
            "D": self._new_order,
            "F": self._cancel,
            "H": self._status,
            "AF": self._mass_status,
        }

    async def run(self, host: str, port: int, folder: Path) -> None:
        """Listen and answer until cancelled.

        Raises:
            StartRefused: the port is taken, or a file of the sessions is damaged.
        """
        made = [
            self._make_session(
                version, SENDER, self._client + suffix, port, host=host,
                dictionary=dictionary(version), extra={"ValidateUserDefinedFields": "N"},
                username=self._credentials[0], password=self._credentials[1],
            )
            for version in BEGIN_STRINGS
            for suffix in ("", DROP_COPY)
        ]  # fmt: skip
        try:
            self._engine = engine = self._make_engine("acceptor", made, folder / FOLDER, store_offline=True)
            for each in made:
                orders = not each.target.endswith(DROP_COPY)
                self._sessions[each.session_id] = _Session(each.session_id, each.begin_string, takes_orders=orders)
                self._sessions[each.session_id].was_used = engine.state(each.session_id).next_target > 1
            await asyncio.to_thread(engine.start)
        except (ValueError, OSError) as error:
            raise StartRefused(f"TRADEWIND_SIM_VENUE_FIX_PORT={port}: {error}") from error
        self._log.info("simulated venue listens for FIX", port=port, client=self._client)
        try:
            await engine.run(self._take)
        finally:
            self._engine = None
            await asyncio.shield(asyncio.to_thread(engine.stop, force=True))

    def deliver(self, account: str, event: bytes) -> None:
        """Report an event of the record to every session that a client has used."""
        if account != self._account or self._engine is None:
            return
        said = _EVENTS.decode(event)
        if said["e"] == "executionReport":
            for session in self._sessions.values():
                if session.was_used:
                    self._engine.send(session.name, messages.event_report(session.version, said))

    async def _take(self, events: "list[FixEvent]") -> None:
        for event in events:
            session = self._sessions.get(event.session_id)
            if session is None:
                continue
            if event.kind is self._kinds.LOGON:
                session.was_used = True
            if event.kind in (self._kinds.LOGON, self._kinds.LOGOUT):
                self._log.info("fix session", session=session.name, state=event.kind.name.lower())
            elif event.kind is self._kinds.MESSAGE:
                await self._answer(session, fields_of(event.message))

    async def _answer(self, session: _Session, given: dict[int, str]) -> None:
        handler = self._handlers.get(given.get(35, ""))
        if handler is None or not session.takes_orders:
            why = "this session is a drop copy: it takes no messages" if handler else "this message is not taken here"
            self._send(session, messages.business_refusal(given, why))
            return
        await handler(session, given)

    async def _new_order(self, session: _Session, given: dict[int, str]) -> None:
        try:
            request = order_request(given)
            known = await self._order_named(request.symbol, request.client_order_id)
            if known is not None and "Y" in (given.get(43), given.get(97)):
                self._send(session, self._standing(session, known, []))
                return
            if known is not None:
                raise Refused(-2010, "Duplicate order sent.")
            if self._ledger.overfull:
                raise WrongField(_OVERLOADED)
            self._exchange.place(self._account, request)
        except WrongField as wrong:
            self._refuse(session, given, messages.OTHER, str(wrong))
        except Refused as refused:
            self._refuse(session, given, messages.reject_reason(refused), f"{refused.code} {refused.message}")
        else:
            # The report of what became of it leaves when it is in the record, and before the next request.
            await self._ledger.written()

    async def _cancel(self, session: _Session, given: dict[int, str]) -> None:
        try:
            cancel_id = client_id(given, 11, "ClOrdID")
            number = given.get(37, "")
            by_number = int(number) if number.isdecimal() and len(number) < 19 else None
            named = given.get(41) if by_number is None else None
            order = self._exchange.find_open(self._account, given.get(55, ""), by_number, named)
            self._exchange.cancel(order, cancel_id)
        except (WrongField, Refused) as error:
            why = str(error) if isinstance(error, WrongField) else f"{error.code} {error.message}"
            self._send(session, messages.cancel_refusal(given, why))
        else:
            await self._ledger.written()

    async def _status(self, session: _Session, given: dict[int, str]) -> None:
        order = await self._order_named(given.get(55, ""), given.get(11, ""))
        if order is None:
            self._refuse(session, given, messages.UNKNOWN_ORDER, "-2013 Order does not exist.")
            return
        about: list[Field] = (
            [(790, messages.said(given, 790))] if 790 in given and session.version != messages.OLD else []
        )
        self._send(session, self._standing(session, order, about))

    async def _mass_status(self, session: _Session, given: dict[int, str]) -> None:
        await self._ledger.written()
        orders = self._exchange.orders_of(self._account, given.get(55))
        if given.get(585) != _ALL_ORDERS or not orders:
            known = given.get(585) == _ALL_ORDERS
            why = "no order is open" if known else "MassStatusReqType(585): 7 (all orders)"
            self._refuse(session, given, messages.UNKNOWN_ORDER, why)
            return
        for index, order in enumerate(orders, 1):
            about: list[Field] = [
                (584, messages.said(given, 584)),
                (911, len(orders)),
                (912, "NY"[index == len(orders)]),
            ]
            self._send(session, self._standing(session, order, about))

    async def _order_named(self, symbol: str, name: str) -> VenueOrder | None:
        orders = await self._ledger.orders_named(self._account, symbol, name)
        return orders[0] if orders else None

    def _standing(self, session: _Session, order: VenueOrder, about: list[Field]) -> bytes:
        listing = self._exchange.listing(order.symbol)
        return messages.status_report(session.version, listing, order, next(self._numbers), about)

    def _refuse(self, session: _Session, given: dict[int, str], reason: int, text: str) -> None:
        self._send(session, messages.refusal_report(session.version, given, reason, text, next(self._numbers)))

    def _send(self, session: _Session, message: bytes) -> None:
        if self._engine is not None:
            self._engine.send(session.name, message)

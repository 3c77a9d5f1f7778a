"""A client's messages: each becomes commands of the order path, answers, and a line in the store.

``plan`` runs inside one transaction of the store and does no I/O beside it. What it writes stands before the command is
published, and the message counts as handled only after that: after a crash in between the client's engine sends it
again, and the same names make it the same order.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from tradewind.model.identifiers import AccountId, InstrumentId, Venue
from tradewind.model.instruments import Instrument
from tradewind.services.fix_gateway import reports
from tradewind.services.fix_gateway.identities import cancel_event_id, order_id, submit_event_id
from tradewind.services.fix_gateway.requests import OrderRefused, instrument_of, is_name, read_order
from tradewind.services.fix_gateway.settings import Client
from tradewind.services.fix_gateway.store import CancelRow, OrderRow, Refusal, Tables
from tradewind.venue.fix_fields import Field, timestamp_ns
from tradewind.wire.commands import CancelOrder, SubmitOrder

NEW_ORDER: Final = "D"
CANCEL: Final = "F"
REPLACE: Final = "G"
STATUS: Final = "H"
MASS_STATUS: Final = "AF"
MOST_STATUS_REPORTS: Final = 500
_DUPLICATE_ORDER: Final = 6
_UNKNOWN_ORDER: Final = 5
_TOO_LATE: Final = 0
_NO_SUCH_ORDER: Final = 1
_BROKER: Final = 2
_DUPLICATE_CANCEL: Final = 6
_OTHER: Final = 0
_UNSUPPORTED_TYPE: Final = 3
_MISSING: Final = 5
_ALL_ORDERS: Final = "7"
_NAME: Final = "1 to 64 printable ASCII characters"

Command = SubmitOrder | CancelOrder


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """For whom a message is handled: the client, its session and the platform's account."""

    client: Client
    session_id: str
    account_id: AccountId
    venue: Venue

    @property
    def account(self) -> str:
        """What a client may send as Account (1)."""
        return self.account_id.partition("-")[2]


class Handled(msgspec.Struct):
    """What a message asks for: commands to publish first, then messages to send to the client."""

    commands: list[Command] = []
    answers: list[bytes] = []


FindInstrument = Callable[[InstrumentId], Instrument | None]


def plan(tables: Tables, desk: Desk, fields: Mapping[int, str], find: FindInstrument) -> Handled:
    """What one application message of the client asks for; ``fields`` are those of a message QuickFIX has checked."""
    return _Message(tables, desk, fields, find).plan()


def submit_order(desk: Desk, row: OrderRow) -> SubmitOrder:
    """The one command that an order becomes, however often it is made."""
    event_id = submit_event_id(row.client_order_id)
    return SubmitOrder(
        event_id=event_id,
        correlation_id=event_id,
        causation_id="",
        ts_event=row.received_ns,
        ts_init=row.received_ns,
        strategy_id=desk.client.strategy_id,
        account_id=desk.account_id,
        client_order_id=row.client_order_id,
        instrument_id=row.instrument_id,
        side=row.side,
        order_type=row.order_type,
        size=row.size,
        time_in_force=row.time_in_force,
        price=row.price,
        post_only=row.post_only,
        reduce_only=row.reduce_only,
    )


def cancel_order(desk: Desk, asked: CancelRow) -> CancelOrder:
    """The command that a cancel request becomes."""
    return CancelOrder(
        event_id=cancel_event_id(asked.session_id, asked.cl_ord_id),
        correlation_id=submit_event_id(asked.client_order_id),
        causation_id="",
        ts_event=asked.received_ns,
        ts_init=asked.received_ns,
        strategy_id=desk.client.strategy_id,
        account_id=desk.account_id,
        client_order_id=asked.client_order_id,
    )


def untold(tables: Tables, desk: Desk) -> list[Command]:
    """What the order path may never have got, as after a crash with a bus that keeps nothing."""
    orders = (submit_order(desk, row) for row in tables.untold_orders(desk.session_id))
    return [*orders, *(cancel_order(desk, asked) for asked in tables.untold_cancels(desk.session_id))]


class _Message:
    """One message while it is handled."""

    def __init__(self, tables: Tables, desk: Desk, fields: Mapping[int, str], find: FindInstrument) -> None:
        self._tables = tables
        self._desk = desk
        self._session_id = desk.session_id
        self._version = desk.client.begin_string
        self._fields = fields
        self._find = find
        self._number = int(fields.get(34, "0"))
        self._told_again = fields.get(43) == "Y" or fields.get(97) == "Y"
        self._done = Handled()

    def plan(self) -> Handled:
        kind = self._fields.get(35, "")
        steps = {
            NEW_ORDER: self._new_order,
            CANCEL: self._cancel,
            REPLACE: self._replace,
            STATUS: self._status,
            MASS_STATUS: self._mass_status,
        }
        step = steps.get(kind)
        if step is None:
            self._refuse(_UNSUPPORTED_TYPE, f"MsgType {kind} is not done here; send D, F, H or AF")
        else:
            step()
        return self._done

    def _say(self, message: bytes) -> None:
        self._done.answers.append(message)

    def _refuse(self, reason: int, why: str, ref: str = "") -> None:
        self._say(reports.business_reject(self._number, self._fields.get(35, ""), ref, reason, why))

    def _name(self, tag: int, what: str) -> str:
        """A ClOrdID of the message; empty when it cannot be used and was refused."""
        name = self._fields.get(tag, "")
        if not is_name(name):
            self._refuse(_MISSING, f"{what} ({tag}) must be {_NAME}")
            return ""
        return name

    # -- new orders ------------------------------------------------------------------------------------------------

    def _new_order(self) -> None:
        if not (name := self._name(11, "ClOrdID")):
            return
        known = self._tables.order(order_id(self._session_id, name))
        refusal = self._tables.refusal(self._session_id, name)
        if known is None and refusal is None:
            self._take(name)
        elif not self._told_again:
            why = "this ClOrdID (11) was used before; a new order needs a new one"
            self._refuse_order(f"{order_id(self._session_id, name)}.again.{self._number}", _DUPLICATE_ORDER, why)
        elif known is not None:
            self._send_again(known)
        elif refusal is not None:
            self._refuse_order(self._refusal_id(name), refusal.code, refusal.text)

    def _take(self, name: str) -> None:
        symbol = instrument_of(self._fields.get(55, ""), self._desk.venue)
        try:
            row = read_order(
                self._fields, self._session_id, self._desk.account, self._find(symbol), self._received_ns()
            )
        except OrderRefused as error:
            refusal = Refusal(session_id=self._session_id, cl_ord_id=name, code=error.code, text=str(error))
            self._tables.put_refusal(refusal)
            self._refuse_order(self._refusal_id(name), error.code, str(error))
            return
        self._tables.put_order(row)
        self._done.commands.append(submit_order(self._desk, row))

    def _send_again(self, row: OrderRow) -> None:
        """Published or not: the order path takes the command once. Once it has an event of the order it has it."""
        if not row.sequence:
            self._done.commands.append(submit_order(self._desk, row))
        if self._fields.get(97) == "Y":
            self._say(reports.status_report(self._version, row, self._number))

    def _received_ns(self) -> int:
        """Now; of a message told again the time of the first telling, so that an old order is not taken as a new one.

        The order path denies what is older than its ``max_command_age_s``.
        """
        now_ns = time.time_ns()
        first_ns = timestamp_ns(self._fields.get(122, "")) if self._told_again else None
        return now_ns if first_ns is None else max(1, min(now_ns, first_ns))

    def _refusal_id(self, name: str) -> str:
        return f"{order_id(self._session_id, name)}.refused"

    def _refuse_order(self, exec_id: str, code: int, why: str) -> None:
        self._say(reports.refused_order(self._version, dict(self._fields), exec_id, code, why))

    # -- cancels ---------------------------------------------------------------------------------------------------

    def _cancel(self) -> None:
        if not (name := self._name(11, "ClOrdID")):
            return
        orig = self._fields.get(41, "")
        row = self._tables.order(order_id(self._session_id, orig)) if orig else None
        asked = self._tables.cancel(self._session_id, name)
        if row is None:
            self._refuse_cancel(name, None, _NO_SUCH_ORDER, "OrigClOrdID (41) names no order of this session")
        elif asked is not None and not self._told_again:
            self._refuse_cancel(name, row, _DUPLICATE_CANCEL, "this ClOrdID (11) asked for a cancel before")
        elif asked is not None and asked.answered:
            if self._fields.get(97) == "Y":
                self._say(reports.status_report(self._version, row, self._number))
        elif row.status.is_closed:
            self._refuse_cancel(name, row, _TOO_LATE, f"the order is {row.status.value}")
        else:
            self._ask_for_cancel(name, row)

    def _ask_for_cancel(self, name: str, row: OrderRow) -> None:
        now_ns = time.time_ns()
        asked = CancelRow(
            session_id=self._session_id, cl_ord_id=name, client_order_id=row.client_order_id, received_ns=now_ns
        )
        self._tables.put_cancel(asked)
        if not row.sequence:
            # The order may be in the same stream behind us only when it is told again: then it must go first.
            self._done.commands.append(submit_order(self._desk, row))
        self._done.commands.append(cancel_order(self._desk, asked))

    def _replace(self) -> None:
        name = self._fields.get(11, "")
        row = self._tables.order(order_id(self._session_id, self._fields.get(41, "")))
        why = "orders are not replaced here: cancel the order, and send a new one when the cancel is confirmed"
        self._refuse_cancel(name or reports.NO_ORDER, row, _BROKER, why, to=2)

    def _refuse_cancel(self, name: str, row: OrderRow | None, code: int, why: str, *, to: int = 1) -> None:
        orig = self._fields.get(41, "")
        self._say(reports.refused_cancel(self._version, name, orig, row, code, why, to=to))

    # -- questions -------------------------------------------------------------------------------------------------

    def _status(self) -> None:
        if not (name := self._name(11, "ClOrdID")):
            return
        asked: list[Field] = [(790, reports.plain(self._fields[790]))] if 790 in self._fields and self._is_44 else []
        row = self._tables.order(order_id(self._session_id, name))
        refusal = self._tables.refusal(self._session_id, name)
        if row is not None:
            self._say(reports.status_report(self._version, row, self._number, asked))
        elif refusal is not None:
            self._refuse_order(self._refusal_id(name), refusal.code, refusal.text)
        else:
            exec_id = f"{order_id(self._session_id, name)}.status.{self._number}"
            self._refuse_order(exec_id, _UNKNOWN_ORDER, "there is no order of this ClOrdID (11)")

    @property
    def _is_44(self) -> bool:
        return self._version != reports.FIX42

    def _mass_status(self) -> None:
        asked = self._name(584, "MassStatusReqID")
        if not asked:
            return
        if self._fields.get(585) != _ALL_ORDERS:
            self._refuse(_OTHER, "MassStatusReqType (585) must be 7: all orders", asked)
            return
        rows = self._tables.open_orders(self._session_id, MOST_STATUS_REPORTS + 1)
        if not rows:
            self._say(reports.no_orders(asked, f"{asked}.none.{self._number}"))
        elif len(rows) > MOST_STATUS_REPORTS:
            self._refuse(_OTHER, f"more than {MOST_STATUS_REPORTS} orders are open; ask one by one with H", asked)
        else:
            self._say_all(rows, asked)

    def _say_all(self, rows: list[OrderRow], asked: str) -> None:
        for place, row in enumerate(rows, 1):
            more: list[Field] = [(584, asked), (911, len(rows)), (912, "Y" if place == len(rows) else "N")]
            self._say(reports.status_report(self._version, row, self._number, more))

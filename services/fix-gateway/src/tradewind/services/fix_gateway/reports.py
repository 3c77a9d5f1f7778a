"""What a client is told: order events and the gateway's own answers as FIX 4.2 and 4.4 messages.

ExecID (17) is the order's name and the number of the event in its story, so that a report that is told twice has the
same ExecID. OrderID (37) is our name of the order; the venue's is SecondaryOrderID (198).
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

from tradewind.model.enums import OrderSide, OrderType, TimeInForce
from tradewind.model.order_status import OrderStatus
from tradewind.services.fix_gateway.store import OrderRow
from tradewind.venue.fix_fields import Field, decimal_text, fix_body, utc_timestamp
from tradewind.wire import events

FIX42: Final = "FIX.4.2"
SIDES: Final = {"1": OrderSide.BUY, "2": OrderSide.SELL}
ORDER_TYPES: Final = {"1": OrderType.MARKET, "2": OrderType.LIMIT}
TIMES_IN_FORCE: Final = {"1": TimeInForce.GTC, "3": TimeInForce.IOC, "4": TimeInForce.FOK}
LONGEST_TEXT: Final = 200
NO_ORDER: Final = "NONE"
BROKER_OPTION: Final = 0
LARGEST_ORDER_REASON: Final = 8
LARGEST_CANCEL_REASON: Final = 3
BROKER_OPTION_OF: Final = {LARGEST_ORDER_REASON: 0, LARGEST_CANCEL_REASON: 2}
"""By the largest value that FIX 4.2 has of OrdRejReason (103) and CxlRejReason (102): what stands for all above."""
_SIDE_CODES: Final = {side: code for code, side in SIDES.items()}
_TYPE_CODES: Final = {kind: code for code, kind in ORDER_TYPES.items()}
_TIME_CODES: Final = {time: code for code, time in TIMES_IN_FORCE.items()}
_S: Final = OrderStatus
STATUS_CODES: Final = {
    _S.INITIALIZED: "A",
    _S.SUBMITTED: "A",
    _S.DENIED: "8",
    _S.ACCEPTED: "0",
    _S.TRIGGERED: "0",
    _S.REJECTED: "8",
    _S.PENDING_UPDATE: "E",
    _S.PENDING_CANCEL: "6",
    _S.PARTIALLY_FILLED: "1",
    _S.FILLED: "2",
    _S.CANCELED: "4",
    _S.EXPIRED: "C",
}
"""OrdStatus (39). Before the venue's first word an order is PendingNew."""
_REASON_CODES: Final = {
    "INSTRUMENT_UNKNOWN": 1,
    "TRADING_HALTED": 2,
    "COMMAND_TOO_OLD": 4,
    "DUPLICATE_CLIENT_ORDER_ID": 6,
    "ORDER_TYPE_UNSUPPORTED": 11,
}
_EXCEEDS_LIMIT: Final = 3


def reject_code(reason: str) -> int:
    """OrdRejReason (103) of a denial's text, ``CODE: limit=… value=…``."""
    code = reason.partition(":")[0]
    return _REASON_CODES.get(code, _EXCEEDS_LIMIT if "EXCEED" in code else BROKER_OPTION)


def _code_of(version: str, code: int, largest: int) -> int:
    """A reason that the version has; FIX 4.2 has fewer, and one that it does not know would be refused."""
    return BROKER_OPTION_OF[largest] if version == FIX42 and code > largest else code


def plain(text: str) -> str:
    """A text that a FIX field can carry: printable ASCII, not empty, not too long."""
    shown = "".join(character if " " <= character <= "~" else "?" for character in text)
    return shown[:LONGEST_TEXT] or "-"


def average_price(row: OrderRow) -> str:
    """AvgPx (6): what the fills cost, to two places more than the price has."""
    if not row.filled:
        return "0"
    exact = Decimal(row.paid) / row.filled
    return f"{exact.scaleb(-row.price_precision):.{row.price_precision + 2}f}"


def execution_report(
    version: str, row: OrderRow, kind: str, exec_id: str, more: Iterable[Field], *, cl_ord_id: str = ""
) -> bytes:
    """An ExecutionReport (35=8) on an order as its row says; ``kind`` is the ExecType (150) of FIX 4.4.

    ``cl_ord_id``: the cancel request that it answers; the order's own is then OrigClOrdID (41).
    """
    return fix_body("8", [*_head(version, row, kind, exec_id, cl_ord_id), *_terms(row), *more])


def _head(version: str, row: OrderRow, kind: str, exec_id: str, cl_ord_id: str) -> Iterator[Field]:
    status = STATUS_CODES[row.status]
    yield 37, row.client_order_id
    yield 11, cl_ord_id or row.cl_ord_id
    if cl_ord_id:
        yield 41, row.cl_ord_id
    yield 17, exec_id
    if version == FIX42:
        # FIX 4.2 has ExecTransType, and its ExecType has neither Trade nor Order Status.
        yield 20, "3" if kind == "I" else "0"
        yield 150, {"I": status, "F": "2" if row.status is OrderStatus.FILLED else "1"}.get(kind, kind)
    else:
        yield 150, kind
    yield 39, status


def _terms(row: OrderRow) -> Iterator[Field]:
    left = 0 if row.status.is_closed else max(row.size - row.filled, 0)
    yield 55, row.symbol
    yield 54, _SIDE_CODES[row.side]
    yield 38, decimal_text(row.size, row.size_precision)
    yield 40, _TYPE_CODES[row.order_type]
    if row.price is not None:
        yield 44, decimal_text(row.price, row.price_precision)
    yield 59, _TIME_CODES[row.time_in_force]
    yield 151, decimal_text(left, row.size_precision)
    yield 14, decimal_text(row.filled, row.size_precision)
    yield 6, average_price(row)


def event_report(version: str, row: OrderRow, event: events.OrderEvent, cl_ord_id: str = "") -> bytes | None:
    """The report of an order event; ``row`` is the order after it. None for an event that tells a client nothing.

    ``cl_ord_id`` is of the cancel request that is open, or empty.
    """
    kind, more = _of_event(version, row, event)
    if not kind:
        return None
    exec_id = f"{row.client_order_id}.{event.sequence}"
    of_cancel = cl_ord_id if isinstance(event, events.OrderPendingCancel | events.OrderCanceled) else ""
    when: Field = (60, utc_timestamp(event.ts_event))
    return execution_report(version, row, kind, exec_id, [when, *more], cl_ord_id=of_cancel)


def _of_event(version: str, row: OrderRow, event: events.OrderEvent) -> tuple[str, list[Field]]:
    match event:
        case events.OrderSubmitted():
            return "A", []
        case events.OrderAccepted():
            return "0", [(198, plain(event.venue_order_id))]
        case events.OrderDenied():
            code = _code_of(version, reject_code(event.reason), LARGEST_ORDER_REASON)
            return "8", [(103, code), (58, plain(event.reason))]
        case events.OrderRejected():
            return "8", [(103, BROKER_OPTION), (58, plain(event.reason))]
        case events.OrderPendingCancel():
            return "6", []
        case events.OrderCanceled():
            return "4", [(58, plain(event.reason))] if event.reason else []
        case events.OrderExpired():
            return "C", []
        case events.OrderFilled():
            return "F", _of_fill(version, row, event)
        case events.OrderOutcomeUnknown():
            return "I", [(58, plain(f"what the venue did is not known, it is being asked: {event.reason}"))]
        case events.OrderOutcomeResolved() | events.OrderCancelRejected():
            return "I", [(58, plain(event.reason))]
        case _:
            return "", []


def _of_fill(version: str, row: OrderRow, event: events.OrderFilled) -> list[Field]:
    fields: list[Field] = [
        (32, decimal_text(event.size, row.size_precision)),
        (31, decimal_text(event.price, row.price_precision)),
        (198, plain(event.venue_order_id)),
    ]
    if version != FIX42:
        fields += [(12, f"{event.fee:f}"), (13, 3), (479, plain(event.fee_currency))]
    return fields


def status_report(version: str, row: OrderRow, number: int, more: Iterable[Field] = ()) -> bytes:
    """The answer to a status request; ``number`` is the request's MsgSeqNum."""
    text: list[Field] = [(58, "on its way to the order path")] if not row.sequence else []
    if row.text:
        text = [(58, plain(row.text))]
    return execution_report(version, row, "I", f"{row.client_order_id}.status.{number}", [*more, *text])


def refused_order(version: str, named: dict[int, str], exec_id: str, code: int, why: str) -> bytes:
    """An ExecutionReport on an order that there is not; ``named`` are the fields of the message that it answers."""
    fields: list[Field] = [(37, NO_ORDER), (11, named.get(11) or NO_ORDER), (17, exec_id)]
    if version == FIX42:
        fields.append((20, 0))
    fields += [(150, 8), (39, 8), (55, plain(named.get(55, ""))), (54, named.get(54) or "1")]
    fields += [(tag, named[tag]) for tag in (38, 790) if named.get(tag) and not (tag == 790 and version == FIX42)]
    fields += [(151, 0), (14, 0), (6, 0), (103, _code_of(version, code, LARGEST_ORDER_REASON)), (58, plain(why))]
    return fix_body("8", _carried(fields))


def refused_cancel(
    version: str, cl_ord_id: str, orig: str, row: OrderRow | None, code: int, why: str, *, to: int = 1
) -> bytes:
    """An OrderCancelReject (35=9); ``code`` is CxlRejReason (102), ``to`` CxlRejResponseTo (434)."""
    return fix_body(
        "9",
        _carried(
            [
                (37, row.client_order_id if row else NO_ORDER),
                (11, cl_ord_id),
                (41, orig or NO_ORDER),
                (39, STATUS_CODES[row.status] if row else "8"),
                (434, to),
                (102, _code_of(version, code, LARGEST_CANCEL_REASON)),
                (58, plain(why)),
            ]
        ),
    )


def business_reject(number: int, kind: str, ref: str, reason: int, why: str) -> bytes:
    """A BusinessMessageReject (35=j) of the message with this MsgSeqNum and MsgType."""
    fields: list[Field] = [(45, number), (372, kind), (380, reason), (58, plain(why))]
    return fix_body("j", _carried([*fields, (379, ref)] if ref else fields))


def _carried(fields: Iterable[Field]) -> list[Field]:
    """The client's own words may be anything: what FIX cannot carry is replaced."""
    return [(tag, plain(value) if isinstance(value, str) else value) for tag, value in fields]


def no_orders(asked: str, exec_id: str) -> bytes:
    """The answer to an OrderMassStatusRequest (FIX 4.4) when no order is open."""
    told: list[Field] = [(37, NO_ORDER), (17, exec_id), (150, "I"), (39, 8), (55, "[N/A]"), (54, 1), (151, 0), (14, 0)]
    return fix_body("8", _carried([*told, (6, 0), (584, asked), (911, 0), (912, "Y"), (58, "no order is open")]))

"""Orders and cancels as FIX says them, and ExecutionReports as ours. No I/O.

Source: FIX 4.2 and 4.4, "New Order - Single", "Order Cancel Request", "Execution Report", "Order Cancel Reject". FIX
4.2 has neither the currency of a commission nor the liquidity of a fill; our venue says them in user-defined fields,
5000 above the tags of 4.4. The ExecID of an execution is the venue's number of the trade, as its REST interface has it.
"""

from decimal import Decimal, InvalidOperation
from typing import Final

from tradewind.model.enums import LiquiditySide, OrderSide, OrderType, TimeInForce
from tradewind.model.identifiers import AccountId, ClientOrderId, VenueOrderId
from tradewind.model.instruments import Instrument
from tradewind.model.order_status import OrderStatus
from tradewind.venue.adapter import NewOrder, VenueRejected
from tradewind.venue.binance.translation import account_trade_id
from tradewind.venue.fix_fields import Field, decimal_text, fix_body, timestamp_ns
from tradewind.venue.reports import FillReport, OrderStatusReport
from tradewind_native.fix_messages import read_execution_report
from tradewind_native.fix_records import ExecutionReport

UNSUPPORTED: Final = 0
"""Code of a refusal that is ours: the venue was not asked."""
STATUSES: Final = {
    "0": OrderStatus.ACCEPTED,
    "A": OrderStatus.ACCEPTED,
    "1": OrderStatus.PARTIALLY_FILLED,
    "2": OrderStatus.FILLED,
    "4": OrderStatus.CANCELED,
    "6": OrderStatus.PENDING_CANCEL,
    "8": OrderStatus.REJECTED,
    "C": OrderStatus.EXPIRED,
}
"""OrdStatus(39)."""
REFUSED: Final = "8"
NEW: Final = "0"
ANSWERS_A_QUESTION: Final = "I"
_USER_DEFINED: Final = 5_000
_OLD: Final = "FIX.4.2"
_SIDES: Final = {OrderSide.BUY: "1", OrderSide.SELL: "2"}
_OUR_SIDES: Final = {wire: side for side, wire in _SIDES.items()}
_TYPES: Final = {OrderType.MARKET: "1", OrderType.LIMIT: "2"}
_OUR_TYPES: Final = {"1": OrderType.MARKET, "2": OrderType.LIMIT, "3": OrderType.STOP_MARKET, "4": OrderType.STOP_LIMIT}
_TIMES_IN_FORCE: Final = {TimeInForce.GTC: "1", TimeInForce.IOC: "3", TimeInForce.FOK: "4"}
_OUR_TIMES_IN_FORCE: Final = {wire: force for force, wire in _TIMES_IN_FORCE.items()}
_LIQUIDITY: Final = {"1": LiquiditySide.MAKER, "2": LiquiditySide.TAKER}
_POST_ONLY: Final = "6"


class WrongReport(ValueError):
    """A report of the venue lacks what it must have, or says what cannot be; the words say which."""


def new_order(order: NewOrder, instrument: Instrument, sent: str) -> bytes:
    """A NewOrderSingle. ``sent``: its TransactTime.

    Raises:
        VenueRejected: the venue has no such order; nothing was sent.
    """
    if order.order_type not in _TYPES or order.time_in_force not in _TIMES_IN_FORCE:
        wanted = f"{order.order_type} {order.time_in_force}"
        raise VenueRejected(
            UNSUPPORTED, f"there are no {wanted} orders over FIX here; use LIMIT or MARKET, GTC, IOC, FOK"
        )
    if order.post_only and order.order_type is not OrderType.LIMIT:
        raise VenueRejected(UNSUPPORTED, "only a LIMIT order can be post-only")
    fields: list[Field] = [(11, order.client_order_id), (21, "1"), (55, instrument.symbol), (54, _SIDES[order.side])]
    fields += [(60, sent), (38, decimal_text(order.size, instrument.size_precision)), (40, _TYPES[order.order_type])]
    if order.order_type is OrderType.LIMIT:
        if order.price is None:
            raise VenueRejected(UNSUPPORTED, "a LIMIT order needs a price")
        fields += [(44, decimal_text(order.price, instrument.price_precision))]
        fields += [(59, _TIMES_IN_FORCE[order.time_in_force])]
    return fix_body("D", [*fields, (18, _POST_ONLY)] if order.post_only else fields)


def cancel(
    cancel_id: str, instrument: Instrument, order: ClientOrderId, venue_order_id: VenueOrderId | None, sent: str
) -> bytes:
    """An OrderCancelRequest. The side is required by the protocol and says nothing where the order is named."""
    fields: list[Field] = [(41, order), (11, cancel_id), (55, instrument.symbol), (54, "1"), (60, sent)]
    return fix_body("F", fields if venue_order_id is None else [*fields, (37, venue_order_id)])


def report_of(message: bytes, instrument: Instrument) -> ExecutionReport:
    """An ExecutionReport's record. Raises FixMessageError."""
    return read_execution_report(message, instrument.price_precision, instrument.size_precision)


def order_name(report: ExecutionReport) -> str:
    """Our own id of the order that a report is about: a cancel's report has it as the original one."""
    return report.original_client_order_id or report.client_order_id


def status_of(
    report: ExecutionReport, given: dict[int, str], account_id: AccountId, instrument: Instrument
) -> OrderStatusReport:
    """Where the order stands.

    Raises:
        WrongReport: a field is missing or unknown.
    """
    try:
        kind = _OUR_TYPES[given.get(40, "2")]
        return OrderStatusReport(
            account_id=account_id,
            instrument_id=instrument.instrument_id,
            client_order_id=ClientOrderId(order_name(report)),
            venue_order_id=VenueOrderId(report.order_id),
            side=_OUR_SIDES[report.side],
            order_type=kind,
            time_in_force=_OUR_TIMES_IN_FORCE.get(given.get(59, "1"), TimeInForce.GTC),
            status=STATUSES[report.order_status],
            size=report.quantity or report.leaves_quantity + report.cumulative_quantity,
            filled_size=report.cumulative_quantity,
            price=report.price or None,
            post_only=_POST_ONLY in given.get(18, "").split(),
            reason=given.get(58, ""),
            ts_event=_time(report),
        )
    except KeyError as error:
        raise WrongReport(f"an ExecutionReport has an unknown value {error}") from None


def fill_of(
    report: ExecutionReport, given: dict[int, str], account_id: AccountId, instrument: Instrument, version: str
) -> FillReport | None:
    """The execution that a report tells of; None when it tells of none.

    Raises:
        WrongReport: a field is missing or unknown.
    """
    trades = ("1", "2") if version == _OLD else ("F",)
    if report.execution_type not in trades or not report.last_quantity:
        return None
    more = _USER_DEFINED if version == _OLD else 0
    try:
        fee = Decimal(given.get(12, "0"))
        side = _OUR_SIDES[report.side]
    except (InvalidOperation, KeyError) as error:
        raise WrongReport(f"an execution has an unreadable Commission or Side: {error}") from None
    if not fee.is_finite() or not report.execution_id or report.last_price <= 0:
        raise WrongReport("an execution has no ExecID, no LastPx or no finite Commission")
    return FillReport(
        account_id=account_id,
        instrument_id=instrument.instrument_id,
        client_order_id=ClientOrderId(order_name(report)),
        venue_order_id=VenueOrderId(report.order_id),
        trade_id=account_trade_id(instrument, report.execution_id),
        side=side,
        price=report.last_price,
        size=report.last_quantity,
        fee=fee,
        fee_currency=given.get(more + 479, ""),
        liquidity_side=_LIQUIDITY.get(given.get(more + 851, ""), LiquiditySide.TAKER),
        ts_event=_time(report),
    )


def _time(report: ExecutionReport) -> int:
    ts_event = timestamp_ns(report.transaction_time)
    if ts_event is None:
        raise WrongReport("an ExecutionReport has no TransactTime")
    return ts_event

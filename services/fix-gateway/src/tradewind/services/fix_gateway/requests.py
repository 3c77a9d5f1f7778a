"""What a client asks for, read out of FIX fields; what cannot be done is refused with the words that help."""

from collections.abc import Mapping
from typing import Final

from tradewind.model.enums import OrderSide, OrderType, TimeInForce
from tradewind.model.fixed_point import INT64_MAX, FixedPointError
from tradewind.model.identifiers import InstrumentId, Venue, instrument_id
from tradewind.model.instruments import Instrument
from tradewind.services.fix_gateway.identities import order_id
from tradewind.services.fix_gateway.reports import ORDER_TYPES, SIDES, TIMES_IN_FORCE
from tradewind.services.fix_gateway.store import OrderRow

LONGEST_ID: Final = 64
_UNKNOWN_SYMBOL: Final = 1
_UNSUPPORTED: Final = 11
_OTHER: Final = 0
_INCORRECT_QUANTITY: Final = 13
_POST_ONLY: Final = "6"
_REDUCE_ONLY: Final = "E"


class OrderRefused(ValueError):
    """The order cannot be taken; ``code`` is OrdRejReason (103)."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


def is_name(text: str) -> bool:
    """Whether a ClOrdID can be kept and told again: 1 to 64 printable ASCII characters."""
    return 0 < len(text) <= LONGEST_ID and text.isascii() and text.isprintable()


def instrument_of(symbol: str, venue: Venue) -> InstrumentId:
    """The instrument of a Symbol (55): the venue's own symbol, with or without ``.VENUE``."""
    return InstrumentId(symbol) if symbol.endswith(f".{venue}") else instrument_id(symbol, venue)


def read_order(
    fields: Mapping[int, str], session_id: str, account: str, instrument: Instrument | None, received_ns: int
) -> OrderRow:
    """A NewOrderSingle (35=D) as the order that it asks for.

    Raises:
        OrderRefused: it asks for something that the platform does not do.
    """
    if fields.get(1, account) != account:
        raise OrderRefused(_OTHER, f"Account (1) is {account} here; leave it away or send that")
    if instrument is None:
        raise OrderRefused(_UNKNOWN_SYMBOL, f"no such instrument: Symbol (55) {fields.get(55, '')}")
    side, kind, time = _side(fields), _order_type(fields), _time_in_force(fields)
    size, price = _numbers(fields, kind, instrument)
    post_only, reduce_only = _instructions(fields, kind, time)
    cl_ord_id = fields[11]
    return OrderRow(
        client_order_id=order_id(session_id, cl_ord_id),
        session_id=session_id,
        cl_ord_id=cl_ord_id,
        instrument_id=instrument.instrument_id,
        symbol=fields[55],
        side=side,
        order_type=kind,
        time_in_force=time,
        size=size,
        price=price,
        price_precision=instrument.price_precision,
        size_precision=instrument.size_precision,
        post_only=post_only,
        reduce_only=reduce_only,
        received_ns=received_ns,
    )


def _side(fields: Mapping[int, str]) -> OrderSide:
    side = SIDES.get(fields.get(54, ""))
    if side is None:
        raise OrderRefused(_UNSUPPORTED, "Side (54) must be 1 (buy) or 2 (sell)")
    return side


def _order_type(fields: Mapping[int, str]) -> OrderType:
    kind = ORDER_TYPES.get(fields.get(40, ""))
    if kind is None:
        raise OrderRefused(_UNSUPPORTED, "OrdType (40) must be 1 (market) or 2 (limit)")
    return kind


def _time_in_force(fields: Mapping[int, str]) -> TimeInForce:
    # Without the field FIX means Day; there is no end of a day here.
    time = TIMES_IN_FORCE.get(fields.get(59, "1"))
    if time is None:
        raise OrderRefused(
            _UNSUPPORTED, "TimeInForce (59) must be 1 (good till cancel), 3 (immediate or cancel) or 4 (fill or kill)"
        )
    return time


def _numbers(fields: Mapping[int, str], kind: OrderType, instrument: Instrument) -> tuple[int, int | None]:
    try:
        size = instrument.size(fields.get(38, ""))
    except FixedPointError as error:
        raise OrderRefused(_INCORRECT_QUANTITY, f"OrderQty (38): {error}") from error
    if not 0 < size <= INT64_MAX:
        raise OrderRefused(_INCORRECT_QUANTITY, "OrderQty (38) must be above 0 and fit 64 bits")
    if kind is OrderType.MARKET:
        if 44 in fields:
            raise OrderRefused(_OTHER, "a market order has no Price (44); leave it away or send OrdType (40) 2")
        return size, None
    if 44 not in fields:
        raise OrderRefused(_OTHER, "a limit order needs a Price (44)")
    try:
        return size, instrument.price(fields[44])
    except FixedPointError as error:
        raise OrderRefused(_OTHER, f"Price (44): {error}") from error


def _instructions(fields: Mapping[int, str], kind: OrderType, time: TimeInForce) -> tuple[bool, bool]:
    told = fields.get(18, "").split()
    if unknown := [one for one in told if one not in (_POST_ONLY, _REDUCE_ONLY)]:
        raise OrderRefused(_UNSUPPORTED, f"ExecInst (18) {unknown[0]}: only 6 (post only) and E (reduce only) are done")
    post_only = _POST_ONLY in told
    if post_only and (kind is OrderType.MARKET or time is not TimeInForce.GTC):
        raise OrderRefused(_UNSUPPORTED, "ExecInst (18) 6 goes with a limit order and TimeInForce (59) 1 only")
    return post_only, _REDUCE_ONLY in told

"""The messages of OUCH 4.2 as values and as bytes, without I/O.

Source: "O*U*C*H Version 4.2" specification: data types, inbound and outbound messages.
Numbers are unsigned and big-endian, text is ASCII, left-justified and filled with spaces. Prices have 4 decimals.
A field that cannot be said in the protocol is an ``OuchError`` on writing, never cut to fit; a message whose length is
not that of its type, or whose field says what the protocol does not know, is one on reading.
"""

import struct
from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

MAX_SHARES: Final = 999_999
"""Shares must be less than 1,000,000."""
MAX_PRICE: Final = 1_999_999_900
"""The highest limit price, 199,999.9900."""
MARKET_PRICE: Final = 0x7FFF_FFFF
"""This price means a market order."""
TIME_IMMEDIATE: Final = 0
"""Executed at once or canceled."""
TIME_MARKET_HOURS: Final = 99_998
TIME_SYSTEM_HOURS: Final = 99_999
NANOSECONDS_OF_DAY: Final = 86_400_000_000_000
TOKEN_LENGTH: Final = 14
STOCK_LENGTH: Final = 8
FIRM_LENGTH: Final = 4
SIDES: Final = frozenset("BSTE")
"""Buy, sell, sell short, sell short exempt."""
ORDER_STATES: Final = frozenset("LD")
"""Live, or dead: accepted and already canceled."""

_ENTER: Final = struct.Struct(">c14scI8sII4scccIcc")
_CANCEL: Final = struct.Struct(">c14sI")
_SYSTEM_EVENT: Final = struct.Struct(">cQc")
_ACCEPTED: Final = struct.Struct(">cQ14scI8sII4scQccIccc")
_EXECUTED: Final = struct.Struct(">cQ14sIIcQ")
_CANCELED: Final = struct.Struct(">cQ14sIc")
_REJECTED: Final = struct.Struct(">cQ14sc")


class OuchError(ValueError):
    """A message that OUCH 4.2 cannot say, or bytes that are none; the text names the field."""


class EnterOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Type O. ``price`` in 0.0001, ``time_in_force`` in seconds or one of ``TIME_*``."""

    token: str
    side: str
    shares: int
    stock: str
    price: int
    time_in_force: int = TIME_SYSTEM_HOURS
    firm: str = ""
    display: str = "Y"
    capacity: str = "P"
    sweep: str = "N"
    minimum_quantity: int = 0
    cross_type: str = "N"
    customer_type: str = " "


class CancelOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Type X. ``shares`` is what may stay of the order: 0 cancels all of it."""

    token: str
    shares: int = 0


class SystemEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Type S. Times of all outbound messages are nanoseconds since midnight."""

    time_ns: int
    event: str


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """Type A: the order as taken; its price and shares may differ from those entered."""

    time_ns: int
    token: str
    side: str
    shares: int
    stock: str
    price: int
    time_in_force: int
    firm: str
    display: str
    order_reference: int
    capacity: str
    sweep: str
    minimum_quantity: int
    cross_type: str
    order_state: str
    bbo_weight: str


class Executed(msgspec.Struct, frozen=True, kw_only=True):
    """Type E. ``match_number`` is given to both sides of one trade."""

    time_ns: int
    token: str
    shares: int
    price: int
    liquidity: str
    match_number: int


class Canceled(msgspec.Struct, frozen=True, kw_only=True):
    """Type C. ``shares`` is what was taken from the order, not what is left."""

    time_ns: int
    token: str
    shares: int
    reason: str


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """Type J: the order was not taken; its token may not be used again that day."""

    time_ns: int
    token: str
    reason: str


Inbound: TypeAlias = EnterOrder | CancelOrder
Outbound: TypeAlias = SystemEvent | Accepted | Executed | Canceled | Rejected

INBOUND_LENGTHS: Final[Mapping[str, int]] = {"O": _ENTER.size, "X": _CANCEL.size}
"""Bytes of each message to the venue that is known here."""
OUTBOUND_LENGTHS: Final[Mapping[str, int]] = {
    "S": _SYSTEM_EVENT.size,
    "A": _ACCEPTED.size,
    "E": _EXECUTED.size,
    "C": _CANCELED.size,
    "J": _REJECTED.size,
}
"""Bytes of each message from the venue that is known here."""


def write_inbound(message: Inbound) -> bytes:
    """The bytes of a message to the venue.

    Raises:
        OuchError: a field has a value that OUCH 4.2 cannot say.
    """
    if isinstance(message, CancelOrder):
        return _CANCEL.pack(b"X", _token(message.token), _within("shares", message.shares, 0, MAX_SHARES))
    return _ENTER.pack(
        b"O",
        _token(message.token),
        _one_of("side", message.side, SIDES),
        _within("shares", message.shares, 1, MAX_SHARES),
        _text("stock", message.stock, STOCK_LENGTH, least=1),
        _price(message.price),
        _within("time_in_force", message.time_in_force, 0, TIME_SYSTEM_HOURS),
        _text("firm", message.firm, FIRM_LENGTH),
        _letter("display", message.display),
        _letter("capacity", message.capacity),
        _letter("sweep", message.sweep),
        _within("minimum_quantity", message.minimum_quantity, 0, message.shares),
        _letter("cross_type", message.cross_type),
        _letter("customer_type", message.customer_type),
    )


def write_outbound(message: Outbound) -> bytes:
    """The bytes of a message from the venue.

    Raises:
        OuchError: a field has a value that OUCH 4.2 cannot say.
    """
    time_ns = _within("time_ns", message.time_ns, 0, NANOSECONDS_OF_DAY - 1)
    match message:
        case Accepted():
            return _write_accepted(message, time_ns)
        case Executed():
            shares = _within("shares", message.shares, 1, MAX_SHARES)
            price, match_number = _price(message.price), _unsigned("match_number", message.match_number)
            liquidity = _letter("liquidity", message.liquidity)
            return _EXECUTED.pack(b"E", time_ns, _token(message.token), shares, price, liquidity, match_number)
        case Canceled():
            shares = _within("shares", message.shares, 0, MAX_SHARES)
            return _CANCELED.pack(b"C", time_ns, _token(message.token), shares, _letter("reason", message.reason))
        case Rejected():
            return _REJECTED.pack(b"J", time_ns, _token(message.token), _letter("reason", message.reason))
        case SystemEvent():
            return _SYSTEM_EVENT.pack(b"S", time_ns, _letter("event", message.event))


def read_inbound(data: bytes) -> Inbound:
    """One whole message to the venue. An order of no shares or too high a price is read: the venue rejects it.

    Raises:
        OuchError: an unknown type, another length than the type's, or a field that is not text.
    """
    if _type_of(data, INBOUND_LENGTHS) == "X":
        _, token, shares = _CANCEL.unpack(data)
        return CancelOrder(token=_read_token(token), shares=shares)
    _, token, side, shares, stock, price, time_in_force, firm, *rest = _ENTER.unpack(data)
    display, capacity, sweep, minimum_quantity, cross_type, customer_type = rest
    return EnterOrder(
        token=_read_token(token),
        side=_read_text("side", side),
        shares=shares,
        stock=_read_text("stock", stock).rstrip(),
        price=price,
        time_in_force=time_in_force,
        firm=_read_text("firm", firm).rstrip(),
        display=_read_text("display", display),
        capacity=_read_text("capacity", capacity),
        sweep=_read_text("sweep", sweep),
        minimum_quantity=minimum_quantity,
        cross_type=_read_text("cross_type", cross_type),
        customer_type=_read_text("customer_type", customer_type),
    )


def read_outbound(data: bytes) -> Outbound:
    """One whole message from the venue.

    Raises:
        OuchError: an unknown type, another length than the type's, or a field with a value unknown there.
    """
    kind = _type_of(data, OUTBOUND_LENGTHS)
    time_ns = _within("time_ns", int.from_bytes(data[1:9], "big"), 0, NANOSECONDS_OF_DAY - 1)
    if kind == "S":
        return SystemEvent(time_ns=time_ns, event=_read_text("event", data[9:10]))
    if kind == "A":
        return _read_accepted(data, time_ns)
    token = _read_token(data[9 : 9 + TOKEN_LENGTH])
    if kind == "E":
        *_, shares, price, liquidity, match_number = _EXECUTED.unpack(data)
        return Executed(
            time_ns=time_ns,
            token=token,
            shares=_within("shares", shares, 1, MAX_SHARES),
            price=_within("price", price, 0, MARKET_PRICE),
            liquidity=_read_text("liquidity", liquidity),
            match_number=match_number,
        )
    reason = _read_text("reason", data[-1:])
    if kind == "J":
        return Rejected(time_ns=time_ns, token=token, reason=reason)
    shares = _within("shares", int.from_bytes(data[-5:-1], "big"), 0, MAX_SHARES)
    return Canceled(time_ns=time_ns, token=token, shares=shares, reason=reason)


def _write_accepted(message: Accepted, time_ns: int) -> bytes:
    return _ACCEPTED.pack(
        b"A",
        time_ns,
        _token(message.token),
        _one_of("side", message.side, SIDES),
        _within("shares", message.shares, 1, MAX_SHARES),
        _text("stock", message.stock, STOCK_LENGTH, least=1),
        _price(message.price),
        _within("time_in_force", message.time_in_force, 0, TIME_SYSTEM_HOURS),
        _text("firm", message.firm, FIRM_LENGTH),
        _letter("display", message.display),
        _unsigned("order_reference", message.order_reference),
        _letter("capacity", message.capacity),
        _letter("sweep", message.sweep),
        _within("minimum_quantity", message.minimum_quantity, 0, message.shares),
        _letter("cross_type", message.cross_type),
        _one_of("order_state", message.order_state, ORDER_STATES),
        _letter("bbo_weight", message.bbo_weight),
    )


def _read_accepted(data: bytes, time_ns: int) -> Accepted:
    _, _, token, side, shares, stock, price, time_in_force, firm, display, reference, *rest = _ACCEPTED.unpack(data)
    capacity, sweep, minimum_quantity, cross_type, state, weight = rest
    return Accepted(
        time_ns=time_ns,
        token=_read_token(token),
        side=_known("side", side, SIDES),
        shares=_within("shares", shares, 1, MAX_SHARES),
        stock=_read_text("stock", stock).rstrip(),
        price=_within("price", price, 0, MARKET_PRICE),
        time_in_force=time_in_force,
        firm=_read_text("firm", firm).rstrip(),
        display=_read_text("display", display),
        order_reference=reference,
        capacity=_read_text("capacity", capacity),
        sweep=_read_text("sweep", sweep),
        minimum_quantity=minimum_quantity,
        cross_type=_read_text("cross_type", cross_type),
        order_state=_known("order_state", state, ORDER_STATES),
        bbo_weight=_read_text("bbo_weight", weight),
    )


def _type_of(data: bytes, lengths: Mapping[str, int]) -> str:
    if not data:
        raise OuchError("an empty message: OUCH 4.2 messages have at least a type")
    kind = chr(data[0])
    wanted = lengths.get(kind)
    if wanted is None:
        raise OuchError(f"message type {kind!r} is not known here: known are {', '.join(sorted(lengths))}")
    if len(data) != wanted:
        raise OuchError(f"message type {kind} has {wanted} bytes, not {len(data)}")
    return kind


def _within(field: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise OuchError(f"{field} {value}: must be {least} to {most}")
    return value


def _unsigned(field: str, value: int) -> int:
    return _within(field, value, 0, 2**64 - 1)


def _price(value: int) -> int:
    return value if value == MARKET_PRICE else _within("price", value, 1, MAX_PRICE)


def _text(field: str, value: str, length: int, *, least: int = 0) -> bytes:
    if not least <= len(value) <= length or not value.isascii() or not value.isprintable() or value != value.rstrip():
        raise OuchError(
            f"{field} {value!r}: must be {least} to {length} printable ASCII characters, no space at the end"
        )
    return value.encode("ascii").ljust(length)


def _token(value: str) -> bytes:
    if not (value.isascii() and value.isalnum()):
        raise OuchError(f"token {value!r}: must be 1 to {TOKEN_LENGTH} letters and digits")
    return _text("token", value, TOKEN_LENGTH, least=1)


def _letter(field: str, value: str) -> bytes:
    if len(value) != 1 or not value.isascii() or not value.isprintable():
        raise OuchError(f"{field} {value!r}: must be one printable ASCII character")
    return value.encode("ascii")


def _one_of(field: str, value: str, known: frozenset[str]) -> bytes:
    if value not in known:
        raise OuchError(f"{field} {value!r}: must be one of {', '.join(sorted(known))}")
    return value.encode("ascii")


def _known(field: str, value: bytes, known: frozenset[str]) -> str:
    return _one_of(field, _read_text(field, value), known).decode("ascii")


def _read_text(field: str, value: bytes) -> str:
    text = value.decode("latin-1")
    if not text.isascii() or not text.isprintable():
        raise OuchError(f"{field} {value!r}: is not printable ASCII")
    return text


def _read_token(value: bytes) -> str:
    token = _read_text("token", value).rstrip()
    if not token.isalnum():
        raise OuchError(f"token {value!r}: must be 1 to {TOKEN_LENGTH} letters and digits")
    return token

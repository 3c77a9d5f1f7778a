"""Messages of ITCH 5.0 as bytes. Source: "Nasdaq TotalView-ITCH 5.0" specification, section 1.

Prices have 4 decimals, times are nanoseconds since midnight in New York, ``share`` is one step of the symbol's size.
Of the messages of a book the engine makes A, E and D: its orders are shown, trade at their own price, are never made
smaller by their owner, and a replacement is a cancel and a new order.
"""

import struct
from typing import Final

_HEAD: Final = ">cHH6s"
_SYSTEM_EVENT: Final = struct.Struct(_HEAD + "c")
_DIRECTORY: Final = struct.Struct(_HEAD + "8sccIcc2scccccIc")
_TRADING_ACTION: Final = struct.Struct(_HEAD + "8scc4s")
_ADD: Final = struct.Struct(_HEAD + "QcI8sI")
_EXECUTED: Final = struct.Struct(_HEAD + "QIQ")
_DELETE: Final = struct.Struct(_HEAD + "Q")
_TIME_BYTES: Final = 6
_SYMBOL_BYTES: Final = 8
PRICE_DECIMALS: Final = 4
MAX_SHARES: Final = 2**32 - 1
MAX_PRICE: Final = 1_999_999_900
"""The highest price, 199,999.9900."""

START_OF_MESSAGES: Final = b"O"
START_OF_SYSTEM_HOURS: Final = b"S"
START_OF_MARKET_HOURS: Final = b"Q"
END_OF_MESSAGES: Final = b"C"


def system_event(time_ns: int, event: bytes) -> bytes:
    """Type S."""
    return _SYSTEM_EVENT.pack(b"S", 0, 0, _time(time_ns), event)


def stock_directory(time_ns: int, locate: int, symbol: str) -> bytes:
    """Type R: a test security of no tier, so that nobody takes it for a listed one; round lots of 1."""
    return _DIRECTORY.pack(
        b"R", locate, 0, _time(time_ns), _stock(symbol), b"Q", b"N", 1, b"N", b"Q", b"Z ", b"T", b"N", b"N", b" ",
        b"N", 0, b"N",
    )  # fmt: skip


def trading_action(time_ns: int, locate: int, symbol: str) -> bytes:
    """Type H: the symbol trades."""
    return _TRADING_ACTION.pack(b"H", locate, 0, _time(time_ns), _stock(symbol), b"T", b" ", b"    ")


def add_order(time_ns: int, locate: int, reference: int, side: bytes, shares: int, symbol: str, price: int) -> bytes:
    """Type A. ``side`` is B or S."""
    return _ADD.pack(b"A", locate, 0, _time(time_ns), reference, side, shares, _stock(symbol), price)


def order_executed(time_ns: int, locate: int, reference: int, shares: int, match_number: int) -> bytes:
    """Type E: a resting order traded at its price."""
    return _EXECUTED.pack(b"E", locate, 0, _time(time_ns), reference, shares, match_number)


def order_deleted(time_ns: int, locate: int, reference: int) -> bytes:
    """Type D."""
    return _DELETE.pack(b"D", locate, 0, _time(time_ns), reference)


def _time(time_ns: int) -> bytes:
    return time_ns.to_bytes(_TIME_BYTES, "big")


def _stock(symbol: str) -> bytes:
    return symbol.encode("ascii").ljust(_SYMBOL_BYTES)

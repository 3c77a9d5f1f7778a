"""Checksums of books in plain Python: the twin of ``tradewind_native.book_checksums``."""

import zlib
from typing import Final, Protocol

from tradewind.wire.market_records import RecordSide

OKX_LEVELS: Final = 25
KRAKEN_LEVELS: Final = 10
MAX_PRECISION: Final = 18
_INT32: Final = 1 << 31
_UINT64: Final = (1 << 64) - 1


class Levels(Protocol):
    """A book of one instrument: this twin's or the kernel's."""

    def levels(self, side: int, depth: int) -> list[tuple[int, int]]:
        """Up to ``depth`` levels (price, size), best first."""
        ...


def okx_checksum(book: Levels, price_precision: int, size_precision: int) -> int:
    """OKX's signed CRC32 over ``price:size`` of the best 25 bids and asks in turn, decimals without zeros at the end.

    Source: OKX API guide v5, "Order book channel", checksum.

    Raises:
        ValueError: a precision is not within 0 and 18.
    """
    _check(price_precision, size_precision)
    bids, asks = (book.levels(side, OKX_LEVELS) for side in (RecordSide.BUY, RecordSide.SELL))
    parts: list[str] = []
    for index in range(OKX_LEVELS):
        for side in (bids, asks):
            for price, size in side[index : index + 1]:
                parts += [_decimal(price, price_precision), _decimal(size, size_precision)]
    crc = zlib.crc32(":".join(parts).encode())
    return crc - 2 * _INT32 if crc >= _INT32 else crc


def kraken_checksum(book: Levels, more_price_decimals: int, more_size_decimals: int) -> int:
    """Kraken's CRC32 over the digits of the best 10 asks, then bids: price and size without point and leading zeros.

    ``more_…``: how many decimals the venue writes beyond the instrument's precision; digits past 64 bits wrap around
    and make another checksum. Source: Kraken WebSocket API v1, "book", checksum calculation.

    Raises:
        ValueError: one is not within 0 and 18.
    """
    _check(more_price_decimals, more_size_decimals)
    text = "".join(
        f"{price * 10**more_price_decimals & _UINT64}{size * 10**more_size_decimals & _UINT64}"
        for side in (RecordSide.SELL, RecordSide.BUY)
        for price, size in book.levels(side, KRAKEN_LEVELS)
    )
    return zlib.crc32(text.encode())


def _check(price: int, size: int) -> None:
    if not (0 <= price <= MAX_PRECISION and 0 <= size <= MAX_PRECISION):
        raise ValueError(f"precisions are within 0 and {MAX_PRECISION}, not {price} and {size}")


def _decimal(mantissa: int, precision: int) -> str:
    """The shortest decimal text of a mantissa."""
    digits = str(abs(mantissa)).rjust(precision + 1, "0")
    whole, decimals = digits[: len(digits) - precision], digits[len(digits) - precision :].rstrip("0")
    return f"{'-' if mantissa < 0 else ''}{whole}{'.' if decimals else ''}{decimals}"

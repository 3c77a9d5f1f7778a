"""Checksums of books as OKX and Kraken make them. Twin: ``tradewind.venue.book_checksums``."""

import zlib

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libcpp.vector cimport vector

from tradewind_native.market_record cimport SIDE_BUY, SIDE_SELL
from tradewind_native.order_book cimport BookLevel, OrderBook
from tradewind_native.price_levels cimport key_of

cdef enum:
    OKX_LEVELS = 25
    OKX_TEXT = 2400  # two sides of 25 levels, each two numbers of at most 22 characters and two colons
    KRAKEN_LEVELS = 10
    KRAKEN_TEXT = 800  # two sides of 10 levels, each two numbers of at most 20 digits
    MOST_DIGITS = 20
    MAX_PRECISION = 18


cdef inline char* put_digits(char* out, uint64_t value) noexcept nogil:
    """The digits of a number."""
    cdef char digits[MOST_DIGITS]
    cdef int count = 0
    while True:
        digits[count] = 48 + <char> (value % 10)
        count += 1
        value //= 10
        if value == 0:
            break
    while count:
        count -= 1
        out[0] = digits[count]
        out += 1
    return out


cdef inline char* put_decimal(char* out, int64_t mantissa, int precision) noexcept nogil:
    """The shortest decimal text of a mantissa."""
    cdef uint64_t value = <uint64_t> mantissa if mantissa >= 0 else 0 - <uint64_t> mantissa
    cdef uint64_t scale = 1
    cdef uint64_t rest
    cdef int place
    if mantissa < 0:
        out[0] = 45
        out += 1
    while precision > 0 and value % 10 == 0:
        value //= 10
        precision -= 1
    for place in range(precision):
        scale *= 10
    out = put_digits(out, value // scale)
    if precision:
        rest = value % scale
        out[0] = 46
        out += 1
        for place in range(precision):
            scale //= 10
            out[0] = 48 + <char> (rest // scale)
            out += 1
            rest %= scale
    return out


cdef inline char* put_level(
    char* out, const BookLevel& level, int side, int price_precision, int size_precision
) noexcept nogil:
    out = put_decimal(out, key_of(side, level.key), price_precision)
    out[0] = 58
    out = put_decimal(out + 1, level.size, size_precision)
    out[0] = 58
    return out + 1


cdef int check_precisions(int price, int size) except -1:
    if not (0 <= price <= MAX_PRECISION and 0 <= size <= MAX_PRECISION):
        raise ValueError(f"precisions are within 0 and {MAX_PRECISION}, not {price} and {size}")
    return 0


def okx_checksum(OrderBook book, int price_precision, int size_precision):
    """OKX's signed CRC32 over the best 25 levels of both sides in turn."""
    cdef char text[OKX_TEXT]
    cdef char* out = text
    cdef vector[BookLevel]* bids = book._side(SIDE_BUY)
    cdef vector[BookLevel]* asks = book._side(SIDE_SELL)
    cdef size_t index
    check_precisions(price_precision, size_precision)
    for index in range(1, OKX_LEVELS + 1):
        if index <= bids.size():
            out = put_level(out, bids[0][bids.size() - index], SIDE_BUY, price_precision, size_precision)
        if index <= asks.size():
            out = put_level(out, asks[0][asks.size() - index], SIDE_SELL, price_precision, size_precision)
    if out != text:
        out -= 1  # a colon stands between them alone
    return <int32_t> <uint32_t> zlib.crc32(text[:out - text])


cdef inline char* put_side(
    char* out, const vector[BookLevel]& levels, int side, uint64_t price_scale, uint64_t size_scale
) noexcept nogil:
    cdef size_t index
    for index in range(1, KRAKEN_LEVELS + 1):
        if index > levels.size():
            break
        out = put_digits(out, <uint64_t> key_of(side, levels[levels.size() - index].key) * price_scale)
        out = put_digits(out, <uint64_t> levels[levels.size() - index].size * size_scale)
    return out


def kraken_checksum(OrderBook book, int more_price_decimals, int more_size_decimals):
    """Kraken's CRC32 over the digits of the best 10 asks and the best 10 bids."""
    cdef char text[KRAKEN_TEXT]
    cdef char* out = text
    cdef uint64_t price_scale = 1, size_scale = 1
    cdef int place
    check_precisions(more_price_decimals, more_size_decimals)
    for place in range(more_price_decimals):
        price_scale *= 10
    for place in range(more_size_decimals):
        size_scale *= 10
    out = put_side(out, book._side(SIDE_SELL)[0], SIDE_SELL, price_scale, size_scale)
    out = put_side(out, book._side(SIDE_BUY)[0], SIDE_BUY, price_scale, size_scale)
    return zlib.crc32(text[:out - text])

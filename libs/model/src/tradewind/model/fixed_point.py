"""Fixed-point numbers: an int64 mantissa and a decimal precision that the instrument knows.

``61837.63`` at precision 2 is ``6183763``. No float ever stands for a price or a size on the order path.
"""

from decimal import ROUND_DOWN, Decimal, InvalidOperation
from typing import Final

INT64_MAX: Final = 2**63 - 1
MAX_PRECISION: Final = 18


class FixedPointError(ValueError):
    """A number cannot be held exactly: not a number, finer than the precision, or past int64."""


def to_mantissa(value: str | Decimal | int, precision: int) -> int:
    """The exact mantissa of ``value`` at ``precision`` decimals.

    Raises:
        FixedPointError: not a finite number, finer than ``precision``, or outside int64.
    """
    try:
        scaled = Decimal(value).scaleb(precision)
        mantissa = int(scaled)
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise FixedPointError(f"{value!r} is not a finite decimal number") from error
    if mantissa != scaled:
        raise FixedPointError(f"{value} has more than {precision} decimals")
    return checked(mantissa)


def checked(mantissa: int) -> int:
    """``mantissa`` itself when it fits int64.

    Raises:
        FixedPointError: it does not.
    """
    if not -INT64_MAX <= mantissa <= INT64_MAX:
        raise FixedPointError(f"mantissa {mantissa} is outside int64")
    return mantissa


def from_mantissa(mantissa: int, precision: int) -> Decimal:
    """The exact decimal value of a mantissa."""
    return Decimal(mantissa).scaleb(-precision)


def format_mantissa(mantissa: int, precision: int) -> str:
    """The plain decimal text of a mantissa, with all its decimals: ``1`` at 8 is ``0.00000001``."""
    return f"{from_mantissa(mantissa, precision):f}"


def floor_to_increment(mantissa: int, increment: int) -> int:
    """The largest multiple of ``increment`` not above ``mantissa``."""
    return mantissa // increment * increment


def quantize_down(value: Decimal, precision: int) -> Decimal:
    """``value`` cut to ``precision`` decimals, towards zero."""
    return value.quantize(Decimal(1).scaleb(-precision), rounding=ROUND_DOWN)

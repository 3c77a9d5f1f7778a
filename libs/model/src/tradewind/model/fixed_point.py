"""Fixed-point numbers: an int64 mantissa and a decimal precision that the instrument knows.

``61837.63`` at precision 2 is ``6183763``. No float ever stands for a price or a size on the order path.
"""

import re
from decimal import ROUND_DOWN, Context, Decimal, Inexact, InvalidOperation
from typing import Final

INT64_MAX: Final = 2**63 - 1
INT64_DIGITS: Final = 19
MAX_PRECISION: Final = 18

# Wide enough for the product of two mantissas and all digits after it; a digit lost to rounding is an error.
_EXACT: Final = Context(prec=96, traps=[InvalidOperation, Inexact])
_WIDE: Final = Context(prec=96)

# Decimal() itself also takes "1_000", " 1 " and digits of any script: no venue writes that, so it is a mistake.
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SHOWN_CHARACTERS: Final = 40


class FixedPointError(ValueError):
    """A number cannot be held exactly: not a number, finer than the precision, or past int64."""


def to_mantissa(value: str | Decimal | int, precision: int) -> int:
    """The exact mantissa of ``value`` at ``precision`` decimals.

    Takes as long as the text is, whatever its exponent says.

    Raises:
        FixedPointError: not a finite number, a float, finer than ``precision``, or outside int64.
    """
    number = _decimal(value)
    if not number:
        return 0
    if number.adjusted() + precision >= INT64_DIGITS:
        raise FixedPointError(f"{_shown(value)} at {precision} decimals is outside int64")
    try:
        scaled = number.scaleb(precision, _EXACT)
        mantissa = int(scaled)
    except (Inexact, InvalidOperation):
        mantissa = None
    if mantissa is None or mantissa != scaled:
        raise FixedPointError(f"{_shown(value)} has more than {precision} decimals")
    return checked(mantissa)


def _decimal(value: str | Decimal | int) -> Decimal:
    # A float is refused even where it is exact: the next one would not be.
    is_number = _NUMBER.fullmatch(value) if isinstance(value, str) else isinstance(value, (Decimal, int))
    if is_number:
        try:
            number = Decimal(value)
        except InvalidOperation:  # An exponent that Decimal itself cannot hold.
            pass
        else:
            if number.is_finite():
                return number
    raise FixedPointError(f"{_shown(value)} is not a finite decimal number")


def _shown(value: object) -> str:
    # By way of Decimal, because str() refuses an integer of more than 4300 digits.
    text = str(Decimal(value)) if isinstance(value, (Decimal, int)) else repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}… ({len(text)} characters)"


def checked(mantissa: int) -> int:
    """``mantissa`` itself when it fits int64.

    Raises:
        FixedPointError: it does not.
    """
    if not -INT64_MAX <= mantissa <= INT64_MAX:
        raise FixedPointError(f"mantissa {_shown(mantissa)} is outside int64")
    return mantissa


def from_mantissa(mantissa: int, precision: int) -> Decimal:
    """The exact decimal value of a mantissa."""
    return Decimal(mantissa).scaleb(-precision, _EXACT)


def format_mantissa(mantissa: int, precision: int) -> str:
    """The plain decimal text of a mantissa, with all its decimals: ``1`` at 8 is ``0.00000001``."""
    return f"{from_mantissa(mantissa, precision):f}"


def floor_to_increment(mantissa: int, increment: int) -> int:
    """The largest multiple of ``increment`` not above ``mantissa``."""
    return mantissa // increment * increment


def quantize_down(value: Decimal, precision: int) -> Decimal:
    """``value`` cut to ``precision`` decimals, towards zero."""
    return value.quantize(Decimal(1).scaleb(-precision), rounding=ROUND_DOWN, context=_WIDE)

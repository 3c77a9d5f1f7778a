"""Amounts as the venue holds and shows them: integers of 0.00000001, as text with 8 decimals."""

import re
from typing import Final

DECIMALS: Final = 8
ONE: Final = 10**DECIMALS
MAX_AMOUNT: Final = 2**63 - 1
_PLAIN: Final = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,20}))?")


class AmountError(ValueError):
    """A text is no plain decimal number."""


class TooPrecise(ValueError):
    """A number has more than 8 decimals."""


def amount_text(amount: int) -> str:
    """``123`` as ``0.00000123``; the amount may be negative."""
    whole, part = divmod(abs(amount), ONE)
    return f"{'-' if amount < 0 else ''}{whole}.{part:08d}"


def parse_amount(text: str) -> int:
    """The amount of a plain, unsigned decimal text. It may be larger than ``MAX_AMOUNT``.

    Raises:
        AmountError: the text has another form.
        TooPrecise: more than 8 decimals.
    """
    found = _PLAIN.fullmatch(text)
    if found is None:
        raise AmountError(text)
    whole, part = found[1], found[2] or ""
    if len(part) > DECIMALS:
        raise TooPrecise(text)
    return int(whole) * ONE + int(part.ljust(DECIMALS, "0"))

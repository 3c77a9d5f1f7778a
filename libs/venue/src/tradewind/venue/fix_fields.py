"""FIX messages as fields: for what is not on a hot path, and for what is sent."""

import datetime
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from tradewind.model.fixed_point import format_mantissa

SOH: Final = "\x01"
_NS_PER_S: Final = 1_000_000_000
_NS_PER_MS: Final = 1_000_000

Field = tuple[int, str | int | Decimal]


def fields_of(message: bytes) -> dict[int, str]:
    """The first value of each tag of a message that QuickFIX has checked; what is no field is passed over."""
    fields: dict[int, str] = {}
    for part in message.decode("latin-1").split(SOH):
        tag, equals, value = part.partition("=")
        if equals and tag.isdecimal():
            fields.setdefault(int(tag), value)
    return fields


def fix_body(kind: str, fields: Iterable[Field]) -> bytes:
    """A message for ``FixEngine.send``: MsgType and these fields in their order.

    Raises:
        ValueError: a value is empty or has a character that FIX cannot carry.
    """
    parts = [f"35={kind}"]
    for tag, value in fields:
        text = str(value)
        if not text or not text.isascii() or not text.isprintable():
            raise ValueError(f"FIX field {tag} cannot be {text!r}")
        parts.append(f"{tag}={text}")
    return (SOH.join(parts) + SOH).encode("ascii")


def decimal_text(mantissa: int, precision: int) -> str:
    """A mantissa as FIX writes prices and quantities: plain decimals."""
    return format_mantissa(mantissa, precision)


def utc_timestamp(ts_ns: int) -> str:
    """UTCTimestamp with milliseconds of a time in ns."""
    seconds, rest = divmod(ts_ns, _NS_PER_S)
    when = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{when:%Y%m%d-%H:%M:%S}.{rest // _NS_PER_MS:03d}"


def timestamp_ns(text: str) -> int | None:
    """The time in ns of a UTCTimestamp with up to nine decimals; None where it is none."""
    whole, _, decimals = text.partition(".")
    try:
        when = datetime.datetime.strptime(whole, "%Y%m%d-%H:%M:%S").replace(tzinfo=datetime.UTC)
    except ValueError:
        return None
    if decimals and not (decimals.isdecimal() and decimals.isascii() and len(decimals) <= 9):
        return None
    return int(when.timestamp()) * _NS_PER_S + int(decimals.ljust(9, "0") or "0")

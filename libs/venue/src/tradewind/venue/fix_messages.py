"""What ``tradewind_native.fix_messages`` means, in Python: an ExecutionReport's bytes to its record."""

import re
from typing import Final

from tradewind_native.fix_records import ExecutionReport, FixMessageError

_TAGS: Final = frozenset({35, 34, 49, 56, 43, 97, 37, 11, 41, 17, 150, 39, 55, 54, 38, 44, 32, 31, 151, 14, 6, 60})
_HEAD: Final = re.compile(rb"8=FIX\.[0-9]\.[0-9]\x019=")
_LENGTH: Final = re.compile(rb"([0-9]{1,9})\x01")
_TRAILER: Final = re.compile(rb"10=...\x01", re.DOTALL)
_FIELD: Final = re.compile(rb"([1-9][0-9]{0,7})=([^\x01]+)\x01")
_NUMBER: Final = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?")
_SHORTEST: Final = 20
_TRAILER_SIZE: Final = 7
_MAX_PRECISION: Final = 18
_MAX_DIGITS: Final = 19
_MAX_INT64: Final = 2**63 - 1


def read_execution_report(message: bytes, price_precision: int, quantity_precision: int) -> ExecutionReport:
    """Read one whole ExecutionReport (35=8), its BodyLength and CheckSum checked; decimals are exact or refused.

    Raises:
        FixMessageError: the bytes are no such message, or a number does not fit the precision; it says which.
    """
    if not (0 <= price_precision <= _MAX_PRECISION and 0 <= quantity_precision <= _MAX_PRECISION):
        raise ValueError("a precision is 0 to 18")
    fields = _fields(message_body(message))
    if fields.get(35) != "8":
        raise FixMessageError("the FIX message is no ExecutionReport")

    def text(tag: int) -> str:
        return fields.get(tag, "")

    def number(tag: int, precision: int) -> int:
        return _mantissa(tag, fields[tag], precision) if tag in fields else 0

    return ExecutionReport(
        number(34, 0), text(49), text(56), text(43) == "Y", text(97) == "Y", text(37), text(11), text(41), text(17),
        text(150), text(39), text(55), text(54), number(38, quantity_precision), number(44, price_precision),
        number(32, quantity_precision), number(31, price_precision), number(151, quantity_precision),
        number(14, quantity_precision), text(6), text(60),
    )  # fmt: skip


def _refuse(what: str) -> FixMessageError:
    return FixMessageError(f"the FIX message {what}")


def message_body(message: bytes) -> bytes:
    """What is between BodyLength and CheckSum, both checked.

    Raises:
        FixMessageError: the bytes are no whole message.
    """
    if len(message) < _SHORTEST:
        raise _refuse("is cut off")
    head = _HEAD.match(message)
    if head is None:
        raise _refuse("does not begin with 8=FIX.x.y and 9=")
    length = _LENGTH.match(message, head.end())
    if length is None:
        raise _refuse("has a BodyLength that is not its length")
    end = length.end() + int(length[1])
    if len(message) < end + _TRAILER_SIZE:
        raise _refuse("is cut off")
    body, trailer = message[length.end() : end], message[end:]
    if not body.endswith(b"\x01") or _TRAILER.fullmatch(trailer) is None:
        raise _refuse("has a BodyLength that is not its length")
    if trailer[3:6] != b"%03d" % (sum(message[:end]) % 256):
        raise _refuse("has a wrong CheckSum")
    return body


def _fields(body: bytes) -> dict[int, str]:
    fields: dict[int, str] = {}
    at = 0
    while at < len(body):
        field = _FIELD.match(body, at)
        if field is None:
            raise _refuse("has a field that is not tag=value")
        at = field.end()
        tag = int(field[1])
        if tag not in _TAGS:
            continue
        if tag in fields:
            raise _refuse("repeats a field")
        fields[tag] = field[2].decode("latin-1")
    return fields


def _mantissa(tag: int, value: str, precision: int) -> int:
    """The value's mantissa; a number written out, not negative, that int64 holds."""
    parts = _NUMBER.fullmatch(value)
    if parts is None:
        raise FixMessageError(f"field {tag} of the FIX message is not a plain decimal number")
    if parts[1]:
        raise FixMessageError(f"field {tag} of the FIX message is negative")
    if len((parts[3] or "").rstrip("0")) > precision:
        raise FixMessageError(f"field {tag} of the FIX message has more decimals than the instrument")
    # Zeros in front do not count; int() of a very long text is slow and refused by Python itself.
    if len(parts[2].lstrip("0")) > _MAX_DIGITS:
        raise FixMessageError(f"field {tag} of the FIX message does not fit 64 bits")
    mantissa = int("0" + parts[2].lstrip("0") + (parts[3] or "")[:precision].ljust(precision, "0"))
    if mantissa > _MAX_INT64:
        raise FixMessageError(f"field {tag} of the FIX message does not fit 64 bits")
    return mantissa

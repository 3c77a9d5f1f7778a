"""Text of strangers made safe for a terminal: what a message holds must not move the cursor, recolour or reorder."""

import datetime
import unicodedata
from typing import Final

MAX_SHOWN_CHARACTERS: Final = 200
"""Of one value on a terminal; a message may hold a megabyte."""

# Cc: escape sequences begin here. Cf: bidirectional overrides and invisible joiners. Zl, Zp: line breaks. Cs, Co, Cn:
# nothing that has a shape.
_HIDDEN: Final = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"})
_END_OF_TIME_NS: Final = 253_402_300_800 * 1_000_000_000
_EPOCH: Final = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - the arithmetic is in UTC throughout


def shown(text: str) -> str:
    """``text`` on one line, printable, at most ``MAX_SHOWN_CHARACTERS`` of it."""
    rest = len(text) - MAX_SHOWN_CHARACTERS
    if rest > 0:
        text = text[:MAX_SHOWN_CHARACTERS]
    if not (text.isascii() and text.isprintable()):
        text = "".join(_printable(character) for character in text)
    return f"{text}…(+{rest} characters)" if rest > 0 else text


def _printable(character: str) -> str:
    if unicodedata.category(character) not in _HIDDEN:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def shown_time(ts_ns: int) -> str:
    """ISO 8601 in UTC with all nine decimals, or the bare number where that is no time of this world."""
    if not 0 <= ts_ns < _END_OF_TIME_NS:
        return f"{ts_ns}ns"
    seconds, rest = divmod(ts_ns, 1_000_000_000)
    return f"{(_EPOCH + datetime.timedelta(seconds=seconds)).isoformat()}.{rest:09}Z"


def shown_duration(seconds: int) -> str:
    """``7d``, ``36h`` or ``90s``: the largest unit that is exact."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"

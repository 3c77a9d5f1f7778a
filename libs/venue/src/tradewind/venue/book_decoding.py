"""What the Python twins of decoders share: instruments, exact numbers, records, one frame after another."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
import numpy as np

from tradewind.wire.market_records import MARKET_RECORD, RecordArray, RecordFlag, RecordKind, RecordSide
from tradewind_native.frames import FrameKind, MalformedFrame, UnknownFrame

MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
MAX_LEVELS: Final = 50_000
MAX_PRECISION: Final = 18
INT64_MAX: Final = 2**63 - 1
UINT64_MAX: Final = 2**64 - 1
MAX_LEVEL_INDEX: Final = 255
_DECIMAL: Final = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?")
_WHOLE: Final = re.compile(r"0|[1-9][0-9]*")

T = TypeVar("T")
Rest = Callable[[int, Any], None]


class Refused(Exception):
    """Why a frame is not decoded. ``known``: it is a frame, but of a channel or instrument that nobody asked for."""

    def __init__(self, reason: str, *, is_unknown: bool = False) -> None:
        super().__init__(reason)
        self.is_unknown = is_unknown


class Known(NamedTuple):
    """What must be known of an instrument."""

    number: int
    price_precision: int
    size_precision: int


def known_by_symbol(instruments: Sequence[tuple[str, int, int, int]]) -> dict[str, Known]:
    """What a decoder is made for: the venue's symbol, instrument number, price precision, size precision.

    Raises:
        ValueError: a symbol comes twice, a precision is not within 0 and 18, or a number is not 32-bit.
    """
    found: dict[str, Known] = {}
    for symbol, number, price_precision, size_precision in instruments:
        for precision in (price_precision, size_precision):
            if not 0 <= precision <= MAX_PRECISION:
                raise ValueError(f"{symbol}: precision {precision} is not within 0 and {MAX_PRECISION}")
        if not 0 <= number < 2**32:
            raise ValueError(f"{symbol}: instrument number {number} does not fit 32 bits")
        if symbol in found:
            raise ValueError(f"symbol {symbol} is given twice")
        found[symbol] = Known(number, price_precision, size_precision)
    return found


class BookFrameDecoder(ABC):
    """See ``tradewind_native.book_frames.BookFrameDecoder``. They differ where a key comes twice in an object."""

    venue: str

    def __init__(self, instruments: Sequence[tuple[str, int, int, int]]) -> None:
        """``instruments``: the venue's symbol, instrument number, price precision, size precision."""
        self._instruments = known_by_symbol(instruments)
        self._taken: list[tuple[int, ...]] = []
        self._begin(0)

    def _begin(self, ts_recv: int) -> None:
        self._ts_recv = ts_recv
        self._records: list[list[int]] = []
        self._known = Known(0, 0, 0)
        self.checksum: int | None = None
        self.sequence: int | None = None
        self.previous_sequence: int | None = None
        self.price_decimals: int | None = None
        self.size_decimals: int | None = None

    @property
    def instrument(self) -> int:
        """The instrument number of the last frame; 0 when it is of none."""
        return self._known.number

    @property
    def pending(self) -> int:
        """How many records were decoded and not yet taken."""
        return len(self._taken)

    def decode(self, frame: bytes | bytearray | memoryview, ts_recv: int) -> int:
        """Append the frame's records to the pending batch and return its FrameKind.

        Raises:
            MalformedFrame, UnknownFrame: see the kernel.
        """
        self._begin(ts_recv)
        try:
            if len(frame) > MAX_FRAME_BYTES:
                raise Refused("it is larger than 16 MiB")
            kind = self._judge(bytes(frame))
        except Refused as refusal:
            what = UnknownFrame if refusal.is_unknown else MalformedFrame
            raise what(f"{'unknown' if refusal.is_unknown else 'malformed'} {self.venue} frame: {refusal}") from None
        if self._records:
            self._records[-1][FLAGS] |= RecordFlag.LAST
        self._taken += [tuple(record) for record in self._records]
        return kind

    def take(self) -> RecordArray:
        """The pending records; none are pending afterwards."""
        records = np.array(self._taken, dtype=MARKET_RECORD)
        records.flags.writeable = False
        self._taken = []
        return records

    @abstractmethod
    def _judge(self, frame: bytes) -> FrameKind:
        """Decode one frame into ``_records``; raises Refused."""

    # -- for the venues ----------------------------------------------------------------------------------------------

    def parse(self, frame: bytes) -> Any:
        """The frame as JSON."""
        try:
            message = msgspec.json.decode(frame)
            _check_numbers(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Refused(f"not JSON: {error}") from None
        return message

    def choose(self, symbol: str, what: str) -> None:
        """The instrument that the frame is of."""
        known = self._instruments.get(symbol)
        if known is None:
            raise Refused(f"{what} '{symbol[:40]}'", is_unknown=True)
        self._known = known

    def price(self, text: Any) -> int:
        """The mantissa of a price."""
        return mantissa(text, self._known.price_precision, "a price", sign_allowed=True)

    def size(self, text: Any) -> int:
        """The mantissa of a size."""
        return mantissa(text, self._known.size_precision, "a size")

    def record(self, kind: RecordKind, ts_event: int, order_id: int = 0, sequence: int = 0) -> list[int]:
        """A record without price, size and side, in the fields' order."""
        return [ts_event, self._ts_recv, 0, 0, order_id, sequence, self._known.number, kind, RecordSide.NONE, 0, 0, 0]

    def append(self, record: list[int], side: RecordSide, price: Any, size: Any, level: int = 0) -> None:
        """A record with its price, size and side."""
        row = list(record)
        row[PRICE], row[SIZE], row[SIDE], row[LEVEL] = self.price(price), self.size(size), side, level
        if len(self._records) > MAX_LEVELS:
            raise Refused("it has more than 50,000 levels or trades")
        self._records.append(row)

    def append_side(
        self, levels: Any, record: list[int], side: RecordSide, *, numbered: bool = False, rest: Rest | None = None
    ) -> None:
        """A record for each level. ``rest`` is told each part after the second, with its place."""
        for index, level in enumerate(of_type(levels, list, "its levels are not an array")):
            parts = of_type(level, list, "a level is not an array")
            if len(parts) < 2:
                raise Refused("a level has fewer than two parts")
            price, size = (of_type(part, str, "a level does not begin with two strings") for part in parts[:2])
            self.append(record, side, price, size, min(index, MAX_LEVEL_INDEX) if numbered else 0)
            self.price_decimals, self.size_decimals = decimals_of(price), decimals_of(size)
            if rest is not None:
                for place, part in enumerate(parts[2:], 2):
                    rest(place, part)


PRICE, SIZE, SIDE, FLAGS, LEVEL = 2, 3, 8, 9, 10
KIND, TS_EVENT = 7, 0


def _check_numbers(value: Any) -> None:
    """The kernel's parser takes no whole number beyond 64 bits, wherever it stands."""
    if isinstance(value, int) and not -INT64_MAX - 1 <= value <= UINT64_MAX:
        raise Refused("a whole number is beyond 64 bits")
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_numbers(inner)


def of_type(value: Any, kind: type[T], reason: str) -> T:
    """The value, if it is of this type; a truth value is no number."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Refused(reason)
    return value


def mantissa(text: Any, precision: int, what: str, *, sign_allowed: bool = False) -> int:
    """The exact mantissa of a decimal text."""
    if not isinstance(text, str):
        raise Refused(f"{what} is not a string")
    found = _DECIMAL.fullmatch(text)
    if found is None:
        raise Refused(f"{what} '{text[:40]}' is not a plain decimal number")
    sign, whole, decimals = found[1], found[2], found[3] or ""
    if sign and not sign_allowed:
        raise Refused(f"{what} '{text[:40]}' is negative")
    if decimals[precision:].strip("0"):
        raise Refused(f"{what} '{text[:40]}' has more decimals than the instrument")
    value = int(whole + decimals[:precision].ljust(precision, "0"))
    if value > INT64_MAX:
        raise Refused(f"{what} '{text[:40]}' does not fit 64 bits")
    return -value if sign else value


def whole_number(text: Any, what: str) -> int:
    """A whole number from 0 to 2^64-1, written as a text."""
    if not isinstance(text, str):
        raise Refused(f"{what} is not a string")
    if _WHOLE.fullmatch(text) is None or len(text) > 20 or int(text) > UINT64_MAX:
        raise Refused(f"{what} '{text[:40]}' is not a whole number of 64 bits")
    return int(text)


def decimals_of(text: str) -> int:
    """How many decimals a text has."""
    return len(text.partition(".")[2])

"""ITCH 5.0 messages to market records in plain Python: the twin of ``tradewind_native.itch``.

Same answers, slower; it says in Python what each message means. Source: "Nasdaq TotalView-ITCH 5.0" specification,
section 1 (message formats); BinaryFILE 1.00 for the length before each message. One test module runs on both.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np

from tradewind.wire.market_records import MARKET_RECORD, RecordArray, RecordFlag, RecordKind, RecordSide, read_only
from tradewind_native.itch_error import ItchError

LENGTHS: Final = {
    "S": 12,
    "R": 39,
    "H": 25,
    "Y": 20,
    "L": 26,
    "V": 35,
    "W": 12,
    "K": 28,
    "J": 35,
    "h": 21,
    "A": 36,
    "F": 40,
    "E": 31,
    "C": 36,
    "X": 23,
    "D": 19,
    "U": 35,
    "P": 44,
    "Q": 40,
    "B": 19,
    "I": 50,
    "N": 20,
    "O": 48,
}
"""Bytes of each message type. Other types are counted and passed over: the length tells where the next begins."""

SIDES: Final = {"B": RecordSide.BUY, "S": RecordSide.SELL}
PREFIX: Final = 2
NONE: Final = RecordSide.NONE

Row: TypeAlias = tuple[int, int, int, int, int, int, int, int]
"""kind, side, order_id, price, size, instrument, flags, level."""


class WrongFieldError(ValueError):
    """A field says what the protocol does not know."""


def _number(message: bytes, start: int, size: int) -> int:
    return int.from_bytes(message[start : start + size], "big")


def _row(kind: RecordKind, side: int, order_id: int, price: int, size: int, *, last: bool = True) -> Row:
    return kind, side, order_id, price, size, 0, RecordFlag.LAST if last else 0, 0


def _side(message: bytes) -> RecordSide:
    side = SIDES.get(chr(message[19]))
    if side is None:
        raise WrongFieldError
    return side


def rows_of(message: bytes) -> list[Row]:
    """What one message of a known type and length makes, without instrument and times."""

    def at(start: int, size: int) -> int:
        return _number(message, start, size)

    reference = at(11, 8)
    match chr(message[0]):
        case "A" | "F":
            return [_row(RecordKind.ORDER_ADD, _side(message), reference, at(32, 4), at(20, 4))]
        case "E":
            return [_row(RecordKind.ORDER_EXECUTE, NONE, reference, 0, at(19, 4))]
        case "C":
            # Not printable: the trade is told by another message, that of the cross.
            row = _row(RecordKind.ORDER_EXECUTE, NONE, reference, at(32, 4), at(19, 4))
            return [(*row[:-1], int(message[31:32] == b"N"))]
        case "X":
            return [_row(RecordKind.ORDER_CANCEL, NONE, reference, 0, at(19, 4))]
        case "D":
            return [_row(RecordKind.ORDER_CANCEL, NONE, reference, 0, 0)]
        case "U":
            old = _row(RecordKind.ORDER_CANCEL, NONE, reference, 0, 0, last=False)
            return [old, _row(RecordKind.ORDER_ADD, NONE, at(19, 8), at(31, 4), at(27, 4))]
        case "P":
            _side(message)
            return [_row(RecordKind.TRADE, NONE, at(36, 8), at(32, 4), at(20, 4))]
        case "Q":
            return [_row(RecordKind.TRADE, NONE, at(31, 8), at(27, 4), at(11, 8))]
        case "H":
            return [_row(RecordKind.STATUS, NONE, 0, 0, message[19])]
        case "h":
            return [_row(RecordKind.STATUS, NONE, 0, message[19], message[20])]
        case "S":
            return [_row(RecordKind.STATUS, NONE, 0, 0, message[11])]
        case _:
            return []


def blocks_of(packet: bytes) -> list[bytes] | None:
    """The messages of MoldUDP64 blocks, each behind its length; None when they do not fill the bytes exactly."""
    blocks, at = [], 0
    while at < len(packet):
        size = _number(packet, at, PREFIX)
        blocks.append(packet[at + PREFIX : at + PREFIX + size])
        if len(packet) - at < PREFIX or len(blocks[-1]) < size:
            return None
        at += PREFIX + size
    return blocks


def count_blocks(data: bytes | bytearray | memoryview) -> int:
    """How many message blocks of MoldUDP64 fill the bytes exactly; -1 when they do not."""
    blocks = blocks_of(bytes(data))
    return -1 if blocks is None else len(blocks)


class ItchDecoder:
    """Decoder of one stream; meaning of arguments and errors: the stub of ``tradewind_native.itch``."""

    def __init__(self, number_of: Callable[[str], int | None], midnight_ns: int) -> None:
        self._number_of = number_of
        self._midnight_ns = midnight_ns
        self._instruments: dict[int, int] = {}
        self._counts: Counter[str] = Counter()
        self._records: list[tuple[int, ...]] = []
        self.messages = 0
        self.offset = 0
        self.ended = False

    @property
    def counts(self) -> dict[str, int]:
        """Messages by type."""
        return dict(self._counts)

    def decode(self, data: bytes | bytearray | memoryview, ts_recv: int = 0) -> int:
        """Take the whole length-prefixed messages at the start of ``data``; answers how many bytes they are."""
        frames, at = bytes(data), 0
        while len(frames) - at >= PREFIX:
            if self.ended:
                break
            size = _number(frames, at, PREFIX)
            message = frames[at + PREFIX : at + PREFIX + size]
            if size == 0:
                self.ended = True
            elif len(message) == size:
                self._message(message, ts_recv)
            else:
                self._refuse_lie(frames[at + PREFIX : at + PREFIX + 1], size)
                return at
            at += PREFIX + size
            self.offset += PREFIX + size
        if self.ended and at != len(frames):
            raise ItchError(self.offset, "bytes after the end of the session")
        return at

    def decode_message(self, data: bytes | bytearray | memoryview, sequence: int, ts_recv: int) -> None:
        """Take one message without its length."""
        if sequence == 0:
            raise ValueError("sequence numbers begin at 1")
        self.messages = sequence - 1
        self._message(bytes(data), ts_recv)
        self.offset += len(data)

    def decode_packets(self, data: bytes | bytearray | memoryview, ts_recv: int) -> int:
        """Take the whole SoupBinTCP packets of type S at the start of ``data``; answers how many bytes they are."""
        packets, at = bytes(data), 0
        while len(packets) - at >= PREFIX + 1:
            size = _number(packets, at, PREFIX)
            message = packets[at + PREFIX + 1 : at + PREFIX + size]
            if packets[at + PREFIX : at + PREFIX + size] != b"H" or size != 1:
                if size == 0 or packets[at + PREFIX] != ord("S") or len(message) < size - 1:
                    break
                self._message(message, ts_recv)
            at += PREFIX + size
            self.offset += PREFIX + size
        return at

    def decode_blocks(self, data: bytes | bytearray | memoryview, ts_recv: int) -> int:
        """Take the message blocks of a MoldUDP64 packet; answers how many bytes they are."""
        blocks = blocks_of(bytes(data))
        if blocks is None:
            raise ItchError(self.offset, "the lengths of message blocks do not fill their packet")
        for block in blocks:
            self._message(block, ts_recv)
            self.offset += PREFIX + len(block)
        return len(data)

    def expect(self, sequence: int) -> None:
        """The next message has this number."""
        if sequence == 0:
            raise ValueError("sequence numbers begin at 1")
        self.messages = sequence - 1

    def take(self) -> RecordArray:
        """The records made since the last call, read-only."""
        records = np.array(self._records, dtype=MARKET_RECORD)
        self._records = []
        return read_only(records)

    def _refuse_lie(self, first: bytes, size: int) -> None:
        if first and LENGTHS.get(chr(first[0]), size) != size:
            raise ItchError(self.offset, f"a message of type {chr(first[0])!r} has a wrong length, {size}")

    def _message(self, message: bytes, ts_recv: int) -> None:
        kind = chr(message[0]) if message else "?"
        if not message or LENGTHS.get(kind, len(message)) != len(message):
            shown = repr(kind) if message else kind
            raise ItchError(self.offset, f"a message of type {shown} has a wrong length, {len(message)}")
        if kind in LENGTHS:
            self._write(message, ts_recv)
        self._counts[kind] += 1
        self.messages += 1
        if kind == "R":
            self._list(message)

    def _write(self, message: bytes, ts_recv: int) -> None:
        instrument = self._instruments.get(_number(message, 1, 2), 0)
        at = self._midnight_ns + _number(message, 5, 6)
        kind = chr(message[0])
        try:
            rows = rows_of(message) if instrument or kind in "SAFP" else []
            if any(size >> 63 for _, _, _, _, size, *_ in rows):
                raise WrongFieldError
        except WrongFieldError:
            raise ItchError(self.offset, f"a message of type {kind!r} has a field out of its range") from None
        if kind == "S":
            instrument = 0
        elif not instrument:
            return
        for row_kind, side, order_id, price, size, _, flags, level in rows:
            where = (self.messages + 1, instrument, row_kind, side, flags, level, 0)
            self._records.append((at, ts_recv or at, price, size, order_id, *where))

    def _list(self, message: bytes) -> None:
        symbol = message[11:19].decode("latin-1").rstrip()
        number = self._number_of(symbol)
        if number is not None and not 0 < number < 2**32:
            raise ValueError(f"{symbol!r} has instrument number {number}: 1 to 2^32 - 1 is wanted")
        self._instruments[_number(message, 1, 2)] = number or 0

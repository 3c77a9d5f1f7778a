"""FIX market data to market records in plain Python: the twin of ``tradewind_native.book_frames.FixDecoder``."""

import datetime
import re
from dataclasses import dataclass
from typing import Final

from tradewind.venue.book_decoding import (
    FLAGS,
    LEVEL,
    MAX_LEVELS,
    PRICE,
    SIDE,
    SIZE,
    BookFrameDecoder,
    Refused,
    mantissa,
)
from tradewind.venue.fix_messages import message_body
from tradewind.wire.market_records import RecordFlag, RecordKind, RecordSide
from tradewind_native.fix_records import FixMessageError
from tradewind_native.frames import FrameKind

_NS_PER_S: Final = 1_000_000_000
_FIELD: Final = re.compile(rb"([1-9][0-9]{0,7})=([^\x01]+)\x01")
_DATE: Final = re.compile(r"[0-9]{8}")
_TIME: Final = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?")
_WHOLE: Final = re.compile(r"[0-9]{1,18}")
_EPOCH: Final = datetime.date(1970, 1, 1).toordinal()
_LAST_YEAR: Final = 2261
_NO_ENTRY: Final = "an entry before NoMDEntries or MDUpdateAction"
_WRONG_COUNT: Final = "NoMDEntries is not the number of its entries"
_SIDES: Final = {"0": RecordSide.BUY, "1": RecordSide.SELL}


@dataclass(slots=True)
class _Entry:
    action: str = "0"
    kind: str = ""
    price: str = ""
    size: str = ""
    date: str = ""
    time: str = ""
    position: str = ""


class FixDecoder(BookFrameDecoder):
    """See the kernel."""

    venue = "Fix"

    def _judge(self, frame: bytes) -> FrameKind:
        try:
            body = message_body(frame)
        except FixMessageError as error:
            raise Refused(f"it {str(error).removeprefix('the FIX message ')}") from None
        self._type = ""
        self._told: int | None = None
        self._seen = 0
        self._number = 0
        self._day: int | None = None
        self._sent = self._ts_recv
        self._entry: _Entry | None = None
        self._names_symbol = False
        self._has_levels = False
        at = 0
        while at < len(body):
            field = _FIELD.match(body, at)
            if field is None:
                raise Refused("it has a field that is not tag=value")
            at = field.end()
            self._take(int(field[1]), field[2].decode("latin-1"))
        return self._end()

    def _end(self) -> FrameKind:
        if not self._type:
            raise Refused("it has no MsgType")
        if self._told is None:
            raise Refused("it has no NoMDEntries")
        self._end_entry()
        if self._seen != self._told:
            raise Refused(_WRONG_COUNT)
        if self._type == "W" and not self._names_symbol:
            raise Refused("it has no Symbol")
        self.sequence = self._number
        if self._type == "W":
            return FrameKind.SNAPSHOT
        return FrameKind.DEPTH if self._has_levels else FrameKind.TRADE

    def _take(self, tag: int, value: str) -> None:
        match tag:
            case 35:
                self._take_type(value)
            case 34:
                self._number = _whole(value, "MsgSeqNum")
            case 52:
                self._take_sending_time(value)
            case 268:
                self._take_count(value)
            case 279 if self._type != "W":
                self._begin_entry().action = _action(value)
            case 269:
                entry = self._begin_entry() if self._type == "W" else self._entry
                if entry is None:
                    raise Refused(_NO_ENTRY)
                entry.kind = value if len(value) == 1 else "x"
            case 55 if self._type == "W" or self._entry is not None or self._told is None:
                self.choose(value, "symbol")
                self._names_symbol = True
            case 270 | 271 | 272 | 273 | 290 if self._entry is not None:
                names = {270: "price", 271: "size", 272: "date", 273: "time", 290: "position"}
                setattr(self._entry, names[tag], value)

    def _take_type(self, value: str) -> None:
        if self._type:
            raise Refused("it repeats MsgType")
        if value not in ("W", "X"):
            raise Refused(f"message type '{value[:40]}'", is_unknown=True)
        self._type = value

    def _take_sending_time(self, value: str) -> None:
        day = _day(value[:8])
        ns = _time(value[9:])
        if value[8:9] != "-" or day is None or ns is None:
            raise Refused("its SendingTime is no time")
        self._day, self._sent = day, day * 86_400 * _NS_PER_S + ns

    def _take_count(self, value: str) -> None:
        if self._told is not None:
            raise Refused("it repeats NoMDEntries")
        if not self._type:
            raise Refused("NoMDEntries before MsgType")
        count = _whole(value, "NoMDEntries")
        if count > MAX_LEVELS:
            raise Refused("it has more than 50,000 entries")
        self._told = count

    def _begin_entry(self) -> _Entry:
        if self._told is None:
            raise Refused(_NO_ENTRY)
        self._end_entry()
        self._seen += 1
        if self._seen > self._told:
            raise Refused(_WRONG_COUNT)
        self._entry = _Entry()
        return self._entry

    def _end_entry(self) -> None:
        whole = self._type == "W"
        if whole and self._names_symbol and not self._records:
            clear = self.record(RecordKind.CLEAR, self._sent, self._number, self._number)
            clear[FLAGS] = RecordFlag.SNAPSHOT
            self._records.append(clear)
        entry = self._entry
        if entry is None:
            return
        if not self._names_symbol:
            raise Refused("its Symbol does not stand before its entries" if whole else "an entry has no Symbol")
        if not entry.kind:
            raise Refused("an entry has no MDEntryType")
        if entry.kind not in "012":
            return
        kind = RecordKind.TRADE if entry.kind == "2" else RecordKind.LEVEL
        record = self.record(kind, self._sent, self._number, self._number)
        self._read_numbers(record, entry)
        if kind is RecordKind.LEVEL:
            record[SIDE] = _SIDES[entry.kind]
            record[FLAGS] = RecordFlag.SNAPSHOT if whole else 0
            self._has_levels = True
        self._records.append(record)

    def _read_numbers(self, record: list[int], entry: _Entry) -> None:
        is_delete = entry.action == "2"
        if not entry.price:
            raise Refused("an entry has no MDEntryPx")
        if not entry.size and not is_delete:
            raise Refused("an entry has no MDEntrySize")
        record[PRICE] = mantissa(entry.price, self._known.price_precision, "MDEntryPx", sign_allowed=True)
        if not is_delete:
            record[SIZE] = mantissa(entry.size, self._known.size_precision, "MDEntrySize")
        position = _whole(entry.position, "MDEntryPositionNo") if entry.position else 0
        record[LEVEL] = min(max(position - 1, 0), 255)
        if entry.time:
            day = self._day if not entry.date else _day(entry.date)
            ns = _time(entry.time)
            if entry.date and day is None:
                raise Refused("an MDEntryDate is no date")
            if ns is None:
                raise Refused("an MDEntryTime is no time")
            if day is None:
                raise Refused("an MDEntryTime has no date")
            record[0] = day * 86_400 * _NS_PER_S + ns


def _action(value: str) -> str:
    if value not in ("0", "1", "2"):
        raise Refused("MDUpdateAction is none that it can be")
    return value


def _whole(value: str, what: str) -> int:
    if len(value) > 18:
        raise Refused(f"{what} is too long")
    if not _WHOLE.fullmatch(value):
        raise Refused(f"{what} is not a whole number")
    return int(value)


def _day(value: str) -> int | None:
    if not _DATE.fullmatch(value) or not 1970 <= int(value[:4]) <= _LAST_YEAR:
        return None
    try:
        return datetime.date(int(value[:4]), int(value[4:6]), int(value[6:])).toordinal() - _EPOCH
    except ValueError:
        return None


def _time(value: str) -> int | None:
    found = _TIME.fullmatch(value)
    if found is None:
        return None
    hour, minute, second = int(found[1]), int(found[2]), int(found[3])
    if hour > 23 or minute > 59 or second > 60:
        return None
    return (hour * 3600 + minute * 60 + second) * _NS_PER_S + int((found[4] or "").ljust(9, "0"))

"""Kraken frames to market records in plain Python: the twin of ``tradewind_native.book_frames.KrakenDecoder``."""

from typing import Any, Final

from tradewind.venue.book_decoding import (
    FLAGS,
    KIND,
    TS_EVENT,
    BookFrameDecoder,
    Refused,
    mantissa,
    of_type,
    whole_number,
)
from tradewind.wire.market_records import RecordFlag, RecordKind, RecordSide
from tradewind_native.frames import FrameKind

_NS_DIGITS: Final = 9
_UINT32_MAX: Final = 2**32 - 1
_SIDES: Final = {"b": RecordSide.BUY, "s": RecordSide.SELL}
_WHOLE: Final = ("as", "bs")
_PARTIAL: Final = ("a", "b")


class KrakenDecoder(BookFrameDecoder):
    """See the kernel."""

    venue = "Kraken"

    def _judge(self, frame: bytes) -> FrameKind:
        message = self.parse(frame)
        if isinstance(message, dict):
            if "event" in message:
                return FrameKind.CONTROL
            raise Refused("an object without event")
        parts = of_type(message, list, "it is neither an object nor an array")
        if not 4 <= len(parts) <= 5:
            raise Refused("it does not have four or five parts")
        channel, symbol = (of_type(part, str, "its last two parts are not strings") for part in parts[-2:])
        is_book = channel.startswith("book-")
        if not is_book and channel not in ("trade", "spread"):
            raise Refused(f"channel '{channel[:40]}'", is_unknown=True)
        self.choose(symbol, "pair")
        if is_book:
            return self._book(parts[1:-2])
        payload = of_type(parts[1], list, "its payload is not an array")
        return self._trades(payload) if channel == "trade" else self._spread(payload)

    def _book(self, payloads: list[Any]) -> FrameKind:
        is_snapshot = is_update = False
        latest = 0

        def timed(place: int, part: Any) -> None:
            nonlocal latest
            if place == 2:
                latest = max(latest, _time(part))

        record = self.record(RecordKind.LEVEL, 0)
        for payload in payloads:
            for name, value in of_type(payload, dict, "a payload is not an object").items():
                if name == "c":
                    self.checksum = whole_number(value, "its checksum")
                    if self.checksum > _UINT32_MAX:
                        raise Refused("its checksum does not fit 32 bits")
                if name not in _WHOLE + _PARTIAL:
                    continue
                is_snapshot, is_update = is_snapshot or name in _WHOLE, is_update or name in _PARTIAL
                if is_snapshot and is_update:
                    raise Refused("it is a snapshot and an update at once")
                if is_snapshot and not self._records:
                    self._records.append(list(record))
                side = RecordSide.BUY if name[0] == "b" else RecordSide.SELL
                self.append_side(value, record, side, numbered=is_snapshot, rest=timed)
        if not is_snapshot and not is_update:
            raise Refused("it has no levels")
        if not self._records:
            self._records.append(list(record))
        if is_snapshot:
            self._records[0][KIND] = RecordKind.CLEAR
        for row in self._records:
            row[TS_EVENT] = latest or self._ts_recv
            row[FLAGS] = RecordFlag.SNAPSHOT if is_snapshot else 0
        return FrameKind.SNAPSHOT if is_snapshot else FrameKind.DEPTH

    def _trades(self, trades: list[Any]) -> FrameKind:
        for one in trades:
            if not isinstance(one, list) or len(one) < 4:
                raise Refused("a trade does not have four parts")
            price, size, side = (of_type(one[i], str, "a part of a trade is not a string") for i in (0, 1, 3))
            record = self.record(RecordKind.TRADE, _time(one[2]))
            if side not in _SIDES:
                raise Refused("a trade's side is neither b nor s")
            self.append(record, _SIDES[side], price, size)
        return FrameKind.TRADE

    def _spread(self, parts: list[Any]) -> FrameKind:
        if len(parts) < 5:
            raise Refused("a spread does not have five parts")
        bid, ask, time, bid_size, ask_size = (
            of_type(part, str, "a part of a spread is not a string") for part in parts[:5]
        )
        record = self.record(RecordKind.TOP_OF_BOOK, _time(time))
        self.append(record, RecordSide.BUY, bid, bid_size)
        self.append(record, RecordSide.SELL, ask, ask_size)
        return FrameKind.TICKER


def _time(text: Any) -> int:
    return mantissa(text, _NS_DIGITS, "a time")

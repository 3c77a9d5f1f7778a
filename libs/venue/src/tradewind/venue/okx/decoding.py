"""OKX frames to market records in plain Python: the twin of ``tradewind_native.book_frames.OkxDecoder``."""

from typing import Any, Final

from tradewind.venue.book_decoding import FLAGS, INT64_MAX, KIND, BookFrameDecoder, Refused, of_type, whole_number
from tradewind.wire.market_records import RecordFlag, RecordKind, RecordSide
from tradewind_native.frames import FrameKind

_NS_PER_MS: Final = 1_000_000
_OBJECT: Final = "its data does not hold one object"
_SIDES: Final = {"buy": RecordSide.BUY, "sell": RecordSide.SELL}


class OkxDecoder(BookFrameDecoder):
    """See the kernel."""

    venue = "Okx"

    def _judge(self, frame: bytes) -> FrameKind:
        if frame == b"pong":
            return FrameKind.CONTROL
        message = of_type(self.parse(frame), dict, "it is not a JSON object")
        if "event" in message:
            return FrameKind.CONTROL
        argument = of_type(message.get("arg"), dict, "its channel is missing")
        channel = of_type(argument.get("channel"), str, "its channel is missing")
        if not channel.startswith("books") and channel not in ("bbo-tbt", "trades", "tickers"):
            raise Refused(f"channel '{channel[:40]}'", is_unknown=True)
        self.choose(of_type(argument.get("instId"), str, "its instrument is missing"), "instrument")
        data = of_type(message.get("data"), list, "its data is not an array")
        if channel == "trades":
            return self._trades(data)
        if len(data) != 1:
            raise Refused(_OBJECT)
        only = of_type(data[0], dict, _OBJECT)
        if channel == "tickers":
            return self._ticker(only)
        return self._best(only) if channel == "bbo-tbt" else self._book(message, only, channel == "books5")

    def _book(self, message: dict[str, Any], data: dict[str, Any], is_always_whole: bool) -> FrameKind:
        action = message.get("action")
        if not isinstance(action, str):
            if not is_always_whole:
                raise Refused("its action is missing")
            action = "snapshot"
        if action not in ("snapshot", "update"):
            raise Refused("its action is neither snapshot nor update")
        ts_event, (bids, asks) = _time(data), _sides(data)
        self.checksum = _optional(data, "checksum")
        self.sequence = _optional(data, "seqId")
        self.previous_sequence = _optional(data, "prevSeqId")
        number = max(self.sequence or 0, 0)
        record = self.record(RecordKind.LEVEL, ts_event, number, number)
        if action == "snapshot":
            record[FLAGS] = RecordFlag.SNAPSHOT
            clear = list(record)
            clear[KIND] = RecordKind.CLEAR
            self._records.append(clear)
        self.append_side(bids, record, RecordSide.BUY, numbered=action == "snapshot")
        self.append_side(asks, record, RecordSide.SELL, numbered=action == "snapshot")
        if not self._records:
            self._records.append(list(record))
        return FrameKind.SNAPSHOT if action == "snapshot" else FrameKind.DEPTH

    def _best(self, data: dict[str, Any]) -> FrameKind:
        ts_event, (bids, asks) = _time(data), _sides(data)
        self.sequence = _optional(data, "seqId")
        record = self.record(RecordKind.TOP_OF_BOOK, ts_event, sequence=max(self.sequence or 0, 0))
        self.append_side(bids, record, RecordSide.BUY)
        self.append_side(asks, record, RecordSide.SELL)
        return FrameKind.TICKER

    def _ticker(self, data: dict[str, Any]) -> FrameKind:
        record = self.record(RecordKind.TOP_OF_BOOK, _time(data))
        missing = "a price or size of a ticker is missing"
        for side, name in ((RecordSide.BUY, "bid"), (RecordSide.SELL, "ask")):
            price, size = (of_type(data.get(f"{name}{part}"), str, missing) for part in ("Px", "Sz"))
            if price:
                self.append(record, side, price, size)
        return FrameKind.TICKER

    def _trades(self, data: list[Any]) -> FrameKind:
        for one in data:
            trade = of_type(one, dict, "a trade is not an object")
            missing = "a field of a trade is missing"
            identity, price, size, side = (
                of_type(trade.get(name), str, missing) for name in ("tradeId", "px", "sz", "side")
            )
            ts_event, number = _time(trade), whole_number(identity, "a trade's id")
            record = self.record(RecordKind.TRADE, ts_event, number, number)
            if side not in _SIDES:
                raise Refused("a trade's side is neither buy nor sell")
            self.append(record, _SIDES[side], price, size)
        return FrameKind.TRADE


def _time(data: dict[str, Any]) -> int:
    text = of_type(data.get("ts"), str, "its time is missing")
    ns = whole_number(text, "its time") * _NS_PER_MS
    if ns > INT64_MAX:
        raise Refused("its time is past the year 2262")
    return ns


def _sides(data: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    wrong = "its bids or asks are not an array"
    return of_type(data.get("bids"), list, wrong), of_type(data.get("asks"), list, wrong)


def _optional(data: dict[str, Any], name: str) -> int | None:
    if name not in data:
        return None
    value = of_type(data[name], int, f"{name} is not a whole number")
    if not -INT64_MAX - 1 <= value <= INT64_MAX:
        raise Refused(f"{name} is not a whole number")
    return value

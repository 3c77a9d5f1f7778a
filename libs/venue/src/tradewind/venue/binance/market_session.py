"""One market data connection: frames in, batches of records out, in the callback of the socket's read.

No task is woken per frame. All frames of one read of the socket make one batch; its records carry the time at which the
first of these frames was seen. Depth updates of a book that is not in sync are held back; trades and tickers always
pass.
"""

import asyncio
import dataclasses
import logging
import time
from collections.abc import Sequence
from typing import Final

import numpy as np
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from tradewind.model.instruments import Instrument
from tradewind.venue.adapter import FeedHandler
from tradewind.venue.binance.book_check import BookCheck, word_offset, words_of
from tradewind.venue.binance.book_sync import BookSync, UpdateVerdict
from tradewind.wire.market_records import (
    RecordArray,
    RecordFlag,
    RecordKind,
    empty_records,
    instrument_number,
    read_only,
)
from tradewind_native.binance import BinanceDecoder
from tradewind_native.frames import FrameKind, MalformedFrame, UnknownFrame

_log: Final = logging.getLogger(__name__)

MAX_BATCH_RECORDS: Final = 8_192
"""A snapshot is handed on in batches of at most this many records."""
_DEPTH: Final = int(FrameKind.DEPTH)
_TICKER: Final = int(FrameKind.TICKER)
_TRADE: Final = int(FrameKind.TRADE)
_TEXT: Final = WSMsgType.TEXT


@dataclasses.dataclass(slots=True)
class FeedStatistics:
    """Counters of one market data client since it was made."""

    frames: int = 0  # text messages received, whatever they were
    trades: int = 0  # handed on
    tickers: int = 0  # handed on, two records each
    malformed: int = 0
    unknown: int = 0
    out_of_order: int = 0  # depth updates that were repeated or came late
    gaps: int = 0
    snapshots: int = 0
    connections: int = 0
    stale: int = 0


class InstrumentFeed:
    """One instrument's book: how far it is in sync, and its comparison with the exchange's own tickers."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.number = instrument_number(instrument.instrument_id)
        self.sync: BookSync[RecordArray] = BookSync()
        self.check = BookCheck(self.number)
        self.needs_snapshot = asyncio.Event()
        self.has_update = asyncio.Event()
        """An update is held: a snapshot taken from now on can fit."""

    def lose(self) -> None:
        """The book is void: ask for a snapshot."""
        self.sync.lose()
        self.check.lose()
        self.has_update.clear()
        self.needs_snapshot.set()


class MarketSession(WSListener):
    """The frames of one connection. All methods are called on the event loop's thread."""

    def __init__(
        self,
        feeds: Sequence[InstrumentFeed],
        handler: FeedHandler,
        statistics: FeedStatistics,
        logged: set[str],
        max_message_bytes: int,
    ) -> None:
        self._feeds = {feed.number: feed for feed in feeds}
        self._handler = handler
        self._statistics = statistics
        self._logged = logged
        self._max_message_bytes = max_message_bytes
        self._decoder = BinanceDecoder([_decoded(feed) for feed in feeds])
        self._fragments = bytearray()
        self._ts_recv = 0
        # Records of this read that were taken out of the decoder already, and how many they are.
        self._parts: list[RecordArray] = []
        self._parted = 0
        # What the check must see of this read, in order: (feed, first record, end record or 0 for a ticker, update id).
        self._to_check: list[tuple[InstrumentFeed, int, int, int]] = []
        self.last_message_s = asyncio.get_running_loop().time()
        """When the last text message came, on the event loop's clock."""
        self._loop_time = asyncio.get_running_loop().time

    # -- the hot path ----------------------------------------------------------------------------------------------

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One frame; the last one of a read sends the batch off."""
        if frame.msg_type is _TEXT and frame.fin and not frame.rsv1:
            if not self._ts_recv:
                self._ts_recv = time.time_ns()
            self._decode(frame.get_payload_as_bytes())
        else:
            self._on_other_frame(transport, frame)
        if frame.last_in_buffer:
            self.flush()

    def _decode(self, message: bytes) -> None:
        self._statistics.frames += 1
        decoder = self._decoder
        start = decoder.pending
        try:
            kind = decoder.decode(message, self._ts_recv)
        except MalformedFrame as error:
            self._statistics.malformed += 1
            self._log_once("malformed", error)
            return
        except UnknownFrame as error:
            self._statistics.unknown += 1
            self._log_once("unknown", error)
            return
        if kind == _TICKER:
            self._statistics.tickers += 1
            feed = self._feeds[decoder.instrument]
            self._to_check.append((feed, self._parted + start, 0, decoder.final_update_id))
        elif kind == _TRADE:
            self._statistics.trades += 1
        elif kind == _DEPTH:
            self._on_depth(start)

    def flush(self) -> None:
        """Hand on what was decoded, as one batch, and let the check look at it afterwards."""
        self._ts_recv = 0
        self.last_message_s = self._loop_time()
        records = self._decoder.take()
        if self._parts:
            records = _joined([*self._parts, records])
            self._parts.clear()
            self._parted = 0
        if len(records):
            self._handler.on_records(records)
        if self._to_check:
            self._check(records)

    def _check(self, records: RecordArray) -> None:
        words = None
        for feed, start, end, update_id in self._to_check:
            if end:
                feed.check.on_update(records[start:end], update_id)
            else:
                if words is None:
                    words = words_of(records)
                feed.check.on_ticker(words, word_offset(start), update_id)
        self._to_check.clear()

    # -- depth -----------------------------------------------------------------------------------------------------

    def _on_depth(self, start: int) -> None:
        decoder = self._decoder
        feed = self._feeds[decoder.instrument]
        first, final = decoder.first_update_id, decoder.final_update_id
        before = feed.sync.last_update_id
        verdict = feed.sync.judge(first, final)
        if verdict is UpdateVerdict.APPLY:
            self._to_check.append((feed, self._parted + start, self._parted + decoder.pending, final))
            return
        update = self._cut(start)
        if verdict is UpdateVerdict.DROP:
            self._statistics.out_of_order += 1
            self._log_once("out of order", f"update {first} to {final} when the book stood at {before}")
            return
        if verdict is UpdateVerdict.GAP:
            self._on_gap(feed, before, first)
        # A copy: a view would keep the decoder's whole chunk alive for as long as it is held.
        feed.sync.hold(first, final, len(update), update.copy())
        feed.has_update.set()

    def _cut(self, start: int) -> RecordArray:
        """Take the records from ``start`` on out of the pending batch; those before it stay in it."""
        taken: RecordArray = self._decoder.take()
        if start:
            self._parts.append(taken[:start])
            self._parted += start
        cut: RecordArray = taken[start:]
        return cut

    def _on_gap(self, feed: InstrumentFeed, before: int, first: int) -> None:
        self._statistics.gaps += 1
        detail = f"depth updates {before + 1} to {first - 1} are missing"
        self._log_once("gap", detail)
        self.void(feed, "GAP", detail)

    def void(self, feed: InstrumentFeed, state: str, detail: str, *, lost: bool = True) -> None:
        """The book is no longer right: everyone who follows it must empty it, and a snapshot is asked for.

        ``lost``: records are missing, which the GAP flag says to those who count them.
        """
        self._parts.append(_clear_record(feed, self._ts_recv or time.time_ns(), lost=lost))
        self._parted += 1
        self.flush()
        feed.lose()
        self._handler.on_feed_status(feed.instrument.instrument_id, state, detail)

    def apply_snapshot(self, feed: InstrumentFeed, body: bytes) -> bool:
        """Make a depth snapshot and the held updates the book; false when it is too old to fit: take another.

        Raises:
            MalformedFrame: the body is no depth snapshot.
        """
        self.flush()
        self._decoder.decode_snapshot(body, feed.instrument.symbol, time.time_ns())
        last_update_id = self._decoder.final_update_id
        snapshot = self._decoder.take()
        if (held := feed.sync.snapshot(last_update_id)) is None:
            return False
        self._statistics.snapshots += 1
        feed.needs_snapshot.clear()
        for records in (snapshot, *held):
            for start in range(0, len(records), MAX_BATCH_RECORDS):
                self._handler.on_records(read_only(records[start : start + MAX_BATCH_RECORDS]))
        feed.check.on_snapshot(snapshot)
        for update in held:
            feed.check.on_update(update, int(update["sequence"][-1]))
        self._handler.on_feed_status(feed.instrument.instrument_id, "LIVE", f"snapshot {last_update_id}")
        return True

    # -- rare frames -----------------------------------------------------------------------------------------------

    def _on_other_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind is WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind is WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        elif kind is WSMsgType.CONTINUATION or (kind is _TEXT and not frame.rsv1):
            self._on_fragment(frame)
        elif kind is not WSMsgType.PONG:
            self._statistics.frames += 1
            self._statistics.malformed += 1
            self._log_once("not text", f"a {kind.name} frame of {frame.payload_size} bytes")

    def _on_fragment(self, frame: WSFrame) -> None:
        if frame.msg_type is _TEXT:
            self._fragments.clear()
        self._fragments += frame.get_payload_as_bytes()
        if len(self._fragments) > self._max_message_bytes:
            raise ConnectionError(f"a fragmented message is larger than {self._max_message_bytes} bytes")
        if frame.fin:
            message = bytes(self._fragments)
            self._fragments.clear()
            self._ts_recv = self._ts_recv or time.time_ns()
            self._decode(message)

    def _log_once(self, kind: str, what: object) -> None:
        if kind not in self._logged:
            self._logged.add(kind)
            _log.warning("first %s market data frame: %s; further ones are only counted", kind, what)


def _decoded(feed: InstrumentFeed) -> tuple[str, int, int, int]:
    instrument = feed.instrument
    return instrument.symbol, feed.number, instrument.price_precision, instrument.size_precision


def _clear_record(feed: InstrumentFeed, now_ns: int, *, lost: bool) -> RecordArray:
    record = empty_records(1)
    record["ts_event"] = record["ts_recv"] = now_ns
    record["sequence"] = record["order_id"] = feed.check.book.sequence
    record["instrument"] = feed.number
    record["kind"] = int(RecordKind.CLEAR)
    record["flags"] = int(RecordFlag.GAP | RecordFlag.LAST if lost else RecordFlag.LAST)
    return read_only(record)


def _joined(parts: Sequence[RecordArray]) -> RecordArray:
    return read_only(np.concatenate(parts))

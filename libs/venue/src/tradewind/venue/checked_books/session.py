"""One connection: frames in, batches of records out, in the callback of the socket's read.

No task is woken per frame. All frames of one read of the socket make one batch; its records carry the time at which the
first of these frames was seen. A book's frame is applied and checked before it is handed on, and what makes the book
wrong never is: instead everyone is told to empty it. Trades and best prices always pass.
"""

import asyncio
import dataclasses
import logging
import time
from collections.abc import Sequence
from typing import Final

import numpy as np
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from tradewind.venue.adapter import FeedHandler
from tradewind.venue.checked_books.dialect import Dialect, Meaning
from tradewind.venue.checked_books.followed_book import FollowedBook
from tradewind.wire.market_records import RecordArray, read_only
from tradewind_native.frames import FrameKind, MalformedFrame, UnknownFrame

_log: Final = logging.getLogger(__name__)

MAX_BATCH_RECORDS: Final = 8_192
_SNAPSHOT: Final = int(FrameKind.SNAPSHOT)
_DEPTH: Final = int(FrameKind.DEPTH)
_TICKER: Final = int(FrameKind.TICKER)
_TRADE: Final = int(FrameKind.TRADE)
_TEXT: Final = WSMsgType.TEXT


@dataclasses.dataclass(slots=True)
class CheckedFeedStatistics:
    """Counters of one market data client since it was made."""

    frames: int = 0  # messages received, whatever they were
    trades: int = 0  # handed on
    tickers: int = 0  # pairs of best prices handed on
    malformed: int = 0
    unknown: int = 0
    out_of_order: int = 0  # updates of a book that had no snapshot to apply them to
    gaps: int = 0
    snapshots: int = 0
    connections: int = 0
    stale: int = 0
    announcements: int = 0  # answers, heartbeats and whatever else has no market data
    refusals: int = 0  # requests that the venue refused


class BookFeed:
    """One book and the two moments that its keeper waits for."""

    def __init__(self, book: FollowedBook) -> None:
        self.book = book
        self.synced = asyncio.Event()
        self.lost = asyncio.Event()
        self.lost.set()

    def lose(self) -> None:
        """The book is void: its keeper subscribes again."""
        self.book.lose()
        self.synced.clear()
        self.lost.set()

    def gain(self) -> None:
        """The book is right from now on."""
        self.book.in_sync = True
        self.lost.clear()
        self.synced.set()


class CheckedBookSession(WSListener):
    """The frames of one connection. All methods are called on the event loop's thread."""

    def __init__(
        self,
        feeds: Sequence[BookFeed],
        dialect: Dialect,
        handler: FeedHandler,
        statistics: CheckedFeedStatistics,
        logged: set[str],
        max_message_bytes: int,
    ) -> None:
        self._feeds = {feed.book.number: feed for feed in feeds}
        self._dialect = dialect
        self._handler = handler
        self._statistics = statistics
        self._logged = logged
        self._max_message_bytes = max_message_bytes
        self._decoder = dialect.decoder([_decoded(feed.book) for feed in feeds])
        self._fragments = bytearray()
        self._ts_recv = 0
        self._parts: list[RecordArray] = []
        self._loop_time = asyncio.get_running_loop().time
        self.last_message_s = self._loop_time()
        """When the last message came, on the event loop's clock."""
        self.farewell = ""
        """Why the venue asked us to leave, if it did."""

    # -- the hot path ----------------------------------------------------------------------------------------------

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One frame; the last one of a read sends the batch off."""
        if frame.msg_type is _TEXT and frame.fin and not frame.rsv1:
            self._decode(transport, frame.get_payload_as_bytes())
        else:
            self._on_other_frame(transport, frame)
        if frame.last_in_buffer:
            self.flush()

    def _decode(self, transport: WSTransport, message: bytes) -> None:
        self._statistics.frames += 1
        self._ts_recv = self._ts_recv or time.time_ns()
        decoder = self._decoder
        start = decoder.pending
        try:
            kind = decoder.decode(message, self._ts_recv)
        except MalformedFrame as error:
            self._on_malformed(message, error)
            return
        except UnknownFrame as error:
            self._statistics.unknown += 1
            self._log_once("unknown", error)
            return
        if kind in (_DEPTH, _SNAPSHOT):
            self._on_book(self._feeds[decoder.instrument], start, is_snapshot=kind == _SNAPSHOT)
        elif kind == _TRADE:
            self._statistics.trades += decoder.pending - start
        elif kind == _TICKER:
            self._statistics.tickers += 1
        else:
            self._on_announcement(transport, message)

    def flush(self) -> None:
        """Hand on what was decoded and found right, as one batch."""
        self._ts_recv = 0
        self.last_message_s = self._loop_time()
        pending = self._decoder.take()
        if len(pending):
            self._parts.append(pending)
        if not self._parts:
            return
        records = self._parts[0] if len(self._parts) == 1 else read_only(np.concatenate(self._parts))
        self._parts.clear()
        for start in range(0, len(records), MAX_BATCH_RECORDS):
            self._handler.on_records(read_only(records[start : start + MAX_BATCH_RECORDS]))

    # -- books -----------------------------------------------------------------------------------------------------

    def _on_book(self, feed: BookFeed, start: int, *, is_snapshot: bool) -> None:
        taken = self._decoder.take()
        if start:
            self._parts.append(taken[:start])
        frame, book = taken[start:], feed.book
        if not (is_snapshot or book.in_sync):
            self._statistics.out_of_order += 1
            return
        if is_snapshot:
            book.sequence = None
        if not self._dialect.numbers_frames:
            frame = book.numbered(frame)
        if (reason := book.apply(frame) or self._dialect.wrong(book, self._decoder)) is not None:
            self._on_wrong(feed, reason)
            return
        if self._dialect.kept_levels is not None:
            frame = book.without_fallen_levels(frame, self._dialect.kept_levels)
        self._parts.append(frame)
        if is_snapshot:
            self._on_snapshot(feed)

    def _on_snapshot(self, feed: BookFeed) -> None:
        self._statistics.snapshots += 1
        if feed.book.in_sync:
            return  # the venue began anew by itself
        self.flush()
        feed.gain()
        book = feed.book
        self._handler.on_feed_status(book.instrument.instrument_id, "LIVE", f"snapshot of {book.name}")

    def _on_wrong(self, feed: BookFeed, reason: str) -> None:
        self._statistics.gaps += 1
        self._log_once("wrong book", reason)
        self.void(feed, "GAP", reason)

    def void(self, feed: BookFeed, state: str, detail: str, *, lost: bool = True) -> None:
        """The book is no longer right: everyone who follows it must empty it, and its keeper subscribes again.

        ``lost``: records are missing, which the GAP flag says to those who count them.
        """
        pending = self._decoder.take()
        if len(pending):
            self._parts.append(pending)
        self._parts.append(feed.book.clear_record(self._ts_recv or time.time_ns(), lost=lost))
        self.flush()
        feed.lose()
        self._handler.on_feed_status(feed.book.instrument.instrument_id, state, detail)

    def _on_malformed(self, message: bytes, error: MalformedFrame) -> None:
        """A frame that cannot be read may have been an update: the books that it may concern are void."""
        self._statistics.malformed += 1
        self._log_once("malformed", error)
        names = self._dialect.may_concern(message)
        for feed in self._feeds.values():
            if feed.book.in_sync and (names is None or feed.book.name in names):
                self._on_wrong(feed, f"{feed.book.name}: a frame could not be read")

    # -- rare frames -----------------------------------------------------------------------------------------------

    def _on_announcement(self, transport: WSTransport, message: bytes) -> None:
        self._statistics.announcements += 1
        said = self._dialect.announcement(message)
        if said.meaning is Meaning.REFUSAL:
            self._statistics.refusals += 1
            self._log_once("refused", said.text)
        elif said.meaning is Meaning.FAREWELL:
            self.farewell = said.text
            transport.disconnect(graceful=False)

    def _on_other_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind is WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind is WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        elif kind is WSMsgType.CONTINUATION or (kind is _TEXT and not frame.rsv1):
            self._on_fragment(transport, frame)
        elif kind is not WSMsgType.PONG:
            self._statistics.frames += 1
            self._statistics.malformed += 1
            self._log_once("not text", f"a {kind.name} frame of {frame.payload_size} bytes")

    def _on_fragment(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is _TEXT:
            self._fragments.clear()
        self._fragments += frame.get_payload_as_bytes()
        if len(self._fragments) > self._max_message_bytes:
            raise ConnectionError(f"a fragmented message is larger than {self._max_message_bytes} bytes")
        if frame.fin:
            message = bytes(self._fragments)
            self._fragments.clear()
            self._decode(transport, message)

    def _log_once(self, kind: str, what: object) -> None:
        if kind not in self._logged:
            self._logged.add(kind)
            _log.warning("first %s market data frame: %s; further ones are only counted", kind, what)


def _decoded(book: FollowedBook) -> tuple[str, int, int, int]:
    return book.name, book.number, book.instrument.price_precision, book.instrument.size_precision

"""ITCH messages of one session to batches of market records, whatever carries them. No I/O.

A carrier (SoupBinTCP, MoldUDP64, a file) calls ``begin`` for each session, hands on whole reads with ``packets`` or
``blocks``, says ``lose`` where messages are missing, and ``flush`` once a read.

The books are built from the session's first message on and there are no snapshots in ITCH: what is lost cannot be made
good. After a gap levels and best prices are therefore held back until the next session; trades still pass.
"""

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from tradewind.model.identifiers import InstrumentId
from tradewind.model.instruments import Instrument
from tradewind.venue.adapter import FeedHandler
from tradewind.venue.itch.decoding import LENGTHS
from tradewind.wire.market_records import (
    RecordArray,
    RecordFlag,
    RecordKind,
    RecordSide,
    empty_records,
    instrument_number,
    read_only,
)
from tradewind_native.book_changes import BookChanges
from tradewind_native.itch import ItchDecoder
from tradewind_native.itch_error import ItchError
from tradewind_native.order_book import OrderBook
from tradewind_native.order_books import OrderBooks

_log: Final = logging.getLogger(__name__)

MAX_BATCH_RECORDS: Final = 8_192
WHOLE_DEPTH: Final = 1_000_000
LENGTH_BYTES: Final = 2
"""Before each packet of SoupBinTCP and each block of MoldUDP64."""
MOST_ORDERS: Final = 4_000_000
"""Orders that may rest at once in all books; more are somebody's attempt at our memory."""
_SIDES: Final = (RecordSide.BUY, RecordSide.SELL)


@dataclasses.dataclass(slots=True)
class ItchFeedStatistics:
    """Counters of one market data client since it was made."""

    frames: int = 0  # ITCH messages, whatever they were
    trades: int = 0  # handed on
    tickers: int = 0  # pairs of best prices handed on
    malformed: int = 0  # messages or packets that could not be read
    unknown: int = 0  # messages of types that are not of ITCH 5.0
    out_of_order: int = 0  # messages that came again after they were handed on, and were dropped
    gaps: int = 0
    snapshots: int = 0  # sessions begun: each begins with empty books
    connections: int = 0
    stale: int = 0
    lost: int = 0  # messages inside the gaps
    unknown_orders: int = 0  # executions and cancels of orders that were never added
    requested: int = 0  # messages asked for again (MoldUDP64)
    recovered: int = 0  # messages that came so
    held_bytes: int = 0  # bytes of packets that wait for what is before them, now


class ItchFeed:
    """See the module. All methods are called on the event loop's thread."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        handler: FeedHandler,
        statistics: ItchFeedStatistics,
        midnight: Callable[[], int],
        *,
        history: bool = True,
    ) -> None:
        """
        Args:
            midnight: asked when a session begins, for the UTC nanoseconds that its times count from.
            history: hand on what a session brought before we came. Without it the books are built from that in
                silence and handed on as snapshots.
        """
        self._numbers: Mapping[str, int] = {one.symbol: instrument_number(one.instrument_id) for one in instruments}
        self._ids = {one.instrument_id: None for one in instruments}
        self._handler = handler
        self._statistics = statistics
        self._midnight = midnight
        self._logged: set[str] = set()
        self._gap = False
        self._last_event_ns = 0
        self._received_ns = 0
        self._unknown_before = 0
        self._orders_before = 0
        self._caught_up = False
        self._history = history
        self._silent = not history
        self._start()

    @property
    def next_sequence(self) -> int:
        """The number of the message that comes next."""
        return self._decoder.messages + 1

    @property
    def whole(self) -> bool:
        """No message of this session is missing so far."""
        return self._changes.levels

    @property
    def live(self) -> bool:
        """The books are the venue's now."""
        return self._caught_up and self.whole

    def is_current(self, within_ns: int) -> bool:
        """Whether the last event is of now, by the venue's time and our clock."""
        return abs(time.time_ns() - self._last_event_ns) < within_ns

    def begin(self, detail: str, *, lost: bool = False) -> None:
        """A session begins: every book is empty, the next message is number 1.

        ``lost``: the session before did not come to its end here.
        """
        self.flush()
        self.count()
        self._start()
        self._gap = False
        self._statistics.snapshots += 1
        self._statistics.gaps += lost
        self._handler.on_records(self._clears(RecordFlag.SNAPSHOT | (RecordFlag.GAP if lost else 0)))
        self._handler.on_feed_status(None, "SYNCING", detail)

    def caught_up(self, detail: str) -> None:
        """All that was sent so far is handed on."""
        if not self._caught_up:
            self._caught_up = True
            if self._silent:
                self._silent = False
                self._tell_books()
            state, said = ("LIVE", detail) if self.whole else ("GAP", "messages of this session are missing")
            self._handler.on_feed_status(None, state, said)

    def fall_behind(self) -> None:
        """The connection is gone: the books are right, but of the past."""
        self._caught_up = False

    def stop(self) -> None:
        """We leave: hand on what there is, and declare the books void."""
        self.flush()
        self._caught_up = False
        self._handler.on_records(self._clears(RecordFlag(0)))
        self._handler.on_feed_status(None, "ENDED", "we stop")

    def packets(self, data: memoryview, ts_recv: int) -> int:
        """Whole SoupBinTCP packets of type S at the start of ``data``; answers how many bytes they are."""
        return self._take(self._decoder.decode_packets, data, ts_recv)

    def blocks(self, data: memoryview, ts_recv: int) -> None:
        """The message blocks of a MoldUDP64 packet, whose lengths were checked."""
        self._take(self._decoder.decode_blocks, data, ts_recv)

    def framed(self, data: memoryview, ts_recv: int) -> int:
        """Messages of a file at the start of ``data``; answers how many bytes they are. Raises ItchError."""
        before = self._decoder.messages
        try:
            return self._decoder.decode(data, ts_recv)
        finally:
            self._statistics.frames += self._decoder.messages - before

    def lose(self, next_sequence: int, reason: str) -> None:
        """Messages before ``next_sequence`` are missing and will not come."""
        lost = next_sequence - self.next_sequence
        self.flush()
        self._statistics.gaps += 1
        self._statistics.lost += lost
        self._decoder.expect(next_sequence)
        self._void(f"{lost} messages are missing: {reason}")

    def flush(self) -> None:
        """Hand on what was decoded since the last call."""
        records = self._decoder.take()
        if not len(records):
            return
        self._last_event_ns = records["ts_event"].item(-1)
        made: RecordArray = self._changes.follow(records)
        if self._changes.books.orders > MOST_ORDERS:
            self._give_up_books()
        if self._silent:
            return
        if self._gap:
            made, self._gap = made.copy(), False
            made["flags"][0] |= RecordFlag.GAP
            made = read_only(made)
        kinds = made["kind"]
        self._statistics.trades += int(np.count_nonzero(kinds == RecordKind.TRADE))
        self._statistics.tickers += int(np.count_nonzero(kinds == RecordKind.TOP_OF_BOOK)) // 2
        for start in range(0, len(made), MAX_BATCH_RECORDS):
            self._handler.on_records(read_only(made[start : start + MAX_BATCH_RECORDS]))

    def follows(self, instrument_id: InstrumentId) -> bool:
        """Whether it is one of ours."""
        return instrument_id in self._ids

    def count(self) -> None:
        """Bring the slower counters up to date."""
        counts = self._decoder.counts
        unknown = sum(count for kind, count in counts.items() if kind not in LENGTHS)
        orders = self._changes.books.unknown_orders
        self._statistics.unknown += unknown - self._unknown_before
        self._statistics.unknown_orders += orders - self._orders_before
        self._unknown_before, self._orders_before = unknown, orders

    def book(self, instrument_id: InstrumentId) -> OrderBook:
        """The book by price as of the last batch that was handed on; empty while it is not right."""
        number = instrument_number(instrument_id)
        book, books = OrderBook(number), self._changes.books
        if not self.live:
            return book
        rows = [(side, *level) for side in _SIDES for level in books.levels(number, side, WHOLE_DEPTH)]
        records = empty_records(len(rows))
        if rows:
            records["side"], records["price"], records["size"], _ = np.array(rows, dtype=np.int64).T
        records["kind"], records["instrument"] = RecordKind.LEVEL, number
        records["sequence"] = records["order_id"] = self._decoder.messages
        book.apply(records)
        return book

    # -- inside ----------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._decoder = ItchDecoder(self._numbers.get, self._midnight())
        self._changes = BookChanges(OrderBooks())
        self._unknown_before = self._orders_before = 0
        self._caught_up = False
        self._silent = not self._history

    def _take(self, decode: Callable[[memoryview, int], int], data: memoryview, ts_recv: int) -> int:
        decoder, before, at = self._decoder, self._decoder.messages, 0
        self._received_ns = ts_recv
        while True:
            offset = decoder.offset
            try:
                at += decode(data[at:], ts_recv)
                break
            except ItchError as error:
                at += decoder.offset - offset
                at += LENGTH_BYTES + int.from_bytes(data[at : at + LENGTH_BYTES], "big")
                self._pass_over(error)
        self._received_ns = 0
        self._statistics.frames += decoder.messages - before
        return at

    def _pass_over(self, error: ItchError) -> None:
        """A message that cannot be read takes its number and may have been of any order."""
        self._statistics.malformed += 1
        self._log_once("message that cannot be read", error)
        self.lose(self.next_sequence + 1, f"a message could not be read: {error}")

    def _void(self, detail: str) -> None:
        self._gap = True
        if not self.whole:
            return
        self._changes.levels = False
        self._gap = False
        self._handler.on_records(self._clears(RecordFlag.GAP))
        self._handler.on_feed_status(None, "GAP", detail)

    def _tell_books(self) -> None:
        """Every book as a snapshot, with its best prices."""
        if not self.whole:
            return
        now = time.time_ns()
        for instrument_id in self._ids:
            book = self.book(instrument_id)
            records = book.snapshot_records(self._last_event_ns or now, now, WHOLE_DEPTH)
            bid, ask = book.best_bid(), book.best_ask()
            if bid is not None and ask is not None:
                pair = empty_records(len(_SIDES))
                for name in ("ts_event", "ts_recv", "instrument", "sequence", "order_id"):
                    pair[name] = records[name][-1]
                pair["kind"], pair["side"] = RecordKind.TOP_OF_BOOK, _SIDES
                pair["price"], pair["size"] = (bid[0], ask[0]), (bid[1], ask[1])
                pair["flags"][-1] = RecordFlag.LAST
                records = read_only(np.concatenate((records, pair)))
                self._statistics.tickers += 1
            self._handler.on_records(records)

    def _give_up_books(self) -> None:
        self._statistics.gaps += 1
        self._void(f"more than {MOST_ORDERS} orders rest at once; the books of this session are given up")
        self._changes = BookChanges(OrderBooks())
        self._changes.levels = False

    def _clears(self, flag: RecordFlag) -> RecordArray:
        now = self._received_ns or time.time_ns()
        records = empty_records(len(self._ids))
        records["ts_recv"] = now
        records["ts_event"] = self._last_event_ns or now
        records["instrument"] = [instrument_number(each) for each in self._ids]
        records["kind"] = RecordKind.CLEAR
        records["flags"] = flag | RecordFlag.LAST
        records["sequence"] = records["order_id"] = self._decoder.messages
        return read_only(records)

    def _log_once(self, kind: str, what: object) -> None:
        if kind not in self._logged:
            self._logged.add(kind)
            _log.warning("first %s: %s; further ones are only counted", kind, what)

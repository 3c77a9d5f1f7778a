"""ITCH 5.0 messages of a capture to market records, whatever carried them."""

from collections.abc import Callable, Iterator
from typing import Final

from tradewind.model.identifiers import Venue, instrument_id
from tradewind.runtime.captures.items import CaptureCounts, CaptureItem
from tradewind.runtime.captures.mold_packets import MoldMessage, SessionOrder
from tradewind.venue.itch.days import midnight_before
from tradewind.venue.itch.moldudp64 import MoldPacket
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import RecordArray, RecordFlag, instrument_number, read_only
from tradewind_native.itch import ItchDecoder
from tradewind_native.itch_error import ItchError

ITCH_VENUE: Final = Venue("NASDAQ")
BATCH_MESSAGES: Final = 1_024
MOST_SESSIONS: Final = 64
"""More sessions in one capture are counted and passed over: they are noise, or somebody's attempt at our memory."""


def numbers_of(venue: Venue) -> Callable[[str], int | None]:
    """What a decoder asks for the instrument number of a symbol of its stock directory."""

    def number_of(symbol: str) -> int | None:
        return instrument_number(instrument_id(symbol, venue)) or None

    return number_of


class ItchRecords:
    """Decodes the messages of one session and makes batches of them. A message that is no ITCH is counted."""

    def __init__(self, venue: Venue, midnight_ns: int, counts: CaptureCounts) -> None:
        self._venue = venue
        self._counts = counts
        self._decoder = ItchDecoder(numbers_of(venue), midnight_ns)
        self._pending = 0
        self._first_ns = 0
        self._gap = False

    def add(self, message: MoldMessage) -> Iterator[CaptureItem]:
        """Take a message; gives a batch when there is one, and one before each gap."""
        if message.gap:
            yield from self.take()
            self._gap = True
        self._first_ns = self._first_ns or message.ts_recv
        self._counts.messages += 1
        try:
            self._decoder.decode_message(message.payload, message.sequence, message.ts_recv)
        except ItchError:
            self._counts.malformed += 1
        self._pending += 1
        if self._pending == BATCH_MESSAGES:
            yield from self.take()

    def take(self) -> Iterator[CaptureItem]:
        """What is pending, as one batch."""
        records: RecordArray = self._decoder.take()
        first_ns, self._first_ns, self._pending = self._first_ns, 0, 0
        if not len(records):
            return
        if self._gap:
            records = records.copy()
            records["flags"][0] |= RecordFlag.GAP
            records, self._gap = read_only(records), False
        self._counts.records += len(records)
        yield first_ns, MarketBatch(self._venue, records)

    def finish(self) -> None:
        """Add what the messages were to the counts, by type."""
        for kind, count in self._decoder.counts.items():
            self._counts.count(f"ITCH {kind}", count)


class MoldSessions:
    """The MoldUDP64 sessions of a capture, each with its own order and its own decoder."""

    def __init__(self, venue: Venue, counts: CaptureCounts) -> None:
        self._venue = venue
        self._counts = counts
        self._sessions: dict[bytes, tuple[SessionOrder, ItchRecords]] = {}

    def add(self, ts_recv: int, packet: MoldPacket) -> Iterator[CaptureItem]:
        """Take a packet; gives the batches that are whole."""
        known = self._sessions.get(packet.session)
        if known is None:
            if len(self._sessions) == MOST_SESSIONS:
                self._counts.count("packets of further sessions")
                return
            records = ItchRecords(self._venue, midnight_before(ts_recv), self._counts)
            known = self._sessions[packet.session] = SessionOrder(self._counts), records
        order, records = known
        for message in order.take(ts_recv, packet):
            yield from records.add(message)

    def flush(self) -> Iterator[CaptureItem]:
        """What is decoded so far."""
        for _, records in self._sessions.values():
            yield from records.take()

    def end(self) -> Iterator[CaptureItem]:
        """Everything that still waits."""
        for order, records in self._sessions.values():
            for message in order.end():
                yield from records.add(message)
            yield from records.take()
            records.finish()
        self._counts.details["sessions"] = len(self._sessions)

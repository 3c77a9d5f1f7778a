"""The books of a capture of JSON frames, built and compared with the venue's own proof.

OKX and Kraken send a checksum with their updates; Binance's tickers carry the best prices at the same update ids. A
capture says nothing of precisions: they are read off each book's snapshot.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final, Protocol

import msgspec

from tradewind.model.identifiers import Venue, instrument_id
from tradewind.model.instruments import Instrument
from tradewind.venue.binance.book_check import BookCheck, words_of
from tradewind.venue.binance.book_sync import BookSync, UpdateVerdict
from tradewind.venue.checked_books.dialect import Dialect
from tradewind.venue.checked_books.followed_book import FollowedBook
from tradewind.venue.checked_books.questions import PublicQuestions
from tradewind.venue.kraken.market_data import DEPTHS, KrakenDialect
from tradewind.venue.okx.market_data import OkxDialect
from tradewind.wire.market_records import RecordArray
from tradewind_native.binance import BinanceDecoder
from tradewind_native.frames import FrameKind, MalformedFrame, UnknownFrame

MOST_BOOKS: Final = 1_024
"""More instruments in one file are passed over: somebody's attempt at our memory."""
_MOST_DECIMALS: Final = 18
_SPARE_DECIMALS: Final = {"okx": 2, "kraken": 0}
"""OKX leaves zeros at the end out, so an update may have more decimals than any level of the snapshot; Kraken writes
the same number always."""
_NO_QUESTIONS: Final = PublicQuestions("")
_BINANCE_DECIMALS: Final = 8


class BookProof(msgspec.Struct):
    """How the books came out. ``void``: how often a book could not be followed on: a gap, a frame that is no frame, or
    a difference, until the next snapshot."""

    books: int = 0
    compared: int = 0
    equal: int = 0
    void: int = 0
    first_difference: str = ""


class _Prover(Protocol):
    def take(self, frame: bytes) -> None: ...

    def result(self) -> BookProof: ...


class BookProofs:
    """Takes the frames of a capture in their order; the venue is known by the form of each frame."""

    def __init__(self) -> None:
        self._provers: dict[str, _Prover] = {}

    def take(self, frame: bytes) -> None:
        """One frame of any of the three venues; others are passed over."""
        name = "kraken" if frame[:1] == b"[" else "okx" if frame[:6] == b'{"arg"' else "binance"
        if name not in self._provers:
            self._provers[name] = _Tickers() if name == "binance" else _Checksums(name)
        self._provers[name].take(frame)

    def result(self) -> BookProof:
        """What was found so far, of all venues."""
        whole = BookProof()
        for each in (prover.result() for prover in self._provers.values()):
            whole.books += each.books
            whole.compared += each.compared
            whole.equal += each.equal
            whole.void += each.void
            whole.first_difference = whole.first_difference or each.first_difference
        return whole


class _Checksums:
    """Books with a checksum: OKX and Kraken."""

    def __init__(self, venue: str) -> None:
        self._venue = venue
        self._reader: Dialect = _dialect(venue, DEPTHS[-1])
        self._books: dict[str, _CheckedBook] = {}
        self._void = 0
        self._difference = ""

    def take(self, frame: bytes) -> None:
        for name in self._reader.may_concern(frame) or ():
            if name not in self._books:
                if len(self._books) == MOST_BOOKS or (made := _checked_book(self._venue, name, frame)) is None:
                    continue
                self._books[name] = made
            if (wrong := self._books[name].take(frame)) is not None:
                self._void += 1
                self._difference = self._difference or wrong

    def result(self) -> BookProof:
        books = [each.book for each in self._books.values()]
        return BookProof(
            len(books),
            sum(book.compared for book in books),
            sum(book.equal for book in books),
            self._void,
            self._difference,
        )


class _CheckedBook:
    def __init__(self, dialect: Dialect, instrument: Instrument, name: str) -> None:
        self.book = FollowedBook(instrument, name)
        self._dialect = dialect
        names = (name, self.book.number, instrument.price_precision, instrument.size_precision)
        self._decoder = dialect.decoder([names])

    def take(self, frame: bytes) -> str | None:
        """Why the book is void from here on, if it is."""
        book = self.book
        try:
            kind = self._decoder.decode(frame, 0)
        except (MalformedFrame, UnknownFrame) as error:
            return self._lose(f"{book.name}: {error}")
        records: RecordArray = self._decoder.take()
        if kind == FrameKind.SNAPSHOT:
            book.sequence, book.in_sync = None, True
        elif kind != FrameKind.DEPTH or not book.in_sync:
            return None
        if not self._dialect.numbers_frames:
            records = book.numbered(records)
        if (wrong := book.apply(records) or self._dialect.wrong(book, self._decoder)) is not None:
            return self._lose(wrong)
        if self._dialect.kept_levels is not None:
            book.without_fallen_levels(records, self._dialect.kept_levels)
        return None

    def _lose(self, why: str) -> str | None:
        if not self.book.in_sync:
            return None
        self.book.lose()
        return why


class _Tickers:
    """One book of Binance: the depth snapshot in a capture does not say whose it is."""

    def __init__(self) -> None:
        self._symbol = ""
        self._sync: BookSync[RecordArray] = BookSync()
        self._check = BookCheck(1)
        self._decoder: Any = None
        self._void = 0

    def take(self, frame: bytes) -> None:
        if self._decoder is None and not self._find_symbol(frame):
            return
        decoder = self._decoder
        try:
            if frame.startswith(b'{"lastUpdateId"'):
                decoder.decode_snapshot(frame, self._symbol, 0)
                self._on_snapshot(decoder.take(), decoder.final_update_id)
                return
            kind = decoder.decode(frame, 0)
        except UnknownFrame:
            return
        except MalformedFrame:
            self._lose()
            return
        records = decoder.take()
        if kind == FrameKind.TICKER:
            self._check.on_ticker(words_of(records), 0, decoder.final_update_id)
        elif kind == FrameKind.DEPTH:
            self._on_depth(records, decoder.first_update_id, decoder.final_update_id)

    def result(self) -> BookProof:
        check = self._check
        return BookProof(int(bool(self._symbol)), check.compared, check.equal, self._void, check.first_difference or "")

    def _find_symbol(self, frame: bytes) -> bool:
        try:
            self._symbol = str(msgspec.json.decode(frame)["data"]["s"])[:40]
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, KeyError, TypeError):
            return False
        self._decoder = BinanceDecoder([(self._symbol, 1, _BINANCE_DECIMALS, _BINANCE_DECIMALS)])
        return True

    def _on_snapshot(self, records: RecordArray, final: int) -> None:
        held = self._sync.snapshot(final)
        if held is None:
            return
        self._check.on_snapshot(records)
        for update in held:
            self._check.on_update(update, int(update["sequence"][-1]))

    def _on_depth(self, records: RecordArray, first: int, final: int) -> None:
        verdict = self._sync.judge(first, final)
        if verdict is UpdateVerdict.APPLY:
            self._check.on_update(records, final)
            return
        if verdict is UpdateVerdict.GAP:
            self._lose()
        if verdict is not UpdateVerdict.DROP:
            self._sync.hold(first, final, len(records), records.copy())

    def _lose(self) -> None:
        self._void += self._sync.in_sync or self._check.book.depth(1) > 0
        self._sync.lose()
        self._check.lose()


def _dialect(venue: str, depth: int) -> Dialect:
    return OkxDialect(_NO_QUESTIONS) if venue == "okx" else KrakenDialect(_NO_QUESTIONS, depth)


def _checked_book(venue: str, name: str, frame: bytes) -> _CheckedBook | None:
    """A book that begins with this snapshot; None where it is none."""
    try:
        message: Any = msgspec.json.decode(frame)
        if venue == "okx":
            depth = DEPTHS[-1]
            data = message["data"][0]
            levels = [*data["bids"], *data["asks"]] if message.get("action", "snapshot") == "snapshot" else []
        else:
            depth = int(str(message[-2]).partition("-")[2])
            levels = [*message[1]["as"], *message[1]["bs"]]
        spare = _SPARE_DECIMALS[venue]
        decimals = [min(_decimals(level[at] for level in levels) + spare, _MOST_DECIMALS) for at in (0, 1)]
        return _CheckedBook(_dialect(venue, depth), _instrument(name, decimals, venue), name) if levels else None
    except (KeyError, TypeError, IndexError, ValueError, AttributeError):
        return None


def _decimals(numbers: Iterable[str]) -> int:
    return max((len(number.partition(".")[2]) for number in numbers), default=0)


def _instrument(name: str, decimals: Sequence[int], venue: str) -> Instrument:
    at = Venue(venue.upper())
    return Instrument(
        instrument_id=instrument_id(name.replace("/", "-"), at),
        venue=at,
        symbol=name,
        base_currency="",
        quote_currency="",
        price_precision=decimals[0],
        size_precision=decimals[1],
        price_increment=1,
        size_increment=1,
        min_size=1,
        max_size=1,
        max_price=1,
        min_notional=Decimal(0),
    )

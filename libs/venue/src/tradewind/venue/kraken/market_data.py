"""How Kraken speaks on its public WebSocket v1: channels, checksums, events.

Source: Kraken WebSocket API v1, "book" and its checksum, "subscribe", "subscriptionStatus", "systemStatus". A snapshot
has no checksum, each update has one. The venue does not say which level falls out of the depth: we take it away.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tradewind.model.identifiers import Venue
from tradewind.model.instruments import Instrument
from tradewind.venue.adapter import VenueRejected, VenueUnavailable
from tradewind.venue.checked_books.dialect import Announcement, Meaning
from tradewind.venue.checked_books.followed_book import FollowedBook
from tradewind.venue.checked_books.questions import PublicQuestions
from tradewind.venue.kraken.instruments import PairsAnswer, instrument_of
from tradewind_native.book_checksums import kraken_checksum
from tradewind_native.book_frames import BookFrameDecoder, KrakenDecoder

DEPTHS: Final = (10, 25, 100, 500, 1000)
DEFAULT_DEPTH: Final = 100


class _Event(msgspec.Struct):
    event: str = ""
    status: str = ""
    pair: str = ""
    errorMessage: str = ""


class KrakenDialect:
    """See ``Dialect``. ``depth``: one of DEPTHS."""

    stream_path = "/"
    ping = '{"event":"ping"}'
    numbers_frames = False

    def __init__(self, questions: PublicQuestions, depth: int = DEFAULT_DEPTH) -> None:
        if depth not in DEPTHS:
            raise ValueError(f"TRADEWIND_VENUE_KRAKEN_DEPTH={depth}: Kraken has books of {', '.join(map(str, DEPTHS))}")
        self.kept_levels: int | None = depth
        self._questions = questions
        self._book = {"name": "book", "depth": depth}
        self._read_event = msgspec.json.Decoder(_Event)

    def decoder(self, instruments: Sequence[tuple[str, int, int, int]]) -> BookFrameDecoder:
        """A decoder of its frames."""
        return KrakenDecoder(instruments)

    def name_in_frames(self, instrument: Instrument) -> str:
        """The wsname, which is the two currencies."""
        return f"{instrument.base_currency}/{instrument.quote_currency}"

    def subscribe(self, names: Sequence[str]) -> Sequence[str]:
        """Books, trades and best prices of all."""
        channels: list[dict[str, object]] = [self._book, {"name": "trade"}, {"name": "spread"}]
        return [_request("subscribe", names, channel) for channel in channels]

    def subscribe_again(self, name: str) -> Sequence[str]:
        """The book alone: trades and best prices go on."""
        return [_request(event, [name], self._book) for event in ("unsubscribe", "subscribe")]

    def announcement(self, message: bytes) -> Announcement:
        """An error refuses a request."""
        try:
            said = self._read_event.decode(message)
        except (msgspec.DecodeError, RecursionError):
            return Announcement(Meaning.NOTHING, "an event of another form")
        text = " ".join((said.event, said.status, said.pair, said.errorMessage[:200]))
        is_refusal = said.event == "error" or said.status == "error"
        return Announcement(Meaning.REFUSAL if is_refusal else Meaning.NOTHING, text)

    def may_concern(self, message: bytes) -> Sequence[str] | None:
        """The pair at the end, unless the frame is of another channel."""
        try:
            frame: Any = msgspec.json.decode(message)
            channel, name = frame[-2], frame[-1]
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, KeyError, TypeError, IndexError):
            return None
        return [name] if str(channel).startswith("book-") else []

    def wrong(self, book: FollowedBook, decoder: BookFrameDecoder) -> str | None:
        """Another checksum, over the digits as this book's frames write them."""
        if decoder.price_decimals is not None and decoder.size_decimals is not None:
            book.decimals = decoder.price_decimals, decoder.size_decimals
        if decoder.checksum is None:
            book.unchecked += book.in_sync  # a snapshot has none
            return None
        if book.decimals is None:
            return f"{book.name}: a checksum before any level"
        instrument = book.instrument
        more = book.decimals[0] - instrument.price_precision, book.decimals[1] - instrument.size_precision
        if min(more) < 0:
            return f"{book.name}: its frames have fewer decimals than the pair's definition; it must be asked for anew"
        return book.compare(decoder.checksum, kraken_checksum(book.book, *more))

    async def instruments(self, symbols: Sequence[str], venue: Venue) -> Sequence[Instrument]:
        """One question for all pairs, because a question that names an unknown pair is refused as a whole."""
        answer = await self._questions.ask("/0/public/AssetPairs", {}, PairsAnswer)
        if answer.error:
            raise VenueUnavailable(f"Kraken does not tell its pairs: {'; '.join(answer.error)[:200]}")
        found = {name: info for info in answer.result.values() for name in (info.altname, info.wsname) if name}
        if missing := [symbol for symbol in symbols if symbol not in found]:
            raise VenueRejected(0, f"Kraken does not know {', '.join(missing)}")
        return [instrument_of(found[symbol], venue) for symbol in symbols]

    async def close(self) -> None:
        """Close the connections for questions."""
        await self._questions.close()


def _request(event: str, pairs: Sequence[str], subscription: dict[str, object]) -> str:
    return json.dumps({"event": event, "pair": list(pairs), "subscription": subscription}, separators=(",", ":"))

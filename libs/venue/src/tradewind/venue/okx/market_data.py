"""How OKX speaks on its public WebSocket: channels, checksums, sequence numbers, events.

Source: OKX API guide v5, "WebSocket" (connect, subscribe, notification) and "Order book channel": each ``prevSeqId`` is
the ``seqId`` before, a snapshot's is -1. Frames of older recordings have a checksum and no numbers; other clients
report that frames of 2026 have numbers and 0 for a checksum. So 0 beside a number is none, and the chain is the proof.
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
from tradewind.venue.okx.instruments import UNKNOWN_INSTRUMENT, InstrumentsAnswer, instrument_of, kind_of
from tradewind_native.book_checksums import okx_checksum
from tradewind_native.book_frames import BookFrameDecoder, OkxDecoder

BOOKS: Final = "books"
CHANNELS: Final = (BOOKS, "trades", "bbo-tbt")
ARGUMENTS_A_MESSAGE: Final = 90
"""The venue takes 64 KiB of arguments in one message; ours are below 80 bytes each."""


class _Event(msgspec.Struct):
    event: str = ""
    code: str = ""
    msg: str = ""


class OkxDialect:
    """See ``Dialect``."""

    stream_path = "/ws/v5/public"
    ping = "ping"
    kept_levels: int | None = None
    numbers_frames = True

    def __init__(self, questions: PublicQuestions) -> None:
        self._questions = questions
        self._read_event = msgspec.json.Decoder(_Event)

    def decoder(self, instruments: Sequence[tuple[str, int, int, int]]) -> BookFrameDecoder:
        """A decoder of its frames."""
        return OkxDecoder(instruments)

    def name_in_frames(self, instrument: Instrument) -> str:
        """The instId."""
        return instrument.symbol

    def subscribe(self, names: Sequence[str]) -> Sequence[str]:
        """Books, trades and best prices of all."""
        arguments = [(channel, name) for name in names for channel in CHANNELS]
        return [
            _request("subscribe", arguments[start : start + ARGUMENTS_A_MESSAGE])
            for start in range(0, len(arguments), ARGUMENTS_A_MESSAGE)
        ]

    def subscribe_again(self, name: str) -> Sequence[str]:
        """The book alone: trades and best prices go on."""
        return [_request(operation, [(BOOKS, name)]) for operation in ("unsubscribe", "subscribe")]

    def announcement(self, message: bytes) -> Announcement:
        """An error refuses a request; a notice says that the connection is about to be closed."""
        try:
            said = self._read_event.decode(message)
        except (msgspec.DecodeError, RecursionError):
            return Announcement(Meaning.NOTHING, "an event of another form")
        text = f"{said.event} {said.code}: {said.msg[:200]}"
        if said.event in ("error", "channel-conn-count-error"):
            return Announcement(Meaning.REFUSAL, text)
        return Announcement(Meaning.FAREWELL if said.event == "notice" else Meaning.NOTHING, text)

    def may_concern(self, message: bytes) -> Sequence[str] | None:
        """The instrument in ``arg``, unless the frame is of another channel."""
        try:
            argument: Any = msgspec.json.decode(message)["arg"]
            channel, name = argument["channel"], argument["instId"]
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, KeyError, TypeError):
            return None
        return [name] if str(channel).startswith(BOOKS) else []

    def wrong(self, book: FollowedBook, decoder: BookFrameDecoder) -> str | None:
        """A hole in the sequence numbers, or another checksum."""
        before, book.sequence = book.sequence, decoder.sequence
        if before is not None and decoder.previous_sequence not in (before, None):
            return (
                f"{book.name}: frame {decoder.sequence} follows {decoder.previous_sequence}, the book stood at {before}"
            )
        theirs, instrument = decoder.checksum, book.instrument
        if theirs is None or (theirs == 0 and decoder.sequence is not None):
            book.unchecked += 1
            return None
        return book.compare(theirs, okx_checksum(book.book, instrument.price_precision, instrument.size_precision))

    async def instruments(self, symbols: Sequence[str], venue: Venue) -> Sequence[Instrument]:
        """One question for each kind of instrument that is named."""
        found: dict[str, Instrument] = {}
        for kind in dict.fromkeys(kind_of(symbol) for symbol in symbols):
            wanted = {symbol for symbol in symbols if kind_of(symbol) == kind}
            answer = await self._questions.ask("/api/v5/public/instruments", {"instType": kind}, InstrumentsAnswer)
            if answer.code != "0":
                raise VenueUnavailable(f"OKX does not tell its instruments: {answer.code} {answer.msg[:200]}")
            found |= {each.instId: instrument_of(each, venue) for each in answer.data if each.instId in wanted}
        if missing := [symbol for symbol in symbols if symbol not in found]:
            raise VenueRejected(UNKNOWN_INSTRUMENT, f"OKX does not know {', '.join(missing)}")
        return [found[symbol] for symbol in symbols]

    async def close(self) -> None:
        """Close the connections for questions."""
        await self._questions.close()


def _request(operation: str, arguments: Sequence[tuple[str, str]]) -> str:
    wanted = [{"channel": channel, "instId": name} for channel, name in arguments]
    return json.dumps({"op": operation, "args": wanted}, separators=(",", ":"))

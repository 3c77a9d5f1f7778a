"""How one venue speaks: what the shared connection must know of it and nothing else."""

import enum
from collections.abc import Sequence
from typing import Protocol

import msgspec

from tradewind.model.identifiers import Venue
from tradewind.model.instruments import Instrument
from tradewind.venue.checked_books.followed_book import FollowedBook
from tradewind_native.book_frames import BookFrameDecoder


class Meaning(enum.Enum):
    """What a frame without market data asks of us."""

    NOTHING = "nothing"  # an answer, a heartbeat
    REFUSAL = "refusal"  # a request of ours was refused
    FAREWELL = "farewell"  # the venue is about to close this connection: make another one


class Announcement(msgspec.Struct, frozen=True):
    """A frame without market data, and what it says, for the log."""

    meaning: Meaning
    text: str = ""


class Dialect(Protocol):
    """One venue's public streams. It has no state of a connection."""

    stream_path: str
    """Where the streams are, below the configured address."""
    ping: str
    """A message that the venue answers."""
    kept_levels: int | None
    """Levels of a side that the venue tells of; it does not say when one falls out of them. None: it says it."""
    numbers_frames: bool
    """Whether the venue numbers what it sends; otherwise the records carry our own count of a book's frames."""

    def decoder(self, instruments: Sequence[tuple[str, int, int, int]]) -> BookFrameDecoder:
        """A decoder: the name in frames, our number, price precision and size precision of each instrument."""
        ...

    def name_in_frames(self, instrument: Instrument) -> str:
        """What the streams call an instrument."""
        ...

    def subscribe(self, names: Sequence[str]) -> Sequence[str]:
        """Messages that ask for books, trades and best prices of all of these."""
        ...

    def subscribe_again(self, name: str) -> Sequence[str]:
        """Messages that end the subscription to one book and begin it anew, which brings a snapshot."""
        ...

    def announcement(self, message: bytes) -> Announcement:
        """What a frame without market data says. Whatever it holds: no exception."""
        ...

    def may_concern(self, message: bytes) -> Sequence[str] | None:
        """Names of the books that a frame which cannot be decoded may have been part of; None: any of them."""
        ...

    def wrong(self, book: FollowedBook, decoder: BookFrameDecoder) -> str | None:
        """Why a book, with the last frame applied, is not the venue's, in words; None when it is."""
        ...

    async def instruments(self, symbols: Sequence[str], venue: Venue) -> Sequence[Instrument]:
        """Definitions of symbols, in their order.

        Raises:
            VenueRejected: a symbol is not known there.
            VenueUnavailable: no answer.
        """
        ...

    async def close(self) -> None:
        """Close what questions opened."""
        ...

"""What a market data adapter's author writes to take part: a venue that can be told what to do."""

import abc
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from tradewind.model.identifiers import InstrumentId
from tradewind.venue.adapters import FeedClient, VenueSettings, adapter_named, market_data_of
from tradewind.wire.market_records import RecordSide


class MarketDataCounterpart(abc.ABC):
    """A simulated venue with one instrument, on loopback, that speaks as the real one does.

    It answers subscriptions and questions by itself: a client that connects gets the book as it is then. The checks
    only tell it what happens. One object serves one check.
    """

    adapter: str
    """The name of the adapter's entry point."""
    instrument_id: InstrumentId
    """The instrument that ``settings()`` names."""
    unknown_symbol: str
    """A symbol of a right form that the venue does not have."""
    malformed_symbols: str
    """A text that is no list of symbols for this adapter."""
    secrets: Sequence[str] = ()
    """Keys and passwords in ``settings()`` that nobody may ever see."""
    exempt: Mapping[str, str] = MappingProxyType({})
    """Checks that cannot be of this venue, by name, each with the reason in words."""
    sums_checksums: bool = True
    """Whether the venue says something of its book that ours is compared with (``compared`` grows)."""

    @abc.abstractmethod
    async def start(self) -> None:
        """Begin to listen, on a free port the first time and on the same one later."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """Close the port and all connections."""

    @abc.abstractmethod
    def settings(self, symbols: str | None = None, stale_after_s: float = 15.0) -> VenueSettings:
        """Settings of the adapter for this venue; ``symbols`` other than the one it has."""

    @abc.abstractmethod
    def connections(self) -> int:
        """Streams that clients hold open now."""

    @abc.abstractmethod
    async def change(self) -> None:
        """Change the book and tell all clients."""

    @abc.abstractmethod
    async def lose_a_change(self) -> None:
        """Change the book twice and tell of the second only, or of a wrong checksum: what a hole looks like there."""

    @abc.abstractmethod
    async def trade(self, number: int) -> None:
        """Tell all clients of a trade of ``number`` size increments, at any price."""

    @abc.abstractmethod
    def levels(self, side: RecordSide) -> list[tuple[int, int]]:
        """Price and size mantissas of one side now, the best first: the truth."""

    @abc.abstractmethod
    async def hang_up(self) -> None:
        """End all connections without a word; new ones are served."""

    @abc.abstractmethod
    async def send_garbage(self) -> None:
        """Send what is no message of this venue, several kinds of it, over the open connections."""

    @abc.abstractmethod
    async def send_truncated(self) -> None:
        """Begin a message, send half of it, and end the connection."""

    @abc.abstractmethod
    async def send_overlong(self) -> None:
        """Send a message that claims, or has, more bytes than the adapter takes."""

    @abc.abstractmethod
    def fall_silent(self) -> None:
        """From now on say nothing on open connections, whatever comes; new connections are served."""

    def make_client(self, symbols: str | None = None, stale_after_s: float = 15.0) -> FeedClient:
        """The adapter's client as a service makes it: by name, from settings."""
        return market_data_of(adapter_named(self.adapter), self.settings(symbols, stale_after_s))

"""What an execution adapter's author writes to take part."""

import abc
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from tradewind.model.identifiers import InstrumentId
from tradewind.venue.adapter import ExecutionClient, NewOrder
from tradewind.venue.adapters import VenueSettings, adapter_named, execution_of
from tradewind.venue.conformance.breakable_link import BreakableLink


class ExecutionCounterpart(abc.ABC):
    """A simulated venue on loopback with one account and one instrument, reached over links that can be broken.

    ``order_link`` carries orders, cancels and their answers; ``stream_link`` the private stream. They are one object
    where the venue has one session for both. ``settings()`` names the links' ports.
    """

    adapter: str
    """The name of the adapter's entry point."""
    instrument_id: InstrumentId
    secrets: Sequence[str] = ()
    """Keys and passwords in ``settings()`` that nobody may ever see."""
    exempt: Mapping[str, str] = MappingProxyType({})
    """Checks that cannot be of this venue, by name, each with the reason in words."""

    def __init__(self) -> None:
        self.order_link = BreakableLink()
        self.stream_link = BreakableLink()

    @abc.abstractmethod
    async def start(self) -> None:
        """Start the venue and both links."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """Stop all of them."""

    @abc.abstractmethod
    def settings(self, *, wrong_key: bool = False) -> VenueSettings:
        """Settings of the adapter for this venue; with credentials that it refuses when told so."""

    @abc.abstractmethod
    def resting(self, name: str) -> NewOrder:
        """An order that the venue takes and that rests."""

    @abc.abstractmethod
    def crossing(self, name: str) -> NewOrder:
        """An order that fills at once, wholly."""

    @abc.abstractmethod
    def refused(self, name: str) -> NewOrder:
        """An order that the venue refuses."""

    @abc.abstractmethod
    async def times_taken(self, name: str) -> int:
        """How many orders of this name the venue itself has taken since it began: the truth about duplicates."""

    @abc.abstractmethod
    async def limit_rate(self) -> None:
        """From now on the venue refuses new orders by its rate limit."""

    def make_client(self, *, wrong_key: bool = False) -> ExecutionClient:
        """The adapter's client as a service makes it: by name, from settings."""
        return execution_of(adapter_named(self.adapter), self.settings(wrong_key=wrong_key))

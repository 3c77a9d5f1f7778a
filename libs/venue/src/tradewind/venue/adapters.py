"""Which exchange adapters are installed, and the one of a name: the entry point group ``tradewind.venues``.

An adapter is one ``VenueAdapter`` behind an entry point of its own name. It is found without loading the code of the
others, so a native library that is missing stops only the adapter that needs it.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, Protocol

import msgspec

from tradewind.model.identifiers import InstrumentId
from tradewind.venue.adapter import ExecutionClient, MarketDataClient, VenueError
from tradewind.venue.request_budget import SharedBudget
from tradewind_native.order_book import OrderBook

GROUP: Final = "tradewind.venues"
DEFAULT_ADAPTER: Final = "binance"
DEFAULT_RECEIVE_WINDOW_S: Final = 5.0
DEFAULT_STALE_AFTER_S: Final = 15.0


class AdapterUnavailable(VenueError):
    """No adapter of this name, or it cannot be used here; the message says why and lists those that can."""


class FeedStatistics(Protocol):
    """Counters that an adapter keeps."""

    frames: int
    trades: int
    tickers: int
    malformed: int
    unknown: int
    out_of_order: int
    gaps: int
    snapshots: int
    connections: int
    stale: int


class FeedClient(MarketDataClient, Protocol):
    """What the service market-data wants of an adapter: the interface, its books and their proof."""

    @property
    def statistics(self) -> FeedStatistics:
        """Counted since the client was made."""
        ...

    @property
    def compared(self) -> int:
        """How often a book was compared with what the venue itself says of it."""
        ...

    @property
    def equal(self) -> int:
        """How many of the comparisons were equal; fewer than ``compared`` is a defect."""
        ...

    @property
    def first_difference(self) -> str | None:
        """The first comparison that was not equal, in words."""
        ...

    def book(self, instrument_id: InstrumentId) -> OrderBook:
        """The book of an instrument that was given to ``run``."""
        ...

    def in_sync(self, instrument_id: InstrumentId) -> bool:
        """Whether that book is the venue's now."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class VenueSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an adapter is made from. It refuses what it cannot use with a ValueError in words, never a secret."""

    venue: str
    account: str
    symbols: str  # as the user wrote them; each venue has its own form
    rest_url: str
    stream_url: str
    api_key: str = ""
    api_secret: str = ""
    receive_window_s: float = DEFAULT_RECEIVE_WINDOW_S
    """The venue refuses a request that reaches it later than this after it was signed, where it has such a limit."""
    stale_after_s: float = DEFAULT_STALE_AFTER_S
    """A feed that is silent for so long is connected anew."""
    limits: Any = None
    """What the adapter's own ``limits`` gave; lives as long as the service. None: the client counts alone."""
    own: Mapping[str, str] = {}
    """The variables TRADEWIND_VENUE_<ADAPTER>_<FIELD>, by field in lower case."""

    def __repr__(self) -> str:
        """Whose they are: keys, and what ``own`` holds, are never shown."""
        return f"VenueSettings({self.venue}-{self.account}, {self.symbols})"


def nothing_missing() -> str:
    """For an adapter that needs nothing but its package."""
    return ""


class AddressSchemes(msgspec.Struct, frozen=True, kw_only=True):
    """What may stand before ``://`` in the two addresses of an adapter, the one for examples first."""

    rest: tuple[str, ...] = ("http", "https")
    stream: tuple[str, ...] = ("ws", "wss")
    in_clear: frozenset[str] = frozenset({"http", "ws"})
    """Those that carry keys and orders unencrypted: a real exchange is never addressed by them."""


def no_hosts(_: Mapping[str, str]) -> tuple[str, ...]:
    """For an adapter that sends orders to the two addresses alone."""
    return ()


def no_limits(_: SharedBudget) -> None:
    """For a venue that counts no requests."""


class VenueAdapter(msgspec.Struct, frozen=True, kw_only=True):
    """One adapter. The factories connect nothing and raise ValueError when a setting has a wrong form."""

    name: str
    about: str
    """One line for the user."""
    market_data: Callable[[VenueSettings], FeedClient] | None = None
    execution: Callable[[VenueSettings], ExecutionClient] | None = None
    missing: Callable[[], str] = nothing_missing
    """What this machine lacks and how to get it, in one sentence; empty: it can be used."""
    schemes: AddressSchemes = AddressSchemes()
    """Forms of the addresses TRADEWIND_VENUE_REST_URL and TRADEWIND_VENUE_STREAM_URL."""
    order_hosts: Callable[[Mapping[str, str]], Sequence[str]] = no_hosts
    """Hosts that orders go to by its own variables (``VenueSettings.own``): each of them that is not this machine or a
    simulated venue counts as a real exchange. Malformed values are left to the factories."""
    limits: Callable[[SharedBudget], Any] = no_limits
    """The rate limits that its clients share, over a budget of all processes."""


class AdapterListing(msgspec.Struct, frozen=True, kw_only=True):
    """What can be said of an installed adapter, usable or not."""

    name: str
    about: str
    market_data: bool
    execution: bool
    missing: str


def adapter_named(name: str) -> VenueAdapter:
    """The adapter of a name, ready to make clients.

    Raises:
        AdapterUnavailable: it is not installed, cannot be loaded, or a library that it needs is missing.
    """
    points = _points()
    if name not in points:
        raise AdapterUnavailable(f"there is no venue adapter {name!r}; there are: {_names(points)}")
    adapter = _load(points[name])
    if reason := adapter.missing():
        raise AdapterUnavailable(
            f"the venue adapter {name!r} cannot be used here: {reason} There are: {_names(points)}"
        )
    return adapter


def installed_adapters() -> list[AdapterListing]:
    """All installed adapters by name; one that cannot be loaded is listed with the reason."""
    return [_listing(point) for _, point in sorted(_points().items())]


def market_data_of(adapter: VenueAdapter, settings: VenueSettings) -> FeedClient:
    """Its market data client; nothing is connected yet.

    Raises:
        AdapterUnavailable: the adapter has none.
        ValueError: a setting has a wrong form.
    """
    if adapter.market_data is None:
        raise AdapterUnavailable(_lacks(adapter, "market data", lambda listing: listing.market_data))
    return adapter.market_data(settings)


def execution_of(adapter: VenueAdapter, settings: VenueSettings) -> ExecutionClient:
    """Its client of one account; nothing is connected yet.

    Raises:
        AdapterUnavailable: the adapter has none.
        ValueError: a setting has a wrong form.
    """
    if adapter.execution is None:
        raise AdapterUnavailable(_lacks(adapter, "orders", lambda listing: listing.execution))
    return adapter.execution(settings)


def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _names(points: Mapping[str, EntryPoint]) -> str:
    return (", ".join(sorted(points)) or "none") + "; `tradewind venues` says what each can do."


def _load(point: EntryPoint) -> VenueAdapter:
    where = f"the venue adapter {point.name!r} (entry point {point.value})"
    try:
        adapter = point.load()
    except Exception as error:  # the code of another package: whatever it raises, its user must hear which one it was
        raise AdapterUnavailable(f"{where} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(adapter, VenueAdapter):
        raise AdapterUnavailable(f"{where} is a {type(adapter).__name__}; it must be a VenueAdapter")
    if adapter.name != point.name:
        raise AdapterUnavailable(f"{where} calls itself {adapter.name!r}; the two names must be equal")
    return adapter


def _listing(point: EntryPoint) -> AdapterListing:
    try:
        adapter = _load(point)
    except AdapterUnavailable as error:
        return AdapterListing(name=point.name, about="", market_data=False, execution=False, missing=str(error))
    return AdapterListing(
        name=adapter.name,
        about=adapter.about,
        market_data=adapter.market_data is not None,
        execution=adapter.execution is not None,
        missing=adapter.missing(),
    )


def _lacks(adapter: VenueAdapter, what: str, has: Callable[[AdapterListing], bool]) -> str:
    able = ", ".join(listing.name for listing in installed_adapters() if has(listing) and not listing.missing)
    return f"the venue adapter {adapter.name!r} has no {what}; these have: {able or 'none'}"

"""Makes the market data client of an ITCH venue from settings. Nothing is connected here.

Variables ``TRADEWIND_VENUE_ITCH_<FIELD>``: one of ADDRESS (SoupBinTCP, with USER, PASSWORD, SESSION), LINES (MoldUDP64,
with REQUESTS, INTERFACE, SESSION) and FILE says where the messages come from.
"""

from collections.abc import Callable, Mapping
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tradewind.model.identifiers import Venue
from tradewind.venue.adapters import VenueAdapter, VenueSettings

if TYPE_CHECKING:
    from tradewind.venue.itch.feed import ItchFeedStatistics
    from tradewind.venue.itch.market_data import ItchMarketDataClient, ItchSource

PREFIX: Final = "TRADEWIND_VENUE_ITCH_"
SOURCES: Final = ("address", "lines", "file")
FIELDS: Final = frozenset((
    *SOURCES, "user", "password", "session", "requests", "interface", "date", "currency", "size_decimals", "history",
))  # fmt: skip
MOST_LINES: Final = 2
MOST_DECIMALS: Final = 9


def _market_data(settings: VenueSettings) -> "ItchMarketDataClient":
    from tradewind.venue.itch.days import midnights
    from tradewind.venue.itch.market_data import ItchMarketDataClient, symbols_of

    own = settings.own
    _check_fields(own)
    try:
        midnight = midnights(own.get("date", ""))
    except ValueError as error:
        raise ValueError(f"{PREFIX}DATE={own['date']!r}: name a day like 2026-11-23 ({error})") from error
    return ItchMarketDataClient(
        Venue(settings.venue),
        symbols_of(settings.symbols),
        _source(settings),
        midnight,
        currency=own.get("currency", "USD"),
        size_decimals=_number(own, "size_decimals", 0, MOST_DECIMALS),
        history=_yes(own, "history", "yes"),
    )


def _check_fields(own: Mapping[str, str]) -> None:
    if unknown := sorted(own.keys() - FIELDS):
        known = ", ".join(sorted(field.upper() for field in FIELDS))
        raise ValueError(f"{PREFIX}{unknown[0].upper()} is no setting; there are {known}")
    named = [field for field in SOURCES if own.get(field)]
    if len(named) != 1:
        wanted = ", ".join(f"{PREFIX}{field.upper()}" for field in SOURCES)
        said = f"{len(named)} are" if named else "none is"
        raise ValueError(f"where ITCH comes from: set one of {wanted}; {said} set")


def _source(settings: VenueSettings) -> "Callable[[ItchFeedStatistics], ItchSource]":
    own = settings.own
    if own.get("address"):
        return _soup_source(settings)
    if own.get("lines"):
        return _mold_source(settings)
    from tradewind.venue.itch.file_source import FileSource

    path = Path(own["file"])
    if not path.is_file():
        raise ValueError(f"{PREFIX}FILE={own['file']!r}: there is no such file")
    return lambda _: FileSource(path)


def _soup_source(settings: VenueSettings) -> "Callable[[ItchFeedStatistics], ItchSource]":
    from tradewind.venue.itch.soup_session import SoupOptions
    from tradewind.venue.itch.soup_source import SoupServer, SoupSource
    from tradewind.venue.itch.soupbintcp import LoginRequest, SoupError, login_request

    own = settings.own
    host, port = address_of("ADDRESS", own["address"])
    user, password, session = (own.get(field, "") for field in ("user", "password", "session"))
    try:
        login_request(LoginRequest(user=user, password=password, session=session))
    except SoupError as error:
        raise ValueError(f"{PREFIX}USER, _PASSWORD and _SESSION make no login: {error}") from error
    server = SoupServer(host=host, port=port, user=user, password=password, session=session)
    options = SoupOptions(silent_after_s=settings.stale_after_s)
    return lambda statistics: SoupSource(server, statistics, options)


def _mold_source(settings: VenueSettings) -> "Callable[[ItchFeedStatistics], ItchSource]":
    from tradewind.venue.itch.mold_source import ANY_ADDRESS, MoldAddresses, MoldSource
    from tradewind.venue.itch.moldudp64 import MoldError, session_bytes

    own = settings.own
    lines = tuple(_ip_address("LINES", each.strip()) for each in own["lines"].split(","))
    if len(lines) > MOST_LINES:
        raise ValueError(f"{PREFIX}LINES={own['lines']!r}: name the one or two lines of one feed")
    interface = own.get("interface", ANY_ADDRESS)
    _ip_address("INTERFACE", f"{interface}:1")
    try:
        session_bytes(own.get("session", ""))
    except MoldError as error:
        raise ValueError(f"{PREFIX}SESSION: {error}") from error
    addresses = MoldAddresses(
        lines=lines,
        requests=_ip_address("REQUESTS", own["requests"]) if own.get("requests") else None,
        interface=interface,
        session=own.get("session", ""),
    )
    return lambda statistics: MoldSource(addresses, statistics, silent_after_s=settings.stale_after_s)


def _ip_address(field: str, text: str) -> tuple[str, int]:
    host, port = address_of(field, text)
    try:
        return str(IPv4Address(host)), port
    except ValueError:
        raise ValueError(f"{PREFIX}{field}={text!r}: an IPv4 address is wanted, like 239.255.0.1:26400") from None


def address_of(field: str, text: str) -> tuple[str, int]:
    """Host and port of a text like ``127.0.0.1:26400`` or ``[::1]:26400``.

    Raises:
        ValueError: another form.
    """
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.path or parts.query or "@" in text:
        raise ValueError(f"{PREFIX}{field}={text!r}: write host and port, like 127.0.0.1:26400")
    return host, port


def _number(own: Mapping[str, str], field: str, default: int, most: int) -> int:
    text = own.get(field) or str(default)
    if not text.isascii() or not text.isdigit() or int(text) > most:
        raise ValueError(f"{PREFIX}{field.upper()}={text!r}: a number from 0 to {most} is wanted")
    return int(text)


def _yes(own: Mapping[str, str], field: str, default: str) -> bool:
    text = own.get(field) or default
    if text not in ("yes", "no"):
        raise ValueError(f"{PREFIX}{field.upper()}={text!r}: yes or no is wanted")
    return text == "yes"


def _missing() -> str:
    try:
        import tradewind_native.book_changes
        import tradewind_native.itch  # noqa: F401
    except ImportError as error:
        return f"tradewind-native was built without its ITCH modules ({error}); build it again."
    from tradewind.venue.itch.days import missing_zone

    return missing_zone()


ADAPTER = VenueAdapter(
    name="itch",
    about="Nasdaq ITCH 5.0 market data over SoupBinTCP, MoldUDP64 or from a file: order books (L3), trades; no orders",
    market_data=_market_data,
    missing=_missing,
)

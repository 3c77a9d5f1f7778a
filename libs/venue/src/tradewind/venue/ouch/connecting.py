"""Makes the clients of a venue with ITCH for the market and OUCH for orders. Nothing is connected here.

Settings of its own, TRADEWIND_VENUE_OUCH_<FIELD>: ADDRESS (the port for orders), MARKET_ADDRESS (ITCH over
SoupBinTCP), USER, PASSWORD, FOLDER (names of orders: it must outlive the process), MAKER_FEE_RATE and TAKER_FEE_RATE
(0: OUCH says no fees). Instruments, money and past fills come from the venue's REST address, with key and secret.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tradewind.model.identifiers import AccountId, Venue
from tradewind.venue.adapters import VenueAdapter, VenueSettings
from tradewind.venue.binance.connecting import symbols_of
from tradewind.venue.binance.rate_limits import RateLimits
from tradewind.venue.binance.rest import BinanceRest
from tradewind.venue.binance.signing import RequestSigner, VenueClock
from tradewind.venue.itch.connecting import ADAPTER as ITCH
from tradewind.venue.itch.connecting import address_of
from tradewind.venue.itch.soupbintcp import LoginRequest, SoupError, login_request
from tradewind.venue.ouch.execution import OuchExecutionClient, ShareQueries
from tradewind.venue.ouch.session import OuchAddress, OuchLink
from tradewind.venue.ouch.tokens import TokenNames
from tradewind.venue.ouch.translation import FeeRates

if TYPE_CHECKING:
    from tradewind.venue.ouch.market_data import OuchVenueMarketData

PREFIX: Final = "TRADEWIND_VENUE_OUCH_"
NAMES_FILE: Final = "tokens"
_FIELDS: Final = ("address", "market_address", "user", "password", "folder", "maker_fee_rate", "taker_fee_rate")


def _queries(settings: VenueSettings) -> tuple[ShareQueries, BinanceRest]:
    limits = settings.limits or RateLimits()
    signer = RequestSigner(
        settings.api_key, settings.api_secret, VenueClock(), round(settings.receive_window_s * 1_000)
    )
    rest = BinanceRest(settings.rest_url, limits, signer)
    return ShareQueries(Venue(settings.venue), _account(settings), symbols_of(settings.symbols), rest), rest


def _account(settings: VenueSettings) -> AccountId:
    return AccountId(f"{settings.venue}-{settings.account}")


def _address(own: Mapping[str, str], field: str) -> tuple[str, int]:
    try:
        return address_of(field.upper(), own.get(field, ""))
    except ValueError:
        raise ValueError(
            f"{PREFIX}{field.upper()}={own.get(field, '')!r}: write host and port, like 127.0.0.1:26401"
        ) from None


def _check(own: Mapping[str, str]) -> None:
    if unknown := sorted(own.keys() - set(_FIELDS)):
        known = ", ".join(field.upper() for field in _FIELDS)
        raise ValueError(f"{PREFIX}{unknown[0].upper()} is no setting; there are {known}")
    try:
        login_request(LoginRequest(user=own.get("user", ""), password=own.get("password", "")))
    except SoupError as error:
        raise ValueError(f"{PREFIX}USER and {PREFIX}PASSWORD make no login: {error}") from error


def _rate(own: Mapping[str, str], field: str) -> Decimal:
    text = own.get(field) or "0"
    try:
        rate = Decimal(text)
    except InvalidOperation:
        rate = Decimal(-1)
    if not 0 <= rate < 1:
        raise ValueError(f"{PREFIX}{field.upper()}={text!r}: a part of what is received, like 0.0001")
    return rate


def _execution(settings: VenueSettings) -> OuchExecutionClient:
    own = settings.own
    _check(own)
    host, port = _address(own, "address")
    if not own.get("folder", "").strip():
        raise ValueError(f"{PREFIX}FOLDER is not set: a folder that outlives the process, for the names of orders")
    account_id = _account(settings)
    queries, rest = _queries(settings)
    link = OuchLink(OuchAddress(host=host, port=port, user=own.get("user", ""), password=own.get("password", "")))
    rates = FeeRates(maker=_rate(own, "maker_fee_rate"), taker=_rate(own, "taker_fee_rate"))
    names = TokenNames(account_id, Path(own["folder"]) / NAMES_FILE)
    return OuchExecutionClient(account_id, link, names, queries, rest, rates)


def _market_data(settings: VenueSettings) -> "OuchVenueMarketData":
    from tradewind.venue.itch.days import midnights
    from tradewind.venue.itch.market_data import symbols_of as stocks_of
    from tradewind.venue.itch.soup_session import SoupOptions
    from tradewind.venue.itch.soup_source import SoupServer, SoupSource
    from tradewind.venue.ouch.market_data import OuchVenueMarketData

    own = settings.own
    _check(own)
    host, port = _address(own, "market_address")
    server = SoupServer(host=host, port=port, user=own.get("user", ""), password=own.get("password", ""))
    options = SoupOptions(silent_after_s=settings.stale_after_s)
    queries, rest = _queries(settings)
    return OuchVenueMarketData(
        Venue(settings.venue),
        stocks_of(settings.symbols),
        lambda statistics: SoupSource(server, statistics, options),
        midnights(""),
        queries,
        rest,
    )


def _order_hosts(own: Mapping[str, str]) -> tuple[str, ...]:
    try:
        return (_address(own, "address")[0],)
    except ValueError:
        return ()


ADAPTER = VenueAdapter(
    name="ouch",
    about="Orders over OUCH 4.2, market data over ITCH 5.0, all else as with Binance; the simulated venue speaks all",
    market_data=_market_data,
    execution=_execution,
    missing=ITCH.missing,
    limits=RateLimits,
    order_hosts=_order_hosts,
)

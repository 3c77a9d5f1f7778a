"""Makes a FIX client from settings. Nothing is connected here.

Settings of its own, TRADEWIND_VENUE_FIX_<FIELD>: HOST, PORT, FOLDER (the sessions' store: it must outlive the process),
BEGIN_STRING (FIX.4.4), SENDER (TRADEWIND), TARGET (SIM), DROP_COPY (none; the CompID of a session that only listens),
HEARTBEAT_S (10), RESET_ON_LOGON (no; ``yes`` where the venue wants numbers from 1 with each logon). Username and
password are the venue's key and secret, and questions go to its REST address.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tradewind.model.identifiers import AccountId, Venue
from tradewind.venue.adapters import VenueAdapter, VenueSettings
from tradewind.venue.binance.account_queries import AccountQueries
from tradewind.venue.binance.connecting import ADAPTER as BINANCE
from tradewind.venue.binance.connecting import symbols_of
from tradewind.venue.binance.rate_limits import RateLimits
from tradewind.venue.binance.rest import BinanceRest
from tradewind.venue.binance.signing import RequestSigner, VenueClock
from tradewind.venue.fix.execution import FixExecutionClient
from tradewind.venue.fix.session import FixAddress, FixLink
from tradewind.venue.fix_dictionaries import BEGIN_STRINGS

_PREFIX: Final = "TRADEWIND_VENUE_FIX_"
_LAST_PORT: Final = 65_535
_LONGEST_HEARTBEAT_S: Final = 3_600
_YES_OR_NO: Final = {"yes": True, "no": False}


def fix_address(own: Mapping[str, str], username: str, password: str) -> FixAddress:
    """Where the sessions are, by the settings.

    Raises:
        ValueError: one is missing or has a wrong form; it names it.
    """
    version = own.get("begin_string", BEGIN_STRINGS[-1])
    if version not in BEGIN_STRINGS:
        raise ValueError(f"{_PREFIX}BEGIN_STRING={version!r}: one of {', '.join(BEGIN_STRINGS)}")
    reset = own.get("reset_on_logon", "no")
    if reset not in _YES_OR_NO:
        raise ValueError(f"{_PREFIX}RESET_ON_LOGON={reset!r}: yes or no")
    return FixAddress(
        host=_needed(own, "host", "the address of the venue's FIX port"),
        port=_whole(own, "port", _LAST_PORT),
        begin_string=version,
        sender=own.get("sender", "TRADEWIND"),
        target=own.get("target", "SIM"),
        folder=Path(_needed(own, "folder", "a folder that outlives the process, for the sessions' numbers")),
        username=username,
        password=password,
        drop_copy=own.get("drop_copy", ""),
        heartbeat_s=_whole({"heartbeat_s": "10", **own}, "heartbeat_s", _LONGEST_HEARTBEAT_S),
        reset_on_logon=_YES_OR_NO[reset],
    )


def _needed(own: Mapping[str, str], field: str, what: str) -> str:
    if not (value := own.get(field, "").strip()):
        raise ValueError(f"{_PREFIX}{field.upper()} is not set: it is {what}")
    return value


def _whole(own: Mapping[str, str], field: str, most: int) -> int:
    text = own.get(field, "")
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= most):
        raise ValueError(f"{_PREFIX}{field.upper()}={text!r}: a whole number from 1 to {most}")
    return int(text)


def _execution(settings: VenueSettings) -> FixExecutionClient:
    address = fix_address(settings.own, settings.api_key, settings.api_secret)
    limits = settings.limits or RateLimits()
    signer = RequestSigner(
        settings.api_key, settings.api_secret, VenueClock(), round(settings.receive_window_s * 1_000)
    )
    rest = BinanceRest(settings.rest_url, limits, signer)
    account_id = AccountId(f"{settings.venue}-{settings.account}")
    queries = AccountQueries(Venue(settings.venue), account_id, symbols_of(settings.symbols), rest)
    return FixExecutionClient(account_id, FixLink(address), queries, rest)


def _order_hosts(own: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(filter(None, (own.get("host", "").strip(),)))


def _missing() -> str:
    try:
        import tradewind_native.fix_sessions  # noqa: F401
    except ImportError as error:
        return str(error)
    return ""


ADAPTER = VenueAdapter(
    name="fix",
    about="Orders and drop copy over FIX 4.2 or 4.4, all else as with Binance; the simulated venue speaks both",
    market_data=BINANCE.market_data,
    execution=_execution,
    missing=_missing,
    order_hosts=_order_hosts,
    limits=RateLimits,
)

"""From the words of ``tradewind capture`` to a plan."""

import dataclasses
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tradewind.runtime.captures.itch_feeds import SoupLogin
from tradewind.runtime.captures.json_feeds import JsonFeed, binance_feed, kraken_feed, okx_feed
from tradewind.runtime.captures.recording import BinaryFeed, CapturePlan
from tradewind.runtime.captures.writing import default_path
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.settings import PREFIX, PlatformSettings, load_settings
from tradewind.runtime.venue_target import is_loopback, simulated_hosts

_LAST_PORT: Final = 65_535
OKX_PATH: Final = "/ws/v5/public"
"""Of OKX v5's public channels below TRADEWIND_VENUE_STREAM_URL."""


@dataclasses.dataclass(frozen=True, slots=True)
class FeedWords:
    """What the user said of a feed; empty is the default."""

    name: str
    symbols: str
    url: str
    rest_url: str
    address: str
    interface: str
    user: str
    password: str = dataclasses.field(repr=False)
    session: str
    venue: str


def plan_of(words: FeedWords, out: Path | None, duration_s: float | None, rotate_bytes: int) -> CapturePlan:
    """The plan.

    Raises:
        StartRefused: something is missing or has a wrong form.
    """
    feed = _binary_feed(words) if words.name.startswith("itch") else _json_feed(words)
    return CapturePlan(feed, out or default_path(words.name), duration_s, rotate_bytes)


def _json_feed(words: FeedWords) -> JsonFeed:
    symbols = [part.strip() for part in words.symbols.split(",") if part.strip()]
    if not symbols:
        raise StartRefused("--symbols: name what to record, such as BTCUSDT (okx: BTC-USDT, kraken: XBT/USD)")
    platform = load_settings(PlatformSettings)
    stream_url = (words.url or platform.venue_stream_url).rstrip("/")
    _check_address(_host_of(stream_url, ("ws", "wss")), platform)
    if words.name == "okx":
        return okx_feed(symbols, words.url or stream_url + OKX_PATH)
    if words.name == "kraken":
        return kraken_feed(symbols, stream_url)
    rest_url = words.rest_url or platform.venue_rest_url
    _check_address(_host_of(rest_url, ("http", "https")), platform)
    try:
        return binance_feed(symbols, stream_url, rest_url)
    except ValueError as error:
        raise StartRefused(str(error)) from error


def _binary_feed(words: FeedWords) -> BinaryFeed:
    host, _, port_text = words.address.rpartition(":")
    if not host or not port_text.isdecimal() or not 0 < int(port_text) <= _LAST_PORT:
        raise StartRefused(f"--address {words.address!r}: say HOST:PORT, such as 127.0.0.1:9100")
    _check_address(host, load_settings(PlatformSettings))
    port = int(port_text)
    if words.name == "itch-mold":
        return BinaryFeed(words.venue, group=(host, port), interface=words.interface)
    return BinaryFeed(words.venue, login=SoupLogin(host, port, words.user, words.password, words.session))


def _host_of(url: str, schemes: tuple[str, ...]) -> str:
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise StartRefused(f"{url!r}: {error}") from error
    if parts.scheme not in schemes or not host:
        raise StartRefused(f"{url!r}: an address here begins with {schemes[0]}:// or {schemes[1]}:// and has a host")
    return host


def _check_address(host: str, platform: PlatformSettings) -> None:
    """A recording sends no orders and no keys, but nothing reaches a real exchange without the user's word."""
    if is_loopback(host) or host in simulated_hosts(platform.simulated_venue_hosts) or platform.live == "yes":
        return
    raise StartRefused(
        f"{host} is not on this machine, so it counts as a REAL exchange; set {PREFIX}LIVE=yes to record its feed "
        "(no order and no key is sent)"
    )

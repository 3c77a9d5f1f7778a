"""Where orders will go, in words, and the rule that keeps them from a real exchange unless the user says so twice.

An address is simulated if its host is this machine's own loopback, or is listed in ``TRADEWIND_SIMULATED_VENUE_HOSTS``,
which takes only names that no public name server gives out: those of a container network or of a cluster. Everything
else counts as a real exchange and needs ``TRADEWIND_LIVE=yes`` and keys that are not the published ones of the
simulated venue. The adapter says which schemes its addresses have, and which other hosts orders go to by variables of
its own.
"""

import dataclasses
import ipaddress
import os
import re
from typing import Final
from urllib.parse import urlsplit

from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.settings import PREFIX, PlatformSettings, SettingsError
from tradewind.venue.adapters import (
    DEFAULT_ADAPTER,
    AdapterUnavailable,
    AddressSchemes,
    VenueAdapter,
    adapter_named,
)

_DEFAULTS: Final = PlatformSettings()
_REST: Final = f"{PREFIX}VENUE_REST_URL"
_STREAM: Final = f"{PREFIX}VENUE_STREAM_URL"
_HOSTS: Final = f"{PREFIX}SIMULATED_VENUE_HOSTS"
_LABEL: Final = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_PRIVATE_ENDINGS: Final = (".svc", ".svc.cluster.local", ".local", ".internal")
"""Reserved, or of Kubernetes' own name service: nobody can register a public name below them."""


@dataclasses.dataclass(frozen=True, slots=True)
class VenueTarget:
    """What was decided: whether real money is at stake, and the line that says so before anything trades."""

    real: bool
    sentence: str


class RealVenueRefused(StartRefused):
    """A real exchange is addressed without the user's explicit word or without own keys."""


def venue_target(platform: PlatformSettings) -> VenueTarget:
    """Where orders and market data connections go.

    Raises:
        SettingsError: an address has no scheme of the adapter or no host, or a name may not be listed as simulated.
        RealVenueRefused: a real exchange is addressed and ``live``, the keys or the encryption are not in order.
    """
    adapter = _adapter_of(platform)
    schemes = adapter.schemes if adapter else AddressSchemes()
    rest_host = _host(_REST, platform.venue_rest_url, schemes.rest)
    stream_host = _host(_STREAM, platform.venue_stream_url, schemes.stream)
    listed = simulated_hosts(platform.simulated_venue_hosts)
    rest_simulated = is_loopback(rest_host) or rest_host in listed
    stream_simulated = is_loopback(stream_host) or stream_host in listed
    hosts = adapter.order_hosts(own_variables(platform)) if adapter else ()
    if real := [host for host in hosts if not (is_loopback(host.lower()) or host.lower() in listed)]:
        _check_word(platform, f"the host {real[0]} of the venue adapter {platform.venue_adapter!r}")
        _check_keys(platform)
        return VenueTarget(True, f"Orders go to the REAL exchange at {real[0]}")
    if rest_simulated and stream_simulated:
        where = hosts[0] if hosts else platform.venue_rest_url
        return VenueTarget(False, f"Orders go to the simulated venue at {where}")
    _check_real(platform, listed, schemes)
    if rest_simulated:
        return VenueTarget(
            True,
            f"Orders go to the simulated venue at {platform.venue_rest_url}, "
            f"market data comes from the REAL exchange at {platform.venue_stream_url}",
        )
    return VenueTarget(True, f"Orders go to the REAL exchange at {platform.venue_rest_url}")


def own_variables(platform: PlatformSettings) -> dict[str, str]:
    """The variables ``TRADEWIND_VENUE_<ADAPTER>_<FIELD>`` of the chosen adapter, by field in lower case."""
    prefix = f"{PREFIX}VENUE_{platform.venue_adapter.upper().replace('-', '_')}_"
    return {name[len(prefix) :].lower(): value for name, value in os.environ.items() if name.startswith(prefix)}


def _adapter_of(platform: PlatformSettings) -> VenueAdapter | None:
    """None: the usual addresses alone. One that cannot be used refuses the start where its client is made."""
    if platform.venue_adapter == DEFAULT_ADAPTER:
        return None
    try:
        return adapter_named(platform.venue_adapter)
    except AdapterUnavailable:
        return None


def simulated_hosts(text: str) -> frozenset[str]:
    """The hosts that ``TRADEWIND_SIMULATED_VENUE_HOSTS`` names as a simulated venue of ours.

    Raises:
        SettingsError: one of them could be the name of a real exchange.
    """
    hosts = frozenset(name.strip().lower() for name in text.split(",") if name.strip())
    for host in sorted(hosts):
        labels = host.split(".")
        private = len(labels) == 1 or host.endswith(_PRIVATE_ENDINGS)
        if not private or not all(_LABEL.fullmatch(label) for label in labels):
            raise SettingsError(
                f"{_HOSTS}: {host!r} could be a real exchange; it takes names without a dot, such as sim-venue, "
                f"and names that end in {', '.join(_PRIVATE_ENDINGS)}"
            )
    return hosts


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own loopback, without asking a name server."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_real(platform: PlatformSettings, simulated: frozenset[str], schemes: AddressSchemes) -> None:
    for name, url, allowed in (
        (_REST, platform.venue_rest_url, schemes.rest),
        (_STREAM, platform.venue_stream_url, schemes.stream),
    ):
        host = _host(name, url, allowed)
        if is_loopback(host) or host in simulated:
            continue
        _check_word(platform, f"{name}={url}")
        if urlsplit(url).scheme in schemes.in_clear:
            safe = [f"{each}://" for each in (*schemes.rest, *schemes.stream) if each not in schemes.in_clear]
            raise RealVenueRefused(f"{name}={url} would send keys and orders unencrypted; use {' and '.join(safe)}")
    _check_keys(platform)


def _check_word(platform: PlatformSettings, what: str) -> None:
    if platform.live != "yes":
        raise RealVenueRefused(
            f"{what} is not on this machine, so it counts as a REAL exchange; "
            f"set {PREFIX}LIVE=yes and your own keys, or take the variable away to use the simulated venue "
            f"(one in a container network is named in {_HOSTS})"
        )


def _check_keys(platform: PlatformSettings) -> None:
    if platform.venue_keys == "elsewhere":
        return
    own_key = platform.venue_api_key not in ("", _DEFAULTS.venue_api_key)
    own_secret = platform.venue_api_secret not in ("", _DEFAULTS.venue_api_secret)
    if not (own_key and own_secret):
        raise RealVenueRefused(
            f"{PREFIX}LIVE=yes needs your own keys; set {PREFIX}VENUE_API_KEY and {PREFIX}VENUE_API_SECRET (or _FILE)"
        )


def _host(name: str, url: str, schemes: tuple[str, ...]) -> str:
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise SettingsError(f"{name}={url!r}: {error}") from error
    if parts.scheme not in schemes or not host:
        raise SettingsError(f"{name}={url!r}: it takes an address like {schemes[0]}://127.0.0.1:8081")
    return host

"""No order reaches a real exchange unless the user said so and gave own keys; what was decided is said in words."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.runtime.settings import PlatformSettings, SettingsError
from tradewind.runtime.venue_target import RealVenueRefused, is_loopback, simulated_hosts, venue_target
from tradewind.venue.adapters import AddressSchemes, VenueAdapter
from tradewind.venue.fix.connecting import ADAPTER as FIX

REAL_REST = "https://api.binance.com"
REAL_STREAM = "wss://stream.binance.com:9443"
OWN_KEYS: dict[str, Any] = {"venue_api_key": "k" * 64, "venue_api_secret": "s" * 64}


def test_the_default_is_the_simulated_venue_in_words() -> None:
    target = venue_target(PlatformSettings())
    assert (target.real, target.sentence) == (False, "Orders go to the simulated venue at http://127.0.0.1:8081")


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1:8081", "127.8.8.8", "[::1]:8081"])
def test_every_loopback_address_is_simulated_even_with_live(host: str) -> None:
    platform = PlatformSettings(venue_rest_url=f"http://{host}", venue_stream_url=f"ws://{host}", live="yes")
    assert not venue_target(platform).real


def test_live_with_own_keys_says_real() -> None:
    platform = PlatformSettings(venue_rest_url=REAL_REST, venue_stream_url=REAL_STREAM, live="yes", **OWN_KEYS)
    target = venue_target(platform)
    assert (target.real, target.sentence) == (True, "Orders go to the REAL exchange at https://api.binance.com")


def test_a_process_that_signs_nothing_needs_no_keys_but_still_the_word() -> None:
    addresses: dict[str, Any] = {
        "venue_rest_url": REAL_REST,
        "venue_stream_url": REAL_STREAM,
        "venue_keys": "elsewhere",
    }
    assert venue_target(PlatformSettings(live="yes", **addresses)).real
    with pytest.raises(RealVenueRefused, match="TRADEWIND_LIVE=yes"):
        venue_target(PlatformSettings(**addresses))


@pytest.mark.parametrize(
    ("rest", "stream"),
    [
        (REAL_REST, REAL_STREAM),
        (REAL_REST, "ws://127.0.0.1:8081"),
        ("http://127.0.0.1:8081", REAL_STREAM),
        ("https://testnet.binance.vision", "ws://localhost"),
        ("http://127.0.0.1@api.binance.com", "ws://localhost"),  # user information is not the host
        ("http://127.0.0.1.example.com", "ws://localhost"),
        ("http://localhost.evil.example", "ws://localhost"),
        ("http://0.0.0.0:8081", "ws://localhost"),
        ("http://192.168.1.4:8081", "ws://localhost"),
        ("http://sim-venue:8081", "ws://sim-venue:8081"),
    ],
)
def test_anything_else_needs_live(rest: str, stream: str) -> None:
    platform = PlatformSettings(venue_rest_url=rest, venue_stream_url=stream, **OWN_KEYS)
    with pytest.raises(RealVenueRefused, match="set TRADEWIND_LIVE=yes and your own keys") as caught:
        venue_target(platform)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"venue_api_key": "own"},
        {"venue_api_secret": "own"},
        {"venue_api_key": "", "venue_api_secret": ""},
        {"venue_api_key": "own", "venue_api_secret": "demo-secret"},
    ],
)
def test_live_without_own_keys_is_refused(keys: dict[str, Any]) -> None:
    platform = PlatformSettings(venue_rest_url=REAL_REST, venue_stream_url=REAL_STREAM, live="yes", **keys)
    with pytest.raises(RealVenueRefused, match="TRADEWIND_VENUE_API_KEY and TRADEWIND_VENUE_API_SECRET"):
        venue_target(platform)


@pytest.mark.parametrize(
    ("rest", "stream"), [("http://api.binance.com", REAL_STREAM), (REAL_REST, "ws://stream.binance.com")]
)
def test_a_real_exchange_is_never_spoken_to_in_clear(rest: str, stream: str) -> None:
    platform = PlatformSettings(venue_rest_url=rest, venue_stream_url=stream, live="yes", **OWN_KEYS)
    with pytest.raises(RealVenueRefused, match="unencrypted"):
        venue_target(platform)


def other_adapter(monkeypatch: pytest.MonkeyPatch, **given: Any) -> dict[str, Any]:
    """Settings for an adapter of somebody else, which says these things of itself."""
    adapter = VenueAdapter(name="line", about="Orders over a line", **given)
    monkeypatch.setattr("tradewind.runtime.venue_target.adapter_named", {"line": adapter}.__getitem__)
    return {"venue_adapter": "line"}


def test_an_adapter_says_its_own_schemes(monkeypatch: pytest.MonkeyPatch) -> None:
    schemes = AddressSchemes(stream=("tcp", "tls"), in_clear=frozenset({"http", "tcp"}))
    other = other_adapter(monkeypatch, schemes=schemes)
    assert not venue_target(PlatformSettings(venue_stream_url="tcp://127.0.0.1:5", **other)).real
    with pytest.raises(SettingsError, match="takes an address like tcp:"):
        venue_target(PlatformSettings(venue_stream_url="ws://127.0.0.1:5", **other))
    with pytest.raises(SettingsError, match="TRADEWIND_VENUE_STREAM_URL"):
        venue_target(PlatformSettings(venue_stream_url="tcp://127.0.0.1:5"))
    live: dict[str, Any] = {"venue_rest_url": REAL_REST, "live": "yes", **OWN_KEYS, **other}
    assert venue_target(PlatformSettings(venue_stream_url="tls://venue.example:5", **live)).real
    with pytest.raises(RealVenueRefused, match="unencrypted; use https:// and tls://"):
        venue_target(PlatformSettings(venue_stream_url="tcp://venue.example:5", **live))


@pytest.mark.parametrize("name", ["line", "fix"])
def test_a_host_of_the_adapters_own_settings_needs_the_word_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "line":
        other = other_adapter(monkeypatch, order_hosts=lambda own: (own["host"],))
    else:
        other = {"venue_adapter": "fix"}
        monkeypatch.setattr("tradewind.runtime.venue_target.adapter_named", lambda _: FIX)
    variable = f"TRADEWIND_VENUE_{name.upper()}_HOST"
    monkeypatch.setenv(variable, "127.0.0.1")
    assert venue_target(PlatformSettings(**other)).sentence == "Orders go to the simulated venue at 127.0.0.1"
    monkeypatch.setenv(variable, "fix.broker.example")
    with pytest.raises(RealVenueRefused, match=r"the host fix.broker.example .* counts as a REAL exchange"):
        venue_target(PlatformSettings(**other))
    with pytest.raises(RealVenueRefused, match="needs your own keys"):
        venue_target(PlatformSettings(live="yes", **other))
    target = venue_target(PlatformSettings(live="yes", **OWN_KEYS, **other))
    assert (target.real, target.sentence) == (True, "Orders go to the REAL exchange at fix.broker.example")


def test_real_data_with_simulated_orders_says_both() -> None:
    platform = PlatformSettings(venue_stream_url=REAL_STREAM, live="yes", **OWN_KEYS)
    sentence = venue_target(platform).sentence
    assert "Orders go to the simulated venue at http://127.0.0.1:8081" in sentence
    assert f"REAL exchange at {REAL_STREAM}" in sentence


@pytest.mark.parametrize("url", ["", "api.binance.com", "ftp://x", "https://", "https://[::1", "https://x:notaport"])
def test_an_address_that_is_none_names_its_variable(url: str) -> None:
    with pytest.raises(SettingsError, match="TRADEWIND_VENUE_REST_URL="):
        venue_target(PlatformSettings(venue_rest_url=url))


@given(st.text(max_size=30))
def test_no_text_is_taken_for_loopback_unless_it_is(host: str) -> None:
    assert not is_loopback(host) or host == "localhost" or host == "::1" or host.startswith("127.")


CONTAINER: dict[str, Any] = {"venue_rest_url": "http://sim-venue:8081", "venue_stream_url": "ws://sim-venue:8081"}


@pytest.mark.parametrize(
    ("host", "listed"),
    [
        ("sim-venue", "sim-venue"),
        ("sim-venue", " other , SIM-Venue "),
        ("Sim-Venue", "sim-venue"),
        ("sim-venue.trading.svc", "sim-venue.trading.svc"),
        ("sim-venue.trading.svc.cluster.local", "sim-venue.trading.svc.cluster.local"),
        ("venue.local", "venue.local"),
        ("venue.internal", "venue.internal"),
    ],
)
def test_a_listed_private_name_is_simulated(host: str, listed: str) -> None:
    platform = PlatformSettings(
        venue_rest_url=f"http://{host}:8081", venue_stream_url=f"ws://{host}:8081", simulated_venue_hosts=listed
    )
    target = venue_target(platform)
    assert (target.real, target.sentence) == (False, f"Orders go to the simulated venue at http://{host}:8081")


@pytest.mark.parametrize(
    "listed",
    [
        "api.binance.com",
        "sim-venue,api.binance.com",
        "binance.com",
        "10.0.0.7",
        "3232235777",  # an address as one number
        "0x7f000001",
        "::2",
        "sim-venue.",
        ".svc",
        "evil.svc.com",
        "api.binance.com/.local",
        "api.binance.com@x.local",
        "sim_venue",
        "-x",
        "x..local",
        "\u00e4.local",
    ],
)
def test_a_name_that_could_be_public_may_not_be_listed(listed: str) -> None:
    with pytest.raises(SettingsError, match=r"TRADEWIND_SIMULATED_VENUE_HOSTS: .* could be a real exchange"):
        venue_target(PlatformSettings(simulated_venue_hosts=listed, **CONTAINER))


@pytest.mark.parametrize("host", ["sim-venue2", "sim-venue.example.com", "sim-venue.evil.example", "venue"])
def test_a_name_that_is_not_listed_counts_as_real(host: str) -> None:
    platform = PlatformSettings(
        venue_rest_url=f"https://{host}", venue_stream_url="ws://sim-venue", simulated_venue_hosts="sim-venue"
    )
    with pytest.raises(RealVenueRefused, match=r"VENUE_REST_URL.*counts as a REAL exchange"):
        venue_target(platform)


def test_real_data_beside_a_listed_venue_still_needs_live_and_keys() -> None:
    platform = PlatformSettings(
        venue_rest_url="http://sim-venue:8081", venue_stream_url=REAL_STREAM, simulated_venue_hosts="sim-venue"
    )
    with pytest.raises(RealVenueRefused, match=r"VENUE_STREAM_URL.*counts as a REAL exchange"):
        venue_target(platform)
    sentence = venue_target(msgspec.structs.replace(platform, live="yes", **OWN_KEYS)).sentence
    assert "Orders go to the simulated venue at http://sim-venue:8081" in sentence
    assert f"REAL exchange at {REAL_STREAM}" in sentence


@given(st.text(max_size=40))
def test_whatever_is_listed_no_dotted_public_name_passes(text: str) -> None:
    try:
        hosts = simulated_hosts(text)
    except SettingsError:
        return
    for host in hosts:
        assert "." not in host or host.endswith((".svc", ".svc.cluster.local", ".local", ".internal"))
        assert not host.replace(".", "").isdigit()

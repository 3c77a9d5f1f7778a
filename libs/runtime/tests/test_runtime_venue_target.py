"""No order reaches a real exchange unless the user said so and gave own keys; what was decided is said in words."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.runtime.settings import PlatformSettings, SettingsError
from tradewind.runtime.venue_target import RealVenueRefused, is_loopback, venue_target

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

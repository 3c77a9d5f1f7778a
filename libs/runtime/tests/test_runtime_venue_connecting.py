"""Settings to adapters: the one that is named, and one sentence when it cannot be."""

from typing import Any

import pytest

from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.settings import PlatformSettings, SettingsError
from tradewind.runtime.venue_connecting import execution_client_of, feed_client_of
from tradewind.venue import adapters
from tradewind.venue.adapters import VenueAdapter, VenueSettings


def test_an_unknown_adapter_refuses_the_start_and_lists_those_there_are() -> None:
    platform = PlatformSettings(venue_adapter="nowhere")
    for make in (execution_client_of, feed_client_of):
        with pytest.raises(StartRefused, match=r"^TRADEWIND_VENUE_ADAPTER='nowhere': .*there are: .*binance") as caught:
            make(platform)
        assert "\n" not in str(caught.value)


def test_a_wrong_setting_refuses_the_start() -> None:
    with pytest.raises(SettingsError, match="TRADEWIND_SYMBOLS"):
        feed_client_of(PlatformSettings(symbols="BTC/USDT"))


def test_an_adapter_gets_the_settings_and_the_variables_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[VenueSettings] = []

    def make(settings: VenueSettings) -> Any:
        got.append(settings)

    adapter = VenueAdapter(name="my-venue", about="", execution=make)
    monkeypatch.setattr("tradewind.runtime.venue_connecting.adapter_named", lambda name: {adapter.name: adapter}[name])
    monkeypatch.setenv("TRADEWIND_VENUE_MY_VENUE_SENDER", "US")
    execution_client_of(PlatformSettings(venue_adapter="my-venue", venue="NYSE", symbols="A"), None, 1.5)
    assert (got[0].venue, got[0].symbols, got[0].receive_window_s) == ("NYSE", "A", 1.5)
    assert got[0].own == {"sender": "US"}
    with pytest.raises(StartRefused, match=r"has no market data; these have: .*binance"):
        feed_client_of(PlatformSettings(venue_adapter="my-venue"))


def test_the_default_of_the_setting_is_the_default_adapter() -> None:
    assert PlatformSettings().venue_adapter == adapters.DEFAULT_ADAPTER

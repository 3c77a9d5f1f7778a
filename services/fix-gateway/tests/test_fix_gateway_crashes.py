"""The gateway's process is killed while orders are under way; a client that tells things twice."""

import contextlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from gateway_kit import House, Trader, at_venue, exec_ids, free_port, house, sim_venue, trader, until

from tradewind.bus.connecting import connect
from tradewind.store.database import Database

pytestmark = pytest.mark.timeout(180)
HERE = Path(__file__).parent
PART = 20
ORDERS = 3 * PART


@pytest.fixture
async def rooms(database: Database, tmp_path: Path) -> AsyncIterator[House]:
    async with house(database, tmp_path) as one:
        yield one


@contextlib.contextmanager
def gateway_process(
    dsn: str, venue_port: int, folder: Path, port: int, bus_url: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """The process; killed at the end, if not before."""
    data_dir = str(folder / "platform")
    command = [sys.executable, "gateway_process.py", dsn, str(venue_port), data_dir, str(port), bus_url]
    with (folder / "gateway.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=HERE, stdout=log, stderr=log, env={**os.environ})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


Start = Callable[[], "contextlib.AbstractContextManager[subprocess.Popen[bytes]]"]
NAMES = [f"order-{number}" for number in range(ORDERS)]


async def trade_over_kills(start: Start, client: Trader) -> None:
    """Three parts of orders; after the first two the process is killed while orders are under way."""
    for third in range(3):
        with start() as process:
            await until(lambda: client.is_on, 60)
            for number in range(third * PART, (third + 1) * PART):
                client.order(NAMES[number], price=str(20_000 + number))
            if third == 2:
                await until(lambda: all(end_of(client, name) for name in NAMES), 60)
                return
            await until(partial(has_more_than, client, third * PART * 2), 60)
            process.kill()
            await until(lambda: not client.is_on)


async def test_a_kill_in_mid_order_doubles_no_order_and_loses_no_report(database_dsn: str, tmp_path: Path) -> None:
    port = free_port()
    async with sim_venue(tmp_path / "venue") as venue, trader(port, tmp_path / "client", wait=False) as client:
        start = partial(gateway_process, database_dsn, venue.port, tmp_path, port, "memory://")
        await trade_over_kills(start, client)
    check_reports(client)
    check_venue(client, at_venue(tmp_path))


async def test_a_kill_of_the_gateway_alone_doubles_and_loses_nothing(
    database: Database, database_dsn: str, rabbitmq_url: str, tmp_path: Path
) -> None:
    bus = await connect(rabbitmq_url)
    async with house(database, tmp_path, bus) as rooms, trader(rooms.port, tmp_path / "client", wait=False) as client:
        start = partial(gateway_process, database_dsn, rooms.venue.port, tmp_path, rooms.port, rabbitmq_url)
        await trade_over_kills(start, client)
    check_reports(client)
    check_venue(client, at_venue(tmp_path))
    # The order path lives on, so the venue has every order that was not refused in words.
    refused = {name: report[58] for name in NAMES for report in client.of(name) if report[150] == "8"}
    assert len(at_venue(tmp_path)) == ORDERS - len(refused), refused


def check_venue(client: Trader, taken: list[str]) -> None:
    """The venue has each accepted order once, and no other."""
    accepted = {report[37] for name in NAMES for report in client.of(name) if report[150] == "0"}
    assert len(taken) == len(set(taken))
    assert set(taken) == accepted
    assert len(accepted) >= PART


def has_more_than(client: Trader, count: int) -> bool:
    return len(client.reports) > count


def end_of(client: Trader, name: str) -> bool:
    """The venue has the order, or it is certain that it never got it: the kill came before the first byte."""
    return bool({"0", "8"} & set(client.kinds(name)))


def check_reports(client: Trader) -> None:
    """Every event of every order was told, once or again with PossResend."""
    first = Counter(exec_ids(client.reports))
    assert set(first.values()) == {1}
    told: dict[str, set[int]] = {}
    for report in client.reports:
        order, _, number = report[17].rpartition(".")
        told.setdefault(order, set()).add(int(number))
    # OrderInitialized, the first event, tells a client nothing; so does what was said while the outcome was in doubt.
    assert len(told) == ORDERS
    assert all(min(numbers) == 2 and numbers == set(range(2, max(numbers) + 1)) for numbers in told.values())


async def test_what_happens_while_the_client_is_away_is_told_when_it_is_back(rooms: House, tmp_path: Path) -> None:
    async with rooms.gateway(), trader(rooms.port, tmp_path / "client") as before:
        before.order("rests")
        await before.sees("rests", "A", "0")
        before.cancel("c-1", "rests")
    # Gateway and client stop at once: the answer comes before that, or after both are there again.
    async with rooms.gateway(), trader(rooms.port, tmp_path / "client") as after:
        await until(lambda: "4" in before.kinds("c-1") + after.kinds("c-1"))
        # What happens while nobody is logged on is in the journal alone.
        after.order("again")
        await after.sees("again", "A", "0")
    await rooms.cancel_all()
    async with rooms.gateway(), trader(rooms.port, tmp_path / "client") as last:
        await last.sees("again", "6", "4")
        assert "97" not in {str(tag) for tag in last.of("again")[0]}


async def test_an_order_told_twice_is_one_order(rooms: House, tmp_path: Path) -> None:
    async with rooms.gateway(), trader(rooms.port, tmp_path / "client") as client:
        client.order("one")
        await client.sees("one", "A", "0")
        client.order("one", (97, "Y"))
        await client.sees("one", "A", "0", "I")
        assert client.of("one")[-1][39] == "0"
        client.order("one")
        await client.sees("one", "A", "0", "I", "8")
        assert (client.of("one")[-1][103], client.of("one")[-1][37]) == ("6", "NONE")
        client.order("bad", size="0.000000001")
        await client.sees("bad", "8")
        client.order("bad", (97, "Y"))
        await client.sees("bad", "8", "8")
        assert client.of("bad")[0][17] == client.of("bad")[1][17]
        client.cancel("c", "one")
        await client.sees("c", "6", "4")
        client.cancel("c", "one", (97, "Y"))
        await until(lambda: client.of("one")[-1].get(150) == "I")
        assert client.of("one")[-1][39] == "4"
    assert len(at_venue(tmp_path)) == 1

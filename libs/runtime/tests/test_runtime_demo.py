"""What a demo asks of the services, and what its report compares."""

from pathlib import Path
from typing import Any

import pytest

from tradewind.runtime.broker_urls import plane_urls
from tradewind.runtime.demo.options import DemoOptions, check, environment
from tradewind.runtime.demo.outcome import outcome_of
from tradewind.runtime.demo.venue_paths import VenuePath
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.settings import PlatformSettings, load_settings
from tradewind.store.database import Database

KAFKA = "kafka://127.0.0.1:9092"
RABBIT = "amqp://127.0.0.1:5672"


def options(**more: Any) -> DemoOptions:
    found: dict[str, Any] = {
        "replay": None,
        "speed": 1.0,
        "duration_s": None,
        "headless": True,
        "data_dir": None,
        "report": None,
        "seed": None,
    }
    return DemoOptions(**(found | more))


def planes(asked: DemoOptions, **given: str) -> tuple[str, str]:
    """The brokers of both planes as the services will see them, without the run's prefix."""
    environ = given | environment(asked, Path("data"), given)
    market, orders = plane_urls(load_settings(PlatformSettings, environ=environ))
    return market.url.partition("?prefix=demo-")[0], orders.url.partition("?prefix=demo-")[0]


def test_alone_a_demo_needs_no_broker() -> None:
    assert planes(options()) == ("memory://", "memory://")


def test_in_processes_it_meets_at_kafka_unless_told_otherwise() -> None:
    assert planes(options(processes=True)) == (KAFKA, KAFKA)
    assert planes(options(processes=True), TRADEWIND_BUS_URL=RABBIT) == (RABBIT, RABBIT)
    assert planes(options(processes=True, bus=RABBIT), TRADEWIND_BUS_URL=KAFKA) == (RABBIT, RABBIT)


def test_the_way_to_the_venue_is_the_users() -> None:
    given = environment(options(venue=VenuePath.FIX), Path("data"), {})
    assert given["TRADEWIND_VENUE_ADAPTER"] == "fix"
    assert (
        given["TRADEWIND_VENUE_FIX_PORT"] == given["TRADEWIND_SIM_VENUE_FIX_PORT"] != given["TRADEWIND_SIM_VENUE_PORT"]
    )
    assert Path(given["TRADEWIND_VENUE_FIX_FOLDER"]) == Path("data", "fix")
    assert "TRADEWIND_VENUE_ADAPTER" not in environment(options(), Path("data"), {})


def test_a_plane_keeps_its_own_broker_unless_one_is_asked_for() -> None:
    assert planes(options(), TRADEWIND_BUS_URL=KAFKA, TRADEWIND_ORDERS_URL=RABBIT) == (KAFKA, RABBIT)
    assert planes(options(bus=KAFKA), TRADEWIND_ORDERS_URL=RABBIT) == (KAFKA, KAFKA)


def test_an_address_from_a_file_gets_the_prefix_too(tmp_path: Path) -> None:
    secret = tmp_path / "bus"
    secret.write_text(f"{RABBIT}\n")
    given = {"TRADEWIND_BUS_URL_FILE": str(secret)}
    assert planes(options(processes=True), **given) == (RABBIT, RABBIT)
    environ = given | environment(options(processes=True), Path("data"), given)
    assert "?prefix=demo-" in load_settings(PlatformSettings, environ=environ).bus_url


def test_every_run_has_a_prefix_of_its_own_and_the_planes_share_it() -> None:
    given = {"TRADEWIND_BUS_URL": KAFKA, "TRADEWIND_ORDERS_URL": RABBIT}
    first, second = (environment(options(), Path("data"), given) for _ in range(2))
    assert first["TRADEWIND_BUS_URL"] != second["TRADEWIND_BUS_URL"]
    assert first["TRADEWIND_BUS_URL"].partition("?")[2] == first["TRADEWIND_ORDERS_URL"].partition("?")[2]


def test_lockstep_names_every_strategy_that_is_installed(tmp_path: Path) -> None:
    capture = tmp_path / "capture.gz"
    found = environment(options(replay=capture, lockstep=True), tmp_path, {})
    assert {"ema-cross", "market-maker"} <= set(found["TRADEWIND_LOCKSTEP"].split(","))
    assert "TRADEWIND_LOCKSTEP" not in environment(options(replay=capture), tmp_path, {})


def test_lockstep_is_for_a_replay() -> None:
    with pytest.raises(StartRefused, match="--lockstep is for a replay: name a capture with --replay FILE"):
        check(options(lockstep=True), {})


async def _insert_order(database: Database, identity: str, *, price: int, venue_order_id: str, ts: int) -> None:
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO orders (account_id, client_order_id, command_id, strategy_id, instrument_id, side, order_type,"
            " time_in_force, size, price, post_only, reduce_only, correlation_id, status, outcome, venue_order_id,"
            " filled_size, event_count, ts_init, ts_last) VALUES ('A', $1, $4, 's', 'BTCUSDT.BINANCE', 'BUY', 'LIMIT',"
            " 'GTC', 5, $2, false, false, $4, 'CANCELED', 'KNOWN', $3, 0, 1, $5, $5)",
            identity,
            price,
            venue_order_id,
            f"command-{identity}-{ts}",
            ts,
        )


async def test_an_outcome_has_no_times_no_venue_ids_and_no_order(database: Database) -> None:
    empty = await outcome_of(database)
    assert (empty["orders"]["rows"], empty["fills"]["rows"]) == (0, 0)
    await _insert_order(database, "a", price=1, venue_order_id="7", ts=1)
    await _insert_order(database, "B", price=2, venue_order_id="8", ts=2)
    first = await outcome_of(database)
    async with database.connection() as connection:
        await connection.execute("DELETE FROM orders")
    await _insert_order(database, "B", price=2, venue_order_id="17", ts=11)
    await _insert_order(database, "a", price=1, venue_order_id="18", ts=12)
    assert await outcome_of(database) == first
    assert first["orders"]["rows"] == 2
    async with database.connection() as connection:
        await connection.execute("UPDATE orders SET price = 3 WHERE client_order_id = 'a'")
    changed = await outcome_of(database)
    assert changed["orders"]["sha256"] != first["orders"]["sha256"]
    assert changed["fills"] == first["fills"] == empty["fills"]

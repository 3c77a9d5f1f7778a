"""The venue's record: what was acknowledged is there after a restart, however the venue ended."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tradewind.runtime.logging import get_logger
from tradewind.runtime.refusals import StartRefused
from tradewind.services.sim_venue.accounts import Holding
from tradewind.services.sim_venue.changes import Changes
from tradewind.services.sim_venue.ledger_file import LedgerFailed, LedgerFile
from tradewind.services.sim_venue.server import SimVenue
from tradewind.services.sim_venue.settings import Settings

ORDER = "/api/v3/order"


async def _balances(venue: Any) -> Any:
    return (await venue.signed("GET", "/api/v3/account")).body["balances"]


async def test_everything_goes_on_after_a_restart(start_venue: Any) -> None:
    first = await start_venue(events_per_s=0.001)
    bought = (await first.order(type="MARKET", timeInForce=None, quantity="0.01")).body
    resting = (await first.order(price="50000", quantity="0.02", newClientOrderId="stay")).body
    trades = (await first.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT")).body
    book = (await first.get("/api/v3/depth?symbol=BTCUSDT")).body
    before = await _balances(first)
    await first.stop()

    second = await start_venue(events_per_s=0.001)
    assert await _balances(second) == before
    assert (await second.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT")).body == trades
    closed = (await second.signed("GET", ORDER, symbol="BTCUSDT", orderId=bought["orderId"])).body
    assert closed["status"] == "FILLED"
    assert [each["clientOrderId"] for each in (await second.signed("GET", "/api/v3/openOrders")).body] == ["stay"]
    assert (await second.order(price="1", quantity="1", newClientOrderId="stay")).error == (400, -1013)
    assert (await second.order(price="50000", quantity="1", newClientOrderId="stay")).error == (400, -2010)
    again = (await second.order(type="MARKET", timeInForce=None, quantity="0.01", side="SELL")).body
    assert again["orderId"] > resting["orderId"]
    assert min(fill["tradeId"] for fill in again["fills"]) > max(trade["id"] for trade in trades)
    # Public ids never come twice either: the recorder of a second run must not meet the first run's.
    assert (await second.get("/api/v3/depth?symbol=BTCUSDT")).body["lastUpdateId"] > book["lastUpdateId"]
    gone = (await second.signed("DELETE", ORDER, symbol="BTCUSDT", origClientOrderId="stay")).body
    assert gone["status"] == "CANCELED"


async def test_a_replay_expires_what_an_earlier_run_left_open(start_venue: Any, tmp_path: Path) -> None:
    import gzip

    first = await start_venue(events_per_s=0.001)
    resting = (await first.order(price="50000", quantity="0.02")).body
    await first.stop()
    capture = tmp_path / "c.gz"
    capture.write_bytes(gzip.compress(b'1700000000000000000 {"lastUpdateId":1,"bids":[],"asks":[]}\n'))
    second = await start_venue(mode="replay", capture=capture)
    seen = (await second.signed("GET", ORDER, symbol="BTCUSDT", orderId=resting["orderId"])).body
    assert seen["status"] == "EXPIRED"
    assert (await _balances(second))[1] == {"asset": "USDT", "free": "1000000.00000000", "locked": "0.00000000"}


async def test_restored_orders_queue_at_the_back_and_fill(start_venue: Any) -> None:
    first = await start_venue(events_per_s=0.001)
    best = (await first.get("/api/v3/ticker/bookTicker?symbol=BTCUSDT")).body
    resting = (await first.order(price=best["bidPrice"], quantity="0.02")).body
    await first.stop()
    # The same seed makes the same book, so the order is at the same price again.
    second = await start_venue(events_per_s=2_000)
    async with asyncio.timeout(20):
        while True:
            seen = (await second.signed("GET", ORDER, symbol="BTCUSDT", orderId=resting["orderId"])).body
            if seen["status"] == "FILLED":
                break
            await asyncio.sleep(0.05)
    trades = (await second.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT")).body
    assert all(trade["isMaker"] and trade["price"] == best["bidPrice"] for trade in trades)


_ENDLESS = """
import asyncio, sys
sys.path.insert(0, {tests!r})
from running_venue import start
from tradewind.services.sim_venue.settings import Settings
from pathlib import Path

async def main():
    venue = await start(Settings(port=0, events_per_s=0.001), Path({folder!r}))
    while True:
        answer = await venue.order(price="50000", quantity="0.001")
        print(answer.body["orderId"], flush=True)

asyncio.run(main())
"""


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    code = _ENDLESS.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=os.environ, text=True) as process:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(200)]
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
        acknowledged += [int(line) for line in process.stdout.read().split("\n")[:-1] if line]
    ledger = LedgerFile(tmp_path / "sim-venue.sqlite3")
    state = ledger.load()
    assert set(acknowledged) <= {order.order_id for order in state.open_orders}
    locked = sum(order.locked for order in state.open_orders)
    assert state.balances.of("main", "USDT").locked == locked == len(state.open_orders) * 50 * 10**8
    assert state.balances.total("USDT") == 0


async def test_a_second_venue_on_the_same_folder_is_refused(start_venue: Any) -> None:
    await start_venue(events_per_s=0.001)
    with pytest.raises(StartRefused, match="cannot use its record"):
        await start_venue(events_per_s=0.001)


def test_a_file_that_is_no_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sim-venue.sqlite3").write_bytes(b"something else" * 100)
    with pytest.raises(StartRefused, match="cannot use its record"):
        SimVenue(Settings(port=0), tmp_path, "k", "s", get_logger("sim-venue"))
    newer = tmp_path / "newer"
    newer.mkdir()
    with sqlite3.connect(newer / "sim-venue.sqlite3") as file:
        file.execute("PRAGMA user_version=99")
    file.close()
    with pytest.raises(StartRefused, match="version is 99"):
        SimVenue(Settings(port=0), newer, "k", "s", get_logger("sim-venue"))


async def test_what_cannot_be_written_is_never_told(start_venue: Any) -> None:
    venue = await start_venue(events_per_s=0.001)
    key = (await venue.call("POST", "/api/v3/userDataStream", key="test-key")).body["listenKey"]
    async with venue.session.ws_connect(f"{venue.url}/ws/{key}") as socket:
        # A full disk, as the engine of the record sees it.
        pages = venue.venue.ledger._file.execute("PRAGMA page_count").fetchone()[0]
        venue.venue.ledger._file.execute(f"PRAGMA max_page_count={pages}")
        answers = []
        for _ in range(400):
            answers.append(await venue.order(price="50000", quantity="0.001"))
            if answers[-1].status != 200:
                break
        assert answers[-1].error == (503, -1007)
        reports = []
        while (message := await socket.receive(timeout=5)).type.name == "TEXT":
            reports.append(message.json())
    told = {report["i"] for report in reports if report["e"] == "executionReport"}
    assert told == {answer.body["orderId"] for answer in answers[:-1]}
    await asyncio.wait([venue.task])
    failure = venue.task.exception()
    assert failure is not None
    assert "free the disk" in str(failure.exceptions[0])


async def test_steps_are_delivered_in_order_and_waited_for(tmp_path: Path) -> None:
    ledger = LedgerFile(tmp_path / "l.sqlite3")
    told: list[bytes] = []
    writer = asyncio.create_task(ledger.run(lambda _account, message: told.append(message)))
    steps = []
    for number in range(3_000):
        holding = {("main", "BTC"): Holding(number, 0)}
        steps.append(ledger.append(Changes([], [], holding, {}, [("main", b"%d" % number)])))
    await ledger.written(steps[10])
    assert told[:11] == [b"%d" % number for number in range(11)]
    await ledger.written()
    assert told == [b"%d" % number for number in range(3_000)]
    ledger.append(Changes([], [], {("main", "BTC"): Holding(7, 0)}, {}, [("main", b"late")]))
    waiter = asyncio.create_task(ledger.written())
    writer.cancel()
    await asyncio.wait([writer, waiter])
    with pytest.raises(LedgerFailed):
        await ledger.written()
    reopened = LedgerFile(tmp_path / "l.sqlite3")
    # What was left is written at the end, even though nobody is told any more.
    assert reopened.load().balances.of("main", "BTC").free == 7


def test_numbers_are_given_out_once_over_all_runs(tmp_path: Path) -> None:
    first = LedgerFile(tmp_path / "l.sqlite3")
    assert (first.reserve("trade", 100), first.reserve("trade", 100), first.reserve("update", 5)) == (1, 101, 1)
    first.close()
    assert LedgerFile(tmp_path / "l.sqlite3").reserve("trade", 100) == 201


async def test_the_clock_of_answers_is_the_present(start_venue: Any) -> None:
    venue = await start_venue(events_per_s=0.001)
    placed = (await venue.order(price="50000", quantity="0.001")).body
    assert abs(placed["transactTime"] - time.time() * 1000) < 5_000

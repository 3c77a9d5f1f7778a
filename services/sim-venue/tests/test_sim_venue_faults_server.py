"""The lies over real sockets, seen by a bare client: control, cancel-replace, and a record that stays true."""

import asyncio
import contextlib
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from venue_record import check_record, rows

from tradewind.runtime.refusals import StartRefused
from tradewind.services.sim_venue.faults import script

NEEDS_MS = {"late_request", "stuck_request", "late_answer", "late_event", "slow_stream", "stale_view"}


async def _lie(venue: Any, *rules: dict[str, Any], seed: int = 5) -> None:
    body = json.dumps({"seed": seed, "rules": list(rules)})
    async with venue.session.put(f"{venue.url}/sim/v1/faults", data=body) as response:
        assert response.status == 200, await response.text()


async def _hits(venue: Any) -> list[int]:
    return [rule["hits"] for rule in (await venue.get("/sim/v1/faults")).body["rules"]]


async def _resting(venue: Any, name: str, **more: Any) -> Any:
    return await venue.order(price="50000", quantity="0.01", newClientOrderId=name, **more)


# -- control -----------------------------------------------------------------------------------------------------------


async def test_a_script_is_set_read_and_ended(quiet: Any) -> None:
    assert (await quiet.get("/sim/v1/faults")).body["rules"] == []
    toml = '[[rules]]\nlie = "error_before"\nname = "down"\ntimes = 1\n'
    headers = {"Content-Type": "application/toml"}
    async with quiet.session.put(f"{quiet.url}/sim/v1/faults", data=toml, headers=headers) as response:
        assert (await response.json())["rules"][0]["name"] == "down"
    assert (await _resting(quiet, "a")).error == (503, -1001)
    assert (await _resting(quiet, "a")).status == 200
    shown = (await quiet.get("/sim/v1/faults")).body["rules"][0]
    assert (shown["matches"], shown["hits"], shown["lie"]) == (2, 1, "error_before")
    async with quiet.session.delete(f"{quiet.url}/sim/v1/faults") as response:
        assert (await response.json())["rules"] == []
    assert (await quiet.status())["lies_told"] == {"error_before": 1}


async def test_a_bad_script_changes_nothing(quiet: Any) -> None:
    await _lie(quiet, {"lie": "error_before"})
    for body in (
        b"",
        b"{",
        b'{"rules": [{"lie": "none"}]}',
        b'{"rules": [{"lie": "late_answer", "ms": -5}]}',
        b" " * 70_000,
    ):
        async with quiet.session.put(f"{quiet.url}/sim/v1/faults", data=body) as response:
            assert response.status == 400
            said = await response.text()
    assert "16384" in said
    async with quiet.session.put(
        f"{quiet.url}/sim/v1/faults", data=b'{"rules": [{"lie": "late_answer", "ms": -5}]}'
    ) as bad:
        assert "rule 1 (late_answer), field ms" in await bad.text()
    assert (await _resting(quiet, "a")).error == (503, -1001)


async def test_a_script_from_the_settings(start_venue: Any, tmp_path: Path) -> None:
    venue = await start_venue(events_per_s=0.001, faults="rude", fault_seed=99)
    shown = (await venue.get("/sim/v1/faults")).body
    assert (shown["seed"], len(shown["rules"])) == (99, 11)
    with pytest.raises(BaseException, match="TRADEWIND_SIM_VENUE_FAULTS: 'polite'") as caught:
        await start_venue(faults="polite", data_dir=tmp_path / "other")
    assert isinstance(caught.value, StartRefused)


# -- what a bare client sees -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lie", "status", "code", "executed"),
    [
        ("error_before", 503, -1001, 0),
        ("error_after", 503, -1001, 1),
        ("throttled", 429, -1003, 0),
        ("banned", 418, -1003, 0),
        ("clock_refused", 400, -1021, 0),
    ],
)
async def test_errors(quiet: Any, tmp_path: Path, lie: str, status: int, code: int, executed: int) -> None:
    await _lie(quiet, {"lie": lie})
    answer = await _resting(quiet, "a")
    assert answer.error == (status, code)
    assert ("Retry-After" in answer.headers) == (lie in ("throttled", "banned"))
    assert rows(tmp_path / "data", "SELECT count(*) FROM orders") == [(executed,)]


@pytest.mark.parametrize(
    ("lie", "executed"),
    [("cut_before", 0), ("cut_after", 1), ("lost_request", 0), ("lost_answer", 1)],
)
async def test_answers_that_never_come(quiet: Any, tmp_path: Path, lie: str, executed: int) -> None:
    await _lie(quiet, {"lie": lie, "ms": 50, "endpoints": ["new_order"]})
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await _resting(quiet, "a")
    assert rows(tmp_path / "data", "SELECT count(*) FROM orders") == [(executed,)]
    assert await _hits(quiet) == [1]


async def test_a_stuck_request_is_executed_after_the_client_gave_up(quiet: Any, tmp_path: Path) -> None:
    await _lie(quiet, {"lie": "stuck_request", "ms": 400})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await _resting(quiet, "a")
    assert rows(tmp_path / "data", "SELECT count(*) FROM orders") == [(0,)]
    async with asyncio.timeout(30):
        while rows(tmp_path / "data", "SELECT count(*) FROM orders") != [(1,)]:
            await asyncio.sleep(0.02)


async def test_a_request_that_is_late_past_its_window_is_refused(quiet: Any, tmp_path: Path) -> None:
    await _lie(quiet, {"lie": "late_request", "ms": 300})
    assert (await _resting(quiet, "a", recvWindow=100)).error == (400, -1021)
    assert rows(tmp_path / "data", "SELECT count(*) FROM orders") == [(0,)]
    assert (await _resting(quiet, "a")).status == 200


async def test_the_clock_is_off(quiet: Any) -> None:
    await _lie(quiet, {"lie": "skewed_clock", "ms": 60_000})
    assert (await quiet.get("/api/v3/time")).body["serverTime"] - time.time() * 1000 > 50_000
    assert (await _resting(quiet, "a")).error == (400, -1021)
    late = await _resting(quiet, "a", timestamp=int(time.time() * 1000) + 60_000)
    assert late.body["transactTime"] - time.time() * 1000 > 50_000


async def test_a_view_that_lags(quiet: Any) -> None:
    await _resting(quiet, "kept")
    await _resting(quiet, "gone")
    await _lie(quiet, {"lie": "stale_view", "ms": 60_000})
    await quiet.signed("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="gone")
    await _resting(quiet, "new")
    await _resting(quiet, "gone")
    shown = (await quiet.signed("GET", "/api/v3/openOrders", symbol="BTCUSDT")).body
    assert [(order["clientOrderId"], order["status"]) for order in shown] == [("kept", "NEW"), ("gone", "NEW")]
    assert (await quiet.signed("GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="new")).error == (400, -2013)
    older = (await quiet.signed("GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="gone")).body
    assert (older["orderId"], older["status"]) == (2, "NEW")
    await quiet.order(side="SELL", type="MARKET", timeInForce=None, quantity="0.01")
    assert (await quiet.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT")).body == []
    assert len((await quiet.signed("GET", "/api/v3/allOrders", symbol="BTCUSDT")).body) == 2
    balances = {each["asset"]: each for each in (await quiet.signed("GET", "/api/v3/account")).body["balances"]}
    assert (balances["BTC"]["free"], balances["USDT"]["locked"]) == ("10.00000000", "1000.00000000")
    await quiet.session.delete(f"{quiet.url}/sim/v1/faults")
    assert len((await quiet.signed("GET", "/api/v3/allOrders", symbol="BTCUSDT")).body) == 5


async def test_a_name_used_again_keeps_both_orders(quiet: Any, tmp_path: Path) -> None:
    first = (await _resting(quiet, "again")).body["orderId"]
    assert (await _resting(quiet, "again")).error == (400, -2010)
    await quiet.signed("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="again")
    second = (await _resting(quiet, "again")).body["orderId"]
    recorded = rows(tmp_path / "data", "SELECT order_id, state FROM orders WHERE client_order_id = 'again' ORDER BY 1")
    assert recorded == [(first, "CANCELED"), (second, "NEW")]
    shown = (await quiet.signed("GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="again")).body
    assert shown["orderId"] == second


async def test_the_same_seed_and_requests_meet_the_same_lies(start_venue: Any, tmp_path: Path) -> None:
    async def met(run: str, seed: int) -> list[Any]:
        venue = await start_venue(events_per_s=0.001, data_dir=tmp_path / run)
        rules = [
            {"lie": "cut_before", "probability": 0.2},
            {"lie": "error_after", "probability": 0.3},
            {"lie": "throttled", "probability": 0.2},
        ]
        await _lie(venue, *rules, seed=seed)
        answers: list[Any] = []
        for number in range(40):
            try:
                answers.append((await _resting(venue, f"n{number}")).status)
            except aiohttp.ClientError as error:
                answers.append(type(error))
        return [
            answers,
            await _hits(venue),
            rows(tmp_path / run, "SELECT client_order_id FROM orders ORDER BY order_id"),
        ]

    first = await met("a", 5)
    assert await met("b", 5) == first
    assert await met("c", 6) != first


# -- cancel-replace ----------------------------------------------------------------------------------------------------


async def _replace(venue: Any, mode: str, cancel: str, **more: Any) -> Any:
    given = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.02",
        "price": "49000",
    }
    return await venue.signed(
        "POST",
        "/api/v3/order/cancelReplace",
        **{**given, "cancelReplaceMode": mode, "cancelOrigClientOrderId": cancel, **more},
    )


async def test_cancel_replace_changes_the_venues_number(quiet: Any, tmp_path: Path) -> None:
    first = (await _resting(quiet, "a")).body["orderId"]
    done = (await _replace(quiet, "STOP_ON_FAILURE", "a", newClientOrderId="a")).body
    assert (done["cancelResult"], done["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    assert done["cancelResponse"]["orderId"] == first
    assert done["newOrderResponse"]["orderId"] > first
    assert done["newOrderResponse"]["clientOrderId"] == "a"
    found = rows(tmp_path / "data", "SELECT state FROM orders ORDER BY order_id")
    assert found == [("CANCELED",), ("NEW",)]


async def test_cancel_replace_that_fails(quiet: Any, tmp_path: Path) -> None:
    stopped = await _replace(quiet, "STOP_ON_FAILURE", "none")
    assert stopped.error == (400, -2022)
    assert (stopped.body["data"]["newOrderResult"], stopped.body["data"]["newOrderResponse"]) == ("NOT_ATTEMPTED", None)
    assert stopped.body["data"]["cancelResponse"]["code"] == -2011
    half = await _replace(quiet, "ALLOW_FAILURE", "none", newClientOrderId="b")
    assert half.error == (409, -2021)
    assert half.body["data"]["newOrderResponse"]["clientOrderId"] == "b"
    broke = await _replace(quiet, "STOP_ON_FAILURE", "b", quantity="100")
    assert broke.error == (409, -2021)
    assert (broke.body["data"]["cancelResult"], broke.body["data"]["newOrderResponse"]["code"]) == ("SUCCESS", -2010)
    assert (await _replace(quiet, "ALLOW_FAILURE", "b", quantity="100")).error == (400, -2022)
    await _resting(quiet, "c")
    assert (await _replace(quiet, "STOP_ON_FAILURE", "c", price="49000.001")).error == (400, -1013)
    assert (await _replace(quiet, "SOMETIMES", "c")).error == (400, -1130)
    assert (await _replace(quiet, "STOP_ON_FAILURE", "")).error == (400, -1102)
    open_orders = rows(tmp_path / "data", "SELECT client_order_id FROM orders WHERE state = 'NEW'")
    assert open_orders == [("c",)]
    check_record(tmp_path / "data")


# -- everything at once ------------------------------------------------------------------------------------------------


def _every_lie() -> list[dict[str, Any]]:
    def rule(number: int, lie: str) -> dict[str, Any]:
        often = {} if lie == script.CLOCK_LIE else {"every": 7 + number % 5, "nth": 1 + number % 7}
        ms = 400 if lie == script.CLOCK_LIE else 20 if lie in NEEDS_MS else 10
        return {"lie": lie, "ms": ms, **often}

    rules = [rule(number, lie) for number, lie in enumerate(script.LIES)]
    return [*rules, {"lie": "missing_event", "on": "market", "every": 9, "name": "gaps"}]


async def test_the_record_stays_true_under_every_lie(start_venue: Any, tmp_path: Path) -> None:
    venue = await start_venue(events_per_s=2_000)
    # A client that keeps its connections may take a doubled answer for that of its next request.
    await venue.session.close()
    venue.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
    await _lie(venue, *_every_lie())

    async def trade(worker: int) -> None:
        for number in range(40):
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with asyncio.timeout(1):
                    await turn(number, f"w{worker}-{number % 5}")

    async def turn(number: int, name: str) -> None:
        best = (await venue.get("/api/v3/ticker/bookTicker?symbol=BTCUSDT")).body
        side, price = "BUY" if number % 3 else "SELL", best["askPrice"]
        await venue.order(side=side, price=price, quantity="0.002", newClientOrderId=name)
        if number % 2:
            await _replace(venue, "ALLOW_FAILURE", name, newClientOrderId=name, price=best["bidPrice"])
        await venue.signed("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId=name)
        await venue.signed("GET", "/api/v3/openOrders", symbol="BTCUSDT")

    async with asyncio.TaskGroup() as tasks:
        for worker in range(3):
            tasks.create_task(trade(worker))
    told = (await venue.status())["lies_told"]
    assert len(told) > 15, told
    check_record(tmp_path / "data")
    taken = rows(tmp_path / "data", "SELECT count(*), max(order_id) FROM orders")[0]
    assert taken[0] == taken[1] > 50

"""An order by hand that is changed: what is asked of the order path, and when; the test is the order path."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from api_platform import RunningApi, api_settings, bearer, running_api, snapshot

from tradewind.model.enums import OrderSide
from tradewind.store.database import Database
from tradewind.wire.commands import CancelOrder, SubmitOrder
from tradewind.wire.topics import ORDERS_COMMANDS

FIRST = "manual-17-1"
SECOND = "manual-17-1-r1"
PATH = f"/api/v1/orders/{FIRST}"


@pytest.fixture
async def resting(database: Database) -> AsyncIterator[RunningApi]:
    """A hand's order of 0.001 BTC at 60,000 that rests. What a change asks for is on the bus; the test answers it."""
    async with running_api(database, api_settings(replace_timeout_s=3.0)) as api:
        await api.publisher.instrument()
        await api.publisher.records(*snapshot([(5_999_900, 10**8)], [(6_000_100, 10**8)]))
        await api.publisher.order(FIRST, OrderSide.BUY, 6_000_000, 100_000, "manual")
        await api.eventually("/api/v1/orders?status=open", lambda page: page["orders"])
        yield api


async def asked(api: RunningApi, kind: type[Any], count: int = 1) -> list[Any]:
    """Commands of a kind, once there are so many."""
    async with asyncio.timeout(20):
        while True:
            found = [one.payload for one in await api.bus.replay(ORDERS_COMMANDS) if isinstance(one.payload, kind)]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.01)


async def audited(api: RunningApi, action: str) -> list[dict[str, Any]]:
    """Audit lines of an action, once there is one."""
    page: dict[str, Any] = await api.eventually(f"/api/v1/audit?action={action}", lambda body: body["rows"])
    rows: list[dict[str, Any]] = page["rows"]
    return rows


async def test_the_second_is_sent_once_the_first_is_known_to_be_cancelled(resting: RunningApi) -> None:
    status, taken = await resting.patch(PATH, {"price": "59000.00", "why": "the market fell"})
    assert (status, taken["client_order_id"]) == (202, SECOND)
    [cancel] = await asked(resting, CancelOrder)
    assert cancel.client_order_id == FIRST
    await asyncio.sleep(0.2)
    assert await asked(resting, SubmitOrder, 0) == []
    await resting.publisher.canceled(FIRST, "manual")
    [command] = await asked(resting, SubmitOrder)
    assert (command.client_order_id, command.price, command.size) == (SECOND, 5_900_000, 100_000)
    assert command.correlation_id == cancel.correlation_id
    [line] = await audited(resting, "order.replace")
    assert (line["subject"], line["why"]) == (FIRST, "the market fell")
    assert line["before"] == "0.00100000 at 60000.00"


async def test_what_was_filled_during_the_cancel_is_not_bought_again(resting: RunningApi) -> None:
    await resting.patch(PATH, {"size": "0.002"})
    await asked(resting, CancelOrder)
    await resting.publisher.filled(FIRST, OrderSide.BUY, 6_000_000, 60_000, "manual")
    await resting.publisher.canceled(FIRST, "manual")
    [command] = await asked(resting, SubmitOrder)
    assert command.size == 200_000 - 60_000


async def test_an_order_that_was_filled_meanwhile_is_not_followed_by_another(resting: RunningApi) -> None:
    await resting.patch(PATH, {"price": "59000.00"})
    await asked(resting, CancelOrder)
    await resting.publisher.filled(FIRST, OrderSide.BUY, 6_000_000, 100_000, "manual")
    [line] = await audited(resting, "order.replace.given-up")
    assert "FILLED" in line["why"]
    assert await asked(resting, SubmitOrder, 0) == []


async def test_a_venue_that_is_silent_leaves_the_first_as_it_is(resting: RunningApi) -> None:
    await resting.patch(PATH, {"price": "59000.00"})
    [line] = await audited(resting, "order.replace.given-up")
    assert "not known in time" in line["why"]
    await resting.publisher.canceled(FIRST, "manual")
    await resting.eventually(PATH, lambda body: body["order"]["status"] == "CANCELED")
    assert await asked(resting, SubmitOrder, 0) == []


async def test_a_second_change_waits_for_nobody(resting: RunningApi) -> None:
    assert (await resting.patch(PATH, {"price": "59000.00"}))[0] == 202
    status, problem = await resting.patch(PATH, {"price": "58000.00"})
    assert (status, "being changed already" in problem["detail"]) == (409, True)
    await resting.publisher.canceled(FIRST, "manual")
    [command] = await asked(resting, SubmitOrder)
    assert command.price == 5_900_000
    await resting.publisher.order(SECOND, OrderSide.BUY, 5_900_000, 100_000, "manual")
    await resting.eventually(f"/api/v1/orders?search={SECOND}&status=open", lambda page: True)
    status, problem = await resting.patch(PATH, {"price": "58000.00"})
    assert status == 409


async def test_an_api_that_stops_in_the_middle_sends_nothing_later(database: Database) -> None:
    async with running_api(database, api_settings()) as api:
        await api.publisher.instrument()
        await api.publisher.order(FIRST, OrderSide.BUY, 6_000_000, 100_000, "manual")
        await api.eventually("/api/v1/orders?status=open", lambda page: page["orders"])
        assert (await api.patch(PATH, {"price": "59000.00"}))[0] == 202
        bus = api.bus
        commands = [one.payload for one in await bus.replay(ORDERS_COMMANDS)]
    assert [type(command) for command in commands] == [CancelOrder]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 422, "nothing would change"),
        ({"price": "60000.00", "size": "0.001"}, 422, "nothing would change"),
        ({"price": "60000.001"}, 422, "60000.001"),
        ({"size": "0"}, 422, "0"),
        ({"price": "1e9"}, 422, "price"),
        ({"venue": "x"}, 422, "venue"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_is_cancelled(
    resting: RunningApi, body: dict[str, str], status: int, words: str
) -> None:
    answered, problem = await resting.patch(PATH, body)
    assert (answered, words in problem["detail"]) == (status, True), problem
    assert await asked(resting, CancelOrder, 0) == []


async def test_orders_of_strategies_and_closed_ones_are_left_alone(resting: RunningApi) -> None:
    await resting.publisher.order("market-maker-1-1", OrderSide.BUY, 6_000_000, 100_000)
    await resting.eventually("/api/v1/orders?status=open", lambda page: len(page["orders"]) == 2)
    status, problem = await resting.patch("/api/v1/orders/market-maker-1-1", {"price": "59000.00"})
    assert (status, "market-maker's" in problem["detail"]) == (409, True)
    await resting.publisher.canceled(FIRST, "manual")
    await resting.eventually("/api/v1/orders?status=open", lambda page: len(page["orders"]) == 1)
    assert (await resting.patch(PATH, {"price": "59000.00"}))[0] == 409
    assert (await resting.patch(PATH, {"price": "59000.00"}, headers=bearer("vera")))[0] == 403
    assert (await resting.patch("/api/v1/orders/manual-9-9", {"price": "59000.00"}))[0] == 404
    assert await asked(resting, CancelOrder, 0) == []

"""OUCH of the simulated venue: orders on the one exchange, told in a session that survives everything."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from soup_client import SoupTestClient, free_port

from tradewind.venue.itch import soupbintcp as soup
from tradewind.venue.ouch.messages import (
    MARKET_PRICE,
    Accepted,
    Canceled,
    CancelOrder,
    EnterOrder,
    Executed,
    Rejected,
)

LOW = 500_000_000
"""50,000.0000: far below the market."""


def order(token: str, **given: Any) -> EnterOrder:
    return EnterOrder(**{"token": token, "side": "B", "shares": 1_000, "stock": "BTCUSDT", "price": LOW, **given})


@pytest.fixture
async def venue(start_venue: Any) -> Any:
    running = await start_venue(ouch_port=free_port(), events_per_s=0.001)
    assert running.venue.ouch is not None
    await running.venue.ouch.server.listening.wait()
    return running


def port_of(running: Any) -> int:
    assert running.venue.ouch is not None
    return running.venue.ouch.server.port


async def test_an_order_rests_and_is_canceled_on_the_one_exchange(venue: Any) -> None:
    client = await SoupTestClient.log_in(port_of(venue))
    assert (client.session, client.sequence) == ("OUCH", 1)
    client.send(order("one"))
    told = await client.told()
    assert isinstance(told, Accepted)
    assert (told.token, told.shares, told.price, told.order_state) == ("one", 1_000, LOW, "L")
    shown = (await venue.signed("GET", "/api/v3/openOrders")).body
    assert [(each["orderId"], each["clientOrderId"], each["origQty"], each["price"]) for each in shown] == [
        (told.order_reference, "one", "0.01000000", "50000.00000000")
    ]
    client.send(CancelOrder(token="nobody"), CancelOrder(token="one"))
    canceled = await client.told()
    assert isinstance(canceled, Canceled)
    assert (canceled.token, canceled.shares, canceled.reason) == ("one", 1_000, "U")
    assert (await venue.signed("GET", "/api/v3/openOrders")).body == []
    await client.close()


async def test_a_cancel_over_rest_is_told_over_ouch(venue: Any) -> None:
    client = await SoupTestClient.log_in(port_of(venue))
    client.send(order("one"))
    accepted = await client.told()
    assert isinstance(accepted, Accepted)
    await venue.signed("DELETE", "/api/v3/order", symbol="BTCUSDT", orderId=accepted.order_reference)
    assert isinstance(await client.told(), Canceled)
    await client.close()


async def test_executions_add_up_and_move_the_same_money(venue: Any) -> None:
    client = await SoupTestClient.log_in(port_of(venue))
    client.send(order("take", price=MARKET_PRICE, shares=5_000))
    told = [await client.told()]
    while sum(each.shares for each in told if isinstance(each, Executed)) < 5_000:
        told.append(await client.told())
    fills = [each for each in told if isinstance(each, Executed)]
    assert {each.liquidity for each in fills} == {"R"}
    trades = (await venue.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT")).body
    assert [(each["id"], each["qty"]) for each in trades] == [
        (each.match_number, f"{each.shares / 100_000:.8f}") for each in fills
    ]
    await client.close()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"stock": "AAPL"}, "S"),
        ({"side": "T"}, "O"),
        ({"shares": 1}, "Z"),
        ({"price": LOW + 1}, "X"),
        ({"time_in_force": 60}, "O"),
        ({"display": "N"}, "D"),
        ({"minimum_quantity": 5}, "N"),
        ({"side": "S", "shares": 999_999, "display": "P", "price": LOW}, "O"),
        ({"shares": 999_999, "price": 599_000_000, "side": "B"}, None),
    ],
)
async def test_what_the_venue_does_not_take_is_rejected(venue: Any, given: dict[str, Any], reason: str | None) -> None:
    client = await SoupTestClient.log_in(port_of(venue))
    client.send(order("one", **given))
    told = await client.told()
    assert isinstance(told, Rejected if reason else Accepted)
    assert getattr(told, "reason", None) == reason
    await client.close()


async def test_immediate_and_all_or_nothing(venue: Any) -> None:
    client = await SoupTestClient.log_in(port_of(venue))
    client.send(order("ioc", time_in_force=0), order("fok", time_in_force=0, minimum_quantity=1_000))
    told = [await client.told() for _ in range(4)]
    assert [type(each).__name__ for each in told] == ["Accepted", "Canceled"] * 2
    assert [each.reason for each in told if isinstance(each, Canceled)] == ["I", "I"]
    await client.close()


async def test_a_token_counts_once_for_ever(venue: Any) -> None:
    client = await SoupTestClient.log_in(port_of(venue))
    client.send(order("one"), order("one"), order("bad", stock="AAPL"), order("bad"), order("two"))
    told = [await client.told() for _ in range(3)]
    assert [(type(each).__name__, each.token) for each in told] == [
        ("Accepted", "one"), ("Rejected", "bad"), ("Accepted", "two"),
    ]  # fmt: skip
    assert len(venue.venue.exchange.open_orders) == 2
    await client.close()


async def test_the_session_can_be_had_again_after_a_restart(start_venue: Any, tmp_path: Path) -> None:
    given: dict[str, Any] = {"ouch_port": free_port(), "events_per_s": 0.001, "data_dir": tmp_path / "data"}
    first = await start_venue(**given)
    assert first.venue.ouch is not None
    await first.venue.ouch.server.listening.wait()
    client = await SoupTestClient.log_in(port_of(first))
    client.send(order("rests"), order("ends"), CancelOrder(token="ends"))
    before = [await client.message() for _ in range(3)]
    await client.close()
    await first.stop()
    second = await start_venue(**given)
    assert second.venue.ouch is not None
    await second.venue.ouch.server.listening.wait()
    client = await SoupTestClient.log_in(port_of(second))
    assert [await client.message() for _ in range(3)] == before
    client.send(order("rests"), CancelOrder(token="rests"))
    told = await client.told()
    assert isinstance(told, Canceled)
    assert told.token == "rests"
    await client.close()
    third = await SoupTestClient.log_in(port_of(second), 4)
    assert (third.sequence, await third.told()) == (4, told)
    assert await third.until_quiet() == []
    await third.close()


async def test_a_login_ends_the_client_before_it_and_all_that_it_sent_is_decided(venue: Any) -> None:
    first = await SoupTestClient.log_in(port_of(venue))
    first.send(*(order(f"n{number}") for number in range(50)))
    await first.writer.drain()
    second = await SoupTestClient.log_in(port_of(venue))
    told = await second.until_quiet()
    assert await first.ended()
    assert len(told) == len(venue.venue.exchange.open_orders)
    await asyncio.sleep(0.2)
    assert len(told) == len(venue.venue.exchange.open_orders)
    await first.close()
    await second.close()


@pytest.mark.parametrize(
    "garbage",
    [b"", b"?", b"O", b"X" + b" " * 18, b"O" + b"\xff" * 48, b"U" * 1_024],
    ids=["empty", "unknown", "short", "no token", "no text", "long"],
)
async def test_garbage_after_the_login_ends_the_client_alone(venue: Any, garbage: bytes) -> None:
    client = await SoupTestClient.log_in(port_of(venue))
    client.send(order("one"))
    assert isinstance(await client.told(), Accepted)
    client.writer.write(soup.unsequenced(garbage))
    assert await client.ended()
    await client.close()
    again = await SoupTestClient.log_in(port_of(venue))
    assert isinstance(await again.told(), Accepted)
    assert len(venue.venue.exchange.open_orders) == 1
    await again.close()

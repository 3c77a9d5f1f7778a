"""A stock ccxt client, pointed at the venue, trades there."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import ccxt  # type: ignore[import-untyped]
import ccxt.async_support  # type: ignore[import-untyped]
import pytest

SYMBOL = "BTC/USDT"


@pytest.fixture
async def client(start_venue: Any) -> AsyncIterator[Any]:
    venue = await start_venue(events_per_s=200)
    exchange = ccxt.async_support.binance(
        {
            "apiKey": "test-key",
            "secret": "test-secret",
            "enableRateLimit": False,
            "options": {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False, "fetchCurrencies": False},
        }
    )
    api = f"{venue.url}/api/v3"
    exchange.urls["api"] = {**exchange.urls["api"], "public": api, "private": api}
    yield exchange
    await exchange.close()


async def test_ccxt_reads_the_market(client: Any) -> None:
    markets = await client.load_markets()
    assert list(markets) == [SYMBOL]
    assert markets[SYMBOL]["precision"] == {"amount": 1e-05, "price": 0.01, "base": 1e-08, "quote": 1e-08}
    assert markets[SYMBOL]["limits"]["cost"]["min"] == 5
    book = await client.fetch_order_book(SYMBOL, 10)
    assert book["bids"][0][0] < book["asks"][0][0]
    assert book["nonce"] > 0
    ticker = await client.fetch_ticker(SYMBOL)
    assert 50_000 < ticker["bid"] < 70_000
    await client.create_order(SYMBOL, "market", "buy", 0.01)
    trades = await client.fetch_trades(SYMBOL, limit=5)
    assert trades
    assert trades[-1]["price"] > 50_000


async def test_ccxt_trades(client: Any) -> None:
    await client.load_markets()
    before = await client.fetch_balance()
    assert before["USDT"]["free"] == 1_000_000
    bought = await client.create_order(SYMBOL, "market", "buy", 0.01)
    assert (bought["status"], bought["filled"]) == ("closed", 0.01)
    resting = await client.create_order(SYMBOL, "limit", "buy", 0.02, 50_000, {"newClientOrderId": "mine-1"})
    assert resting["status"] == "open"
    assert [order["id"] for order in await client.fetch_open_orders(SYMBOL)] == [resting["id"]]
    assert (await client.fetch_order(resting["id"], SYMBOL))["clientOrderId"] == "mine-1"
    held = await client.fetch_balance()
    assert held["USDT"]["used"] == 1_000
    canceled = await client.cancel_order(resting["id"], SYMBOL)
    assert canceled["status"] == "canceled"
    assert await client.fetch_open_orders(SYMBOL) == []
    mine = await client.fetch_my_trades(SYMBOL)
    assert sum(Decimal(str(trade["amount"])) for trade in mine) == Decimal("0.01")
    assert {trade["order"] for trade in mine} == {bought["id"]}
    assert {trade["fee"]["currency"] for trade in mine} == {"BTC"}
    assert len(await client.fetch_orders(SYMBOL)) == 2


async def test_ccxt_knows_the_errors(client: Any) -> None:
    await client.load_markets()
    with pytest.raises(ccxt.InsufficientFunds):
        await client.create_order(SYMBOL, "limit", "buy", 100, 50_000)
    with pytest.raises(ccxt.OrderNotFound):
        await client.fetch_order("12345", SYMBOL)
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order("12345", SYMBOL)
    with pytest.raises(ccxt.OrderImmediatelyFillable):
        await client.create_order(SYMBOL, "limit", "buy", 0.01, 70_000, {"postOnly": True})
    client.secret = "wrong"
    with pytest.raises(ccxt.AuthenticationError):
        await client.fetch_balance()

"""The platform's own exchange adapter against this venue: only the base addresses are ours."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tradewind.model.enums import LiquiditySide, OrderSide, OrderType, TimeInForce
from tradewind.model.identifiers import ClientOrderId, InstrumentId
from tradewind.model.order_status import OrderStatus
from tradewind.venue.adapter import NewOrder, OrderNotFound, VenueRejected
from tradewind.venue.binance.connecting import execution_client, market_data_client
from tradewind.venue.reports import FillReport, OrderStatusReport
from tradewind.wire.market_records import RecordArray

REAL = Path(os.environ.get("TRADEWIND_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
REAL_CAPTURE = REAL / "binance-spot" / "btcusdt_20240808.gz"
BTC = InstrumentId("BTCUSDT.BINANCE")


class Feed:
    """Counts what a market data client gives."""

    def __init__(self) -> None:
        self.records = 0
        self.states: list[str] = []

    def on_records(self, records: RecordArray) -> None:
        self.records += len(records)

    def on_feed_status(self, instrument_id: InstrumentId | None, state: str, detail: str) -> None:
        self.states.append(state)


@contextlib.asynccontextmanager
async def _feeding(venue: Any, feed: Feed) -> AsyncIterator[Any]:
    client = market_data_client(
        venue="BINANCE", symbols=["BTCUSDT"], rest_url=venue.url, stream_url=venue.url.replace("http", "ws")
    )
    task = asyncio.create_task(client.run(await client.instruments(), feed))
    yield client
    task.cancel()
    await asyncio.wait([task])
    await client.close()


@contextlib.asynccontextmanager
async def _trading(venue: Any) -> AsyncIterator[Any]:
    client = execution_client(
        venue="BINANCE",
        account="main",
        symbols=["BTCUSDT"],
        rest_url=venue.url,
        stream_url=venue.url.replace("http", "ws"),
        api_key="test-key",
        api_secret="test-secret",
    )
    await client.connect()
    yield client
    await client.close()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def _order(name: str, side: OrderSide, size: str, price: str | None = None, **more: Any) -> NewOrder:
    return NewOrder(
        client_order_id=ClientOrderId(name),
        instrument_id=BTC,
        side=side,
        order_type=OrderType.MARKET if price is None else OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        size=int(Decimal(size).scaleb(8)),
        price=None if price is None else int(Decimal(price).scaleb(2)),
        **more,
    )


async def test_the_adapter_keeps_the_made_book_in_sync(start_venue: Any) -> None:
    venue = await start_venue(events_per_s=2_000)
    feed = Feed()
    async with _feeding(venue, feed) as client:
        await _until(lambda: client.compared >= 5)
        assert client.compared == client.equal, client.first_difference
        assert "GAP" not in feed.states


@pytest.mark.skipif(not REAL_CAPTURE.is_file(), reason=f"no capture at {REAL_CAPTURE}; set TRADEWIND_TEST_DATA")
async def test_the_adapter_rebuilds_the_recorded_book(start_venue: Any) -> None:
    venue = await start_venue(mode="replay", capture=REAL_CAPTURE, speed=0)
    feed = Feed()
    async with _feeding(venue, feed) as client:
        await asyncio.wait_for(venue.venue.player.finished.wait(), 30)
        ours = venue.venue.player._market.display.book
        await _until(lambda: bool(client.book(BTC).sequence == ours.sequence))
        assert client.compared > 500
        assert client.compared == client.equal, client.first_difference
        assert "GAP" not in feed.states
        for side in (1, 2):
            assert client.book(BTC).levels(side, 10_000) == ours.levels(side, 10_000)


async def test_the_adapter_trades(start_venue: Any) -> None:
    venue = await start_venue(events_per_s=0.001)
    best = (await venue.get("/api/v3/ticker/bookTicker?symbol=BTCUSDT")).body
    async with _trading(venue) as client:
        told: list[Any] = []

        async def listen() -> None:
            async for event in client.stream():
                told.append(event)

        listening = asyncio.create_task(listen())
        await _until(lambda: venue.venue.hub.clients == 1)
        answer = await client.prepare_order(_order("t-1-1", OrderSide.BUY, "0.001")).send(lambda: None)
        fills = [report for report in answer if isinstance(report, FillReport)]
        assert sum(fill.size for fill in fills) == 100_000
        assert {fill.liquidity_side for fill in fills} == {LiquiditySide.TAKER}
        resting = _order("t-1-2", OrderSide.BUY, "0.01", best["bidPrice"], post_only=True)
        await client.prepare_order(resting).send(lambda: None)
        assert [each.client_order_id for each in await client.open_orders()] == ["t-1-2"]
        crossing = _order("t-1-3", OrderSide.SELL, "0.01", best["bidPrice"], post_only=True)
        with pytest.raises(VenueRejected, match="immediately match"):
            await client.prepare_order(crossing).send(lambda: None)
        await client.cancel_order(BTC, ClientOrderId("t-1-2"))
        with pytest.raises(OrderNotFound):
            await client.order_status(BTC, ClientOrderId("t-1-9"))
        status = await client.mass_status(0)
        assert {fill.trade_id for fill in status.fills} == {fill.trade_id for fill in fills}
        assert all(balance.locked == 0 for balance in status.balances.balances)
        canceled = OrderStatus.CANCELED
        await _until(lambda: any(isinstance(e, OrderStatusReport) and e.status is canceled for e in told))
        assert {e.trade_id for e in told if isinstance(e, FillReport)} == {fill.trade_id for fill in fills}
        listening.cancel()
        await asyncio.wait([listening])
    assert venue.venue.exchange.balances.total("USDT") == 0


@pytest.mark.skipif(not REAL_CAPTURE.is_file(), reason=f"no capture at {REAL_CAPTURE}; set TRADEWIND_TEST_DATA")
async def test_passive_and_aggressive_orders_fill_in_the_recorded_market(start_venue: Any) -> None:
    """Fills of a replay agree with the record, and each of them is at a price that was really reached."""
    venue = await start_venue(mode="replay", capture=REAL_CAPTURE, speed=0)
    feed = Feed()
    async with _trading(venue) as trader, _feeding(venue, feed) as client:
        await _until(lambda: "LIVE" in feed.states)
        number = 0
        while not venue.venue.player.finished.is_set():
            number += 1
            bid, ask = client.book(BTC).best_bid(), client.book(BTC).best_ask()
            for side, level in ((OrderSide.BUY, bid), (OrderSide.SELL, ask)):
                passive = _order(f"q-1-{number}{side[0]}", side, "0.001", f"{level[0] / 100:.2f}")
                await trader.prepare_order(passive).send(lambda: None)
            await trader.prepare_order(_order(f"m-1-{number}", OrderSide.BUY, "0.002")).send(lambda: None)
            for open_order in await trader.open_orders():
                with contextlib.suppress(OrderNotFound):
                    await trader.cancel_order(BTC, open_order.client_order_id)
        fills = await trader.fills(BTC, since_ns=0)
        balances = {each.currency: each for each in (await trader.balances()).balances}
    sides = {fill.liquidity_side for fill in fills}
    assert sides == {LiquiditySide.MAKER, LiquiditySide.TAKER}
    assert len({fill.trade_id for fill in fills}) == len(fills)
    base, cash = Decimal(10), Decimal(1_000_000)
    for fill in fills:
        size = Decimal(fill.size).scaleb(-8)
        sign = 1 if fill.side is OrderSide.BUY else -1
        base += sign * size - (fill.fee if fill.fee_currency == "BTC" else 0)
        cash -= sign * size * Decimal(fill.price).scaleb(-2) + (fill.fee if fill.fee_currency == "USDT" else 0)
        assert 61_000_00 < fill.price < 62_500_00
    assert (balances["BTC"].total, balances["USDT"].total) == (base, cash)
    books = venue.venue.exchange.balances
    assert (books.total("BTC"), books.total("USDT")) == (0, 0)

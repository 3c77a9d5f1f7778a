"""An order before it is sent: what it would cost, and why it would be refused."""

from decimal import Decimal
from typing import Any

import pytest
from api_platform import ACCOUNT, BTCUSDT, RunningApi, bearer, snapshot

from tradewind.model.enums import OrderSide, TradingState
from tradewind.wire.events import LimitsUsed, LimitUsed
from tradewind.wire.topics import ORDERS_COMMANDS, RISK_LIMITS

PATH = "/api/v1/orders/preview"


def order(**changes: Any) -> dict[str, Any]:
    return {"instrument_id": BTCUSDT, "side": "BUY", "size": "0.5", "price": "60000.00"} | changes


@pytest.fixture
async def trading(api: RunningApi) -> RunningApi:
    """A book of 59,999 to 60,001, an account with 40,000 USDT and 0.2 BTC, limits, and one fill that paid 0.1 %."""
    publisher = api.publisher
    await publisher.instrument()
    await publisher.records(*snapshot([(5_999_900, 10**8)], [(6_000_100, 10**8)]))
    await publisher.balances(USDT=Decimal(40_000), BTC=Decimal("0.2"))
    await publisher.order("maker-1-1", OrderSide.BUY, 6_000_000, 100_000)
    await publisher.filled("maker-1-1", OrderSide.BUY, 6_000_000, 100_000)
    uses = (
        LimitUsed(scope=f"account:{ACCOUNT}", name="max_position_notional", used=Decimal(5_000), limit=Decimal(45_000)),
        LimitUsed(scope=f"account:{ACCOUNT}", name="max_open_orders", used=Decimal(7), limit=Decimal(200)),
        LimitUsed(scope="strategy:ema-cross", name="max_open_orders", used=Decimal(9), limit=Decimal(9)),
    )
    await publisher.send(RISK_LIMITS, LimitsUsed(account_id=ACCOUNT, uses=uses, **publisher.identity()))
    await api.eventually("/api/v1/limits", lambda page: page["rows"])
    await api.eventually("/api/v1/balances", bool)
    await api.eventually(f"/api/v1/book/{BTCUSDT}", lambda body: body.get("synced"))
    return api


async def test_cost_limits_and_what_is_left(trading: RunningApi) -> None:
    status, page = await trading.post(PATH, order())
    assert status == 200
    assert (page["accepted"], page["problems"], page["trading_state"]) == (True, [], "ACTIVE")
    assert (page["notional"], page["price_used"]) == ("30000.00", "60000.00")
    assert page["fee_currency"] == "USDT"
    assert Decimal(page["fee_estimate"]) > 0
    assert page["balance_after"] == {"USDT": "10000.00000000"} or Decimal(page["balance_after"]["USDT"]) == 10_000
    uses = {one["name"]: (one["used"], one["would_use"], one["limit"]) for one in page["limits"]}
    assert uses == {
        "max_position_notional": ("5000.00", "35000.00", "45000.00"),
        "max_open_orders": ("7", "8", "200"),
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": "0.7"}, ("max_position_notional would be 47000", "2000.0000000 USDT too little")),
        ({"side": "SELL"}, ("0.3 BTC too little is free",)),
    ],
)
async def test_what_would_be_refused_is_said_in_words(
    trading: RunningApi, changes: dict[str, str], words: tuple[str, ...]
) -> None:
    _, page = await trading.post(PATH, order(**changes))
    assert page["accepted"] is False
    assert len(page["problems"]) == len(words)
    for problem, wanted in zip(page["problems"], words, strict=True):
        assert wanted.split()[-1] in problem
        assert wanted.split()[0].rstrip("0.") in problem


async def test_a_market_order_is_valued_at_the_other_side(trading: RunningApi) -> None:
    _, page = await trading.post(PATH, order(order_type="MARKET", size="0.1", price=None))
    assert (page["price_used"], page["notional"]) == ("60001.00", "6000.10")


async def test_a_halt_refuses_and_reducing_lets_only_that_pass(trading: RunningApi) -> None:
    await trading.publisher.trading_state(f"instrument:{BTCUSDT}", TradingState.REDUCING, "rita", "news")
    await trading.eventually("/api/v1/trading-states", bool)
    _, page = await trading.post(PATH, order(size="0.1"))
    assert (page["accepted"], page["trading_state"]) == (False, "REDUCING")
    assert (await trading.post(PATH, order(size="0.1", reduce_only=True)))[1]["accepted"] is True
    await trading.publisher.trading_state("firm", TradingState.HALTED, "rita", "news")
    await trading.eventually("/api/v1/trading-states", lambda rows: len(rows) == 2)
    assert (await trading.post(PATH, order(size="0.1", reduce_only=True)))[1]["trading_state"] == "HALTED"


async def test_nothing_is_sent_and_a_wrong_form_is_refused(trading: RunningApi) -> None:
    await trading.post(PATH, order())
    status, problem = await trading.post(PATH, order(price="60000.001"))
    assert (status, "60000.001" in problem["detail"]) == (422, True)
    assert (await trading.post(PATH, order(instrument_id="NOTHING.HERE")))[0] == 404
    assert (await trading.post(PATH, order(), headers=bearer("vera")))[0] == 403
    assert len(await trading.bus.replay(ORDERS_COMMANDS)) == 0

"""What a kill switch closes, for every book and every step of an instrument."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from order_path_kit import ACCOUNT, BTCUSDT, NOW, event_names, fill, new_engine, status, submit

from tradewind.execution.flattening import (
    Cover,
    attempt_name,
    book_text,
    closing_order,
    closing_price,
    closing_side,
    closing_size,
    cover_of,
)
from tradewind.model.enums import OrderSide, TradingState
from tradewind.model.identifiers import InstrumentId, StrategyId
from tradewind.model.instruments import Instrument
from tradewind.model.order_status import OrderStatus
from tradewind.model.positions import Position
from tradewind.wire.commands import ProveFlat

STEPS = Instrument(
    instrument_id=BTCUSDT.instrument_id,
    venue=BTCUSDT.venue,
    symbol="BTCUSDT",
    base_currency="BTC",
    quote_currency="USDT",
    price_precision=2,
    size_precision=5,
    price_increment=1,
    size_increment=7,
    min_size=21,
    max_size=70_000,
    max_price=100_000_000,
    min_notional=Decimal(5),
)
names = st.from_regex(r"[a-z0-9][a-z0-9-]{0,22}[a-z0-9]", fullmatch=True)


def book(size: int, strategy: str = "ema-cross", instrument: str = "BTCUSDT.BINANCE") -> Position:
    return Position(
        account_id=ACCOUNT,
        strategy_id=StrategyId(strategy),
        instrument_id=InstrumentId(instrument),
        signed_size=size,
        average_price=Decimal("60000.005"),
    )


def step(kill_id: int = 7, **fields: object) -> ProveFlat:
    known: dict[str, object] = {
        "event_id": "ask-1",
        "correlation_id": "kill:7",
        "causation_id": "",
        "ts_event": NOW,
        "ts_init": NOW,
        "account_id": ACCOUNT,
        "kill_id": kill_id,
        "scope": "firm",
    }
    return ProveFlat(**(known | fields))  # type: ignore[arg-type]


@given(size=st.integers(-(10**7), 10**7).filter(bool), price=st.integers(1, 100_000_000))
def test_closing_again_and_again_comes_to_dust_and_never_through_zero(size: int, price: int) -> None:
    position = book(size)
    for _ in range(abs(size) // STEPS.max_size + 2):
        closing = closing_size(position, STEPS, price)
        if not closing:
            break
        assert closing <= min(abs(position.signed_size), STEPS.max_size)
        assert closing >= STEPS.min_size
        assert closing % STEPS.size_increment == 0
        assert STEPS.notional(price, closing) >= STEPS.min_notional
        position.signed_size += closing_side(position).sign * closing
    assert position.signed_size * size >= 0
    left = abs(position.signed_size)
    largest = min(left - left % STEPS.size_increment, STEPS.max_size)
    assert largest < STEPS.min_size or STEPS.notional(price, largest) < STEPS.min_notional


@given(
    kills=st.lists(st.integers(1, 10**9), min_size=2, max_size=4, unique=True),
    books=st.lists(names, min_size=2, max_size=4, unique=True),
    attempts=st.lists(st.integers(1, 10**6), min_size=2, max_size=4, unique=True),
)
def test_every_attempt_has_a_name_of_its_own_that_the_venue_takes(
    kills: list[int], books: list[str], attempts: list[int]
) -> None:
    made = [attempt_name(kill, book(1, name), attempt) for kill in kills for name in books for attempt in attempts]
    assert len(set(made)) == len(made)
    assert all(re.fullmatch(r"[A-Za-z0-9.:/_-]{1,36}", name) for name in made)


def test_the_same_attempt_planned_twice_is_the_same_order() -> None:
    first, second = (closing_order(step(), book(-5_000), 5_000, 3, NOW) for _ in range(2))
    assert first == second
    assert (first.side, first.reduce_only, first.event_id) == (OrderSide.BUY, True, first.client_order_id)


def test_the_price_is_the_markets_else_the_cost() -> None:
    assert closing_price(book(1), 6_100_000, BTCUSDT) == 6_100_000
    assert closing_price(book(1), None, BTCUSDT) == 6_000_000
    assert book_text(book(-5_000), BTCUSDT) == "ema-cross BTCUSDT.BINANCE -0.05000"


@pytest.mark.parametrize(
    ("scope", "inside"),
    [
        ({}, {"a BTC", "a ETH", "b BTC", "EXTERNAL BTC"}),
        ({"strategy_id": StrategyId("a")}, {"a BTC", "a ETH"}),
        ({"instrument_id": InstrumentId("BTC")}, {"a BTC", "b BTC", "EXTERNAL BTC"}),
    ],
)
def test_a_scope_covers_its_books_only(scope: dict[str, str], inside: set[str]) -> None:
    books = [book(1, *name.split()) for name in ("a BTC", "a ETH", "b BTC", "EXTERNAL BTC")] + [book(0, "c", "BTC")]
    cover = cover_of(step(**scope))
    assert {f"{one.strategy_id} {one.instrument_id}" for one in cover.holdings(books)} == inside
    assert cover.is_whole_account == (not scope)


def test_while_halted_only_the_switchs_own_reducing_orders_pass() -> None:
    engine = new_engine()
    engine.plan_commands([submit("a-1-1")], NOW)
    engine.plan_reports(
        [status("a-1-1", OrderStatus.FILLED, filled_size=10_000), fill("a-1-1", "t1", size=10_000)], NOW
    )
    engine.set_trading_state("firm", TradingState.HALTED)
    engine.not_ready_reason = "private stream: cut"
    assert Cover(account_id=ACCOUNT).is_halted(engine.risk)
    [held] = Cover(account_id=ACCOUNT).holdings(engine.ledger.positions.values())
    assert event_names(engine.plan_commands([submit("a-1-2", side=OrderSide.SELL)], NOW)) == [
        "OrderInitialized",
        "OrderDenied",
    ]
    too_much = engine.plan_flattening([closing_order(step(), held, 10_001, 1, NOW)], NOW)
    assert event_names(too_much) == ["OrderInitialized", "OrderDenied"]
    right = engine.plan_flattening([closing_order(step(), held, 10_000, 2, NOW)], NOW)
    assert event_names(right) == ["OrderInitialized", "OrderSubmitted"]
    assert [order.reduces for order in right.submits] == [True]
    again = engine.plan_flattening([closing_order(step(), held, 10_000, 2, NOW)], NOW)
    assert again.submits == []
    after = engine.plan_commands([submit("a-1-3", side=OrderSide.SELL)], NOW)
    assert event_names(after) == ["OrderInitialized", "OrderDenied"]

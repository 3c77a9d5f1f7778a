"""Positions: what was realized and what is open add up to the cash that the fills moved."""

from decimal import Decimal
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.model.identifiers import AccountId, InstrumentId, StrategyId
from tradewind.model.positions import Position

SIZE_PRECISION: Final = 5
ROUNDING: Final = Decimal("1e-9")
"""The average price is kept to 1e-12: that times 50 units held, over 30 fills, is less than this."""

FILLS: Final = st.lists(
    st.tuples(
        st.integers(-(10**5), 10**5).filter(bool),  # up to 1 unit each
        st.decimals(min_value="0.01", max_value="100000", places=2),
    ),
    max_size=30,
)


def _position() -> Position:
    return Position(
        account_id=AccountId("SIM-main"), strategy_id=StrategyId("ab"), instrument_id=InstrumentId("BTCUSDT.SIM")
    )


def _units(signed_size: int) -> Decimal:
    return Decimal(signed_size).scaleb(-SIZE_PRECISION)


@given(FILLS, st.decimals(min_value="0.01", max_value="100000", places=2))
def test_realized_and_unrealized_equal_the_cash_flow_at_the_mark(
    fills: list[tuple[int, Decimal]], mark: Decimal
) -> None:
    position = _position()
    for size, price in fills:
        position.apply(size, price, SIZE_PRECISION)
    cash = -sum((_units(size) * price for size, price in fills), Decimal(0))
    held = _units(sum(size for size, _ in fills))
    profit = position.realized_pnl + position.unrealized_pnl(mark, SIZE_PRECISION)
    assert position.signed_size == sum(size for size, _ in fills)
    assert abs(profit - (cash + held * mark)) <= ROUNDING


@given(FILLS)
def test_the_average_lies_between_the_prices_and_is_zero_when_flat(fills: list[tuple[int, Decimal]]) -> None:
    position, seen = _position(), []
    for size, price in fills:
        before = position.realized_pnl
        realized = position.apply(size, price, SIZE_PRECISION)
        seen.append(price)
        assert position.realized_pnl == before + realized
        if position.signed_size == 0:
            assert position.average_price == 0
        else:
            assert min(seen) <= position.average_price <= max(seen)


@given(FILLS)
def test_a_short_is_the_mirror_of_a_long(fills: list[tuple[int, Decimal]]) -> None:
    long, short = _position(), _position()
    for size, price in fills:
        assert long.apply(size, price, SIZE_PRECISION) == -short.apply(-size, price, SIZE_PRECISION)
    assert long.signed_size == -short.signed_size
    assert long.average_price == short.average_price


def test_growing_moves_the_average_and_realizes_nothing() -> None:
    position = _position()
    assert position.apply(100_000, Decimal(100), SIZE_PRECISION) == 0
    assert position.apply(300_000, Decimal(200), SIZE_PRECISION) == 0
    assert position.average_price == 175
    assert position.unrealized_pnl(Decimal(180), SIZE_PRECISION) == 20


def test_shrinking_realizes_and_keeps_the_average() -> None:
    position = _position()
    position.apply(200_000, Decimal(100), SIZE_PRECISION)
    assert position.apply(-50_000, Decimal(110), SIZE_PRECISION) == 5
    assert (position.average_price, position.signed_size) == (Decimal(100), 150_000)


def test_a_fill_through_zero_realizes_the_old_and_opens_the_new() -> None:
    position = _position()
    position.apply(100_000, Decimal(100), SIZE_PRECISION)
    assert position.apply(-300_000, Decimal(90), SIZE_PRECISION) == -10
    assert (position.average_price, position.signed_size) == (Decimal(90), -200_000)


@pytest.mark.parametrize("held", [0, 100_000, -100_000])
def test_a_fill_of_nothing_changes_nothing(held: int) -> None:
    position = _position()
    position.apply(held, Decimal(100), SIZE_PRECISION)
    average = position.average_price
    assert position.apply(0, Decimal(50), SIZE_PRECISION) == 0
    assert (position.signed_size, position.average_price, position.realized_pnl) == (held, average, Decimal(0))

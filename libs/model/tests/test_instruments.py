"""Instruments refuse what their venue would refuse, and are exact."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.model.fixed_point import INT64_MAX, FixedPointError
from tradewind.model.identifiers import InstrumentId, Venue
from tradewind.model.instruments import Instrument


def _instrument(**changes: Any) -> Instrument:
    fields: dict[str, Any] = {
        "instrument_id": InstrumentId("BTCUSDT.BINANCE"),
        "venue": Venue("BINANCE"),
        "symbol": "BTCUSDT",
        "base_currency": "BTC",
        "quote_currency": "USDT",
        "price_precision": 2,
        "size_precision": 5,
        "price_increment": 5,
        "size_increment": 10,
        "min_size": 10,
        "max_size": 10**9,
        "max_price": 10**8,
        "min_notional": Decimal(5),
    }
    return Instrument(**{**fields, **changes})


def test_a_price_on_its_tick_is_a_mantissa() -> None:
    instrument = _instrument()
    assert instrument.price("61837.65") == 6183765
    assert instrument.price(Decimal("1000000.00")) == 10**8
    assert instrument.format_price(6183765) == "61837.65"
    assert instrument.decimal_price(6183765) == Decimal("61837.65")


@pytest.mark.parametrize(
    ("price", "said"),
    [
        ("61837.63", "not a multiple of 0.05"),
        ("61837.651", "more than 2 decimals"),
        ("0", "not above 0 and at most 1000000.00"),
        ("-1", "not above 0"),
        ("1000000.05", "at most 1000000.00"),
        ("1e400", "outside int64"),
        ("NaN", "not a finite"),
    ],
)
def test_a_wrong_price_is_refused_with_its_reason(price: str, said: str) -> None:
    with pytest.raises(FixedPointError, match=said):
        _instrument().price(price)


def test_a_size_on_its_step_is_a_mantissa() -> None:
    instrument = _instrument()
    assert instrument.size("1.5") == 150000
    assert instrument.size(0) == 0
    assert instrument.format_size(10) == "0.00010"
    assert instrument.decimal_size(150000) == Decimal("1.5")


@pytest.mark.parametrize(
    ("size", "said"),
    [("0.00001", "not a multiple of 0.00010"), ("-1", "not a multiple"), ("0.000001", "more than 5 decimals")],
)
def test_a_wrong_size_is_refused_with_its_reason(size: str, said: str) -> None:
    with pytest.raises(FixedPointError, match=said):
        _instrument().size(size)


@given(st.integers(1, INT64_MAX), st.integers(1, INT64_MAX))
def test_a_notional_is_exact(price: int, size: int) -> None:
    notional = _instrument().notional(price, size)
    assert notional.as_tuple().exponent == -7
    assert int("".join(map(str, notional.as_tuple().digits))) == price * size


@pytest.mark.parametrize(
    "changes",
    [
        {"price_precision": -1},
        {"size_precision": 19},
        {"price_increment": 0},
        {"size_increment": -10},
    ],
)
def test_impossible_steps_are_refused_also_from_the_wire(changes: dict[str, int]) -> None:
    with pytest.raises(FixedPointError, match=r"BTCUSDT\.BINANCE"):
        _instrument(**changes)
    fields = {**msgspec.to_builtins(_instrument()), **changes}
    with pytest.raises(msgspec.ValidationError, match=r"BTCUSDT\.BINANCE"):
        msgspec.convert(fields, Instrument)

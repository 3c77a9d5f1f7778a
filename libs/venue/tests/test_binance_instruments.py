"""exchangeInfo to instruments."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tradewind.model.fixed_point import INT64_MAX
from tradewind.model.identifiers import Venue
from tradewind.venue.binance.instruments import UnusableInstrument, decimals, instrument_of
from tradewind.venue.binance.messages import SymbolInfo


def info(*filters: dict[str, Any], precision: int = 8) -> SymbolInfo:
    return msgspec.convert(
        {
            "symbol": "ABCUSDT",
            "baseAsset": "ABC",
            "quoteAsset": "USDT",
            "baseAssetPrecision": precision,
            "filters": list(filters),
        },
        SymbolInfo,
    )


PRICE = {"filterType": "PRICE_FILTER", "minPrice": "0.00010000", "maxPrice": "1000.00000000", "tickSize": "0.00010000"}
LOT = {"filterType": "LOT_SIZE", "minQty": "0.10000000", "maxQty": "900000.00000000", "stepSize": "0.10000000"}


def test_precisions_and_steps_come_from_the_filters() -> None:
    made = instrument_of(info(PRICE, LOT, {"filterType": "MIN_NOTIONAL", "minNotional": "10.00000000"}), Venue("V"))
    assert (made.price_precision, made.price_increment, made.max_price) == (4, 1, 10_000_000)
    assert (made.size_precision, made.size_increment, made.min_size) == (8, 10_000_000, 10_000_000)
    assert made.max_size == 900_000 * 10**8
    assert made.min_notional == Decimal(10)
    assert made.instrument_id == "ABCUSDT.V"


def test_sizes_finer_than_the_step_can_be_held_but_not_ordered() -> None:
    made = instrument_of(info(PRICE, LOT), Venue("V"))
    with pytest.raises(ValueError, match="multiple"):
        made.size("0.15")
    assert made.format_size(15_000_000) == "0.15000000"


def test_a_zero_switches_a_rule_off() -> None:
    off = {"filterType": "PRICE_FILTER", "minPrice": "0.0", "maxPrice": "0.00000000", "tickSize": "0.00000000"}
    made = instrument_of(info(off), Venue("V"))
    assert (made.price_precision, made.price_increment, made.max_price) == (8, 1, INT64_MAX)
    assert (made.size_increment, made.min_size, made.max_size) == (1, 0, INT64_MAX)
    assert made.min_notional == 0


@pytest.mark.parametrize(
    "bad", [{**PRICE, "tickSize": "fine"}, {**PRICE, "maxPrice": "1e40"}, {**PRICE, "tickSize": "NaN"}]
)
def test_what_cannot_be_held_exactly_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UnusableInstrument, match="ABCUSDT"):
        instrument_of(info(bad, LOT), Venue("V"))


@pytest.mark.parametrize(("text", "wanted"), [("0.01000000", 2), ("1.00000000", 0), ("10", 0), ("0.00000001", 8)])
def test_decimals(text: str, wanted: int) -> None:
    assert decimals(text) == wanted

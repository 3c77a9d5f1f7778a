from decimal import Decimal
from pathlib import Path

import pytest

from tradewind.execution.limits import InstrumentLimits, RiskLimits, StrategyLimits
from tradewind.execution.limits_file import LimitsFileError, read_limits_file
from tradewind.model.identifiers import InstrumentId, StrategyId

GOOD = """
[strategy.ema-cross]
max_position_notional = "50000.5"
max_daily_loss = 500
max_drawdown = 0.1

[instrument."BTCUSDT.BINANCE"]
max_order_size = 2
max_price_age_s = 1.5
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "limits.toml"
    path.write_text(text)
    return path


def test_numbers_are_read_exactly_as_they_stand(tmp_path: Path) -> None:
    found = read_limits_file(write(tmp_path, GOOD))
    assert found.strategies == {
        "ema-cross": StrategyLimits(
            max_position_notional=Decimal("50000.5"), max_daily_loss=Decimal(500), max_drawdown=Decimal("0.1")
        )
    }
    assert found.instruments == {"BTCUSDT.BINANCE": InstrumentLimits(max_order_size=Decimal(2), max_price_age_s=1.5)}


def test_what_the_file_gives_replaces_the_default_and_the_rest_stays(tmp_path: Path) -> None:
    found = read_limits_file(write(tmp_path, GOOD))
    limits = RiskLimits(
        max_strategy_notional=Decimal(9), max_open_orders_per_strategy=7, strategies=found.strategies,
        instruments=found.instruments,
    )  # fmt: skip
    own = limits.of_strategy(StrategyId("ema-cross"))
    assert (own.max_position_notional, own.max_open_orders) == (Decimal("50000.5"), 7)
    assert limits.of_strategy(StrategyId("other")).max_position_notional == Decimal(9)
    instrument = limits.of_instrument(InstrumentId("BTCUSDT.BINANCE"))
    assert (instrument.max_order_size, instrument.max_open_orders) == (Decimal(2), 50)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[strategy.a]\nmax_daily_los = 5", "[strategy.a]: Object contains unknown field `max_daily_los`"),
        ("[strategy.a]\nmax_daily_loss = true", "$.max_daily_loss"),
        ("[strategy.a]\nmax_open_orders = 1.5", "$.max_open_orders"),
        ("[strategy.a]\nmax_daily_loss = -5", "max_daily_loss=-5"),
        ("[strategy.a]\nmax_daily_loss = nan", "max_daily_loss=NaN"),
        ('[strategy.a]\nmax_daily_loss = "much"', "$.max_daily_loss"),
        ('[instrument."B.X"]\nmax_daily_loss = 5', "unknown field `max_daily_loss`"),
        ("[strategy]\nmax_open_orders = 5", "[strategy.max_open_orders]"),
        ("[account]\nmax_open_orders = 5", "account: only tables [strategy.<id>]"),
        ("max_open_orders = 5", "max_open_orders: only tables [strategy.<id>]"),
        ("[strategy.a]\nmax_open_orders = 1\nmax_open_orders = 2", "max_open_orders = 2"),
        ("[strategy.a]\nmax_open_orders = 1\n[strategy.a]\n", "[strategy.a]"),
        ("[strategy.a\n", "[strategy.a"),
    ],
)
def test_what_is_not_understood_is_refused_with_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(LimitsFileError) as caught:
        read_limits_file(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LimitsFileError, match=r"none\.toml: cannot be read"):
        read_limits_file(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(LimitsFileError, match="UTF-8"):
        read_limits_file(tmp_path / "bytes.toml")


def test_a_day_that_never_begins_is_refused() -> None:
    with pytest.raises(ValueError, match="day_start_s=86400"):
        RiskLimits(day_start_s=86_400)


@pytest.mark.parametrize("name", ["max_order_notional", "max_daily_loss", "max_open_orders", "max_price_age_s"])
def test_a_negative_limit_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}=-1"):
        RiskLimits(**{name: -1})

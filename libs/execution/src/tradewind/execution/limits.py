"""Limits by scope, and the codes that an order is denied with. docs/protocols/risk-limits.md says what each counts."""

import enum
from decimal import Decimal
from typing import Final

import msgspec

from tradewind.model.identifiers import InstrumentId, StrategyId

_DAY_S: Final = 86_400


class DenyCode(enum.StrEnum):
    """Why our own risk refused an order. The text of a denial is ``CODE: limit=… value=…``."""

    INSTRUMENT_UNKNOWN = "INSTRUMENT_UNKNOWN"
    ORDER_TYPE_UNSUPPORTED = "ORDER_TYPE_UNSUPPORTED"
    DUPLICATE_CLIENT_ORDER_ID = "DUPLICATE_CLIENT_ORDER_ID"
    COMMAND_TOO_OLD = "COMMAND_TOO_OLD"
    STRATEGY_SUPERSEDED = "STRATEGY_SUPERSEDED"
    PRICE_MISSING = "PRICE_MISSING"
    PRICE_NOT_POSITIVE = "PRICE_NOT_POSITIVE"
    PRICE_EXCEEDS_MAX = "PRICE_EXCEEDS_MAX"
    PRICE_OFF_TICK = "PRICE_OFF_TICK"
    PRICE_REFERENCE_MISSING = "PRICE_REFERENCE_MISSING"
    MARKET_DATA_STALE = "MARKET_DATA_STALE"
    SIZE_NOT_POSITIVE = "SIZE_NOT_POSITIVE"
    SIZE_OFF_STEP = "SIZE_OFF_STEP"
    SIZE_BELOW_MIN = "SIZE_BELOW_MIN"
    SIZE_EXCEEDS_MAX = "SIZE_EXCEEDS_MAX"
    NOTIONAL_BELOW_MIN = "NOTIONAL_BELOW_MIN"
    NOTIONAL_EXCEEDS_MAX_PER_ORDER = "NOTIONAL_EXCEEDS_MAX_PER_ORDER"
    SIZE_EXCEEDS_MAX_PER_ORDER = "SIZE_EXCEEDS_MAX_PER_ORDER"
    NOTIONAL_EXCEEDS_MAX_PER_STRATEGY = "NOTIONAL_EXCEEDS_MAX_PER_STRATEGY"
    NOTIONAL_EXCEEDS_MAX_PER_INSTRUMENT = "NOTIONAL_EXCEEDS_MAX_PER_INSTRUMENT"
    NOTIONAL_EXCEEDS_MAX_PER_ACCOUNT = "NOTIONAL_EXCEEDS_MAX_PER_ACCOUNT"
    FIRM_ALLOCATION_EXCEEDED = "FIRM_ALLOCATION_EXCEEDED"
    OPEN_ORDERS_EXCEED_MAX_PER_STRATEGY = "OPEN_ORDERS_EXCEED_MAX_PER_STRATEGY"
    OPEN_ORDERS_EXCEED_MAX_PER_INSTRUMENT = "OPEN_ORDERS_EXCEED_MAX_PER_INSTRUMENT"
    OPEN_ORDERS_EXCEED_MAX_PER_ACCOUNT = "OPEN_ORDERS_EXCEED_MAX_PER_ACCOUNT"
    ORDER_RATE_EXCEEDED = "ORDER_RATE_EXCEEDED"
    DAILY_LOSS_EXCEEDED = "DAILY_LOSS_EXCEEDED"
    DRAWDOWN_EXCEEDED = "DRAWDOWN_EXCEEDED"
    BALANCE_INSUFFICIENT = "BALANCE_INSUFFICIENT"
    REDUCE_ONLY_WOULD_INCREASE = "REDUCE_ONLY_WOULD_INCREASE"
    TRADING_HALTED = "TRADING_HALTED"
    TRADING_REDUCING = "TRADING_REDUCING"
    NOT_READY = "NOT_READY"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"


class ScopeLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The most that one scope may do; None is no limit of this scope's own.

    Notionals and losses are in quote currency, ``max_order_size`` in base currency.
    """

    max_order_notional: Decimal | None = None
    max_order_size: Decimal | None = None
    max_position_notional: Decimal | None = None
    max_open_orders: int | None = None
    max_orders_per_second: int | None = None
    max_orders_per_minute: int | None = None

    def __post_init__(self) -> None:
        """Refuse limits that are no limits.

        Raises:
            ValueError: a negative or infinite number.
        """
        check_numbers(self)


class StrategyLimits(ScopeLimits, frozen=True, kw_only=True):
    """Limits of a strategy; also those of the account, which lose in the same way."""

    max_daily_loss: Decimal | None = None
    max_drawdown: Decimal | None = None


class InstrumentLimits(ScopeLimits, frozen=True, kw_only=True):
    """Limits of an instrument; its market data may be quieter than that of others."""

    max_price_age_s: float | None = None


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The limits that settings name: of an order, of the account, and of every strategy and instrument.

    Notionals are in quote currency; open orders count at their worst case. ``max_instrument_notional`` bounds, per
    strategy and side, the position plus everything that could still fill, summed over strategies;
    ``max_account_notional`` the sum over instruments; ``max_firm_notional`` the sum over accounts. ``max_order_size``
    is in base currency. ``max_price_age_s`` of None takes market data of any age. The trading day begins
    ``day_start_s`` seconds after midnight UTC.
    """

    max_order_notional: Decimal = Decimal(250_000)
    max_order_size: Decimal | None = None
    max_strategy_notional: Decimal | None = None
    max_instrument_notional: Decimal = Decimal(1_000_000)
    max_account_notional: Decimal = Decimal(2_000_000)
    max_firm_notional: Decimal | None = None
    max_open_orders_per_strategy: int | None = None
    max_open_orders_per_instrument: int = 50
    max_open_orders: int = 200
    max_orders_per_second: int | None = None
    max_orders_per_minute: int | None = None
    max_orders_per_second_per_strategy: int | None = None
    max_orders_per_minute_per_strategy: int | None = None
    max_orders_per_second_per_instrument: int | None = None
    max_orders_per_minute_per_instrument: int | None = None
    max_daily_loss: Decimal | None = None
    max_drawdown: Decimal | None = None
    max_strategy_daily_loss: Decimal | None = None
    max_strategy_drawdown: Decimal | None = None
    max_price_age_s: float | None = 5.0
    limit_orders_need_price: bool = False
    day_start_s: int = 0
    max_command_age_s: float = 30.0

    def __post_init__(self) -> None:
        """Refuse limits that are no limits.

        Raises:
            ValueError: a negative or infinite number, or a day that never begins.
        """
        check_numbers(self)
        if self.day_start_s >= _DAY_S:
            raise ValueError(f"day_start_s={self.day_start_s}: a day has {_DAY_S} seconds")


class RiskLimits(LimitSettings, frozen=True, kw_only=True):
    """All limits of one account: the settings, and what single strategies and instruments have of their own."""

    strategies: dict[StrategyId, StrategyLimits] = {}
    instruments: dict[InstrumentId, InstrumentLimits] = {}

    def of_account(self) -> StrategyLimits:
        """The limits of the account as a whole."""
        return StrategyLimits(
            max_position_notional=self.max_account_notional,
            max_open_orders=self.max_open_orders,
            max_orders_per_second=self.max_orders_per_second,
            max_orders_per_minute=self.max_orders_per_minute,
            max_daily_loss=self.max_daily_loss,
            max_drawdown=self.max_drawdown,
        )

    def of_strategy(self, strategy_id: StrategyId) -> StrategyLimits:
        """What every strategy may do, with this one's own numbers in place."""
        everyone = StrategyLimits(
            max_position_notional=self.max_strategy_notional,
            max_open_orders=self.max_open_orders_per_strategy,
            max_orders_per_second=self.max_orders_per_second_per_strategy,
            max_orders_per_minute=self.max_orders_per_minute_per_strategy,
            max_daily_loss=self.max_strategy_daily_loss,
            max_drawdown=self.max_strategy_drawdown,
        )
        own = self.strategies.get(strategy_id)
        return everyone if own is None else msgspec.structs.replace(everyone, **_given(own))

    def of_instrument(self, instrument_id: InstrumentId) -> InstrumentLimits:
        """What may be done in every instrument, with this one's own numbers in place."""
        everyone = InstrumentLimits(
            max_position_notional=self.max_instrument_notional,
            max_open_orders=self.max_open_orders_per_instrument,
            max_orders_per_second=self.max_orders_per_second_per_instrument,
            max_orders_per_minute=self.max_orders_per_minute_per_instrument,
            max_price_age_s=self.max_price_age_s,
        )
        own = self.instruments.get(instrument_id)
        return everyone if own is None else msgspec.structs.replace(everyone, **_given(own))


def without_clock(limits: RiskLimits) -> RiskLimits:
    """The same without rates and ages: in a replay in lockstep the time between steps is the computer's own."""
    timeless: dict[str, object] = {"max_orders_per_second": None, "max_orders_per_minute": None}
    return msgspec.structs.replace(
        limits,
        max_price_age_s=None,
        **{name: None for name in limits.__struct_fields__ if name.startswith("max_orders_per_")},
        strategies={name: msgspec.structs.replace(one, **timeless) for name, one in limits.strategies.items()},
        instruments={
            name: msgspec.structs.replace(one, **timeless, max_price_age_s=None)
            for name, one in limits.instruments.items()
        },
    )


def check_numbers(limits: msgspec.Struct) -> None:
    """Refuse numbers that no limit can be.

    Raises:
        ValueError: a negative, infinite or undefined number; names the field.
    """
    for name in limits.__struct_fields__:
        value = getattr(limits, name)
        if isinstance(value, (int, float, Decimal)) and not (Decimal(value).is_finite() and value >= 0):
            raise ValueError(f"{name}={value}: a limit is a number from 0 on")


def _given(own: ScopeLimits) -> dict[str, object]:
    return {name: value for name in own.__struct_fields__ if (value := getattr(own, name)) is not None}


class Denial(Exception):
    """The order must not be sent."""

    def __init__(self, code: DenyCode, *, limit: object = None, value: object = None, scope: object = None) -> None:
        named = (("limit", limit), ("value", value), ("scope", scope))
        parts = [f"{name}={item}" for name, item in named if item is not None]
        super().__init__(f"{code}: {' '.join(parts)}" if parts else str(code))
        self.code = code

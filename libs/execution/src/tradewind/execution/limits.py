"""Limits, and the codes that an order is denied with."""

import enum
from decimal import Decimal

import msgspec


class DenyCode(enum.StrEnum):
    """Why our own risk refused an order. The text of a denial is ``CODE: limit=… value=…``."""

    INSTRUMENT_UNKNOWN = "INSTRUMENT_UNKNOWN"
    ORDER_TYPE_UNSUPPORTED = "ORDER_TYPE_UNSUPPORTED"
    DUPLICATE_CLIENT_ORDER_ID = "DUPLICATE_CLIENT_ORDER_ID"
    COMMAND_TOO_OLD = "COMMAND_TOO_OLD"
    PRICE_MISSING = "PRICE_MISSING"
    PRICE_NOT_POSITIVE = "PRICE_NOT_POSITIVE"
    PRICE_EXCEEDS_MAX = "PRICE_EXCEEDS_MAX"
    PRICE_OFF_TICK = "PRICE_OFF_TICK"
    PRICE_REFERENCE_MISSING = "PRICE_REFERENCE_MISSING"
    SIZE_NOT_POSITIVE = "SIZE_NOT_POSITIVE"
    SIZE_OFF_STEP = "SIZE_OFF_STEP"
    SIZE_BELOW_MIN = "SIZE_BELOW_MIN"
    SIZE_EXCEEDS_MAX = "SIZE_EXCEEDS_MAX"
    NOTIONAL_BELOW_MIN = "NOTIONAL_BELOW_MIN"
    NOTIONAL_EXCEEDS_MAX_PER_ORDER = "NOTIONAL_EXCEEDS_MAX_PER_ORDER"
    NOTIONAL_EXCEEDS_MAX_PER_INSTRUMENT = "NOTIONAL_EXCEEDS_MAX_PER_INSTRUMENT"
    NOTIONAL_EXCEEDS_MAX_PER_ACCOUNT = "NOTIONAL_EXCEEDS_MAX_PER_ACCOUNT"
    OPEN_ORDERS_EXCEED_MAX_PER_INSTRUMENT = "OPEN_ORDERS_EXCEED_MAX_PER_INSTRUMENT"
    OPEN_ORDERS_EXCEED_MAX_PER_ACCOUNT = "OPEN_ORDERS_EXCEED_MAX_PER_ACCOUNT"
    BALANCE_INSUFFICIENT = "BALANCE_INSUFFICIENT"
    REDUCE_ONLY_WOULD_INCREASE = "REDUCE_ONLY_WOULD_INCREASE"
    TRADING_HALTED = "TRADING_HALTED"
    TRADING_REDUCING = "TRADING_REDUCING"
    NOT_READY = "NOT_READY"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"


class RiskLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The most that one account may do. Notionals are in quote currency; open orders are counted at their worst case.

    ``max_instrument_notional`` bounds, per instrument and side, the position plus everything that could still fill.
    ``max_account_notional`` bounds the sum over instruments of the larger side.
    """

    max_order_notional: Decimal = Decimal(250_000)
    max_instrument_notional: Decimal = Decimal(1_000_000)
    max_account_notional: Decimal = Decimal(2_000_000)
    max_open_orders_per_instrument: int = 50
    max_open_orders: int = 200
    max_command_age_s: float = 30.0


class Denial(Exception):
    """The order must not be sent."""

    def __init__(self, code: DenyCode, *, limit: object = None, value: object = None) -> None:
        parts = [f"{name}={item}" for name, item in (("limit", limit), ("value", value)) if item is not None]
        super().__init__(f"{code}: {' '.join(parts)}" if parts else str(code))
        self.code = code

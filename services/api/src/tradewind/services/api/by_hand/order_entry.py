"""A hand's order: what the page may ask for, and its way to a SubmitOrder command.

Only the form is checked here, against the instrument's own steps and bounds; whether the order may be sent is decided
by the execution service's risk checks, as for every strategy.
"""

import itertools
import time
from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from tradewind.model.enums import OrderSide, OrderType, TimeInForce, TradingState
from tradewind.model.fixed_point import FixedPointError, from_mantissa
from tradewind.model.identifiers import AccountId, ClientOrderId, StrategyId, client_order_id
from tradewind.model.instruments import Instrument
from tradewind.wire.commands import SubmitOrder

MANUAL: Final = StrategyId("manual")
DecimalText = Annotated[str, Field(pattern=r"^-?[0-9]{1,19}(\.[0-9]{1,18})?$", examples=["61837.63"])]
ManualOrderId = Annotated[str, Field(pattern=r"^manual-[A-Za-z0-9-]{1,29}$")]
Scope = Annotated[
    str,
    Field(
        pattern=(
            r"^(firm|account:[A-Z0-9_]{1,32}-[A-Za-z0-9_-]{1,64}|instrument:[^\s.:]{1,64}\.[A-Z0-9_]{1,32}"
            r"|strategy:(EXTERNAL|[a-z0-9][a-z0-9-]{0,22}[a-z0-9]))$"
        ),
        examples=["firm", "strategy:ema-cross", "instrument:BTCUSDT.BINANCE"],
    ),
]
Sentence = Annotated[str, Field(min_length=3, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


class OrderRefused(ValueError):
    """The order cannot be sent as it is; the message says what to change."""


class NewOrder(BaseModel):
    """An order by hand. ``client_order_id`` makes a repeated request harmless: the second is refused as known."""

    model_config = ConfigDict(extra="forbid", strict=True)

    instrument_id: Annotated[str, Field(min_length=3, max_length=64, examples=["BTCUSDT.BINANCE"])]
    side: Literal["BUY", "SELL"]
    order_type: Literal["LIMIT", "MARKET"] = "LIMIT"
    size: DecimalText
    price: DecimalText | None = None
    time_in_force: Literal["GTC", "IOC", "FOK"] = "GTC"
    post_only: bool = False
    reduce_only: bool = False
    client_order_id: Annotated[ManualOrderId | None, Field(examples=["manual-1723161255208-1"])] = None


class NewTradingState(BaseModel):
    """The kill switch and its release. HALTED cancels everything that rests in the scope."""

    model_config = ConfigDict(extra="forbid", strict=True)

    scope: Scope
    state: Literal["ACTIVE", "REDUCING", "HALTED"]
    why: Sentence

    @property
    def trading_state(self) -> TradingState:
        """The state as the platform's own value."""
        return TradingState(self.state)


class ManualIds:
    """Ids of orders by hand: the start of this process in ms stands for the run, so that no later start repeats one."""

    def __init__(self) -> None:
        self._run = time.time_ns() // 1_000_000
        self._numbers = itertools.count(1)

    def __call__(self) -> ClientOrderId:
        return client_order_id(MANUAL, self._run, next(self._numbers))


def submit_order(
    order: NewOrder, instrument: Instrument, account_id: AccountId, order_id: ClientOrderId, event_id: str
) -> SubmitOrder:
    """The command that a hand's order becomes.

    Raises:
        OrderRefused: off-tick, not positive, too small or too large, a price missing or too much.
    """
    try:
        size = instrument.size(order.size)
        price = _price(order, instrument)
    except FixedPointError as error:
        raise OrderRefused(str(error)) from error
    _check_size(size, instrument)
    if price is not None:
        _check_notional(instrument.notional(price, size), instrument)
    if order.post_only and (price is None or order.time_in_force != "GTC"):
        raise OrderRefused("post_only goes with a LIMIT order and time_in_force GTC only")
    now_ns = time.time_ns()
    return SubmitOrder(
        event_id=event_id,
        correlation_id=event_id,
        causation_id="",
        ts_event=now_ns,
        ts_init=now_ns,
        strategy_id=MANUAL,
        account_id=account_id,
        client_order_id=order_id,
        instrument_id=instrument.instrument_id,
        side=OrderSide(order.side),
        order_type=OrderType(order.order_type),
        size=size,
        time_in_force=TimeInForce(order.time_in_force),
        price=price,
        post_only=order.post_only,
        reduce_only=order.reduce_only,
    )


def _price(order: NewOrder, instrument: Instrument) -> int | None:
    if order.order_type == "MARKET":
        if order.price is not None:
            raise OrderRefused("a MARKET order has no price; leave it out or send a LIMIT order")
        return None
    if order.price is None:
        raise OrderRefused("a LIMIT order needs a price")
    if Decimal(order.price) <= 0:
        raise OrderRefused(f"price {order.price} must be positive")
    if Decimal(order.price) > from_mantissa(instrument.max_price, instrument.price_precision):
        raise OrderRefused(f"price {order.price} is above the largest, {instrument.format_price(instrument.max_price)}")
    return instrument.price(order.price)


def _check_size(size: int, instrument: Instrument) -> None:
    text = instrument.format_size(size)
    if size <= 0:
        raise OrderRefused(f"size {text} must be positive")
    if size < instrument.min_size:
        raise OrderRefused(f"size {text} is below the smallest, {instrument.format_size(instrument.min_size)}")
    if size > instrument.max_size:
        raise OrderRefused(f"size {text} is above the largest, {instrument.format_size(instrument.max_size)}")


def _check_notional(notional: Decimal, instrument: Instrument) -> None:
    if notional < instrument.min_notional:
        raise OrderRefused(
            f"price times size is {notional:f} {instrument.quote_currency}, "
            f"below the smallest, {instrument.min_notional:f}"
        )

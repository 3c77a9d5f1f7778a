"""The order: what was intended, where it stands, and how well we know it."""

from decimal import Decimal

import msgspec

from tradewind.model.enums import LiquiditySide, OrderSide, OrderType, Outcome, TimeInForce
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, StrategyId, TradeId, VenueOrderId
from tradewind.model.order_status import PENDING, OrderStatus, check_transition


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of an order. (account, venue, trade_id) names it for ever."""

    trade_id: TradeId
    client_order_id: ClientOrderId
    venue_order_id: VenueOrderId
    account_id: AccountId
    strategy_id: StrategyId
    instrument_id: InstrumentId
    side: OrderSide
    price: int
    size: int
    fee: Decimal
    fee_currency: str
    liquidity_side: LiquiditySide
    ts_event: int


class Order(msgspec.Struct, kw_only=True):
    """An order as its owner knows it. Prices and sizes are mantissas of its instrument.

    ``outcome`` is UNKNOWN while we cannot tell what the venue did with the last thing we sent; ``unknown_since`` is
    then the time in ns.
    """

    client_order_id: ClientOrderId
    strategy_id: StrategyId
    account_id: AccountId
    instrument_id: InstrumentId
    side: OrderSide
    order_type: OrderType
    time_in_force: TimeInForce
    size: int
    price: int | None = None
    trigger_price: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    expire_time: int | None = None
    command_id: str = ""
    correlation_id: str = ""
    status: OrderStatus = OrderStatus.INITIALIZED
    previous_status: OrderStatus | None = None
    outcome: Outcome = Outcome.KNOWN
    unknown_since: int | None = None
    venue_order_id: VenueOrderId | None = None
    filled_size: int = 0
    reason: str | None = None
    event_count: int = 0
    ts_init: int = 0
    ts_last: int = 0

    @property
    def remaining_size(self) -> int:
        """What may still fill; zero once closed."""
        return 0 if self.status.is_closed else max(self.size - self.filled_size, 0)

    @property
    def at_risk_size(self) -> int:
        """The worst case still to come: all that is not filled, of an order that is open, in flight or UNKNOWN."""
        if self.outcome is Outcome.UNKNOWN:
            return max(self.size - self.filled_size, 0)
        return self.remaining_size

    def move(self, status: OrderStatus) -> None:
        """Take the next status.

        Raises:
            InvalidTransition: the table does not allow it.
        """
        check_transition(self.status, status)
        if status in PENDING:
            if self.status not in PENDING:
                self.previous_status = self.status
        else:
            self.previous_status = None
        self.status = status

    def restore(self) -> None:
        """Go back to the status before a refused cancel or modify."""
        if self.status in PENDING and self.previous_status is not None:
            self.move(self.previous_status)

    def add_fill(self, size: int) -> None:
        """Count a fill and take PARTIALLY_FILLED or FILLED.

        A partial fill of a closed order (the cancel/fill race) adds to ``filled_size`` and leaves it closed; one that
        comes while a cancel or modify is pending leaves the request pending.

        Raises:
            InvalidTransition: the order is FILLED or was never sent.
        """
        total = self.filled_size + size
        after = OrderStatus.FILLED if total >= self.size else OrderStatus.PARTIALLY_FILLED
        check_transition(self.status, after)
        self.filled_size = total
        if after is OrderStatus.FILLED:
            self.move(after)
        elif self.status in PENDING:
            self.previous_status = after
        elif not self.status.is_closed or self.status is OrderStatus.REJECTED:
            self.move(after)

"""What a venue says of our orders, fills and balances: the only facts that the order path believes.

Reports are the venue's word, whole and repeatable: the same report may come twice, late or out of order, and applying
it again changes nothing.
"""

from decimal import Decimal

import msgspec

from tradewind.model.accounts import Balance
from tradewind.model.enums import LiquiditySide, OrderSide, OrderType, TimeInForce
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, TradeId, VenueOrderId
from tradewind.model.order_status import OrderStatus


class OrderStatusReport(msgspec.Struct, frozen=True, kw_only=True):
    """Where one order stands at the venue. Prices and sizes are mantissas of the instrument."""

    account_id: AccountId
    instrument_id: InstrumentId
    client_order_id: ClientOrderId | None
    venue_order_id: VenueOrderId
    side: OrderSide
    order_type: OrderType
    time_in_force: TimeInForce
    status: OrderStatus
    size: int
    filled_size: int
    price: int | None = None
    post_only: bool = False
    reason: str = ""
    ts_event: int


class FillReport(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of one of our orders, named for ever by (account, instrument's venue, trade_id)."""

    account_id: AccountId
    instrument_id: InstrumentId
    client_order_id: ClientOrderId | None
    venue_order_id: VenueOrderId
    trade_id: TradeId
    side: OrderSide
    price: int
    size: int
    fee: Decimal
    fee_currency: str
    liquidity_side: LiquiditySide
    ts_event: int


class CancelRejectReport(msgspec.Struct, frozen=True, kw_only=True):
    """The venue refused a cancel; what the order itself is must be asked for."""

    account_id: AccountId
    client_order_id: ClientOrderId
    reason: str
    ts_event: int


class PositionReport(msgspec.Struct, frozen=True, kw_only=True):
    """Net position of an instrument at the venue (derivatives; on spot the balances say it)."""

    account_id: AccountId
    instrument_id: InstrumentId
    signed_size: int
    ts_event: int


class BalanceReport(msgspec.Struct, frozen=True, kw_only=True):
    """Balances as the venue states them: all of them in a snapshot, else those that changed."""

    account_id: AccountId
    balances: tuple[Balance, ...]
    snapshot: bool
    ts_event: int


class MassStatus(msgspec.Struct, frozen=True, kw_only=True):
    """All that the venue knows of one account at one time: the input of reconciliation."""

    account_id: AccountId
    open_orders: tuple[OrderStatusReport, ...]
    fills: tuple[FillReport, ...]
    positions: tuple[PositionReport, ...]
    balances: BalanceReport
    ts_event: int


class StreamInterrupted(msgspec.Struct, frozen=True, kw_only=True):
    """The private stream broke: what came since is unknown until a mass status was taken."""

    account_id: AccountId
    reason: str


class StreamResumed(msgspec.Struct, frozen=True, kw_only=True):
    """The private stream is up again; ask for a mass status before trusting silence."""

    account_id: AccountId


Report = OrderStatusReport | FillReport | CancelRejectReport | PositionReport | BalanceReport
StreamEvent = Report | StreamInterrupted | StreamResumed

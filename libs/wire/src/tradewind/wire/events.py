"""Events: past tense, facts. Those of the order path are published only after the store has committed them."""

from decimal import Decimal

import msgspec

from tradewind.model.accounts import Balance
from tradewind.model.enums import KillStage, LiquiditySide, OrderSide, OrderType, TimeInForce, TradingState
from tradewind.model.identifiers import (
    AccountId,
    ClientOrderId,
    InstrumentId,
    StrategyId,
    TradeId,
    Venue,
    VenueOrderId,
)
from tradewind.model.instruments import Instrument
from tradewind.model.order_status import OrderStatus
from tradewind.wire.messages import Message


class OrderEvent(Message, frozen=True, kw_only=True):
    """What all order events have. ``status`` is the order's after the event, ``sequence`` counts its story from 1."""

    account_id: AccountId
    strategy_id: StrategyId
    instrument_id: InstrumentId
    client_order_id: ClientOrderId
    sequence: int
    status: OrderStatus


class OrderInitialized(OrderEvent, frozen=True, kw_only=True, tag="OrderInitialized"):
    """The command was taken into the store: the whole of the order."""

    side: OrderSide
    order_type: OrderType
    time_in_force: TimeInForce
    size: int
    price: int | None = None
    trigger_price: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    expire_time: int | None = None
    ts_cause: int = 0
    ts_intent: int = 0


class OrderDenied(OrderEvent, frozen=True, kw_only=True, tag="OrderDenied"):
    """Our own risk refused it; it was never sent. ``reason`` is ``CODE: limit=… value=…``."""

    reason: str


class OrderSubmitted(OrderEvent, frozen=True, kw_only=True, tag="OrderSubmitted"):
    """Durable and cleared for sending; from here on only the venue can end it."""


class AnsweredEvent(OrderEvent, frozen=True, kw_only=True):
    """What may be the first word after an order was sent. That one says when the order was durable and when its first
    byte went towards the venue, in ns UTC by the order path's clock; 0: not told, as after a restart of it."""

    ts_durable: int = 0
    ts_sent: int = 0


class OrderAccepted(AnsweredEvent, frozen=True, kw_only=True, tag="OrderAccepted"):
    """The venue took it."""

    venue_order_id: VenueOrderId


class OrderRejected(AnsweredEvent, frozen=True, kw_only=True, tag="OrderRejected"):
    """The venue refused it, in its own words."""

    reason: str


class OrderPendingCancel(OrderEvent, frozen=True, kw_only=True, tag="OrderPendingCancel"):
    """A cancel is on its way."""


class OrderCancelRejected(OrderEvent, frozen=True, kw_only=True, tag="OrderCancelRejected"):
    """The venue, or we, refused the cancel; the previous status holds again."""

    reason: str


class OrderCanceled(OrderEvent, frozen=True, kw_only=True, tag="OrderCanceled"):
    """Canceled at the venue."""

    reason: str = ""


class OrderExpired(OrderEvent, frozen=True, kw_only=True, tag="OrderExpired"):
    """Ended by its time in force."""


class OrderFilled(AnsweredEvent, frozen=True, kw_only=True, tag="OrderFilled"):
    """One execution. ``size`` and ``price`` are of this fill alone; ``filled_size`` is the order's total after it."""

    venue_order_id: VenueOrderId
    trade_id: TradeId
    side: OrderSide
    price: int
    size: int
    filled_size: int
    fee: Decimal
    fee_currency: str
    liquidity_side: LiquiditySide


class OrderOutcomeUnknown(AnsweredEvent, frozen=True, kw_only=True, tag="OrderOutcomeUnknown"):
    """We cannot tell what the venue did with what we sent. It is being asked; the worst case stays in risk."""

    reason: str


class OrderOutcomeResolved(OrderEvent, frozen=True, kw_only=True, tag="OrderOutcomeResolved"):
    """The venue's word ended the doubt; the event before it or after it says what it was."""

    reason: str


class OrderClaimed(OrderEvent, frozen=True, kw_only=True, tag="OrderClaimed"):
    """An order of EXTERNAL became ``strategy_id``'s; what had filled before stays in EXTERNAL's book."""

    side: OrderSide
    order_type: OrderType
    time_in_force: TimeInForce
    size: int
    price: int | None
    filled_size: int
    actor: str
    why: str


class PositionChanged(Message, frozen=True, kw_only=True, tag="PositionChanged"):
    """The position of one strategy in one instrument after a fill."""

    account_id: AccountId
    strategy_id: StrategyId
    instrument_id: InstrumentId
    signed_size: int
    average_price: Decimal
    realized_pnl: Decimal


class AccountBalancesChanged(Message, frozen=True, kw_only=True, tag="AccountBalancesChanged"):
    """Balances as the venue states them; only the currencies that changed, or all in a snapshot."""

    account_id: AccountId
    balances: tuple[Balance, ...]
    snapshot: bool = False


class BalanceDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One currency of which the venue and our books do not say the same: ``at_venue`` and ``in_books`` are totals."""

    currency: str
    at_venue: Decimal
    in_books: Decimal


class BooksCompared(Message, frozen=True, kw_only=True, tag="BooksCompared"):
    """The account's balances at the venue against our books, told when the answer is another one than before."""

    account_id: AccountId
    differences: tuple[BalanceDifference, ...]


class EquityChanged(Message, frozen=True, kw_only=True, tag="EquityChanged"):
    """Profit and loss of one strategy's book at the latest marks, in quote currency."""

    account_id: AccountId
    strategy_id: StrategyId
    currency: str
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    fees: Decimal

    @property
    def net_pnl(self) -> Decimal:
        """Realized plus unrealized less fees."""
        return self.realized_pnl + self.unrealized_pnl - self.fees


class TradingStateChanged(Message, frozen=True, kw_only=True, tag="TradingStateChanged"):
    """The persisted trading state of a scope. ``actor`` and ``why`` stand in the audit table too."""

    scope: str
    state: TradingState
    actor: str
    why: str


class KillSwitchChanged(Message, frozen=True, kw_only=True, tag="KillSwitchChanged"):
    """A kill switch has come to another stage, or says something else of why it has not. Persisted before."""

    kill_id: int
    scope: str
    stage: KillStage
    flatten: bool
    reason: str
    actor: str
    why: str


class FlatnessReported(Message, frozen=True, kw_only=True, tag="FlatnessReported"):
    """What one step of a kill switch found at the venue. Only ``stage`` FLAT is a proof, as of ``ts_snapshot``."""

    account_id: AccountId
    kill_id: int
    scope: str
    stage: KillStage
    reason: str = ""
    open_orders: int = 0
    positions: tuple[str, ...] = ()
    dust: tuple[str, ...] = ()
    balances: tuple[Balance, ...] = ()
    ts_snapshot: int = 0


class LimitUsed(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one limit of one scope is used. ``name`` is the limit's in the settings of risk."""

    scope: str
    name: str
    used: Decimal
    limit: Decimal


class LimitsUsed(Message, frozen=True, kw_only=True, tag="LimitsUsed"):
    """Every limit of an account that is set, for people who look; about once a second, and only what the last says is
    so. Nobody decides by it."""

    account_id: AccountId
    uses: tuple[LimitUsed, ...]


class InstrumentDefined(Message, frozen=True, kw_only=True, tag="InstrumentDefined"):
    """An instrument can be traded in these steps from now on."""

    instrument: Instrument


class FeedStatusChanged(Message, frozen=True, kw_only=True, tag="FeedStatusChanged"):
    """State of one instrument's market data feed: CONNECTING, SYNCING, LIVE, GAP, STALE, ENDED or DISCONNECTED."""

    venue: Venue
    instrument_id: InstrumentId | None
    state: str
    detail: str = ""


class Audited(Message, frozen=True, kw_only=True, tag="Audited"):
    """Who did what, from what to what, and why."""

    actor: str
    action: str
    before: str
    after: str
    why: str


class AlertChanged(Message, frozen=True, kw_only=True, tag="AlertChanged"):
    """An alert was opened, changed, acknowledged or resolved. Persisted before; of two, the one with the
    higher ``revision`` is newer. ``state``: OPEN, ACKNOWLEDGED or RESOLVED; ``severity``: info, warning or critical."""

    alert_id: int
    revision: int
    name: str
    severity: str
    summary: str
    subject: str
    page: str
    state: str
    first_at: int
    last_at: int
    count: int
    acknowledged_by: str | None = None
    resolved_at: int | None = None


class ReplayStepEnded(Message, frozen=True, kw_only=True, tag="ReplayStepEnded"):
    """All market data of one step of a lockstep replay was published before this. ``step`` counts from 1."""

    venue: Venue
    step: int


class ReplayStepSettled(Message, frozen=True, kw_only=True, tag="ReplayStepSettled"):
    """All order events that a round of a lockstep replay caused were published before this.

    ``turn`` counts from 0 within the step: each time that strategies answer with new commands there is another.
    """

    account_id: AccountId
    step: int
    turn: int


class DeadLettered(Message, frozen=True, kw_only=True, tag="DeadLettered"):
    """A message that no consumer could handle, put aside on ``<topic>.dead-letter``.

    ``payload`` is the message as ``tradewind.wire.encoding`` writes it (a market batch: its raw records), or the bytes
    as they came when they could not be decoded. ``message_version`` is 0 when the version is not known. ``ts_event``
    is when the message was published; the correlation id is the message's own, and its event id is the causation id.
    """

    topic: str
    partition: int
    offset: int
    key: str
    message_type: str
    message_version: int
    reason: str
    payload: bytes


class StrategyStatusChanged(Message, frozen=True, kw_only=True, tag="StrategyStatusChanged"):
    """What a strategy's host does now, and what it would start with. ``ts_event`` is when the state began."""

    account_id: AccountId
    strategy_id: StrategyId
    service: str
    kind: str
    state: str
    wanted: str
    reason: str
    run: int
    version: int
    policy: str
    settings: str
    settings_in_force: str
    settings_schema: str
    refusal: str = ""


class StrategyLogged(Message, frozen=True, kw_only=True, tag="StrategyLogged"):
    """A line of a strategy's log. ``left_out``: lines before it that were too many to tell."""

    strategy_id: StrategyId
    level: str
    text: str
    fields: str
    left_out: int = 0


AnyOrderEvent = (
    OrderInitialized
    | OrderDenied
    | OrderSubmitted
    | OrderAccepted
    | OrderRejected
    | OrderPendingCancel
    | OrderCancelRejected
    | OrderCanceled
    | OrderExpired
    | OrderFilled
    | OrderOutcomeUnknown
    | OrderOutcomeResolved
    | OrderClaimed
)

ORDER_EVENT_TYPES: tuple[type[msgspec.Struct], ...] = (
    OrderInitialized,
    OrderDenied,
    OrderSubmitted,
    OrderAccepted,
    OrderRejected,
    OrderPendingCancel,
    OrderCancelRejected,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderOutcomeUnknown,
    OrderOutcomeResolved,
    OrderClaimed,
)
EVENT_TYPES: tuple[type[msgspec.Struct], ...] = (
    *ORDER_EVENT_TYPES,
    PositionChanged,
    AccountBalancesChanged,
    EquityChanged,
    TradingStateChanged,
    InstrumentDefined,
    FeedStatusChanged,
    Audited,
    KillSwitchChanged,
    FlatnessReported,
    BooksCompared,
    AlertChanged,
    LimitsUsed,
    StrategyStatusChanged,
    StrategyLogged,
    ReplayStepEnded,
    ReplayStepSettled,
    DeadLettered,
)

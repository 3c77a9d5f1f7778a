"""Commands: imperative, addressed to one owner, key = account (orders) or scope (risk)."""

import msgspec

from tradewind.model.enums import OrderSide, OrderType, Resolution, TimeInForce, TradingState
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, StrategyId
from tradewind.wire.messages import Message


class SubmitOrder(Message, frozen=True, kw_only=True, tag="SubmitOrder"):
    """Send a new order. Prices and sizes are mantissas of the instrument; ``expire_time`` in ns for GTD.

    ``run`` is the strategy's start that asks; once a later one has begun, it is denied. 0: of no start.
    """

    strategy_id: StrategyId
    account_id: AccountId
    client_order_id: ClientOrderId
    instrument_id: InstrumentId
    side: OrderSide
    order_type: OrderType
    size: int
    time_in_force: TimeInForce = TimeInForce.GTC
    price: int | None = None
    trigger_price: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    expire_time: int | None = None
    run: int = 0


class CancelOrder(Message, frozen=True, kw_only=True, tag="CancelOrder"):
    """Cancel one order of ours. Passes in every trading state."""

    strategy_id: StrategyId
    account_id: AccountId
    client_order_id: ClientOrderId


class CancelAllOrders(Message, frozen=True, kw_only=True, tag="CancelAllOrders"):
    """Cancel everything that rests on an account, or only one strategy's or one instrument's share of it."""

    account_id: AccountId
    strategy_id: StrategyId | None = None
    instrument_id: InstrumentId | None = None
    reason: str = ""


class ResolveOrder(Message, frozen=True, kw_only=True, tag="ResolveOrder"):
    """An operator's word on an order whose outcome is UNKNOWN; any other order is left alone, and the audit says so."""

    account_id: AccountId
    client_order_id: ClientOrderId
    resolution: Resolution
    actor: str
    why: str


class ClaimOrder(Message, frozen=True, kw_only=True, tag="ClaimOrder"):
    """Give an open order of EXTERNAL to a strategy: what it fills from now on goes to the strategy's book."""

    account_id: AccountId
    client_order_id: ClientOrderId
    strategy_id: StrategyId
    actor: str
    why: str


class SetTradingState(Message, frozen=True, kw_only=True, tag="SetTradingState"):
    """Ask for a trading state of a scope: ``firm``, ``account:…``, ``strategy:…`` or ``instrument:…``.

    HALTED is the kill switch: everything that rests in the scope is cancelled too.
    """

    scope: str
    state: TradingState
    actor: str
    why: str


class EngageKillSwitch(Message, frozen=True, kw_only=True, tag="EngageKillSwitch"):
    """Halt a scope, cancel all that rests in it, close its positions if asked, and prove it by the venue's word.

    For a scope whose switch is engaged already it may only add ``flatten``.
    """

    scope: str
    flatten: bool
    actor: str
    why: str


class ReleaseKillSwitch(Message, frozen=True, kw_only=True, tag="ReleaseKillSwitch"):
    """Give a scope that was proven flat back to trading in ``state``; ``force`` does it without the proof."""

    scope: str
    state: TradingState
    force: bool
    actor: str
    why: str


class ProveFlat(Message, frozen=True, kw_only=True, tag="ProveFlat"):
    """Take one step of an engaged kill switch at the venue, and answer with FlatnessReported. Repeated until proven."""

    account_id: AccountId
    kill_id: int
    scope: str
    strategy_id: StrategyId | None = None
    instrument_id: InstrumentId | None = None
    flatten: bool = False


class ReplayStepAnswered(Message, frozen=True, kw_only=True, tag="ReplayStepAnswered"):
    """A strategy has dealt with one turn of a step of a lockstep replay; its commands of it are before this.

    ``step`` 0: the strategy leaves and answers no more.
    """

    account_id: AccountId
    strategy_id: StrategyId
    step: int
    turn: int


class BeginStrategyRun(Message, frozen=True, kw_only=True, tag="BeginStrategyRun"):
    """A strategy begins its start number ``run``: from here on new orders of earlier starts are denied."""

    account_id: AccountId
    strategy_id: StrategyId
    run: int


class StartStrategy(Message, frozen=True, kw_only=True, tag="StartStrategy"):
    """Let a strategy trade, also after it has failed. ``policy`` ends a hold: it decides this one start."""

    strategy_id: StrategyId
    actor: str
    why: str
    policy: str | None = None


class StopStrategy(Message, frozen=True, kw_only=True, tag="StopStrategy"):
    """End a strategy until it is started again; ``policy`` says what becomes of its orders and positions."""

    strategy_id: StrategyId
    actor: str
    why: str
    policy: str | None = None


class ConfigureStrategy(Message, frozen=True, kw_only=True, tag="ConfigureStrategy"):
    """Store other settings or another checkpoint policy; they count from the next start, or at once with ``restart``.

    ``version`` is the one that the actor has seen: over another one nothing is changed.
    """

    strategy_id: StrategyId
    actor: str
    why: str
    version: int
    settings: str | None = None
    policy: str | None = None
    restart: bool = False


OrderCommand = SubmitOrder | CancelOrder | CancelAllOrders
StrategyCommand = StartStrategy | StopStrategy | ConfigureStrategy
OperatorCommand = ResolveOrder | ClaimOrder
Command = OrderCommand | SetTradingState

COMMAND_TYPES: tuple[type[msgspec.Struct], ...] = (
    SubmitOrder,
    CancelOrder,
    CancelAllOrders,
    SetTradingState,
    ReplayStepAnswered,
    EngageKillSwitch,
    ReleaseKillSwitch,
    ProveFlat,
    ResolveOrder,
    ClaimOrder,
    BeginStrategyRun,
    StartStrategy,
    StopStrategy,
    ConfigureStrategy,
)

"""The shapes that REST and the stream show: what a reader outside the platform sees.

Prices, sizes and money are decimal strings in the instrument's own units, never mantissas and never floats. Times are
nanoseconds since the epoch, UTC, as strings, because a JavaScript number cannot hold them.
"""

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from tradewind.services.api.view_model.timelines import TimelineStep

Level = tuple[str, str]
"""Price and total size."""


Responses = dict[int | str, dict[str, Any]]
"""What the OpenAPI document says of other answers than the normal one, by status."""


class Problem(TypedDict):
    """Why a request was refused, in a sentence that says what to do."""

    detail: str


class InstrumentView(TypedDict):
    """What can be traded, and in which steps."""

    instrument_id: str
    venue: str
    symbol: str
    base_currency: str
    quote_currency: str
    price_precision: int
    size_precision: int
    price_increment: str
    size_increment: str
    min_size: str
    max_size: str
    max_price: str
    min_notional: str


class PriceView(TypedDict):
    """The market of one instrument in a line, and the state of its feed."""

    instrument_id: str
    bid: str | None
    bid_size: str | None
    ask: str | None
    ask_size: str | None
    last: str | None
    last_side: str | None
    ts_event: str
    feed: str
    feed_detail: str


class BookView(TypedDict):
    """Depth, best level first. While ``synced`` is false the levels are empty: a snapshot is awaited."""

    instrument_id: str
    synced: bool
    sequence: str
    ts_event: str
    bids: list[Level]
    asks: list[Level]


class TradeView(TypedDict):
    """One print. ``side`` is the aggressor's."""

    trade_id: str
    price: str
    size: str
    side: str
    ts_event: str


class BarView(TypedDict):
    """Prints of one interval, which begins at ``ts``."""

    ts: str
    open: str
    high: str
    low: str
    close: str
    volume: str
    trades: int


class BarPage(TypedDict):
    """Bars, oldest first; ``next_cursor`` is the ``before`` of the page of older ones. ``source``: ``memory`` while the
    store is away, then only what this process has seen."""

    interval: str
    bars: list[BarView]
    next_cursor: str | None
    source: Literal["store", "memory"]


class OrderView(TypedDict):
    """Where an order stands. ``outcome`` is UNKNOWN while nobody can tell what the venue did; then since when."""

    client_order_id: str
    venue_order_id: str | None
    strategy_id: str
    account_id: str
    instrument_id: str
    side: str
    order_type: str
    time_in_force: str
    size: str
    filled_size: str
    price: str | None
    trigger_price: str | None
    post_only: bool
    reduce_only: bool
    status: str
    is_closed: bool
    outcome: str
    unknown_since: str | None
    reason: str | None
    correlation_id: str
    ts_init: str
    ts_last: str


class OrderEventView(TypedDict):
    """One step of an order's story, with the fields that its type has."""

    type: str
    sequence: int
    status: str
    event_id: str
    causation_id: str
    ts_event: str
    ts_init: str
    details: dict[str, str | bool | None]


class OrderStoryView(TypedDict):
    """An order with its events, oldest first."""

    order: OrderView
    events: list[OrderEventView]
    timeline: list[TimelineStep]


class FillView(TypedDict):
    """One execution of one of our orders. ``ts_init`` is our own time of it."""

    trade_id: str
    client_order_id: str
    strategy_id: str
    account_id: str
    instrument_id: str
    side: str
    price: str
    size: str
    fee: str
    fee_currency: str
    liquidity_side: str
    ts_event: str
    ts_init: str


class PositionView(TypedDict):
    """The net position of a strategy in an instrument, marked at the middle of the book."""

    account_id: str
    strategy_id: str
    instrument_id: str
    signed_size: str
    average_price: str
    mark_price: str | None
    realized_pnl: str
    unrealized_pnl: str | None


class BalanceView(TypedDict):
    """One currency of an account as the venue states it."""

    account_id: str
    currency: str
    free: str
    locked: str
    total: str


class EquityView(TypedDict):
    """Profit and loss of one strategy's book at the latest marks."""

    account_id: str
    strategy_id: str
    currency: str
    realized_pnl: str
    unrealized_pnl: str
    fees: str
    net_pnl: str
    ts_event: str


class EquityPointView(TypedDict):
    """One point of a strategy's equity curve."""

    strategy_id: str
    ts_event: str
    net_pnl: str


class TradingStateView(TypedDict):
    """What a scope may do, who said so and why."""

    scope: str
    state: str
    actor: str
    why: str
    ts_event: str


class KillSwitchView(TypedDict):
    """One engagement of a kill switch. ``reason`` is what it waits for; ``proven_at`` and what follows is the venue's
    snapshot that proved it flat: books that are kept, dust, balances."""

    kill_id: int
    scope: str
    stage: str
    flatten: bool
    reason: str
    engaged_by: str
    engaged_why: str
    engaged_at: str
    stage_at: str
    proven_at: str | None
    positions: list[str]
    dust: list[str]
    balances: list[str]
    released_by: str | None
    released_why: str | None
    released_at: str | None
    forced: bool


class KillStepView(TypedDict):
    """One line of the history of a kill switch."""

    stage: str
    reason: str
    actor: str
    ts_event: str


class ServiceView(TypedDict):
    """One service of the process: what it is, whether it works, and if not, why."""

    name: str
    kind: str
    state: str
    ready: bool
    reason: str
    since: str
    restarts: int


class HealthView(TypedDict):
    """All services of the process. ``ready`` when every one of them is."""

    ready: bool
    destination: str
    version: str
    services: list[ServiceView]


class SubscriptionView(TypedDict):
    """Counters of one subscription of the bus."""

    topic: str
    group: str | None
    delivered: int
    lag: int
    dropped_records: int
    gaps: int
    dead_lettered: int


class BusView(TypedDict):
    """Counters of one bus since it was opened."""

    plane: str
    published: int
    publish_waits: int
    subscriptions: list[SubscriptionView]


class StreamView(TypedDict):
    """Counters of the page's stream."""

    clients: int
    refused: int
    dropped_slow: int
    messages_sent: int


class StatisticsView(TypedDict):
    """Counters of the buses, of the view model and of every metric."""

    market_records: int
    order_events: int
    stream: StreamView
    buses: list[BusView]
    metrics: dict[str, dict[str, Any]]


class OrderPage(TypedDict):
    """Orders, newest first. ``next_cursor`` continues; null at the end. ``source`` says where they were read."""

    orders: list[OrderView]
    next_cursor: str | None
    source: str


class FillPage(TypedDict):
    """Fills, newest first."""

    fills: list[FillView]
    next_cursor: str | None


class Taken(TypedDict):
    """A command is on its way; the events of ``correlation_id`` tell what became of it."""

    event_id: str
    correlation_id: str
    client_order_id: NotRequired[str]
    scope: NotRequired[str]

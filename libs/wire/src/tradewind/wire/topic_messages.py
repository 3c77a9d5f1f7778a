"""Which message types travel on which topic, who publishes them and who reads them.

The tables of docs/protocols and the AsyncAPI document are made from here. A test compares it with what each service
imports; no transport enforces it.
"""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Final, TypeAlias

from tradewind.model.identifiers import Venue
from tradewind.wire.commands import (
    BeginStrategyRun,
    CancelAllOrders,
    CancelOrder,
    ClaimOrder,
    ConfigureStrategy,
    EngageKillSwitch,
    ProveFlat,
    ReleaseKillSwitch,
    ReplayStepAnswered,
    ResolveOrder,
    SetTradingState,
    StartStrategy,
    StopStrategy,
    SubmitOrder,
)
from tradewind.wire.events import (
    ORDER_EVENT_TYPES,
    AccountBalancesChanged,
    AlertChanged,
    Audited,
    BooksCompared,
    DeadLettered,
    EquityChanged,
    FeedStatusChanged,
    FlatnessReported,
    InstrumentDefined,
    KillSwitchChanged,
    LimitsUsed,
    PositionChanged,
    ReplayStepEnded,
    ReplayStepSettled,
    StrategyLogged,
    StrategyStatusChanged,
    TradingStateChanged,
)
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.topics import (
    ACCOUNT_EVENTS,
    MD_STATUS,
    OPS_ALERTS,
    OPS_AUDIT,
    ORDERS_COMMANDS,
    ORDERS_EVENTS,
    REF_INSTRUMENTS,
    RISK_COMMANDS,
    RISK_LIMITS,
    RISK_STATE,
    STRATEGY_COMMANDS,
    STRATEGY_LOGS,
    STRATEGY_STATE,
    Topic,
    dead_letters_of,
    market_events,
)

MessageType: TypeAlias = type
"""A typed message, or MarketBatch."""

STRATEGIES: Final = "strategy-*"
"""Every strategy's service."""
OPERATOR: Final = "operator"
"""A person, with ``tradewind topics``."""
READERS: Final = "any reader"
"""Whoever could not handle a message of the topic."""

MARKET_EVENTS: Final = market_events(Venue("<venue>"))
"""The pattern of the market data topics, one per venue."""
DEAD_LETTERS: Final = dead_letters_of("<topic>")
"""The pattern of the dead-letter topics, one per topic."""


@dataclasses.dataclass(frozen=True, slots=True)
class TopicTraffic:
    """One topic: the types that each sender publishes on it, and who reads it."""

    topic: Topic
    meaning: str
    senders: Mapping[str, tuple[MessageType, ...]]
    receivers: tuple[str, ...]

    @property
    def messages(self) -> tuple[MessageType, ...]:
        """All types of the topic, each once."""
        return tuple(dict.fromkeys(itertools.chain.from_iterable(self.senders.values())))


TRAFFIC: Final = (
    TopicTraffic(
        MARKET_EVENTS,
        "Trades, quotes and book changes of one venue, in batches of 64-byte records.",
        {"market-data": (MarketBatch, ReplayStepEnded)},
        (STRATEGIES, "execution", "portfolio", "recorder", "api"),
    ),
    TopicTraffic(MD_STATUS, "How each market data feed is.", {"market-data": (FeedStatusChanged,)}, ("api", "alerts")),
    TopicTraffic(
        ORDERS_COMMANDS,
        "What the owner of a venue account is asked to do.",
        {
            STRATEGIES: (BeginStrategyRun, SubmitOrder, CancelOrder, CancelAllOrders, ReplayStepAnswered),
            "api": (SubmitOrder, CancelOrder, ResolveOrder, ClaimOrder),
            "risk": (CancelAllOrders, ProveFlat),
            "fix-gateway": (SubmitOrder, CancelOrder, CancelAllOrders),
        },
        ("execution",),
    ),
    TopicTraffic(
        ORDERS_EVENTS,
        "The story of every order, published only after the store has committed it.",
        {"execution": (*ORDER_EVENT_TYPES, ReplayStepSettled)},
        (STRATEGIES, "portfolio", "recorder", "api", "fix-gateway"),
    ),
    TopicTraffic(
        ACCOUNT_EVENTS,
        "Positions, balances and profit of an account.",
        {
            "execution": (PositionChanged, AccountBalancesChanged, FlatnessReported, BooksCompared),
            "portfolio": (EquityChanged,),
        },
        ("portfolio", "api", "risk"),
    ),
    TopicTraffic(
        RISK_COMMANDS,
        "Asks for trading states and kill switches.",
        {"api": (SetTradingState, EngageKillSwitch, ReleaseKillSwitch), OPERATOR: (EngageKillSwitch,)},
        ("risk",),
    ),
    TopicTraffic(
        RISK_STATE,
        "The trading state of each scope, and its kill switch under the key `kill:<scope>`.",
        {"risk": (TradingStateChanged, KillSwitchChanged)},
        ("execution", "api"),
    ),
    TopicTraffic(
        RISK_LIMITS,
        "How much of each limit is used: for people who look, lossy.",
        {"execution": (LimitsUsed,)},
        ("api", "alerts"),
    ),
    TopicTraffic(
        STRATEGY_COMMANDS,
        "What a strategy's host is asked to do.",
        {"api": (StartStrategy, StopStrategy, ConfigureStrategy)},
        (STRATEGIES,),
    ),
    TopicTraffic(
        STRATEGY_STATE,
        "Whether each strategy runs, why, and with which settings.",
        {STRATEGIES: (StrategyStatusChanged,)},
        (STRATEGIES, "api", "alerts"),
    ),
    TopicTraffic(
        STRATEGY_LOGS,
        "What each strategy logs: for people who look, lossy.",
        {STRATEGIES: (StrategyLogged,)},
        ("api",),
    ),
    TopicTraffic(
        REF_INSTRUMENTS,
        "What can be traded, and in which steps.",
        {"market-data": (InstrumentDefined,)},
        (STRATEGIES, "portfolio", "api"),
    ),
    TopicTraffic(OPS_AUDIT, "Who changed what, and why.", {"risk": (Audited,)}, (OPERATOR,)),
    TopicTraffic(
        OPS_ALERTS,
        "What people must know: each alert as it is now, under its number.",
        {"alerts": (AlertChanged,), "api": (AlertChanged,)},
        ("api",),
    ),
    TopicTraffic(
        DEAD_LETTERS,
        "What no reader of a topic could handle, with the reason.",
        {READERS: (DeadLettered,)},
        (OPERATOR,),
    ),
)
"""Every topic; those that exist once per venue or per topic stand here as a pattern."""

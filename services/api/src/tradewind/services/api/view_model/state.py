"""The view model: everything that the page shows, in memory, fed from the bus, read by REST and by every stream.

It is a copy for readers: nobody decides anything by it. Whoever changes it does so from the event loop; nothing here
waits. What a feed brings is walked as arrays and kept as numbers; it becomes text when a reader asks.
"""

from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import numpy as np

from tradewind.model.accounts import Balance
from tradewind.model.identifiers import AccountId, InstrumentId, StrategyId
from tradewind.model.instruments import Instrument
from tradewind.model.positions import Position
from tradewind.services.api.settings import ApiSettings
from tradewind.services.api.view_model.changes import Latest, Revisions, Tail
from tradewind.services.api.view_model.market_view import MarketView
from tradewind.services.api.view_model.order_ledger import OrderLedger
from tradewind.services.api.view_model.order_views import money_text, size_text
from tradewind.services.api.view_model.strategy_views import StrategyBoard
from tradewind.services.api.view_model.views import (
    BalanceView,
    EquityPointView,
    EquityView,
    PositionView,
    TradingStateView,
)
from tradewind.store.equity import EquityPoint
from tradewind.store.trading_states import StoredTradingState
from tradewind.wire.events import (
    AccountBalancesChanged,
    EquityChanged,
    FeedStatusChanged,
    InstrumentDefined,
    LimitsUsed,
    OrderEvent,
    PositionChanged,
    StrategyLogged,
    StrategyStatusChanged,
    TradingStateChanged,
)
from tradewind.wire.market_records import RecordArray, RecordFlag
from tradewind.wire.messages import Message

MAX_INSTRUMENTS: Final = 1_000
MAX_ROWS: Final = 5_000
MAX_EARLY_RECORDS: Final = 50_000
MAX_TIME_NS: Final = 2**63 - 1
EQUITY_STEP_NS: Final = 1_000_000_000

PositionKey = tuple[AccountId, StrategyId, InstrumentId]


class ViewState:
    """The platform as this process has seen it."""

    def __init__(self, settings: ApiSettings) -> None:
        self._settings = settings
        self.revisions = Revisions()
        self.markets: dict[InstrumentId, MarketView] = {}
        self._by_number: dict[int, MarketView] = {}
        self.instruments_revision = 0
        self.ledger = OrderLedger(self.revisions, orders_kept=settings.orders_kept, fills_kept=settings.fills_kept)
        self.positions: Latest[PositionKey, Position] = Latest(self.revisions, MAX_ROWS)
        self.balances: Latest[tuple[AccountId, str], Balance] = Latest(self.revisions, MAX_ROWS)
        self.equity: Latest[tuple[AccountId, StrategyId], EquityChanged] = Latest(self.revisions, MAX_ROWS)
        self.equity_points: Tail[EquityPointView] = Tail(self.revisions, settings.chart_points)
        self.trading_states: Latest[str, StoredTradingState] = Latest(self.revisions, MAX_ROWS)
        self.strategies = StrategyBoard(self.revisions)
        self.limits: Latest[AccountId, LimitsUsed] = Latest(self.revisions, MAX_ROWS)
        self.market_records = 0
        self.unknown_records = 0
        self._early: deque[RecordArray] = deque()
        self._early_records = 0
        self._equity_sampled: dict[tuple[AccountId, StrategyId], int] = {}

    def apply_records(self, records: RecordArray) -> None:
        """Take market records of one venue, in order.

        The gap flag of a slow subscription speaks for every instrument of the topic, whichever record carries it.
        """
        self.market_records += len(records)
        if (records["flags"] & RecordFlag.GAP).any():
            for market in self.markets.values():
                market.lose_sync()
        numbers = records["instrument"]
        if (numbers == numbers[0]).all():
            self._apply_to(int(numbers[0]), records)
            return
        for number in np.unique(numbers).tolist():
            self._apply_to(number, records[numbers == number])

    def _apply_to(self, number: int, records: RecordArray) -> None:
        market = self._by_number.get(number)
        if market is not None:
            market.apply(records)
            return
        # Market data may overtake the definition of its instrument, which comes on another topic.
        self._early.append(records)
        self._early_records += len(records)
        while self._early_records > MAX_EARLY_RECORDS:
            dropped = len(self._early.popleft())
            self._early_records -= dropped
            self.unknown_records += dropped

    def apply(self, message: Message) -> None:
        """Take one typed message of any topic; kinds that the page does not show are passed over."""
        match message:
            case OrderEvent():
                self.ledger.apply(message)
            case PositionChanged():
                self._take_position(message)
            case EquityChanged():
                self._take_equity(message)
            case AccountBalancesChanged():
                self._take_balances(message.account_id, message.balances)
            case TradingStateChanged():
                self.trading_states.set(message.scope, _scope_state(message))
            case LimitsUsed():
                self.limits.set(message.account_id, message)
            case InstrumentDefined():
                self.define(message.instrument)
            case FeedStatusChanged():
                self._take_feed(message)
            case StrategyStatusChanged():
                self.strategies.take(message)
            case StrategyLogged():
                self.strategies.take_line(message)
            case _:
                pass

    def define(self, instrument: Instrument) -> None:
        """Know an instrument; a changed definition begins its market anew."""
        known = self.markets.get(instrument.instrument_id)
        if (known and known.instrument == instrument) or (known is None and len(self.markets) >= MAX_INSTRUMENTS):
            return
        settings = self._settings
        market = MarketView(instrument, self.revisions, trades=settings.trades_kept, points=settings.chart_points)
        self.markets[instrument.instrument_id] = self._by_number[market.number] = market
        self.instruments_revision = self.revisions.next()
        for records in self._early:
            if records[0]["instrument"] == market.number:
                market.apply(records)
        self._early = deque(records for records in self._early if records[0]["instrument"] != market.number)
        self._early_records = sum(map(len, self._early))

    def instrument(self, instrument_id: InstrumentId) -> Instrument | None:
        """The definition of an instrument, if it is known."""
        market = self.markets.get(instrument_id)
        return market.instrument if market else None

    def sample_points(self, now_ms: int) -> None:
        """Add the present mid of every market to its line."""
        for market in self.markets.values():
            market.sample_point(now_ms)

    def restore_positions(self, positions: Iterable[Position]) -> None:
        """Take positions from the store where no event has told of a newer one."""
        for position in positions:
            key = (position.account_id, position.strategy_id, position.instrument_id)
            if key not in self.positions:
                self.positions.set(key, position)

    def restore_equity(self, points: Iterable[EquityPoint]) -> None:
        """Put the curves of the store before what this run has added to them."""
        first = min((int(point["ts_event"]) for point in self.equity_points), default=MAX_TIME_NS)
        self.equity_points.put_before([stored_equity_point(point) for point in points if point.ts < first])

    def restore_trading_states(self, states: Iterable[StoredTradingState]) -> None:
        """Take the states of scopes from the store where no event has told of a newer one."""
        for state in states:
            if state.scope not in self.trading_states:
                self.trading_states.set(state.scope, state)

    def _take_position(self, event: PositionChanged) -> None:
        position = Position(
            account_id=event.account_id,
            strategy_id=event.strategy_id,
            instrument_id=event.instrument_id,
            signed_size=event.signed_size,
            average_price=event.average_price,
            realized_pnl=event.realized_pnl,
        )
        self.positions.set((event.account_id, event.strategy_id, event.instrument_id), position)

    def _take_equity(self, event: EquityChanged) -> None:
        key = (event.account_id, event.strategy_id)
        self.equity.set(key, event)
        if event.ts_event - self._equity_sampled.get(key, 0) >= EQUITY_STEP_NS:
            self._equity_sampled[key] = event.ts_event
            self.equity_points.extend((equity_point(event),))

    def _take_balances(self, account_id: AccountId, balances: Iterable[Balance]) -> None:
        for balance in balances:
            self.balances.set((account_id, balance.currency), balance)

    def _take_feed(self, event: FeedStatusChanged) -> None:
        of = (
            [market for market in self.markets.values() if market.instrument.venue == event.venue]
            if event.instrument_id is None
            else [market for market in (self.markets.get(event.instrument_id),) if market]
        )
        for market in of:
            market.set_feed(event.state, event.detail)

    def position_views(self) -> list[PositionView]:
        """All positions, flat ones too, by strategy and instrument."""
        views = [self._position_view(position) for position in self.positions.values()]
        return sorted(views, key=lambda view: (view["strategy_id"], view["instrument_id"]))

    def _position_view(self, position: Position) -> PositionView:
        market = self.markets.get(position.instrument_id)
        instrument = market.instrument if market else None
        mark = market.mid_text() if market else None
        unrealized = None
        if instrument and (mark or not position.signed_size):
            unrealized = money_text(position.unrealized_pnl(Decimal(mark or 0), instrument.size_precision))
        return PositionView(
            account_id=position.account_id,
            strategy_id=position.strategy_id,
            instrument_id=position.instrument_id,
            signed_size=size_text(instrument, position.signed_size),
            average_price=money_text(position.average_price),
            mark_price=mark,
            realized_pnl=money_text(position.realized_pnl),
            unrealized_pnl=unrealized,
        )

    def balance_views(self) -> list[BalanceView]:
        """All balances, by account and currency."""
        return [
            BalanceView(
                account_id=account_id,
                currency=balance.currency,
                free=f"{balance.free:f}",
                locked=f"{balance.locked:f}",
                total=f"{balance.total:f}",
            )
            for (account_id, _), balance in sorted(self.balances.items(), key=lambda item: item[0])
        ]

    def equity_views(self) -> list[EquityView]:
        """The latest equity of every strategy."""
        return sorted((equity_view(event) for event in self.equity.values()), key=lambda view: view["strategy_id"])

    def trading_state_views(self) -> list[TradingStateView]:
        """Every scope that has been given a state, by name."""
        return sorted(map(trading_state_view, self.trading_states.values()), key=lambda view: view["scope"])


def equity_view(event: EquityChanged) -> EquityView:
    """One strategy's profit and loss."""
    return EquityView(
        account_id=event.account_id,
        strategy_id=event.strategy_id,
        currency=event.currency,
        realized_pnl=money_text(event.realized_pnl),
        unrealized_pnl=money_text(event.unrealized_pnl),
        fees=money_text(event.fees),
        net_pnl=money_text(event.net_pnl),
        ts_event=str(event.ts_event),
    )


def equity_point(event: EquityChanged) -> EquityPointView:
    """One point of the curve."""
    return EquityPointView(
        strategy_id=event.strategy_id, ts_event=str(event.ts_event), net_pnl=money_text(event.net_pnl)
    )


def stored_equity_point(point: EquityPoint) -> EquityPointView:
    """One point of the curve, as the store has it."""
    return EquityPointView(
        strategy_id=point.strategy_id,
        ts_event=str(point.ts),
        net_pnl=money_text(point.realized_pnl + point.unrealized_pnl - point.fees),
    )


def trading_state_view(state: StoredTradingState) -> TradingStateView:
    """One scope's state."""
    return TradingStateView(
        scope=state.scope, state=state.state.value, actor=state.actor, why=state.why, ts_event=str(state.ts)
    )


def _scope_state(event: TradingStateChanged) -> StoredTradingState:
    return StoredTradingState(scope=event.scope, state=event.state, actor=event.actor, why=event.why, ts=event.ts_event)

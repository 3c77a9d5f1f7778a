"""Drives one strategy without any I/O: market records and order events go in, commands come out.

``running`` puts it on the bus; a backtester puts a matching engine under it. The steps are generators that yield
whenever commands wait, so that a command leaves before the next record is looked at.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tradewind.model.enums import OrderSide
from tradewind.model.identifiers import AccountId, StrategyId, TradeId
from tradewind.model.instruments import Instrument
from tradewind.model.orders import Order
from tradewind.model.positions import Position
from tradewind.strategy.commanding import CommandDesk
from tradewind.strategy.context import StrategyContext
from tradewind.strategy.instrument_data import InstrumentData, MarketView
from tradewind.strategy.order_tracking import OrderTracker
from tradewind.strategy.record_reading import (
    FLAGS_OFFSET,
    KIND_OFFSET,
    QUOTE_PAIR,
    RECORD_BYTES,
    SINGLE,
    token_pattern,
)
from tradewind.strategy.saved_state import (
    Checkpoint,
    EventPlace,
    StateTooLarge,
    encode_checkpoint,
    encode_state,
    schema_of,
)
from tradewind.strategy.strategy import Strategy
from tradewind.strategy.throttle import SubmitThrottle
from tradewind.strategy.timers import Timers
from tradewind.wire.events import OrderAccepted, OrderDenied, OrderEvent
from tradewind.wire.market_records import RecordArray, RecordFlag, RecordKind, RecordSide

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_TOP: Final = int(RecordKind.TOP_OF_BOOK)
_TRADE: Final = int(RecordKind.TRADE)
_BUY: Final = int(RecordSide.BUY)
_SELL: Final = int(RecordSide.SELL)
_LAST: Final = int(RecordFlag.LAST)
_GAP: Final = int(RecordFlag.GAP)
_LAST_FLAGS: Final = re.compile(b"[" + re.escape(bytes(flag for flag in range(256) if flag & _LAST)) + b"]")
_unpack_pair: Final = QUOTE_PAIR.unpack_from
_ONE_QUOTE: Final = bytes([_TOP, _TOP])
_ONE_TOKEN: Final = ((0, 2),)
_SIDES: Final = {_BUY: OrderSide.BUY, _SELL: OrderSide.SELL}


class StrategyFailed(Exception):
    """A callback raised, or the strategy asked for something impossible. The cause is its own error."""


@dataclasses.dataclass(frozen=True, slots=True)
class Captured:
    """A checkpoint as stored, the strategy's own part of it, and the newest order event that it contains."""

    stored: bytes
    state: bytes
    last_event: EventPlace | None


class StrategyEngine:
    """One strategy and its world. After a failure it stays mute: orders are still tracked, no callback is called."""

    def __init__(
        self,
        strategy: Strategy,
        *,
        strategy_id: StrategyId,
        account_id: AccountId,
        settings: Any,
        run: int,
        throttle: SubmitThrottle,
        wall_clock: Callable[[], int],
        log: "FilteringBoundLogger",
    ) -> None:
        self.strategy = strategy
        self.market = MarketView()
        self.tracker = OrderTracker(strategy_id, account_id)
        self.desk = CommandDesk(self.tracker, run=run, throttle=throttle, wall_clock=wall_clock)
        self.timers = Timers()
        self.context = StrategyContext(self.market, self.tracker, self.desk, self.timers, log)
        self.is_mute = False
        self._by_number = self.market.by_number
        strategy.context = self.context
        strategy.settings = settings
        self._on_quote = self._overridden("on_quote")
        self._on_trade = self._overridden("on_trade")
        self._on_book = self._overridden("on_book")
        self._pattern = token_pattern(trades=False, levels=False)
        self._reads = (False, False)
        self.last_event: EventPlace | None = None
        """The newest order event that the strategy was told in this run."""
        self._schema = schema_of(strategy.State) if strategy.State is not None else ""

    def define_instrument(self, instrument: Instrument) -> None:
        """Make an instrument known. Its book is kept from now on if the strategy overrides ``on_book``."""
        self.market.define(instrument)
        if self._on_book is not None:
            self.market.book(self.market.data(instrument.instrument_id))

    def follow_data_clock(self) -> None:
        """Count throttles and patience in event time: for runs that must be equal to each other."""
        self.desk.data_clock = lambda: self.context.time_ns

    def load(
        self,
        positions: Iterable[Position],
        orders: Iterable[Order],
        trade_ids: Iterable[TradeId],
    ) -> None:
        """Take over what the store knows of this strategy, before ``start``."""
        self.tracker.load(positions, orders, trade_ids)

    def start(self) -> None:
        """Call ``on_load`` with a new state and ``on_start``; commands may wait afterwards.

        Raises:
            StrategyFailed: one of them raised.
        """
        if self.strategy.State is not None:
            self._guard(lambda kind: self.strategy.on_load(kind()), self.strategy.State)
        self._guard(self.strategy.on_start)

    def resume(
        self, checkpoint: Checkpoint, state: msgspec.Struct, sent: Iterable[Order], events: Iterable[OrderEvent]
    ) -> None:
        """Come back to where the run before was: its checkpoint, what it published since, the events after it.

        Nothing that the strategy asks for meanwhile is sent: it may have been sent before.

        Raises:
            StrategyFailed: a callback raised.
        """
        self.desk.is_held_back = True
        try:
            self.tracker.restore(checkpoint.positions, [*checkpoint.orders, *sent])
            self._guard(self.strategy.on_load, state)
            self._guard(self.strategy.on_start)
            # Not before: timers that on_start sets count from the first data, as in every start.
            self.context.time_ns = checkpoint.time_ns
            for event in events:
                self.order_event(event)
        finally:
            self.desk.is_held_back = False
            self.last_event = None

    def adopt(self) -> None:
        """Call ``on_adopt``; commands may wait afterwards.

        Raises:
            StrategyFailed: it raised.
        """
        self._guard(self.strategy.on_adopt)

    def capture(self) -> Captured:
        """The checkpoint of now. Only between callbacks, and while no command waits to be published.

        Raises:
            StrategyFailed: ``on_save`` raised, or gave something that is no State.
            StateTooLarge: it gave too much.
        """
        strategy, tracker = self.strategy, self.tracker
        try:
            saved = strategy.on_save()
            if strategy.State is None or type(saved) is not strategy.State:
                raise TypeError(f"on_save gave {type(saved).__name__}, not the State of {type(strategy).__name__}")
            state = encode_state(saved)
        except StateTooLarge:
            raise
        except Exception as error:
            self.is_mute = True
            raise StrategyFailed(f"{type(error).__name__}: {error}") from error
        checkpoint = Checkpoint(
            account_id=tracker.account_id,
            strategy_id=tracker.strategy_id,
            state_version=strategy.state_version,
            schema=self._schema,
            run=self.desk.run,
            intents=self.desk.intents,
            time_ns=self.context.time_ns,
            positions=list(tracker.positions.values()),
            orders=list(tracker.open.values()),
            state=msgspec.Raw(state),
        )
        return Captured(encode_checkpoint(checkpoint), state, self.last_event)

    def stop(self) -> None:
        """Call ``on_stop``; commands may wait afterwards.

        Raises:
            StrategyFailed: it raised.
        """
        self._guard(self.strategy.on_stop)
        self.is_mute = True

    def order_event(self, event: OrderEvent) -> None:
        """Take an event of the order path; those of other strategies are passed over.

        Raises:
            StrategyFailed: the callback raised.
        """
        if event.strategy_id != self.tracker.strategy_id or event.account_id != self.tracker.account_id:
            return
        if not self.tracker.apply(event, self.market.instruments.get(event.instrument_id)):
            return
        desk = self.desk
        self.last_event = (event.client_order_id, event.sequence) if event.sequence else self.last_event
        if desk.is_held_back:
            pass  # what was denied to the run before says nothing of now
        elif isinstance(event, OrderDenied):
            desk.throttle.denied(event.reason, desk.now_ns())
        elif isinstance(event, OrderAccepted):
            desk.throttle.accepted()
        desk.event = event
        try:
            self._guard(self.strategy.on_order_event, event)
        finally:
            desk.event = None

    def walk(self, records: RecordArray) -> Iterator[None]:
        """Look at a batch record by record; yields whenever commands wait.

        Raises:
            StrategyFailed: a callback raised; the rest of the batch is not looked at.
        """
        if self.is_mute:
            return
        payload = records.tobytes()
        kinds = payload[KIND_OFFSET::RECORD_BYTES]
        pending = self.desk.pending
        done = 0
        try:
            if payload[FLAGS_OFFSET] & _GAP:
                self.market.lose_books()
            for first, done in self._tokens(kinds):
                kind = kinds[first]
                if kind == _TOP:
                    if done - first == 1 or not self._quote(payload, first * RECORD_BYTES):
                        self._half_quotes(payload, first, done)
                elif kind == _TRADE:
                    self._trade(payload, first * RECORD_BYTES)
                else:
                    for start, stop in _events(payload, first, done):
                        self._levels(records[start:stop], payload, start)
                        if pending:
                            yield
                if pending:
                    yield
            if done != len(kinds):
                # Nobody asked for the last record, but it moves the clock.
                self._pass_over(payload, len(kinds) - 1)
                if pending:
                    yield
        except Exception as error:
            self.is_mute = True
            raise StrategyFailed(f"{type(error).__name__}: {error}") from error
        finally:
            self.desk.tick_ns = 0

    def _tokens(self, kinds: bytes) -> Sequence[tuple[int, int]]:
        """Bounds of the pieces of a batch that somebody reads."""
        if kinds == _ONE_QUOTE:
            # At normal speed nearly every batch is this, and the search would be a third of its cost.
            return _ONE_TOKEN
        market = self.market
        reads = (self._on_trade is not None or market.wants_bars, market.wants_books)
        if reads != self._reads:
            self._reads = reads
            self._pattern = token_pattern(trades=reads[0], levels=reads[1])
        return [token.span() for token in self._pattern.finditer(kinds)]

    def _quote(self, payload: bytes, offset: int) -> bool:
        """Take a pair of records as one quote; False when they are no pair."""
        (
            ts_event,
            ts_recv,
            bid_price,
            bid_size,
            sequence,
            number,
            side,
            ask_price,
            ask_size,
            ask_number,
            ask_side,
        ) = _unpack_pair(payload, offset)
        if side != _BUY or ask_side != _SELL or ask_number != number:
            return False
        if (data := self._by_number.get(number)) is None:
            return True
        quote, desk = data.quote, self.desk
        quote.bid_price = bid_price
        quote.bid_size = bid_size
        quote.ask_price = ask_price
        quote.ask_size = ask_size
        # As in _quote_changed: this is the one place that every quote passes, and a call is a sixth of its cost.
        quote.sequence = desk.sequence = sequence
        quote.ts_event = self.context.time_ns = ts_event
        quote.ts_recv = desk.tick_ns = ts_recv
        data.has_quote = has_quote = bid_size > 0 and ask_size > 0
        if ts_event >= self.timers.next_ns or ts_event >= self.market.next_bar_ns:
            self._fire(ts_event)
        if has_quote and self._on_quote is not None:
            self._on_quote(quote)
        return True

    def _half_quotes(self, payload: bytes, first: int, end: int) -> None:
        """Take records of one side each: the quote is whole at the last one of the venue's event."""
        for index in range(first, end):
            ts_event, ts_recv, price, size, _, sequence, number, side, flags = SINGLE.unpack_from(
                payload, index * RECORD_BYTES
            )
            if (data := self._by_number.get(number)) is None:
                continue
            quote = data.quote
            if side == _BUY:
                quote.bid_price, quote.bid_size = price, size
            else:
                quote.ask_price, quote.ask_size = price, size
            if flags & _LAST:
                self._quote_changed(data, ts_event, ts_recv, sequence)

    def _quote_changed(self, data: InstrumentData, ts_event: int, ts_recv: int, sequence: int) -> None:
        quote, desk = data.quote, self.desk
        quote.sequence = desk.sequence = sequence
        quote.ts_event = self.context.time_ns = ts_event
        quote.ts_recv = desk.tick_ns = ts_recv
        data.has_quote = has_quote = quote.bid_size > 0 and quote.ask_size > 0
        if ts_event >= self.timers.next_ns or ts_event >= self.market.next_bar_ns:
            self._fire(ts_event)
        if has_quote and self._on_quote is not None:
            self._on_quote(quote)

    def _trade(self, payload: bytes, offset: int) -> None:
        ts_event, ts_recv, price, size, trade_id, sequence, number, side, _ = SINGLE.unpack_from(payload, offset)
        if (data := self._by_number.get(number)) is None:
            return
        self._advance(ts_event, ts_recv, sequence)
        trade = data.trade
        trade.price, trade.size, trade.side, trade.trade_id = price, size, _SIDES.get(side), trade_id
        trade.sequence, trade.ts_event, trade.ts_recv = sequence, ts_event, ts_recv
        if data.bars:
            self.market.count_trade(data)
        if self._on_trade is not None:
            self._on_trade(trade)

    def _levels(self, records: RecordArray, payload: bytes, first: int) -> None:
        ts_event, ts_recv, _, _, _, sequence, number, _, _ = SINGLE.unpack_from(payload, first * RECORD_BYTES)
        data = self._by_number.get(number)
        if data is None or data.book is None:
            return
        self._advance(ts_event, ts_recv, sequence)
        if data.book.apply(records) and self._on_book is not None:
            self._on_book(data.instrument_id, data.book.book)

    def _pass_over(self, payload: bytes, index: int) -> None:
        ts_event, ts_recv, _, _, _, sequence, *_ = SINGLE.unpack_from(payload, index * RECORD_BYTES)
        self._advance(ts_event, ts_recv, sequence)

    def _advance(self, ts_event: int, ts_recv: int, sequence: int) -> None:
        """Move the clock of the data, and fire what is due before the record itself is looked at."""
        self.context.time_ns = ts_event
        self.desk.tick_ns = ts_recv
        self.desk.sequence = sequence
        if ts_event >= self.timers.next_ns or ts_event >= self.market.next_bar_ns:
            self._fire(ts_event)

    def _fire(self, now_ns: int) -> None:
        for bar in self.market.take_bars(now_ns):
            self.strategy.on_bar(bar)
        for name in self.timers.take_due(now_ns):
            self.strategy.on_timer(name)

    def _guard(self, callback: Callable[..., None], *arguments: Any) -> None:
        if self.is_mute:
            return
        try:
            callback(*arguments)
        except Exception as error:
            self.is_mute = True
            raise StrategyFailed(f"{type(error).__name__}: {error}") from error

    def _overridden(self, name: str) -> Any:
        """The callback if the strategy has its own, else None: what nobody overrides is not read."""
        if getattr(type(self.strategy), name) is getattr(Strategy, name):
            return None
        return getattr(self.strategy, name)


def _events(payload: bytes, first: int, end: int) -> Iterator[tuple[int, int]]:
    """Bounds of the venue events in a run of levels: each ends at its LAST flag."""
    flags = payload[FLAGS_OFFSET::RECORD_BYTES]
    start = first
    for last in _LAST_FLAGS.finditer(flags, first, end):
        yield start, last.end()
        start = last.end()
    if start < end:
        yield start, end

"""The engine without I/O: what reaches the strategy, in which order, and what comes out."""

from typing import Any

import pytest
from recording_strategy import Recorder

from tradewind.model.enums import OrderSide, OrderType, TimeInForce
from tradewind.model.fixed_point import FixedPointError
from tradewind.model.identifiers import InstrumentId
from tradewind.strategy import Strategy
from tradewind.strategy.engine import StrategyFailed
from tradewind.strategy.instrument_data import UnknownInstrument
from tradewind.strategy.testing import (
    BTC,
    ETH,
    SECOND,
    STRATEGY,
    T0,
    batch,
    drain,
    engine,
    feed,
    instrument,
    levels,
    quote,
    trade,
)
from tradewind.wire.commands import CancelAllOrders, SubmitOrder
from tradewind.wire.market_records import MARKET_RECORD, RecordFlag, RecordSide, empty_records


class Buyer(Strategy):
    """Buys one at the ask on every quote."""

    def on_quote(self, quote: Any) -> None:
        self.context.buy(quote.instrument_id, 1_000, quote.ask_price)


class BookReader(Strategy):
    """Notes the touch after every whole depth event."""

    def __init__(self) -> None:
        self.touches: list[Any] = []

    def on_book(self, instrument_id: InstrumentId, book: Any) -> None:
        self.touches.append((instrument_id, book.best_bid(), book.best_ask()))


def test_callbacks_come_in_the_order_of_the_records() -> None:
    made = engine(strategy := Recorder())
    feed(made, quote(100, 102), trade(102), quote(101, 103, of=ETH), trade(101, of=ETH, side=RecordSide.SELL))
    assert strategy.seen == [
        ("quote", BTC, 100, 102),
        ("trade", BTC, 102, 1_000, OrderSide.BUY),
        ("quote", ETH, 101, 103),
        ("trade", ETH, 101, 1_000, OrderSide.SELL),
    ]


def test_the_quote_has_every_field_of_its_records() -> None:
    class Reader(Strategy):
        def on_quote(self, quote: Any) -> None:
            self.seen = (quote.bid_size, quote.ask_size, quote.sequence, quote.ts_event, quote.ts_recv)
            self.decimals = (str(quote.bid), str(quote.ask), str(quote.mid), quote.spread)

    records = quote(6_183_763, 6_183_765, sequence=42)
    records["size"] = (7, 9)
    made = engine(strategy := Reader())
    feed(made, records)
    assert strategy.seen == (7, 9, 42, T0, T0 + 1_000)
    assert strategy.decimals == ("61837.63", "61837.65", "61837.64", 2)


def test_a_record_of_another_instrument_is_passed_over() -> None:
    made = engine(strategy := Recorder())
    feed(made, quote(1, 2, of=InstrumentId("XRPUSDT.BINANCE")), trade(1, of=InstrumentId("XRPUSDT.BINANCE")))
    assert strategy.seen == []


def test_one_sided_updates_become_one_quote_at_their_last_record() -> None:
    made = engine(strategy := Recorder())
    feed(made, quote(100, 102))
    ask_only = quote(0, 103)[1:]
    reversed_pair = quote(99, 104)[::-1].copy()
    reversed_pair["flags"] = (0, RecordFlag.LAST)
    feed(made, ask_only, reversed_pair)
    assert [seen[2:] for seen in strategy.seen] == [(100, 102), (100, 103), (99, 104)]


def test_a_quote_with_an_empty_side_is_no_quote() -> None:
    made = engine(strategy := Recorder())
    empty = quote(100, 102)
    empty["size"] = (0, 5)
    feed(made, empty)
    assert strategy.seen == []
    assert made.context.quote(BTC) is None
    feed(made, quote(100, 102))
    assert made.context.quote(BTC) is not None


def test_a_command_leaves_before_the_next_record_and_names_its_cause() -> None:
    made = engine(Buyer())
    order_of_things: list[Any] = []
    for _ in made.walk(batch(quote(100, 102, sequence=7), quote(101, 103, sequence=8, at=T0 + 5))):
        seen = made.context.quote(BTC)
        order_of_things.append((seen.ask_price if seen else None, drain(made)))
    assert [(ask, len(commands)) for ask, commands in order_of_things] == [(102, 1), (103, 1)]
    first, second = (commands[0] for _, commands in order_of_things)
    assert isinstance(first, SubmitOrder)
    assert (first.client_order_id, second.client_order_id) == (f"{STRATEGY}-1-1", f"{STRATEGY}-1-2")
    assert (first.causation_id, second.causation_id) == ("md:BINANCE:7", "md:BINANCE:8")
    assert (first.ts_event, second.ts_event) == (T0 + 1_000, T0 + 1_005)
    assert first.correlation_id == first.client_order_id
    assert first.event_id != second.event_id


def test_a_pending_command_knows_when_its_data_arrived_and_one_without_data_says_so() -> None:
    made = engine(Buyer())
    made.context.buy(BTC, 1_000, 100)
    assert [tick_ns for _, tick_ns in made.desk.pending] == [0]
    drain(made)
    walk = made.walk(batch(quote(100, 102)))
    next(walk)
    assert [tick_ns for _, tick_ns in made.desk.pending] == [T0 + 1_000]


def test_int_is_a_mantissa_and_text_and_decimals_are_numbers() -> None:
    made = engine(Strategy())
    made.context.submit_limit(BTC, OrderSide.BUY, "0.01", "61837.63", time_in_force=TimeInForce.IOC, post_only=True)
    made.context.sell(BTC, 1_000)
    limit, market = drain(made)
    assert (limit.size, limit.price, limit.order_type) == (1_000, 6_183_763, OrderType.LIMIT)
    assert (limit.time_in_force, limit.post_only) == (TimeInForce.IOC, True)
    assert (market.size, market.price, market.order_type, market.side) == (
        1_000,
        None,
        OrderType.MARKET,
        OrderSide.SELL,
    )


def test_numbers_that_the_instrument_cannot_hold_are_refused_at_once() -> None:
    made = engine(Strategy())
    with pytest.raises(FixedPointError):
        made.context.buy(BTC, "0.000001", "1")
    with pytest.raises(UnknownInstrument):
        made.context.buy(InstrumentId("XRPUSDT.BINANCE"), 1, 1)
    assert not drain(made)


def test_a_book_is_shown_only_in_sync_and_once_per_event() -> None:
    made = engine(strategy := BookReader())
    feed(made, levels([(RecordSide.BUY, 90, 5)]))
    assert strategy.touches == []
    snapshot = levels([(RecordSide.BUY, 100, 5), (RecordSide.BUY, 99, 7), (RecordSide.SELL, 102, 6)], snapshot=True)
    feed(made, snapshot, levels([(RecordSide.BUY, 100, 0), (RecordSide.SELL, 101, 1)]))
    assert strategy.touches == [(BTC, (100, 5), (102, 6)), (BTC, (99, 7), (101, 1))]


def test_after_a_gap_the_book_waits_for_the_next_snapshot() -> None:
    made = engine(strategy := BookReader())
    snapshot = levels([(RecordSide.BUY, 100, 5), (RecordSide.SELL, 102, 6)], snapshot=True)
    feed(made, snapshot)
    for _ in made.walk(batch(levels([(RecordSide.BUY, 101, 1)]), gap=True)):
        pytest.fail("no command was made")
    assert made.context.book(BTC) is None
    assert len(strategy.touches) == 1
    feed(made, snapshot)
    book = made.context.book(BTC)
    assert book is not None
    assert book.best_bid() == (100, 5)
    assert made.market.gaps == 1


def test_books_of_two_instruments_do_not_mix() -> None:
    made = engine(strategy := BookReader())
    feed(
        made,
        levels([(RecordSide.BUY, 100, 5), (RecordSide.SELL, 102, 6)], snapshot=True),
        levels([(RecordSide.BUY, 10, 1), (RecordSide.SELL, 12, 2)], of=ETH, snapshot=True),
    )
    assert strategy.touches == [(BTC, (100, 5), (102, 6)), (ETH, (10, 1), (12, 2))]


def test_levels_cost_nothing_to_a_strategy_without_a_book() -> None:
    made = engine(Recorder())
    feed(made, levels([(RecordSide.BUY, 100, 5), (RecordSide.SELL, 102, 6)], snapshot=True))
    assert made.market.data(BTC).book is None


def test_timers_follow_the_data_and_start_with_it() -> None:
    made = engine(strategy := Recorder())
    made.context.set_timer("tick", 1.0)
    feed(made, quote(1, 2, at=T0), quote(1, 2, at=T0 + SECOND - 1))
    feed(made, quote(1, 2, at=T0 + SECOND), quote(1, 2, at=T0 + 5 * SECOND))
    assert [seen for seen in strategy.seen if seen[0] == "timer"] == [
        ("timer", "tick", T0 + SECOND),
        ("timer", "tick", T0 + 5 * SECOND),
    ]
    made.context.cancel_timer("tick")
    feed(made, quote(1, 2, at=T0 + 9 * SECOND))
    assert len([seen for seen in strategy.seen if seen[0] == "timer"]) == 2


def test_a_timer_fires_on_data_that_nobody_reads() -> None:
    class OnlyTimer(Strategy):
        fired = 0

        def on_timer(self, name: str) -> None:
            self.fired += 1

    made = engine(strategy := OnlyTimer())
    made.context.set_timer("t", 1.0)
    feed(made, trade(5, at=T0))
    feed(made, levels([(RecordSide.BUY, 1, 1)], at=T0 + SECOND))
    assert strategy.fired == 1


def test_bars_are_aligned_and_end_by_the_clock_of_the_data() -> None:
    made = engine(strategy := Recorder())
    made.context.subscribe_bars(BTC, 2.0)
    feed(made, trade(10, 3, at=T0), trade(14, 1, at=T0 + SECOND), trade(9, 2, at=T0 + 2 * SECOND - 1))
    feed(made, trade(11, 1, at=T0 + 2 * SECOND), quote(1, 2, at=T0 + 7 * SECOND))
    bars = [seen[1:] for seen in strategy.seen if seen[0] == "bar"]
    assert bars == [(T0, 10, 14, 9, 9, 6, 3), (T0 + 2 * SECOND, 11, 11, 11, 11, 1, 1)]


def test_a_callback_that_raises_makes_the_engine_mute() -> None:
    class Broken(Recorder):
        def on_quote(self, quote: Any) -> None:
            super().on_quote(quote)
            raise ZeroDivisionError("no price")

    made = engine(strategy := Broken())
    with pytest.raises(StrategyFailed, match="ZeroDivisionError: no price"):
        feed(made, quote(1, 2), quote(1, 3))
    assert feed(made, quote(1, 4)) == []
    made.stop()
    assert [seen[0] for seen in strategy.seen] == ["quote"]


def test_commands_of_a_failed_callback_are_dropped_with_their_orders() -> None:
    class BuysAndBreaks(Strategy):
        def on_quote(self, quote: Any) -> None:
            self.context.buy(BTC, 1, 1)
            raise ValueError("after the order")

    made = engine(BuysAndBreaks())
    with pytest.raises(StrategyFailed):
        feed(made, quote(1, 2))
    assert made.desk.drop_pending() == 1
    assert made.context.open_orders() == []


def test_start_and_stop_may_trade() -> None:
    class Ends(Strategy):
        def on_start(self) -> None:
            self.context.buy(BTC, 1, 1)

        def on_stop(self) -> None:
            self.context.cancel_all()

    made = engine(Ends())
    made.start()
    assert len(drain(made)) == 1
    made.stop()
    (command,) = drain(made)
    assert isinstance(command, CancelAllOrders)
    assert command.strategy_id == STRATEGY


def test_a_new_definition_changes_what_the_quote_shows() -> None:
    made = engine(Recorder())
    feed(made, quote(100, 102))
    finer = instrument(BTC)
    made.define_instrument(
        type(finer)(**{name: getattr(finer, name) for name in finer.__struct_fields__} | {"price_precision": 1})
    )
    seen = made.context.quote(BTC)
    assert seen is not None
    assert str(seen.bid) == "10.0"


def test_the_layouts_read_every_field_where_the_record_has_it() -> None:
    from tradewind.strategy.record_reading import QUOTE_PAIR, SINGLE

    records = empty_records(2)
    for index, name in enumerate(MARKET_RECORD.names or ()):
        records[name] = (index + 1, index + 101)
    ts_event, ts_recv, price, size, order_id, sequence, number, side, flags = SINGLE.unpack_from(records.tobytes())
    assert (ts_event, ts_recv, price, size, order_id, sequence) == (1, 2, 3, 4, 5, 6)
    first = records[0]
    assert (number, side, flags) == (first["instrument"], first["side"], first["flags"])
    pair = QUOTE_PAIR.unpack_from(records.tobytes())
    assert pair == (
        1,
        2,
        3,
        4,
        6,
        first["instrument"],
        first["side"],
        103,
        104,
        records[1]["instrument"],
        records[1]["side"],
    )
    assert QUOTE_PAIR.size == 2 * MARKET_RECORD.itemsize

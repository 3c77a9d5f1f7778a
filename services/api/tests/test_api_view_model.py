"""The view model without sockets: what is kept, what is told, and that both are bounded."""

import asyncio
from decimal import Decimal

import msgspec
import numpy as np
import pytest
from api_platform import ACCOUNT, BTCUSDT, Publisher, api_settings, instrument_named, record, snapshot
from hypothesis import given
from hypothesis import strategies as st

from tradewind.bus.memory import MemoryBus
from tradewind.model.enums import OrderSide, Outcome
from tradewind.model.identifiers import ClientOrderId, InstrumentId, StrategyId
from tradewind.model.order_status import OrderStatus
from tradewind.runtime.health import HealthBoard
from tradewind.runtime.settings import PlatformSettings
from tradewind.services.api.by_hand.order_entry import ManualIds
from tradewind.services.api.stream.composing import Composer
from tradewind.services.api.stream.parts import Look
from tradewind.services.api.view_model.changes import Latest, Revisions, Tail
from tradewind.services.api.view_model.neighbours import Neighbours
from tradewind.services.api.view_model.order_ledger import MAX_MISSING, OrderLedger
from tradewind.services.api.view_model.order_views import money_text
from tradewind.services.api.view_model.state import MAX_EARLY_RECORDS, ViewState
from tradewind.wire.events import EquityChanged, OrderCanceled, OrderEvent, OrderOutcomeResolved, OrderOutcomeUnknown
from tradewind.wire.market_records import RecordFlag, RecordKind, RecordSide


def accepted(publisher: Publisher, name: str) -> list[OrderEvent]:
    return asyncio.run(publisher.order(name, OrderSide.BUY, 6_000_000, 100_000))


@pytest.fixture
def publisher() -> Publisher:
    return Publisher(MemoryBus())


@pytest.fixture
def ledger() -> OrderLedger:
    return OrderLedger(Revisions(), orders_kept=3, fills_kept=2)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=60), st.integers(0, 60))
def test_what_changed_since_a_revision_is_what_was_set_after_it(changes: list[tuple[int, int]], cut: int) -> None:
    revisions = Revisions()
    latest: Latest[int, int] = Latest(revisions, 10)
    for key, value in changes[:cut]:
        latest.set(key, value)
    seen = revisions.now
    client = dict(latest.items())
    for key, value in changes[cut:]:
        latest.set(key, value)
    assert sorted(latest.since(seen)) == sorted(dict(changes[cut:]).values())
    client |= dict(changes[cut:])
    assert client == dict(latest.items())


@given(st.lists(st.lists(st.integers(), max_size=4), max_size=20), st.integers(0, 20), st.integers(1, 10))
def test_a_tail_tells_each_item_once_and_keeps_the_newest(batches: list[list[int]], cut: int, capacity: int) -> None:
    revisions = Revisions()
    tail: Tail[int] = Tail(revisions, capacity)
    for batch in batches[:cut]:
        tail.extend(batch)
    seen = revisions.now
    for batch in batches[cut:]:
        tail.extend(batch)
    after = [item for batch in batches[cut:] for item in batch]
    assert tail.since(seen) == after[-capacity:]
    assert list(tail) == [item for batch in batches for item in batch][-capacity:]


def test_the_past_is_put_before_the_present_as_far_as_there_is_room() -> None:
    revisions = Revisions()
    tail: Tail[int] = Tail(revisions, 4)
    tail.extend([10, 11])
    seen = revisions.now
    tail.put_before([1, 2, 3])
    assert list(tail) == [2, 3, 10, 11]
    assert tail.since(seen) == []
    assert tail.since(-1) == [2, 3, 10, 11]


def test_a_full_table_takes_no_new_key() -> None:
    latest: Latest[int, str] = Latest(Revisions(), 2)
    for key in range(4):
        latest.set(key, "first")
    latest.set(1, "second")
    assert dict(latest.items()) == {0: "first", 1: "second"}


def test_a_doubled_event_changes_nothing(publisher: Publisher, ledger: OrderLedger) -> None:
    events = accepted(publisher, "a")
    for event in (*events, *events, events[0]):
        ledger.apply(event)
    order = ledger.orders.get(ClientOrderId("a"))
    assert order is not None
    assert (order.status, order.event_count) == (OrderStatus.ACCEPTED, 3)


def test_closed_orders_make_room_for_new_ones_before_open_ones(publisher: Publisher, ledger: OrderLedger) -> None:
    for name in "abcd":
        for event in accepted(publisher, name):
            ledger.apply(event)
        if name == "b":
            ledger.apply(publisher_canceled(publisher, "b"))
    assert sorted(order.client_order_id for order in ledger.orders.values()) == ["a", "c", "d"]
    for event in accepted(publisher, "e"):
        ledger.apply(event)
    assert sorted(order.client_order_id for order in ledger.orders.values()) == ["c", "d", "e"]


def publisher_canceled(publisher: Publisher, name: str) -> OrderEvent:
    return OrderCanceled(**publisher._of_order(name, "market-maker", OrderStatus.CANCELED))


def test_unknown_is_shown_with_its_time_until_it_is_resolved(publisher: Publisher, ledger: OrderLedger) -> None:
    for event in accepted(publisher, "a"):
        ledger.apply(event)
    doubt = OrderOutcomeUnknown(reason="no answer", **publisher._of_order("a", "market-maker", OrderStatus.ACCEPTED))
    ledger.apply(doubt)
    order = ledger.orders.get(ClientOrderId("a"))
    assert order is not None
    assert (order.outcome, order.unknown_since, order.reason) == (Outcome.UNKNOWN, doubt.ts_event, "no answer")
    ledger.apply(publisher_canceled(publisher, "a"))
    assert list(ledger.open_orders()) == [order]
    ledger.apply(OrderOutcomeResolved(reason="asked", **publisher._of_order("a", "market-maker", OrderStatus.CANCELED)))
    assert list(ledger.open_orders()) == []


def test_orders_that_nobody_knows_are_asked_for_within_a_bound(publisher: Publisher, ledger: OrderLedger) -> None:
    publisher._sequences.clear()
    for number in range(MAX_MISSING + 10):
        ledger.apply(publisher_canceled(publisher, f"x{number}"))
    assert len(ledger.missing) == MAX_MISSING


def test_the_store_does_not_undo_what_an_event_told(publisher: Publisher, ledger: OrderLedger) -> None:
    for event in accepted(publisher, "a"):
        ledger.apply(event)
    newer = ledger.orders.get(ClientOrderId("a"))
    assert newer is not None
    older = msgspec.structs.replace(newer, status=OrderStatus.SUBMITTED, event_count=2)
    ledger.restore([older])
    assert ledger.orders.get(ClientOrderId("a")) is newer
    ledger.restore([msgspec.structs.replace(newer, status=OrderStatus.FILLED, event_count=4)])
    assert [order.status for order in ledger.orders.values()] == [OrderStatus.FILLED]


def test_a_fill_counts_once_whoever_tells_it(publisher: Publisher, ledger: OrderLedger) -> None:
    for event in accepted(publisher, "a"):
        ledger.apply(event)
    filled = asyncio.run(publisher.filled("a", OrderSide.BUY, 6_000_000, 100_000))
    ledger.apply(filled)
    ledger.apply(filled)
    assert len(ledger.fills) == 1
    [fill] = ledger.fills
    ledger.add_fills([fill])
    assert len(ledger.fills) == 1


def test_records_of_unknown_instruments_are_bounded() -> None:
    state = ViewState(api_settings())
    big = np.concatenate([record(RecordKind.TRADE)] * 1_000)
    for _ in range(60):
        state.apply_records(big)
    assert state.unknown_records == 60_000 - MAX_EARLY_RECORDS


def test_a_gap_on_one_instrument_hides_the_depth_of_all() -> None:
    state = ViewState(api_settings())
    other = InstrumentId("ETHUSDT.BINANCE")
    for name in (BTCUSDT, other):
        state.define(instrument_named(name))
        state.apply_records(np.concatenate(snapshot([(100, 10**8)], [(101, 10**8)], name)))
    lost = record(RecordKind.TRADE, RecordSide.BUY, 100, 1, flags=RecordFlag.GAP)
    state.apply_records(np.concatenate([lost, *snapshot([(100, 10**8)], [(102, 10**8)])]))
    assert state.markets[BTCUSDT].book_view(5)["asks"] == [("1.02", "1.00000000")]
    assert not state.markets[other].synced


def test_a_feed_that_lost_its_book_shows_none_until_its_next_snapshot() -> None:
    state = ViewState(api_settings())
    state.define(instrument_named(BTCUSDT))
    whole = np.concatenate(snapshot([(100, 10**8)], [(101, 10**8)]))
    state.apply_records(whole)
    state.apply_records(record(RecordKind.CLEAR, flags=RecordFlag.GAP | RecordFlag.LAST))
    assert not state.markets[BTCUSDT].synced
    state.apply_records(record(RecordKind.LEVEL, RecordSide.BUY, 99, 10**8))
    assert state.markets[BTCUSDT].book_view(5)["bids"] == []
    whole["flags"][0] |= RecordFlag.GAP
    state.apply_records(whole)
    assert state.markets[BTCUSDT].book_view(5)["bids"] == [("1.00", "1.00000000")]


def test_one_frame_serves_all_who_look_at_the_same() -> None:
    state = ViewState(api_settings())
    state.define(instrument_named(BTCUSDT))
    composer = Composer(state, HealthBoard(), Neighbours(PlatformSettings()), destination="nowhere", version="0")
    composer.refresh(marks=False, counters=False)
    look = Look(instrument_id=BTCUSDT, depth=5)
    first = composer.frame(look)
    assert first is not None
    state.define(instrument_named(InstrumentId("ETHUSDT.BINANCE")))
    assert composer.frame(look) is first
    composer.refresh(marks=False, counters=False)
    later = composer.frame(look, first[0])
    assert later is not None
    assert [one["symbol"] for one in msgspec.json.decode(later[1])["instruments"]] == ["BTCUSDT", "ETHUSDT"]
    assert composer.frame(look, later[0]) is None


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0", "0.00"), ("-0.5", "-0.50"), ("1E+3", "1000.00"), ("12.345600", "12.3456"), ("1E-7", "0.0000001")],
)
def test_money_has_no_exponent(amount: str, text: str) -> None:
    assert money_text(Decimal(amount)) == text


def test_order_ids_by_hand_fit_the_strictest_venue() -> None:
    ids = ManualIds()
    made = [ids() for _ in range(3)]
    assert len(set(made)) == 3
    assert all(len(one) <= 36 and one.startswith("manual-") for one in made)


def test_equity_points_are_thinned_to_one_a_second(publisher: Publisher) -> None:
    state = ViewState(api_settings())
    messages = [_equity(publisher, 1_000_000_000 + step * 100_000_000) for step in range(25)]
    for message in messages:
        state.apply(message)
    assert len(state.equity_points) == 3


def _equity(publisher: Publisher, ts_event: int) -> EquityChanged:
    identity = publisher.identity() | {"ts_event": ts_event}
    return EquityChanged(
        account_id=ACCOUNT,
        strategy_id=StrategyId("a"),
        currency="USDT",
        realized_pnl=Decimal(1),
        unrealized_pnl=Decimal(0),
        fees=Decimal(0),
        **identity,
    )

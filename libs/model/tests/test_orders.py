"""An order keeps its invariants whatever the venue says, in whatever order."""

from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.model.enums import OrderSide, OrderType, Outcome, TimeInForce
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, StrategyId
from tradewind.model.order_status import CLOSED, PENDING, InvalidTransition, OrderStatus
from tradewind.model.orders import Order

S: Final = OrderStatus
SIZE: Final = 10


def _order(status: OrderStatus = S.INITIALIZED) -> Order:
    return Order(
        client_order_id=ClientOrderId("ab-1-1"),
        strategy_id=StrategyId("ab"),
        account_id=AccountId("SIM-main"),
        instrument_id=InstrumentId("BTCUSDT.SIM"),
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        size=SIZE,
        price=100,
        status=status,
    )


MOVES: Final = st.sampled_from([s for s in OrderStatus if s not in {S.PARTIALLY_FILLED, S.FILLED}])
EVENTS: Final = st.lists(st.one_of(MOVES, st.integers(1, 12), st.just("restore")), max_size=25)


def _apply(order: Order, event: OrderStatus | int | str) -> bool:
    """Whether the order took the event."""
    try:
        if isinstance(event, int):
            order.add_fill(event)
        elif event == "restore":
            order.restore()
        else:
            order.move(OrderStatus(event))
    except InvalidTransition:
        return False
    return True


@given(EVENTS)
def test_any_story_keeps_the_invariants(events: list[OrderStatus | int | str]) -> None:
    order = _order()
    order.move(S.SUBMITTED)
    filled = 0
    for event in events:
        before = msgspec.structs.asdict(order)
        if not _apply(order, event):
            assert msgspec.structs.asdict(order) == before, "a refused event changed the order"
            continue
        filled += event if isinstance(event, int) else 0
        assert order.filled_size == filled
        assert (order.status is S.FILLED) == (filled >= SIZE)
        assert (order.previous_status is not None) == (order.status in PENDING)
        assert order.previous_status not in PENDING
        assert 0 <= order.remaining_size <= order.at_risk_size <= SIZE
        assert order.remaining_size == (0 if order.status in CLOSED else SIZE - filled)
        if before["status"] in CLOSED and order.status is not before["status"]:
            assert isinstance(event, int), "only a late fill changes a closed order"
            assert order.status is S.FILLED or before["status"] is S.REJECTED


@given(EVENTS)
def test_an_unknown_outcome_keeps_all_that_is_not_filled_at_risk(events: list[OrderStatus | int | str]) -> None:
    order = _order(S.SUBMITTED)
    for event in events:
        _apply(order, event)
    order.outcome = Outcome.UNKNOWN
    assert order.at_risk_size == max(SIZE - order.filled_size, 0)


@pytest.mark.parametrize("pending", sorted(PENDING))
@pytest.mark.parametrize("before", [S.SUBMITTED, S.ACCEPTED, S.TRIGGERED, S.PARTIALLY_FILLED])
def test_a_refused_request_restores_the_status_before_it(before: OrderStatus, pending: OrderStatus) -> None:
    order = _order(before)
    order.move(pending)
    assert (order.status, order.previous_status) == (pending, before)
    order.restore()
    assert (order.status, order.previous_status) == (before, None)


def test_a_second_request_does_not_hide_the_status_before_the_first() -> None:
    order = _order(S.ACCEPTED)
    order.move(S.PENDING_UPDATE)
    order.move(S.PENDING_CANCEL)
    order.restore()
    assert order.status is S.ACCEPTED


def test_a_fill_while_a_cancel_is_pending_leaves_it_pending_and_is_what_a_refusal_restores() -> None:
    order = _order(S.ACCEPTED)
    order.move(S.PENDING_CANCEL)
    order.add_fill(4)
    assert (order.status, order.filled_size) == (S.PENDING_CANCEL, 4)
    order.restore()
    assert order.status is S.PARTIALLY_FILLED


def test_restore_without_a_pending_request_does_nothing() -> None:
    order = _order(S.ACCEPTED)
    order.restore()
    assert order.status is S.ACCEPTED


@pytest.mark.parametrize("closed", [S.CANCELED, S.EXPIRED])
def test_a_late_partial_fill_is_counted_and_the_order_stays_closed(closed: OrderStatus) -> None:
    order = _order(closed)
    order.add_fill(4)
    assert (order.status, order.filled_size, order.remaining_size) == (closed, 4, 0)
    order.add_fill(6)
    assert (order.status, order.filled_size) == (S.FILLED, SIZE)


def test_a_fill_of_a_rejected_order_brings_it_back() -> None:
    order = _order(S.REJECTED)
    order.add_fill(4)
    assert (order.status, order.remaining_size) == (S.PARTIALLY_FILLED, 6)


@pytest.mark.parametrize("status", [S.INITIALIZED, S.DENIED, S.FILLED])
def test_what_was_never_sent_or_is_full_takes_no_fill(status: OrderStatus) -> None:
    order = _order(status)
    with pytest.raises(InvalidTransition):
        order.add_fill(1)
    assert order.filled_size == 0


def test_a_venue_may_reject_an_order_whose_cancel_overtook_the_answer() -> None:
    order = _order(S.SUBMITTED)
    order.move(S.PENDING_CANCEL)
    order.move(S.REJECTED)
    assert (order.status, order.previous_status, order.remaining_size) == (S.REJECTED, None, 0)

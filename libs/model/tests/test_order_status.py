"""The order status table, all pairs of it, against a table written down a second time."""

import itertools
from typing import Final

import pytest

from tradewind.model.order_status import (
    CLOSED,
    OPEN,
    PENDING,
    TRANSITIONS,
    InvalidTransition,
    OrderStatus,
    check_transition,
)

# Columns in the order of the rows; X is a step that may happen.
EXPECTED: Final = """
                  IN DE SU AC RE TR PU PC PF FI CA EX
INITIALIZED        .  X  X  .  .  .  .  .  .  .  .  .
DENIED             .  .  .  .  .  .  .  .  .  .  .  .
SUBMITTED          .  .  .  X  X  X  X  X  X  X  X  X
ACCEPTED           .  .  .  .  X  X  X  X  X  X  X  X
REJECTED           .  .  .  .  .  .  .  .  X  X  .  .
TRIGGERED          .  .  .  .  .  .  X  X  X  X  X  X
PENDING_UPDATE     .  .  X  X  X  X  X  X  X  X  X  X
PENDING_CANCEL     .  .  X  X  X  X  X  X  X  X  X  X
PARTIALLY_FILLED   .  .  .  .  .  .  X  X  X  X  X  X
FILLED             .  .  .  .  .  .  .  .  .  .  .  .
CANCELED           .  .  .  .  .  .  .  .  X  X  X  .
EXPIRED            .  .  .  .  .  .  .  .  X  X  .  X
"""


def _expected() -> dict[tuple[OrderStatus, OrderStatus], bool]:
    rows = [line.split() for line in EXPECTED.strip().splitlines()[1:]]
    order = [OrderStatus(row[0]) for row in rows]
    marks = {row[0]: dict(zip(order, row[1:], strict=True)) for row in rows}
    return {(before, after): marks[before][after] == "X" for before in order for after in order}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(OrderStatus, OrderStatus)))
def test_every_pair(before: OrderStatus, after: OrderStatus) -> None:
    if _expected()[before, after]:
        check_transition(before, after)
    else:
        with pytest.raises(InvalidTransition, match=f"from {before} to {after}"):
            check_transition(before, after)


def test_the_table_has_a_row_for_every_status() -> None:
    assert set(TRANSITIONS) == set(OrderStatus)


def test_a_status_is_open_closed_or_not_yet_at_the_venue() -> None:
    assert not OPEN & CLOSED
    assert set(OrderStatus) - OPEN - CLOSED == {OrderStatus.INITIALIZED, OrderStatus.SUBMITTED}
    assert PENDING < OPEN
    for status in OrderStatus:
        assert status.is_open == (status in OPEN)
        assert status.is_closed == (status in CLOSED)


def test_a_closed_order_only_hears_of_fills_or_of_the_same_again() -> None:
    for status in CLOSED:
        assert TRANSITIONS[status] <= {OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED, status}


def test_a_refused_request_can_go_back_to_wherever_it_came_from() -> None:
    for pending in PENDING:
        came_from = {before for before, after in TRANSITIONS.items() if pending in after}
        assert came_from - PENDING <= TRANSITIONS[pending]


def test_what_we_decide_happens_before_the_venue_knows() -> None:
    for status in set(OrderStatus) - {OrderStatus.INITIALIZED}:
        assert OrderStatus.DENIED not in TRANSITIONS[status]
        assert OrderStatus.INITIALIZED not in TRANSITIONS[status]

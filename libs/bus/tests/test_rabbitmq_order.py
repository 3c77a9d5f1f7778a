"""The order of messages whose queue took them out of order, twice, or not at all."""

import itertools
import random

import pytest
from aiormq.abc import DeliveredMessage
from pamqp import commands as spec
from pamqp.header import ContentHeader

from tradewind.bus.rabbitmq_messages import Arrival
from tradewind.bus.rabbitmq_order import HOLD_S, InOrder, Once, message_id

_tags = itertools.count(1)


def came(name: str | None) -> Arrival:
    header = ContentHeader(properties=spec.Basic.Properties(message_id=name))
    message = DeliveredMessage(delivery=spec.Basic.Deliver(), header=header, body=b"", channel=None)  # type: ignore[arg-type]
    return Arrival("topic", 0, 0, next(_tags), message)


def names(arrivals: list[Arrival]) -> list[str | None]:
    return [one.message_id for one in arrivals]


def test_what_comes_in_order_goes_on_at_once() -> None:
    order = InOrder()
    for number in range(5):
        assert len(order.take(came(message_id("p", number, number - 1)), 0.0)) == 1
    assert not list(order.held())


def test_a_message_waits_for_the_one_before_and_repeats_are_dropped() -> None:
    order = InOrder()
    order.take(came("p-0-"), 0.0)
    assert order.take(came("p-2-1"), 0.0) == []
    assert order.take(came("p-3-2"), 0.0) == []
    assert len(list(order.held())) == 2
    assert names(order.take(came("p-1-0"), 0.0)) == ["p-1-0", "p-2-1", "p-3-2"]
    for again in ("p-1-0", "p-2-1", "p-3-2"):
        assert order.take(came(again), 0.0) == []
    assert order.repeated == 3
    assert names(order.take(came("p-7-3"), 0.0)) == ["p-7-3"], "four numbers were withdrawn before they were sent"


def test_what_is_waited_for_in_vain_holds_nothing_up_for_long_and_is_not_lost_when_it_comes() -> None:
    order = InOrder()
    order.take(came("p-0-"), 0.0)
    for late in ("p-5-4", "p-6-5"):
        assert order.take(came(late), 10.0) == []
    assert order.overdue(10.0 + HOLD_S / 2) == []
    assert names(order.overdue(10.0 + HOLD_S)) == ["p-5-4", "p-6-5"]
    assert names(order.take(came("p-3-2"), 20.0)) == ["p-3-2"]
    assert order.take(came("p-3-2"), 20.0) == []
    assert names(order.take(came("p-4-3"), 20.0)) == ["p-4-3"]
    assert order.take(came("p-5-4"), 20.0) == []
    assert names(order.take(came("p-7-6"), 20.0)) == ["p-7-6"]


@pytest.mark.parametrize("name", [None, "", "p", "p-x-1", "p-1", "p-1-x", "a-b-c-d", "0123456789abcdef"])
def test_what_is_not_from_us_is_not_judged(name: str | None) -> None:
    order, once = InOrder(), Once()
    for _ in range(2):
        assert len(order.take(came(name), 0.0)) == 1
        assert once.is_new(came(name))


def test_publishers_do_not_wait_for_each_other() -> None:
    order = InOrder()
    order.take(came("p-0-"), 0.0)
    order.take(came("p-2-1"), 0.0)
    assert names(order.take(came("q-9-8"), 0.0)) == ["q-9-8"], "nothing is known of what came before"


def test_once_drops_what_was_sent_again() -> None:
    once = Once()
    assert [once.is_new(came(f"p-{number}-")) for number in (4, 5, 4, 5, 6)] == [True, True, False, False, True]


@pytest.mark.parametrize("seed", range(50))
def test_any_queue_that_lets_later_ones_pass_is_put_right(seed: int) -> None:
    """A queue takes some of a window, rejects others, and gets all that it rejected again, in order."""
    source = random.Random(seed)
    order, out, number = InOrder(), [], 0
    while number < 200:
        window = range(number, number + source.randint(1, 12))
        number = window.stop
        left = list(window)
        first = not out
        while left:
            taken = [n for n in left if (first and n == 0) or source.random() < 0.6]
            for n in taken:
                out += order.take(came(message_id("p", n, n - 1)), 0.0)
                if source.random() < 0.2:
                    out += order.take(came(message_id("p", n, n - 1)), 0.0)
            first = False
            left = [n for n in left if n not in taken]
    assert names(out) == [message_id("p", n, n - 1) for n in range(number)]

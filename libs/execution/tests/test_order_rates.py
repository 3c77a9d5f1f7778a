from hypothesis import given
from hypothesis import strategies as st

from tradewind.execution.order_rates import SECOND_NS, OrderRate


@given(st.integers(0, 6), st.lists(st.integers(0, SECOND_NS), max_size=80))
def test_no_stretch_of_the_window_holds_more_than_the_limit(limit: int, waits: list[int]) -> None:
    rate = OrderRate(limit, SECOND_NS)
    now_ns, passed = 0, list[int]()
    for wait_ns in waits:
        now_ns += wait_ns
        earlier = sum(now_ns - at < SECOND_NS for at in passed)
        assert rate.has_room(now_ns) == (earlier < limit)
        if rate.has_room(now_ns):
            rate.count(now_ns)
            passed.append(now_ns)
        assert rate.used(now_ns) == sum(now_ns - at < SECOND_NS for at in passed)


def test_a_clock_set_back_frees_nothing() -> None:
    rate = OrderRate(2, SECOND_NS)
    rate.count(10 * SECOND_NS)
    rate.count(5 * SECOND_NS)
    assert not rate.has_room(5 * SECOND_NS)
    assert not rate.has_room(11 * SECOND_NS - 1)
    assert rate.has_room(11 * SECOND_NS)

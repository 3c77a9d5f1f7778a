"""The venue's rate limits, on a clock of the test's own."""

import pytest

from tradewind.venue.adapter import RateLimited
from tradewind.venue.binance.rate_limits import DEFAULT_RETRY_AFTER_S, LONGEST_RETRY_AFTER_S, RateLimits


class Clock:
    def __init__(self) -> None:
        self.now = 1_200_000_000.0

    def __call__(self) -> float:
        return self.now


def limits(clock: Clock, weight: int = 100, orders: int = 3) -> RateLimits:
    made = RateLimits(clock)
    made.configure(
        [
            ("REQUEST_WEIGHT", "MINUTE", 1, weight),
            ("ORDERS", "SECOND", 10, orders),
            ("RAW_REQUESTS", "MINUTE", 5, 61_000),
            ("ORDERS", "FORTNIGHT", 1, 1),
        ]
    )
    return made


def test_weight_comes_back_with_the_next_window() -> None:
    clock = Clock()
    made = limits(clock)
    made.take_request(90)
    with pytest.raises(RateLimited) as caught:
        made.take_request(1)
    assert 0 < caught.value.retry_after_s <= 60
    clock.now += caught.value.retry_after_s
    made.take_request(90)


def test_cancels_may_use_the_reserve_when_orders_may_not() -> None:
    made = limits(Clock())
    made.take_request(90)
    with pytest.raises(RateLimited):
        made.take_order()
    for _ in range(10):
        made.take_cancel()
    with pytest.raises(RateLimited):
        made.take_cancel()


def test_orders_have_their_own_window_and_cancels_do_not_count_in_it() -> None:
    clock = Clock()
    made = limits(clock)
    for _ in range(3):
        made.take_order()
    for _ in range(5):
        made.take_cancel()
    with pytest.raises(RateLimited) as caught:
        made.take_order()
    assert caught.value.retry_after_s <= 10
    clock.now += 10
    made.take_order()


def test_the_venues_count_is_believed_when_it_is_higher() -> None:
    made = limits(Clock())
    made.observe({"X-MBX-USED-WEIGHT-1M": "85", "x-mbx-order-count-10s": "3", "Server": "nginx", "x-mbx-uuid": "1"})
    assert made.used_weight() == 85
    made.observe({"X-MBX-USED-WEIGHT-1M": "10"})
    assert made.used_weight() == 85
    made.observe({"X-MBX-USED-WEIGHT-1M": "garbage"})
    with pytest.raises(RateLimited):
        made.take_order()
    made.take_request(5)
    with pytest.raises(RateLimited):
        made.take_request(1)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("7", 7.0),
        (None, DEFAULT_RETRY_AFTER_S),
        ("soon", DEFAULT_RETRY_AFTER_S),
        ("-3", DEFAULT_RETRY_AFTER_S),
        ("nan", DEFAULT_RETRY_AFTER_S),
        ("1e99", LONGEST_RETRY_AFTER_S),
    ],
)
def test_nothing_goes_out_while_the_venue_has_blocked_us(said: str | None, meant: float) -> None:
    clock = Clock()
    made = limits(clock)
    assert made.block(said) == meant
    for take in (made.take_order, made.take_cancel, lambda: made.take_request(1)):
        with pytest.raises(RateLimited):
            take()
    clock.now += meant
    made.take_cancel()

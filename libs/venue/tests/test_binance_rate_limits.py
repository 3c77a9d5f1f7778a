"""The venue's rate limits, on a clock of the test's own, alone and beside others."""

from collections.abc import Sequence

import pytest

from tradewind.venue.adapter import RateLimited
from tradewind.venue.binance.rate_limits import (
    DEFAULT_RETRY_AFTER_S,
    FALLBACK_SHARE,
    LONGEST_RETRY_AFTER_S,
    RateLimits,
)
from tradewind.venue.request_budget import RequestClass, allowances

CANCEL, REDUCE, NEW, QUERY = RequestClass


class Clock:
    def __init__(self) -> None:
        self.now = 1_200_000_005.0

    def __call__(self) -> float:
        return self.now


class Budget:
    """What others count, as the test says it is: ``answer`` is what ``take`` says, None when they are away."""

    def __init__(self) -> None:
        self.rules: list[tuple[str, int, int, Sequence[int]]] = []
        self.held = 0
        self.answer: float | None = 0.0
        self.taken: list[tuple[int, int, int]] = []
        self.noted = (0, 0)
        self.seen: list[tuple[str, int, int]] = []
        self.blocks: list[tuple[float, bool]] = []
        self.told = 0

    def configure(self, rules: Sequence[tuple[str, int, int, Sequence[int]]]) -> None:
        self.rules = list(rules)

    def spend(self, weight: int, orders: int) -> bool:
        if self.held < max(weight, orders):
            return False
        self.held -= max(weight, orders)
        return True

    async def take(self, priority: int, weight: int, orders: int, *, patience_s: float) -> float | None:
        self.taken.append((priority, weight, orders))
        return self.answer

    def note(self, weight: int, orders: int) -> None:
        self.noted = (self.noted[0] + weight, self.noted[1] + orders)

    def observe(self, kind: str, interval_s: int, used: int, elapsed_s: float) -> None:
        self.seen.append((kind, interval_s, used))

    def block(self, seconds: float, *, everyone: bool) -> None:
        self.blocks.append((seconds, everyone))

    async def tell(self) -> None:
        self.told += 1


def limits(clock: Clock, weight: int = 100, orders: int = 3, shared: Budget | None = None) -> RateLimits:
    made = RateLimits(shared, clock)
    made.configure(
        [
            ("REQUEST_WEIGHT", "MINUTE", 1, weight),
            ("ORDERS", "SECOND", 10, orders),
            ("RAW_REQUESTS", "MINUTE", 5, 61_000),
            ("ORDERS", "FORTNIGHT", 1, 1),
        ]
    )
    return made


async def refused(made: RateLimits, what: RequestClass, weight: int = 1) -> float:
    """How long it is told to wait."""
    assert not made.take_now(what, weight)
    with pytest.raises(RateLimited) as caught:
        await made.take(what, weight, patience_s=0.0)
    return caught.value.retry_after_s


async def test_weight_comes_back_with_the_next_window() -> None:
    clock = Clock()
    made = limits(clock)
    await made.take(QUERY, 75)
    wait_s = await refused(made, QUERY)
    assert 0 < wait_s <= 60
    clock.now += wait_s
    assert made.take_now(QUERY, 75)


async def test_each_class_leaves_a_reserve_to_those_above_it() -> None:
    made = limits(Clock(), orders=1_000)
    assert made.take_now(QUERY, 75)
    await refused(made, QUERY)
    assert [made.take_now(NEW) for _ in range(16)] == [True] * 15 + [False]
    assert [made.take_now(REDUCE) for _ in range(6)] == [True] * 5 + [False]
    assert [made.take_now(CANCEL) for _ in range(6)] == [True] * 5 + [False]
    assert await refused(made, CANCEL) <= 60


async def test_orders_have_their_own_window_and_cancels_do_not_count_in_it() -> None:
    clock = Clock()
    made = limits(clock)
    assert [made.take_now(NEW) for _ in range(4)] == [True] * 3 + [False]
    assert all(made.take_now(CANCEL) for _ in range(5))
    assert await refused(made, NEW) <= 10
    clock.now += 10
    assert made.take_now(NEW)


def test_a_reserve_of_a_small_limit_takes_nothing_from_it() -> None:
    assert allowances("orders", 3) == (3, 3, 3, 3)
    assert allowances("orders", 100) == (100, 100, 95, 95)
    assert allowances("weight", 6_000) == (6_000, 5_700, 5_400, 4_500)


async def test_the_venues_count_is_believed_when_it_is_higher() -> None:
    made = limits(Clock())
    made.observe({"X-MBX-USED-WEIGHT-1M": "70", "x-mbx-order-count-10s": "3", "Server": "nginx", "x-mbx-uuid": "1"})
    assert made.used_weight() == 70
    made.observe({"X-MBX-USED-WEIGHT-1M": "10"})
    for odd in ("garbage", "-5", "1e9", "", "9" * 400, "٣"):
        made.observe({"X-MBX-USED-WEIGHT-1M": odd})
    made.observe({"X-MBX-USED-WEIGHT-99999M": "5"})
    assert made.used_weight() == 70
    await refused(made, NEW)
    assert made.take_now(QUERY, 5)
    await refused(made, QUERY)


@pytest.mark.parametrize(("into_the_minute", "elapsed_s"), [(0.1, 0.0), (59.9, 0.0), (2.0, 3.0)])
def test_a_count_that_may_be_of_another_window_is_passed_over(into_the_minute: float, elapsed_s: float) -> None:
    clock = Clock()
    made = limits(clock)
    clock.now = 1_200_000_000.0 + into_the_minute
    made.observe({"x-mbx-used-weight-1m": "99"}, elapsed_s)
    assert made.used_weight() == 0


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
async def test_nothing_goes_out_while_the_venue_has_banned_us(said: str | None, meant: float) -> None:
    clock = Clock()
    made = limits(clock)
    assert made.block(said, everyone=True) == meant
    for what in RequestClass:
        assert await refused(made, what) == meant
    clock.now += meant
    assert made.take_now(CANCEL)


async def test_after_a_429_cancels_go_on_while_the_counts_leave_room() -> None:
    made = limits(Clock())
    made.block("30", everyone=False)
    for what in (REDUCE, NEW, QUERY):
        assert await refused(made, what) == 30
    assert made.take_now(CANCEL)
    made.observe({"x-mbx-used-weight-1m": "101"})
    assert await refused(made, CANCEL) <= 60


# -- with others -------------------------------------------------------------------------------------------------------


async def test_held_tokens_are_spent_without_asking_but_not_on_queries() -> None:
    budget = Budget()
    made = limits(Clock(), shared=budget)
    budget.held = 2
    assert not made.take_now(QUERY)
    assert [made.take_now(what) for what in (NEW, CANCEL, REDUCE)] == [True, True, False]
    assert budget.taken == []
    await made.take(REDUCE)
    await made.take(QUERY, 20)
    assert budget.taken == [(1, 1, 1), (3, 20, 0)]
    assert made.used_weight() == 23
    budget.answer = 4.5
    assert await refused(made, NEW) == 4.5
    assert ("weight", 60, 100, (100, 95, 90, 75)) in budget.rules


async def test_alone_it_uses_a_part_of_each_limit_and_cancels_all_of_it() -> None:
    budget = Budget()
    made = limits(Clock(), weight=100, orders=1_000, shared=budget)
    budget.answer = None
    for _ in range(int(90 * FALLBACK_SHARE)):
        await made.take(NEW)
    await refused(made, NEW)
    assert budget.noted == (45, 45)
    for _ in range(100 - 45):
        await made.take(CANCEL)
    await refused(made, CANCEL)
    budget.answer = 0.0
    await made.take(NEW)  # they are back, and it is they who count
    assert budget.noted == (100, 45)


async def test_alone_it_never_takes_more_than_the_venue_counts_to_be_left() -> None:
    budget = Budget()
    made = limits(Clock(), shared=budget)
    budget.answer = None
    made.observe({"x-mbx-used-weight-1m": "89"})
    await made.take(NEW)  # however small a part of three orders is, one may go
    await refused(made, NEW)


async def test_what_the_venue_says_is_passed_on() -> None:
    budget = Budget()
    made = limits(Clock(), shared=budget)
    made.observe({"x-mbx-used-weight-1m": "7", "x-mbx-order-count-1d": "3", "x-mbx-used-weight-5m": "1"})
    assert budget.seen == [("weight", 60, 7), ("orders", 86_400, 3)]
    made.block("9", everyone=False)
    await made.tell()
    assert (budget.blocks, budget.told) == ([(9.0, False)], 1)
    assert await refused(made, NEW) == 9
    assert budget.taken == []

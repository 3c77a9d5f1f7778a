"""The script of the shared rate limits on a clock of the test's own: what no order of events and no skew may break."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradewind.store import rate_limits
from tradewind.store.rate_limits import RateLimitStep, StepAnswer, _LeaseBack, _RuleStep, _Seen

GUARD_MS = 500
WEIGHT = (60_000, 100, (100, 95, 90, 75))
ORDERS = (10_000, 40, (40, 40, 38, 38))
BEGIN_MS = 1_800_000_000_000
CANCEL, REDUCE, NEW, QUERY = range(4)
_numbers = itertools.count()


@dataclasses.dataclass
class Lease:
    begin: int
    finish: int
    amounts: tuple[int, int]
    born: tuple[int, int]


class Bucket:
    """One fresh pair of buckets; ``now_ms`` is moved by the test."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self.script = client.register_script(rate_limits._SCRIPT)
        name = f"test:{next(_numbers)}"
        self.keys = [f"{name}:address", f"{name}:account", f"{name}:waiting"]
        self.now_ms = BEGIN_MS + 60_000  # born before every window that the test looks at
        self.step(QUERY)
        self.now_ms += 86_400_000

    def step(
        self, priority: int, weight: int = 0, orders: int = 0, known: tuple[int, int, int] = (0, 0, 0), **more: Any
    ) -> StepAnswer:
        rules = []
        for dim, (interval, limit, allowed) in ((1, WEIGHT), (2, ORDERS)):
            window, used, born = known if dim == 1 else (0, 0, 0)
            added = more.pop("added", 0) if dim == 1 else 0
            rules.append(
                _RuleStep(dim, f"rule{dim}", interval, limit, allowed[priority], added, window, used, born=born)
            )
        step = RateLimitStep(
            name=f"{next(_numbers):x}",
            priority=priority,
            need=(weight, orders),
            rules=rules,
            now=self.now_ms,
            guard=GUARD_MS,
            **more,
        )
        answer: Any = self.script(self.keys, [msgspec.msgpack.encode(step)])
        return StepAnswer.of(answer)

    def used(self, dim: int = 1) -> int:
        return self.step(QUERY).windows[dim - 1][1]


@pytest.fixture(params=["valkey_url", "machine_redis_url"])
def client(request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(request.getfixturevalue(request.param), socket_timeout=30) as opened:
        yield opened
        for key in opened.scan_iter("test:*", count=1_000):
            opened.delete(key)


@pytest.fixture
def bucket(client: redis.Redis) -> Bucket:
    return Bucket(client)


def windows_of(grants: list[tuple[int, int]], interval_ms: int) -> Counter[int]:
    counts: Counter[int] = Counter()
    for at_ms, amount in grants:
        counts[at_ms // interval_ms] += amount
    return counts


moves = st.tuples(
    st.sampled_from([REDUCE, NEW, QUERY]),
    st.integers(1, 30),  # weight
    st.integers(0, 6),  # orders
    st.integers(0, 4_000),  # ms until the next
    st.integers(-GUARD_MS, GUARD_MS),  # how far off the venue's clock is for this request
    st.integers(0, 20),  # tokens to hold ahead
    st.integers(0, 1_000),  # when within the hold they are spent
    st.booleans(),  # whether they are given back instead
)
lasting = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@lasting
@given(st.lists(moves, min_size=5, max_size=60))
def test_no_window_of_the_venue_ever_sees_more_than_the_limit(client: redis.Redis, steps: list[Any]) -> None:
    bucket = Bucket(client)
    weights: list[tuple[int, int]] = []
    orders: list[tuple[int, int]] = []
    back: list[_LeaseBack] = []
    for priority, weight, count, pause_ms, skew_ms, held, spent_after_ms, returned in steps:
        bucket.now_ms += pause_ms
        answer = bucket.step(priority, weight, count, want=(held, held), hold=1_000, back=back)
        back = []
        if answer.granted:
            weights.append((bucket.now_ms + skew_ms, weight))
            orders.append((bucket.now_ms + skew_ms, count))
            if returned:
                back = [_LeaseBack(answer.now_ms, answer.now_ms + 1_000, answer.held, answer.born)]
            else:
                spent_ms = bucket.now_ms + spent_after_ms + skew_ms
                weights.append((spent_ms, answer.held[0]))
                orders.append((spent_ms, answer.held[1]))
    assert max(windows_of(weights, WEIGHT[0]).values(), default=0) <= WEIGHT[2][REDUCE]
    assert max(windows_of(orders, ORDERS[0]).values(), default=0) <= ORDERS[1]


@lasting
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 30), st.integers(0, 9_000)), min_size=1, max_size=60))
def test_each_class_leaves_its_reserve_and_waits_as_long_as_it_is_told(
    client: redis.Redis, steps: list[tuple[int, int, int]]
) -> None:
    bucket = Bucket(client)
    for priority, weight, pause_ms in steps:
        bucket.now_ms += pause_ms
        before = bucket.used()
        answer = bucket.step(priority, weight)
        if answer.granted:
            assert before + weight <= WEIGHT[2][priority]
            continue
        left_ms = WEIGHT[0] - bucket.now_ms % WEIGHT[0]
        if priority == CANCEL:
            assert before + weight > WEIGHT[1]
            assert answer.wait_ms == left_ms
        else:
            # Near a turn it is the window on the other side that may be full.
            assert 0 < answer.wait_ms <= left_ms + WEIGHT[0] + GUARD_MS
        # Whoever waits so long, while nobody else comes, gets it.
        bucket.now_ms += answer.wait_ms
        assert bucket.step(priority, weight).granted


@lasting
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("take"), st.integers(1, 20)),
            st.tuples(st.just("venue"), st.integers(1, 120)),
            st.tuples(st.just("added"), st.integers(1, 20)),
            st.tuples(st.just("lease"), st.integers(1, 10)),
            st.tuples(st.just("flush"), st.integers(0, 0)),
        ),
        max_size=30,
    )
)
def test_the_count_is_never_below_what_the_venue_said_and_what_was_granted(
    client: redis.Redis, steps: list[tuple[str, int]]
) -> None:
    bucket = Bucket(client)
    bucket.now_ms += 20_000
    venue = granted = 0
    born = bucket.step(QUERY).born[0]
    known = (bucket.now_ms // WEIGHT[0], 0, born)
    for what, amount in steps:
        if what == "take" and bucket.step(CANCEL, amount, known=known).granted:
            granted += amount
        elif what == "venue":
            venue = max(venue, amount)
            bucket.step(QUERY, seen=[_Seen(1, amount, 50, 10)], known=known)
        elif what == "added":
            bucket.step(QUERY, added=amount, known=known)
            granted += amount
        elif what == "lease":
            answer = bucket.step(NEW, want=(amount, 0), hold=1_000, known=known)
            lease = _LeaseBack(answer.now_ms, answer.now_ms + 1_000, answer.held, answer.born)
            bucket.step(QUERY, back=[lease], known=known)
        elif what == "flush":
            bucket.client.delete(*bucket.keys)
            bucket.now_ms += 1
        answer = bucket.step(QUERY, known=known)
        known = (*answer.windows[0], answer.born[0])
        assert answer.windows[0][1] >= max(venue, granted)


def test_lower_classes_leave_room_for_those_that_wait(bucket: Bucket) -> None:
    assert bucket.step(CANCEL, 100).granted
    waiting = bucket.step(CANCEL, 20, patience=100_000)
    reduce = bucket.step(REDUCE, 30, patience=100_000)
    query = bucket.step(QUERY, 60, patience=100_000)
    assert [waiting.granted, reduce.granted, query.granted] == [False] * 3
    bucket.now_ms += query.wait_ms
    late = bucket.step(QUERY, 60, ticket=query.ticket, patience=100_000)
    assert (late.granted, late.wait_ms) == (False, 25)  # 20 and 30 are set aside for those above
    assert bucket.step(NEW, 25).granted
    assert bucket.step(CANCEL, 20, ticket=waiting.ticket).granted
    assert bucket.step(REDUCE, 30, ticket=reduce.ticket).granted
    assert not bucket.step(QUERY, 60, ticket=late.ticket, patience=100_000).granted  # now it is the count


def test_in_one_class_the_first_goes_first(bucket: Bucket) -> None:
    bucket.step(CANCEL, 100)
    first = bucket.step(NEW, 50, patience=100_000)
    bucket.now_ms += 5
    second = bucket.step(NEW, 50, patience=100_000)
    bucket.now_ms += second.wait_ms
    assert not bucket.step(NEW, 50, ticket=second.ticket, patience=100_000).granted
    assert bucket.step(NEW, 50, ticket=first.ticket).granted


def test_who_waits_and_dies_is_forgotten(bucket: Bucket) -> None:
    bucket.step(CANCEL, 100)
    waiting = bucket.step(REDUCE, 90, patience=100_000)
    bucket.now_ms += waiting.wait_ms + 500
    assert not bucket.step(QUERY, 70).granted
    bucket.now_ms += 1_000  # the time by which it may come late
    assert bucket.step(QUERY, 70).granted


def test_waiting_is_bounded_and_odd_members_are_removed(bucket: Bucket) -> None:
    bucket.step(CANCEL, 100)
    bucket.client.zadd(bucket.keys[2], {f"odd{n}": 1e15 for n in range(5_000)})
    for _ in range(5_000 // 256 + 1):
        bucket.step(QUERY)
    assert bucket.client.zcard(bucket.keys[2]) == 0
    for _ in range(300):
        bucket.now_ms += 1
        bucket.step(QUERY, 1, patience=100_000)
    assert bucket.client.zcard(bucket.keys[2]) == 256


def test_a_window_that_nobody_can_know_is_used_by_half_until_the_venue_speaks(bucket: Bucket) -> None:
    bucket.client.delete(*bucket.keys)
    bucket.now_ms = bucket.now_ms // WEIGHT[0] * WEIGHT[0] + 30_000
    assert bucket.step(QUERY, 37).granted
    assert not bucket.step(QUERY, 1).granted
    assert bucket.step(NEW, 8).granted
    assert not bucket.step(NEW, 1).granted
    assert bucket.step(CANCEL, 50).granted  # they are bound by the venue alone
    bucket.client.delete(*bucket.keys)
    bucket.step(QUERY, seen=[_Seen(1, 10, 30, 10)])
    assert bucket.step(QUERY, 65).granted
    bucket.now_ms += 60_000  # a window that began under our eyes
    assert bucket.step(QUERY, 75).granted


def test_a_count_near_the_turn_of_a_window_is_passed_over(bucket: Bucket) -> None:
    start_ms = bucket.now_ms // WEIGHT[0] * WEIGHT[0] + WEIGHT[0]
    for into_ms, sent, heard in ((200, 50, 10), (3_000, 3_200, 10), (59_800, 50, 10)):
        bucket.now_ms = start_ms + into_ms
        bucket.step(QUERY, seen=[_Seen(1, 99, sent, heard)])
        assert bucket.used() == 0
    bucket.now_ms = start_ms + 61_000
    bucket.step(QUERY, seen=[_Seen(1, 99, 2_000, 1_900)])  # heard in the last window, told in this one
    assert bucket.used() == 0


def test_holds_and_bans_are_kept_by_the_latest_end(bucket: Bucket) -> None:
    bucket.step(QUERY, block=5_000)
    bucket.step(QUERY, block=1_000)
    for priority in (REDUCE, NEW, QUERY):
        answer = bucket.step(priority, 1)
        assert (answer.granted, answer.wait_ms, answer.block_ms) == (False, 5_000, 5_000)
    assert bucket.step(CANCEL, 1).granted
    bucket.now_ms += 1_000
    answer = bucket.step(CANCEL, 1, ban=2_000)
    assert (answer.granted, answer.wait_ms, answer.block_ms, answer.ban_ms) == (False, 2_000, 4_000, 2_000)
    bucket.now_ms += 4_000
    assert bucket.step(QUERY, 1).granted


def test_at_most_a_quarter_of_what_is_left_is_held_ahead_and_nothing_while_others_wait(bucket: Bucket) -> None:
    bucket.now_ms = bucket.now_ms // WEIGHT[0] * WEIGHT[0] + 30_000
    assert bucket.step(NEW, want=(32, 32), hold=1_000).held == (22, 9)
    bucket.step(CANCEL, 70)
    bucket.step(NEW, 80, patience=100_000)
    assert bucket.step(NEW, want=(4, 4), hold=1_000).held == (0, 0)


def test_tokens_of_a_state_that_is_gone_do_not_come_back(bucket: Bucket) -> None:
    answer = bucket.step(NEW, want=(20, 0), hold=1_000)
    bucket.client.delete(*bucket.keys)
    bucket.now_ms += 10
    bucket.step(QUERY, 30)
    lease = _LeaseBack(answer.now_ms, answer.now_ms + 1_000, answer.held, answer.born)
    bucket.step(QUERY, back=[lease])
    assert bucket.used() == 30


@pytest.mark.parametrize("garbage", ["", "x", "1 2", "9" * 400, "-1 -1 -1", "30000000 nan 1"])
def test_garbage_in_the_fields_is_no_obstacle(bucket: Bucket, garbage: str) -> None:
    for field in ("rule1:0", "rule1:1", "rule1:2", "rule1:3", "born", "block", "ban"):
        bucket.client.hset(bucket.keys[0], field, garbage if field.startswith("rule") else "x")
    assert bucket.step(QUERY, 10).granted
    assert bucket.used() == 10


def test_nothing_is_kept_for_ever(bucket: Bucket) -> None:
    bucket.step(CANCEL, 100)
    bucket.step(NEW, 50, patience=100_000)
    for key in bucket.keys:
        assert 0 < bucket.client.pttl(key) <= 345_600_000
    for _ in range(20):
        bucket.now_ms += 60_000
        bucket.step(QUERY, 1, 1)
    assert bucket.client.hlen(bucket.keys[0]) <= 7

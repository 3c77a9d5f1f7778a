"""The sync state machine, by example and by property: a wrong book is never taken for a right one."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.venue.binance.book_sync import BookSync, UpdateVerdict

V = UpdateVerdict


def synced(at: int = 100) -> BookSync[str]:
    sync: BookSync[str] = BookSync()
    assert sync.snapshot(at) == []
    return sync


def test_updates_are_held_until_a_snapshot_and_then_given_back_in_order() -> None:
    sync: BookSync[str] = BookSync()
    for first, final in ((95, 98), (99, 102), (103, 110)):
        assert sync.judge(first, final) is V.HOLD
        sync.hold(first, final, 1, f"{first}-{final}")
    assert not sync.in_sync
    assert sync.snapshot(100) == ["99-102", "103-110"]
    assert sync.in_sync
    assert sync.last_update_id == 110
    assert sync.judge(111, 111) is V.APPLY


def test_a_snapshot_older_than_the_first_held_update_does_not_fit() -> None:
    sync: BookSync[str] = BookSync()
    sync.hold(105, 108, 1, "a")
    assert sync.snapshot(103) is None
    assert not sync.in_sync
    assert sync.snapshot(104) == ["a"]


def test_a_snapshot_newer_than_all_held_updates_is_the_book() -> None:
    sync: BookSync[str] = BookSync()
    sync.hold(95, 98, 1, "a")
    assert sync.snapshot(100) == []
    assert sync.judge(99, 100) is V.DROP
    assert sync.judge(99, 103) is V.APPLY  # the first one after a snapshot may reach back behind it
    assert sync.last_update_id == 103


def test_each_update_must_begin_where_the_last_one_ended() -> None:
    sync = synced()
    assert sync.judge(101, 105) is V.APPLY
    assert sync.judge(101, 105) is V.DROP  # a repetition
    assert sync.judge(90, 95) is V.DROP
    assert sync.judge(109, 106) is V.DROP  # ends before it begins
    assert sync.judge(106, 106) is V.APPLY
    assert sync.judge(108, 110) is V.GAP
    assert not sync.in_sync
    assert sync.judge(111, 112) is V.HOLD


def test_an_update_that_overlaps_the_last_one_is_a_gap() -> None:
    sync = synced()
    assert sync.judge(101, 105) is V.APPLY
    assert sync.judge(104, 107) is V.GAP


def test_a_hole_among_the_held_updates_forgets_what_was_before_it() -> None:
    sync: BookSync[str] = BookSync()
    sync.hold(90, 95, 1, "a")
    sync.hold(99, 102, 1, "b")
    assert sync.held_updates == 1
    assert sync.snapshot(97) is None
    assert sync.snapshot(98) == ["b"]


def test_what_is_held_is_bounded_in_updates_and_in_records() -> None:
    sync: BookSync[int] = BookSync(max_updates=10, max_records=50)
    for number in range(100, 130):
        sync.hold(number, number, 1, number)
    assert sync.held_updates == 10
    for number in range(130, 140):
        sync.hold(number, number, 20, number)
    assert sync.held_updates == 2
    sync.hold(140, 140, 1_000, 140)
    assert sync.held_updates == 1
    assert sync.snapshot(137) is None  # 138 and 139 were let go
    assert sync.snapshot(139) == [140]


class Exchange:
    """A book of one number per key, and updates that carry absolute values, as an exchange's levels do."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.state: dict[int, int] = {}
        self.update_id = 50
        self.history: dict[int, dict[int, int]] = {50: {}}

    def next_update(self) -> tuple[int, int, dict[int, int]]:
        first = self.update_id + 1
        changes = {}
        for _ in range(self.rng.randint(1, 4)):
            self.update_id += 1
            key, value = self.rng.randint(0, 9), self.rng.randint(0, 1_000)
            changes[key] = self.state[key] = value
            self.history[self.update_id] = dict(self.state)
        return first, self.update_id, changes


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    drop=st.floats(0, 0.3),
    repeat=st.floats(0, 0.3),
    swap=st.floats(0, 0.3),
    lag=st.integers(0, 12),
)
def test_no_loss_order_or_repetition_ever_makes_a_wrong_book(
    seed: int, drop: float, repeat: float, swap: float, lag: int
) -> None:
    rng = random.Random(seed)
    exchange = Exchange(rng)
    sync: BookSync[dict[int, int]] = BookSync(max_updates=8)
    book: dict[int, int] = {}
    ever_in_sync = False
    for first, final, changes in disturbed(exchange, rng, drop, repeat, swap):
        verdict = sync.judge(first, final)
        if verdict is V.APPLY:
            book.update(changes)
        elif verdict in (V.HOLD, V.GAP):
            sync.hold(first, final, len(changes), changes)
        if not sync.in_sync and rng.random() < 0.5:
            # A snapshot is the true book, a little late or not.
            at = max(50, exchange.update_id - rng.randint(0, lag))
            held = sync.snapshot(at)
            if held is not None:
                book = dict(exchange.history[at])
                for update in held:
                    book.update(update)
        if sync.in_sync:
            ever_in_sync = True
            assert book == exchange.history[sync.last_update_id]
    assert ever_in_sync


def disturbed(
    exchange: Exchange, rng: random.Random, drop: float, repeat: float, swap: float
) -> list[tuple[int, int, dict[int, int]]]:
    updates = [exchange.next_update() for _ in range(60)]
    result: list[tuple[int, int, dict[int, int]]] = []
    for update in updates:
        if rng.random() < drop:
            continue
        result.append(update)
        if rng.random() < repeat:
            result.append(rng.choice(result))
    for index in range(len(result) - 1):
        if rng.random() < swap:
            result[index], result[index + 1] = result[index + 1], result[index]
    return result

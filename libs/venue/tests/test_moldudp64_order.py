"""MoldUDP64 packets, and the one order that two lines with losses make of them. No sockets, no clock."""

import random
from typing import Any

import pytest

from tradewind.venue.itch import moldudp64 as mold
from tradewind.venue.itch.mold_order import GapBounds, MoldOrder
from tradewind.venue.itch.moldudp64 import MoldError, MoldPacket

DAY = mold.session_bytes("DAY1")
NEXT_DAY = mold.session_bytes("DAY2")


class Taken:
    """Keeps what is carried: messages by number, and what was lost."""

    def __init__(self) -> None:
        self.got: list[tuple[int, bytes]] = []
        self.lost: list[tuple[int, int]] = []
        self.begun: list[tuple[str, bool]] = []
        self.next_sequence = 1

    def begin(self, detail: str, *, lost: bool = False) -> None:
        self.begun.append((detail, lost))
        self.next_sequence = 1

    def blocks(self, data: memoryview, ts_recv: int) -> None:
        for message in mold.blocks_of(bytes(data)) or []:
            self.got.append((self.next_sequence, message))
            self.next_sequence += 1

    def lose(self, next_sequence: int, reason: str) -> None:
        self.lost.append((self.next_sequence, next_sequence))
        self.next_sequence = next_sequence

    @property
    def numbers(self) -> list[int]:
        return [number for number, _ in self.got]


def packet(first: int, total: int, session: bytes = DAY) -> MoldPacket:
    return mold.read_packet(mold.downstream(session, first, [str(first + index).encode() for index in range(total)]))


def beat(following: int, session: bytes = DAY) -> MoldPacket:
    return mold.read_packet(mold.heartbeat(session, following))


def order_of(**bounds: Any) -> tuple[MoldOrder, Taken]:
    taken = Taken()
    return MoldOrder(taken, GapBounds(**bounds)), taken


def test_packets_have_the_bytes_of_the_specification() -> None:
    made = mold.downstream(DAY, 258, [b"ab", b""])
    assert made == b"      DAY1" + b"\0\0\0\0\0\0\1\2" + b"\0\2" + b"\0\2ab" + b"\0\0"
    read = mold.read_packet(made)
    assert (read.session, read.sequence, read.total, read.ends, read.next_sequence) == (DAY, 258, 2, False, 260)
    assert read.messages() == [b"ab", b""]
    assert mold.read_packet(mold.heartbeat(DAY, 9)) == MoldPacket(DAY, 9, 0, memoryview(b""))
    assert mold.read_packet(mold.end_of_session(DAY, 9)).ends
    assert mold.read_request(mold.request(DAY, 7, 3)) == (DAY, 7, 3)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "0 bytes"),
        (mold.heartbeat(DAY, 1)[:-1], "19 bytes"),
        (mold.downstream(DAY, 1, [b"ab"])[:-1], "do not fill"),
        (mold.downstream(DAY, 1, [b"ab"]) + b"x", "do not fill"),
        (mold.HEADER.pack(DAY, 1, 2) + b"\0\1a", "says 2 messages and has 1"),
        (mold.HEADER.pack(DAY, 1, 60_000), "says 60000 messages and has 0"),
        (mold.heartbeat(DAY, 1) + b"\0\0", "says 0 messages and has 1"),
        (mold.HEADER.pack(DAY, 2**64 - 1, 1) + b"\0\1a", "1 messages from 18446744073709551615"),
        (mold.HEADER.pack(DAY, 0, 1) + b"\0\1a", "1 messages from 0"),
        (mold.HEADER.pack(DAY, 1, 0xFFFF) + b"\0\0", "has 1 messages"),
    ],
)
def test_datagrams_that_are_no_packet_are_refused(data: bytes, said: str) -> None:
    with pytest.raises(MoldError, match=said):
        mold.read_packet(data)


def test_what_makes_no_packet_or_request_is_refused() -> None:
    for make in (
        lambda: mold.downstream(DAY, 1, [b"x" * 70_000]),
        lambda: mold.downstream(DAY, 1, [b"x" * 40_000] * 2),
        lambda: mold.downstream(b"short", 1, []),
        lambda: mold.heartbeat(DAY, 0),
        lambda: mold.request(DAY, 1, 0xFFFF),
        lambda: mold.session_bytes("more than ten"),
        lambda: mold.read_request(b"x" * 19),
        lambda: mold.read_request(mold.HEADER.pack(DAY, 0, 1)),
        lambda: mold.read_request(mold.HEADER.pack(DAY, 1, 0)),
    ):
        with pytest.raises(MoldError):
            make()


def test_the_first_copy_of_two_lines_counts() -> None:
    order, taken = order_of()
    for first in (1, 1, 3, 3, 5, 5):
        order.take(packet(first, 2), 7, 0.0)
    assert taken.numbers == [1, 2, 3, 4, 5, 6]
    assert (order.counters.repeated, order.gap, taken.begun) == (6, False, [("session 'DAY1'", False)])
    assert taken.got[4] == (5, b"5")


def test_packets_that_overlap_give_only_what_is_new() -> None:
    order, taken = order_of()
    for first, total in ((1, 3), (2, 4), (8, 3), (7, 2), (6, 5)):
        order.take(packet(first, total), 7, 0.0)
    assert taken.got == [(number, str(number).encode()) for number in range(1, 11)]
    assert (order.held_bytes, order.gap) == (0, False)


def test_a_hole_is_asked_for_again_and_again_and_its_answers_counted() -> None:
    order, taken = order_of(ask_after_s=0.1, ask_again_s=0.5, give_up_s=9, most_per_request=4)
    order.take(packet(1, 1), 7, 1.0)
    order.take(packet(8, 1), 7, 1.0)
    assert order.gap
    assert order.due(1.05) is None
    assert order.due(1.1) == (DAY, 2, 4)
    assert order.due(1.5) is None
    assert order.due(1.7) == (DAY, 2, 4)
    order.take(packet(2, 4), 7, 1.8, recovered=True)
    assert order.due(1.8) == (DAY, 6, 2)
    order.take(packet(6, 2), 7, 2.0, recovered=True)
    assert (taken.numbers, order.gap, order.due(3.0)) == ([1, 2, 3, 4, 5, 6, 7, 8], False, None)
    assert (order.counters.requested, order.counters.recovered, taken.lost) == (10, 6, [])


def test_a_server_that_answers_with_less_is_asked_for_as_much_and_then_at_once() -> None:
    order, taken = order_of(ask_after_s=0.1, most_per_request=50)
    order.take(packet(1, 1), 7, 1.0)
    order.take(packet(90, 1), 7, 1.0)
    assert order.due(1.2) == (DAY, 2, 50)
    order.take(packet(2, 8), 7, 1.3, recovered=True)
    assert order.due(1.3) is None
    assert order.due(1.5) == (DAY, 10, 8)
    for first in range(10, 90, 8):
        order.take(packet(first, 8), 7, 1.5, recovered=True)
        assert order.due(1.5) == ((DAY, first + 8, 8) if first < 82 else None)
    assert (taken.numbers[-1], order.gap) == (90, False)
    order.take(packet(200, 1), 7, 1.5)
    assert order.due(1.7) == (DAY, 91, 50)


def test_a_hole_that_nobody_fills_is_given_up_and_what_waited_goes_on() -> None:
    order, taken = order_of(give_up_s=2.0)
    for first in (1, 4, 7):
        order.take(packet(first, 1), 7, 1.0)
    order.due(2.9)
    assert taken.lost == []
    order.due(3.0)
    assert (taken.lost, taken.numbers) == ([(2, 4)], [1, 4])
    order.due(5.0)
    assert (taken.lost, taken.numbers, order.gap) == ([(2, 4), (5, 7)], [1, 4, 7], False)


def test_a_heartbeat_tells_of_a_hole_at_the_end() -> None:
    order, taken = order_of()
    order.take(packet(1, 1), 7, 1.0)
    order.take(beat(4), 7, 1.0)
    assert order.due(1.1) == (DAY, 2, 2)
    order.due(9.0)
    assert (taken.lost, order.gap) == ([(2, 4)], False)


def test_who_comes_late_asks_from_the_start() -> None:
    order, taken = order_of()
    order.take(packet(500, 1), 7, 1.0)
    assert order.due(1.1) == (DAY, 1, 499)
    assert taken.numbers == []


def test_the_end_of_a_session_counts_when_all_before_it_came_and_lets_the_next_begin() -> None:
    order, taken = order_of()
    order.take(packet(1, 1), 7, 1.0)
    order.take(mold.read_packet(mold.end_of_session(DAY, 3)), 7, 1.0)
    assert not order.ended
    order.take(packet(2, 1), 7, 1.0, recovered=True)
    assert order.ended
    order.take(packet(1, 2, NEXT_DAY), 7, 1.1)
    assert not order.ended
    assert taken.begun == [("session 'DAY1'", False), ("session 'DAY2'", False)]
    assert taken.numbers == [1, 2, 1, 2]


def test_packets_of_another_session_are_foreign_until_ours_is_silent() -> None:
    order, taken = order_of(foreign_after_s=2.0)
    order.take(packet(1, 1), 7, 1.0)
    order.take(packet(1, 1, NEXT_DAY), 7, 2.0)
    order.take(packet(2, 1), 7, 2.5)
    assert (order.counters.foreign, taken.numbers) == (1, [1, 2])
    order.take(packet(1, 1, NEXT_DAY), 7, 4.6)
    assert taken.begun[-1] == ("session 'DAY2'; 'DAY1' was not at its end", True)
    only = MoldOrder(Taken(), session=NEXT_DAY)
    only.take(packet(1, 1), 7, 1.0)
    assert (only.session, only.counters.foreign) == (None, 1)


def test_a_number_far_ahead_is_believed_only_when_others_agree() -> None:
    order, taken = order_of(most_ahead=1_000)
    order.take(packet(1, 1), 7, 1.0)
    order.take(packet(2**60, 1), 7, 1.0)
    order.take(packet(2, 1), 7, 1.0)
    assert (taken.numbers, order.gap, order.counters.foreign) == ([1, 2], False, 1)
    for first in (9_000, 9_001, 9_002):
        order.take(packet(first, 1), 7, 1.0)
    assert order.gap
    assert order.due(2.0) == (DAY, 3, 1_000)


def test_a_sender_that_goes_back_is_a_new_beginning() -> None:
    order, taken = order_of(reset_after_s=10.0)
    order.take(packet(1, 5), 7, 1.0)
    order.take(packet(1, 1), 7, 10.9)
    assert len(taken.begun) == 1
    order.take(packet(1, 1), 7, 11.0)
    order.take(packet(2, 1), 7, 11.0)
    assert taken.begun[-1] == ("session 'DAY1'; the sender went back from 5", True)
    assert taken.numbers == [1, 2, 3, 4, 5, 1, 2]


def test_what_is_held_is_bounded_and_what_did_not_fit_is_asked_for() -> None:
    order, taken = order_of(held_packets=2, most_per_request=100)
    order.take(packet(1, 1), 7, 1.0)
    for first in (3, 4, 5, 6):
        order.take(packet(first, 1), 7, 1.0)
    assert (order.counters.dropped, order.held_bytes) == (2, 2 * (20 + 3))
    order.take(packet(2, 1), 7, 1.1, recovered=True)
    assert taken.numbers == [1, 2, 3, 4]
    assert order.due(1.2) == (DAY, 5, 2)
    small, _ = order_of(held_bytes=30)
    small.take(packet(1, 1), 7, 1.0)
    for first in (3, 4, 3):
        small.take(packet(first, 1), 7, 1.0)
    assert (small.held_bytes, small.counters.dropped, small.counters.repeated) == (23, 1, 1)


@pytest.mark.parametrize("seed", range(20))
def test_two_lines_with_loss_repetition_and_disorder_make_one_order(seed: int) -> None:
    """What both lose comes by request, but some numbers nobody has: each of these is said to be lost, once."""
    dice = random.Random(seed)
    total, sent, lines = 600, list[tuple[float, MoldPacket]](), 2
    nobody = {dice.randrange(2, total - 60) for _ in range(3)}
    for _ in range(lines):
        number, at = 1, 0.0
        while number <= total:
            size = min(dice.randint(1, 9), total + 1 - number)
            clean = not nobody.intersection(range(number, number + size))
            for _ in range(dice.choice((0, 1, 1, 1, 2)) * clean):
                sent.append((at + dice.random() * dice.choice((0.001, 0.001, 0.05)), packet(number, size)))
            number, at = number + size, at + 0.001
    order, taken = order_of(ask_after_s=0.01, ask_again_s=0.05, give_up_s=0.4, most_per_request=25)
    now, events = 0.0, sorted(sent, key=lambda each: each[0])
    while now < 30.0:
        while events and events[0][0] <= now:
            order.take(events.pop(0)[1], 7, now)
        order.take(beat(total + 1), 7, now) if not events else None
        if (wanted := order.due(now)) is not None and dice.random() < 0.8:
            known = next((each for each in range(wanted.sequence, wanted.sequence + wanted.total) if each in nobody), 0)
            size = (known or wanted.sequence + wanted.total) - wanted.sequence
            if size:
                order.take(packet(wanted.sequence, size), 7, now, recovered=True)
        now += 0.005
    lost = [number for first, end in taken.lost for number in range(first, end)]
    assert sorted(taken.numbers + lost) == list(range(1, total + 1))
    assert taken.numbers == sorted(taken.numbers)
    assert nobody <= set(lost)
    assert taken.got == [(number, str(number).encode()) for number in taken.numbers]
    assert order.held_bytes == 0

from hypothesis import given
from hypothesis import strategies as st

from tradewind.execution.absences import Absences
from tradewind.model.identifiers import ClientOrderId

NAME = ClientOrderId("a-1-1")


def test_an_order_whose_send_has_not_ended_is_never_absent() -> None:
    absences = Absences(2.0)
    assert not any(absences.missed(NAME, at_s) for at_s in (0.0, 10.0, 1_000.0))


def test_absence_needs_two_queries_that_began_a_delay_apart_after_the_delay() -> None:
    absences = Absences(2.0)
    absences.send_ended(NAME, 10.0)
    assert not absences.missed(NAME, 11.9)  # within the delay: does not even count as the first
    assert not absences.missed(NAME, 12.1)
    assert not absences.missed(NAME, 14.0)
    assert absences.missed(NAME, 14.1)


def test_being_seen_begins_it_anew() -> None:
    absences = Absences(2.0)
    absences.send_ended(NAME, 10.0)
    assert not absences.missed(NAME, 12.1)
    absences.seen(NAME)
    assert not absences.missed(NAME, 14.2)
    assert absences.missed(NAME, 16.2)


def test_a_later_send_moves_the_clock() -> None:
    absences = Absences(2.0)
    absences.send_ended(NAME, 10.0)
    assert not absences.missed(NAME, 12.1)
    absences.send_ended(NAME, 13.0)
    assert not absences.missed(NAME, 14.9)
    assert not absences.missed(NAME, 15.1)
    assert absences.missed(NAME, 17.1)


@given(st.lists(st.floats(0, 60), min_size=1, max_size=20))
def test_no_order_of_queries_proves_absence_before_two_delays(times: list[float]) -> None:
    absences = Absences(5.0)
    absences.send_ended(NAME, 1.0)
    for at_s in sorted(times):
        if absences.missed(NAME, at_s):
            assert at_s > 11.0
            return
    assert absences.next_look_s(NAME) <= 60 + 5.0

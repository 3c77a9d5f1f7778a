"""Client order ids that were used before, and a clock that is learnt from slow answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.venue.adapter import OutcomeUnknown, RateLimited, VenueError
from tradewind.venue.binance import namesakes
from tradewind.venue.binance.errors import error_of
from tradewind.venue.binance.namesakes import MAX_AHEAD_MS, Namesakes
from tradewind.venue.binance.signing import NS_PER_MS, VenueClock

BTC, NAME = "BTCUSDT", "s-1-1"


def test_what_was_seen_before_the_send_is_older() -> None:
    names = Namesakes()
    assert not names.is_older(BTC, NAME, 5)
    names.sending(BTC, NAME, 1_000_000)
    assert names.is_older(BTC, NAME, 5)
    assert not names.is_older(BTC, NAME, 6, created_ms=1_000_000)
    assert not names.is_older("ETHUSDT", NAME, 5)
    names.sending(BTC, NAME, 2_000_000)
    assert [names.is_older(BTC, NAME, number) for number in (5, 6, 7)] == [True, True, False]


def test_what_the_venue_made_before_the_send_is_older_though_never_seen() -> None:
    names = Namesakes()
    names.sending(BTC, NAME, 1_000_000)
    assert names.is_older(BTC, NAME, 5, created_ms=1_000_000 - MAX_AHEAD_MS - 1)
    assert names.is_older(BTC, NAME, 5), "it stays so when an event does not say the time"
    assert not names.is_older(BTC, NAME, 6, created_ms=1_000_000 - MAX_AHEAD_MS)


def test_a_name_that_is_open_at_the_venue_means_the_order_there() -> None:
    names = Namesakes()
    names.is_older(BTC, NAME, 5)
    names.sending(BTC, NAME, 1_000_000)
    names.taken(BTC, NAME)
    assert not names.is_older(BTC, NAME, 5, created_ms=1)


def test_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namesakes, "MAX_NAMES", 2)
    names = Namesakes()
    for number in range(4):
        names.sending(BTC, f"s-1-{number}", 1_000_000)
    assert not names.is_older(BTC, "s-1-0", 1, created_ms=1)
    assert names.is_older(BTC, "s-1-3", 1, created_ms=1)


@given(
    offset_ms=st.integers(-600_000, 600_000),
    known_ms=st.integers(-600_000, 600_000),
    there_ms=st.integers(0, 4_000),
    back_ms=st.integers(0, 4_000),
    doubted=st.booleans(),
)
def test_after_any_answer_a_timestamp_is_within_the_window(
    offset_ms: int, known_ms: int, there_ms: int, back_ms: int, doubted: bool
) -> None:
    """The venue takes no timestamp that is 1 s ahead of its clock; behind it is by what the answer took, at most."""
    sent_ms = 1_700_000_000_000
    received_ms = sent_ms + there_ms + back_ms
    clock = VenueClock(lambda: received_ms * NS_PER_MS)
    clock.offset_ms = known_ms
    if doubted:
        clock.doubt()
    clock.learn(sent_ms + there_ms + offset_ms, sent_ms * NS_PER_MS, received_ms * NS_PER_MS)
    ahead_ms = clock.now_ms() - (received_ms + offset_ms)
    if doubted or clock.offset_ms != known_ms:
        assert -there_ms - back_ms <= ahead_ms < 1_000
    else:
        assert abs(ahead_ms) <= there_ms + back_ms


@pytest.mark.parametrize("code", [-1000, -1001, -1003, -1007, -1008, -1015, -2010, -2013])
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_5xx_to_an_order_is_never_a_refusal(status: int, code: int) -> None:
    error: VenueError = error_of(status, b'{"code": %d, "msg": "x"}' % code, changes_orders=True)
    assert isinstance(error, OutcomeUnknown)


def test_a_5xx_to_a_question_may_be_a_limit() -> None:
    assert isinstance(error_of(503, b'{"code": -1008, "msg": "busy"}', changes_orders=False), RateLimited)

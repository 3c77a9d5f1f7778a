"""SoupBinTCP and MoldUDP64 under bytes that nobody meant: an error or a packet, never anything else."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.venue.itch import moldudp64 as mold
from tradewind.venue.itch import soupbintcp as soup
from tradewind.venue.itch.feed import ItchFeed, ItchFeedStatistics
from tradewind.venue.itch.mold_order import GapBounds, MoldOrder
from tradewind.venue.itch.moldudp64 import MoldError
from tradewind.venue.itch.soupbintcp import FROM_CLIENT, FROM_SERVER, PacketReader, PacketType, SoupError
from tradewind.venue.itch.testing import add_order, directory, execute_order

SESSIONS = [mold.session_bytes(name) for name in ("A", "B")]
MESSAGES = st.sampled_from([directory("ALC"), add_order(1, "B", 5, 9), execute_order(1, 2), b"", b"A", b"zzz"])
SMALL = st.integers(0, 60)


class Silent:
    """A handler that listens to nothing."""

    def on_records(self, records: object) -> None: ...

    def on_feed_status(self, instrument_id: object, state: str, detail: str) -> None: ...


@given(st.lists(st.binary(max_size=30), max_size=20), st.sampled_from([FROM_SERVER, FROM_CLIENT]))
def test_a_stream_of_anything_is_packets_or_an_error(pieces: list[bytes], side: frozenset[PacketType]) -> None:
    reader, packets = PacketReader(side, max_payload_bytes=64), list[soup.SoupPacket]()
    with contextlib.suppress(SoupError):
        for piece in pieces:
            packets += reader.feed(piece)
            assert reader.pending < 64 + soup.HEADER_BYTES
        assert b"".join(soup.packet(*each) for each in packets) == b"".join(pieces)[: -reader.pending or None]
    assert all(each.kind in side for each in packets)


@given(st.binary(max_size=60))
def test_any_payload_of_a_login_is_read_or_refused(payload: bytes) -> None:
    for read in (soup.read_login_request, soup.read_login_accepted, soup.read_login_rejected):
        with contextlib.suppress(SoupError):
            read(payload)


@given(st.binary(max_size=80))
def test_any_datagram_is_a_packet_or_refused(data: bytes) -> None:
    with contextlib.suppress(MoldError):
        packet = mold.read_packet(data)
        assert len(packet.messages()) == packet.total


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(SESSIONS), SMALL, st.lists(MESSAGES, max_size=3), st.booleans(), st.booleans(), SMALL
        ),
        max_size=60,
    )
)
def test_any_packets_in_any_order_leave_the_feed_in_order(
    sent: list[tuple[bytes, int, list[bytes], bool, bool, int]],
) -> None:
    """Whatever comes, numbers only grow within a session and what is held stays within its bounds."""
    statistics = ItchFeedStatistics()
    feed = ItchFeed([], Silent(), statistics, lambda: 0)
    order = MoldOrder(feed, GapBounds(held_packets=8, most_ahead=30, foreign_after_s=3, reset_after_s=5))
    now = 0.0
    for session, number, messages, recovered, ends, waits in sent:
        data = mold.end_of_session(session, number + 1) if ends else mold.downstream(session, number + 1, messages)
        before, begun = feed.next_sequence, statistics.snapshots
        order.take(mold.read_packet(data), 7, now, recovered=recovered)
        assert feed.next_sequence >= before or statistics.snapshots > begun
        order.due(now)
        feed.flush()
        now += waits / 10
        assert order.held_bytes <= 8 * 1_000
    for step in range(1, len(sent) + 1):  # each wait gives up one hole at least
        assert order.due(now + 100 * step) is None
    assert (order.gap, order.held_bytes) == (False, 0)

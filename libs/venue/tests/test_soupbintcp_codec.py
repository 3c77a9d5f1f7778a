"""SoupBinTCP packets: both sides, cut anywhere, and bytes that are none."""

import random

import pytest

from tradewind.venue.itch import soupbintcp as soup
from tradewind.venue.itch.soupbintcp import FROM_CLIENT, FROM_SERVER, PacketReader, PacketType, SoupError, SoupPacket

LOGIN = soup.LoginRequest(user="trader", password="secret", session="DAY1", sequence=77)


def test_login_request_has_the_bytes_of_the_specification() -> None:
    """Section 2.3.1: user and password to the left, session and number to the right."""
    wanted = b"\x00\x2fL" + b"trader" + b"secret    " + b"      DAY1" + b"                  77"
    assert soup.login_request(LOGIN) == wanted
    assert soup.read_login_request(wanted[3:]) == LOGIN


def test_login_of_4_0_carries_the_time_out() -> None:
    """4.0 has five digits more."""
    request = soup.LoginRequest(user="u", password="p", timeout_ms=2_000)
    made = soup.login_request(request)
    assert made.endswith(b" 2000")
    assert soup.read_login_request(made[3:]) == request
    assert soup.read_login_request(made[3:-5] + b"     ").timeout_ms is None


def test_answers_to_a_login() -> None:
    """Accepted and refused."""
    accepted = soup.login_accepted(soup.LoginAccepted("DAY1", 2**62))
    assert soup.read_login_accepted(accepted[3:]) == soup.LoginAccepted("DAY1", 2**62)
    for reason in soup.RejectReason:
        assert soup.read_login_rejected(soup.login_rejected(reason)[3:]) is reason


def test_packets_are_whole_however_they_are_cut() -> None:
    """Every cut gives the same packets, and nothing is kept at the end."""
    wanted = [
        SoupPacket(PacketType.DEBUG, b"hello"),
        SoupPacket(PacketType.SEQUENCED, bytes(range(256))),
        SoupPacket(PacketType.SERVER_HEARTBEAT, b""),
        SoupPacket(PacketType.SEQUENCED, b""),
        SoupPacket(PacketType.END_OF_SESSION, b""),
    ]
    stream = b"".join(soup.packet(*each) for each in wanted)
    dice = random.Random(4)
    for _ in range(50):
        reader, got, at = PacketReader(FROM_SERVER), list[SoupPacket](), 0
        while at < len(stream):
            step = dice.randint(1, 40)
            got += reader.feed(stream[at : at + step])
            at += step
        assert got == wanted
        assert reader.pending == 0


def test_a_packet_that_is_cut_off_is_kept() -> None:
    """What is there of it counts as pending."""
    reader = PacketReader(FROM_CLIENT)
    assert reader.feed(soup.unsequenced(b"order")[:-1]) == []
    assert reader.pending == 7


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x00\x00", "length 0"),
        (b"\xff\xff", "length 65535"),
        (b"\x00\x01R", "type 'R'; this side sends"),
        (b"\x00\x05\x00abcd", "type '\\x00'"),
        (b"\x00\x02Hx", "has a payload of 1 bytes"),
        (b"HTTP/1.1 400 Bad Request", "length 18516"),
    ],
)
def test_bytes_that_are_no_packet_are_refused_at_once(data: bytes, said: str) -> None:
    """A wrong length is not waited for."""
    with pytest.raises(SoupError) as error:
        PacketReader(FROM_SERVER, max_payload_bytes=1_024).feed(data)
    assert said in str(error.value)


@pytest.mark.parametrize(
    "payload",
    [b"", b"x" * 45, b"x" * 46, b"\xff" * 46, soup.login_request(LOGIN)[3:-1] + b"-", b" " * 26 + b"9" * 20,
     b" " * 46 + b"    1"],
)  # fmt: skip
def test_logins_that_cannot_be_read_are_errors(payload: bytes) -> None:
    """Lengths, digits, ranges."""
    with pytest.raises(SoupError):
        soup.read_login_request(payload)


@pytest.mark.parametrize("payload", [b"", b" " * 30, b" " * 29 + b"0", b"x" * 30, b" " * 29])
def test_accepted_logins_that_cannot_be_read_are_errors(payload: bytes) -> None:
    """Sequence numbers begin at 1."""
    with pytest.raises(SoupError):
        soup.read_login_accepted(payload)


@pytest.mark.parametrize(
    "request_of",
    [
        lambda: soup.LoginRequest(user="toolong", password="p"),
        lambda: soup.LoginRequest(user="u", password="ten and one"),
        lambda: soup.LoginRequest(user="u", password="p", session="Ä"),
        lambda: soup.LoginRequest(user="u", password="p", sequence=-1),
        lambda: soup.LoginRequest(user="u", password="p", timeout_ms=999),
    ],
)
def test_what_does_not_fit_is_an_error_without_the_password(request_of) -> None:  # type: ignore[no-untyped-def]
    """Nothing is cut to fit, and a password is never shown."""
    with pytest.raises(SoupError) as error:
        soup.login_request(request_of())
    assert "ten and one" not in str(error.value)
    assert "ten and one" not in repr(request_of())


def test_a_payload_that_is_too_long_is_an_error() -> None:
    """The length has two bytes."""
    assert len(soup.sequenced(b"x" * soup.MAX_PAYLOAD_BYTES)) == 0xFFFF + 2
    with pytest.raises(SoupError):
        soup.sequenced(b"x" * (soup.MAX_PAYLOAD_BYTES + 1))
    with pytest.raises(SoupError):
        soup.read_login_rejected(b"Q")

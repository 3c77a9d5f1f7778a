"""OUCH 4.2 messages: the published lengths and layouts, what cannot be said, and bytes that lie."""

import random

import pytest

from tradewind.venue.ouch.messages import (
    INBOUND_LENGTHS,
    MARKET_PRICE,
    MAX_PRICE,
    MAX_SHARES,
    NANOSECONDS_OF_DAY,
    OUTBOUND_LENGTHS,
    Accepted,
    Canceled,
    CancelOrder,
    EnterOrder,
    Executed,
    Inbound,
    OuchError,
    Outbound,
    Rejected,
    SystemEvent,
    read_inbound,
    read_outbound,
    write_inbound,
    write_outbound,
)

ENTER = EnterOrder(token="A1", side="B", shares=100, stock="AAPL", price=1_502_500, firm="TRWD")
ACCEPTED = Accepted(
    time_ns=34_200_000_000_001,
    token="A1",
    side="B",
    shares=100,
    stock="AAPL",
    price=1_502_500,
    time_in_force=99_999,
    firm="TRWD",
    display="Y",
    order_reference=2**63 + 7,
    capacity="P",
    sweep="N",
    minimum_quantity=0,
    cross_type="N",
    order_state="L",
    bbo_weight="1",
)
EXECUTED = Executed(time_ns=5, token="A1", shares=40, price=1_502_500, liquidity="A", match_number=77)
OUTBOUND: list[Outbound] = [
    SystemEvent(time_ns=0, event="S"),
    ACCEPTED,
    EXECUTED,
    Canceled(time_ns=NANOSECONDS_OF_DAY - 1, token="ZZZZZZZZZZZZZZ", shares=60, reason="U"),
    Rejected(time_ns=6, token="A1", reason="S"),
]
INBOUND: list[Inbound] = [ENTER, CancelOrder(token="A1"), CancelOrder(token="ZZZZZZZZZZZZZZ", shares=MAX_SHARES)]


def test_lengths_are_those_of_the_specification() -> None:
    assert dict(INBOUND_LENGTHS) == {"O": 49, "X": 19}
    assert dict(OUTBOUND_LENGTHS) == {"S": 10, "A": 66, "E": 40, "C": 28, "J": 24}


def test_enter_order_lies_where_the_specification_puts_it() -> None:
    data = write_inbound(ENTER)
    assert data[0:15] == b"OA1            "
    assert data[15:16] == b"B"
    assert data[16:20] == (100).to_bytes(4, "big")
    assert data[20:28] == b"AAPL    "
    assert data[28:32] == (1_502_500).to_bytes(4, "big")
    assert data[32:36] == (99_999).to_bytes(4, "big")
    assert data[36:43] == b"TRWDYPN"
    assert data[43:47] == bytes(4)
    assert data[47:49] == b"N "


def test_accepted_and_executed_lie_where_the_specification_puts_them() -> None:
    accepted = write_outbound(ACCEPTED)
    assert int.from_bytes(accepted[1:9], "big") == 34_200_000_000_001
    assert accepted[48:49] == b"Y"
    assert int.from_bytes(accepted[49:57], "big") == 2**63 + 7
    assert accepted[57:59] == b"PN"
    assert accepted[63:66] == b"NL1"
    executed = write_outbound(EXECUTED)
    assert int.from_bytes(executed[23:27], "big") == 40
    assert int.from_bytes(executed[27:31], "big") == 1_502_500
    assert executed[31:32] == b"A"
    assert int.from_bytes(executed[32:40], "big") == 77


@pytest.mark.parametrize("message", INBOUND)
def test_what_is_written_to_the_venue_is_read_the_same(message: Inbound) -> None:
    assert read_inbound(write_inbound(message)) == message


@pytest.mark.parametrize("message", OUTBOUND)
def test_what_the_venue_writes_is_read_the_same(message: Outbound) -> None:
    assert read_outbound(write_outbound(message)) == message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("token", ""),
        ("token", "A" * 15),
        ("token", "ema-cross-1"),
        ("token", "ß"),
        ("side", "X"),
        ("side", ""),
        ("shares", 0),
        ("shares", MAX_SHARES + 1),
        ("shares", -1),
        ("stock", ""),
        ("stock", "TOOLONGNAME"),
        ("stock", "AAPL "),
        ("price", 0),
        ("price", MAX_PRICE + 1),
        ("price", MARKET_PRICE + 1),
        ("time_in_force", 100_000),
        ("firm", "TRADE"),
        ("display", ""),
        ("capacity", "PP"),
        ("minimum_quantity", 101),
        ("customer_type", "\n"),
    ],
)
def test_what_cannot_be_said_is_refused_and_named(field: str, value: object) -> None:
    fields = {name: getattr(ENTER, name) for name in ENTER.__struct_fields__}
    with pytest.raises(OuchError, match=field):
        write_inbound(EnterOrder(**{**fields, field: value}))


def test_a_market_order_has_the_price_of_the_specification() -> None:
    order = EnterOrder(token="A1", side="S", shares=1, stock="AAPL", price=MARKET_PRICE, time_in_force=0)
    assert write_inbound(order)[28:32] == b"\x7f\xff\xff\xff"


@pytest.mark.parametrize("message", OUTBOUND)
def test_every_other_length_from_the_venue_is_an_error(message: Outbound) -> None:
    data = write_outbound(message)
    for wrong in [*(data[:end] for end in range(len(data))), data + b"\0", data * 1000]:
        with pytest.raises(OuchError):
            read_outbound(wrong)


@pytest.mark.parametrize("message", INBOUND)
def test_every_other_length_to_the_venue_is_an_error(message: Inbound) -> None:
    data = write_inbound(message)
    for wrong in [*(data[:end] for end in range(len(data))), data + b"\0", data * 1000]:
        with pytest.raises(OuchError):
            read_inbound(wrong)


def test_an_unknown_type_is_named() -> None:
    with pytest.raises(OuchError, match="'Z' is not known here"):
        read_outbound(b"Z" + bytes(30))
    with pytest.raises(OuchError, match="'A' is not known here"):
        read_inbound(write_outbound(ACCEPTED))


@pytest.mark.parametrize(
    ("offset", "wrong", "field"),
    [(1, b"\xff" * 8, "time_ns"), (9, b" " * 14, "token"), (23, b"?", "side"), (24, b"\xff" * 4, "shares")],
)
def test_a_field_that_the_protocol_does_not_know_is_named(offset: int, wrong: bytes, field: str) -> None:
    data = write_outbound(ACCEPTED)
    with pytest.raises(OuchError, match=field):
        read_outbound(data[:offset] + wrong + data[offset + len(wrong) :])


def test_changed_bytes_are_a_message_or_an_ouch_error() -> None:
    chance = random.Random(42)
    read, refused = 0, 0
    for _ in range(5_000):
        data = bytearray(write_outbound(chance.choice(OUTBOUND)))
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            read_outbound(bytes(data))
            read += 1
        except OuchError:
            refused += 1
    assert read > 0
    assert refused > 0

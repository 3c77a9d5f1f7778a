"""ExecutionReport bytes to the typed record: what is kept, and every way in which bytes are refused."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.venue import fix_messages as twin
from tradewind_native import fix_messages as kernel
from tradewind_native.fix_records import ExecutionReport, FixMessageError

Read = Callable[[bytes, int, int], ExecutionReport]
BOTH = pytest.mark.parametrize(
    "read_execution_report",
    [pytest.param(kernel.read_execution_report, id="native"), pytest.param(twin.read_execution_report, id="python")],
)

_BODY = (
    b"35=8\x0134=7\x0149=VENUE\x0152=20260101-00:00:00\x0156=US\x0143=Y\x0137=v-1\x0111=c-1\x0117=e-1\x01150=1\x0139=1\x01"
    b"55=BTCUSDT\x0154=1\x0138=2.5\x0144=10.25\x0132=1\x0131=10.20\x01151=1.5\x0114=1\x016=10.2\x0160=20260101-00:00:00\x01"
    b"58=any text\x01"
)


def framed(body: bytes, *, claim: int | None = None, version: bytes = b"FIX.4.4") -> bytes:
    """The body with its head and trailer."""
    start = b"8=%s\x019=%d\x01" % (version, len(body) if claim is None else claim) + body
    return start + b"10=%03d\x01" % (sum(start) % 256)


@BOTH
@pytest.mark.parametrize("version", [b"FIX.4.2", b"FIX.4.4"])
def test_the_fields_of_a_report(read_execution_report: Read, version: bytes) -> None:
    """Prices and quantities are exact mantissas; unknown fields are passed over."""
    assert read_execution_report(framed(_BODY, version=version), 2, 3) == ExecutionReport(
        sequence=7, sender="VENUE", target="US", possible_duplicate=True, possible_resend=False, order_id="v-1",
        client_order_id="c-1", original_client_order_id="", execution_id="e-1", execution_type="1", order_status="1",
        symbol="BTCUSDT", side="1", quantity=2500, price=1025, last_quantity=1000, last_price=1020,
        leaves_quantity=1500, cumulative_quantity=1000, average_price="10.2", transaction_time="20260101-00:00:00",
    )  # fmt: skip


@BOTH
@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (b"", "cut off"),
        (framed(_BODY)[:-1], "cut off"),
        (framed(_BODY) + b"8", "BodyLength"),
        (framed(_BODY, claim=3), "BodyLength"),
        (framed(_BODY, claim=1_000_000_000), "BodyLength"),
        (framed(_BODY, claim=999_999_999), "cut off"),
        (framed(_BODY, claim=-1), "BodyLength"),
        (framed(_BODY).replace(b"v-1", b"v-2"), "CheckSum"),
        (framed(_BODY).replace(b"8=FIX.", b"8=FUX."), "begin"),
        (framed(_BODY + b"37=twice\x01"), "repeats"),
        (framed(_BODY + b"x=1\x01"), "tag=value"),
        (framed(_BODY + b"99=\x01"), "tag=value"),
        (framed(_BODY + b"123456789=1\x01"), "tag=value"),
        (framed(_BODY.replace(b"35=8", b"35=D")), "no ExecutionReport"),
        (framed(_BODY.replace(b"44=10.25", b"44=10.251")), "field 44 .* more decimals"),
        (framed(_BODY.replace(b"44=10.25", b"44=-1")), "field 44 .* negative"),
        (framed(_BODY.replace(b"44=10.25", b"44=1e5")), "field 44 .* not a plain"),
        (framed(_BODY.replace(b"44=10.25", b"44=99999999999999999999")), "field 44 .* 64 bits"),
    ],
)
def test_bytes_that_are_no_report(read_execution_report: Read, message: bytes, sentence: str) -> None:
    """Each is refused in a sentence that says which."""
    with pytest.raises(FixMessageError, match=sentence):
        read_execution_report(message, 2, 3)


@BOTH
def test_every_truncation_is_refused(read_execution_report: Read) -> None:
    """At each byte."""
    whole = framed(_BODY)
    for length in range(len(whole)):
        with pytest.raises(FixMessageError):
            read_execution_report(whole[:length], 2, 3)


@BOTH
@given(st.integers(0, len(framed(_BODY)) - 1), st.integers(1, 255))
def test_one_changed_byte_is_refused(read_execution_report: Read, place: int, change: int) -> None:
    """The checksum, the frame or a field of the frame tells."""
    whole = bytearray(framed(_BODY))
    whole[place] = (whole[place] + change) % 256
    with pytest.raises(FixMessageError):
        read_execution_report(bytes(whole), 2, 3)


def outcome(read: Read, message: bytes) -> ExecutionReport | str:
    """The record, or the refusal's sentence."""
    try:
        return read(message, 8, 8)
    except FixMessageError as error:
        return str(error)


@given(st.one_of(st.binary(max_size=200), st.lists(st.binary(max_size=12)).map(b"\x01".join)))
def test_both_say_the_same_of_any_body(body: bytes) -> None:
    """Well framed noise."""
    message = framed(b"35=8\x01" + body)
    assert outcome(kernel.read_execution_report, message) == outcome(twin.read_execution_report, message)


@given(st.sampled_from([34, 38, 44, 151]), st.text("0123456789.-", min_size=1, max_size=30))
def test_both_read_the_same_numbers(tag: int, number: str) -> None:
    """Exact or refused."""
    message = framed(b"35=8\x01%d=%s\x01" % (tag, number.encode()))
    assert outcome(kernel.read_execution_report, message) == outcome(twin.read_execution_report, message)

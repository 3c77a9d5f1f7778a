"""The C struct of the market record and the wire's numpy dtype are the same 64 bytes."""

import numpy as np
import pytest

from tradewind.wire.market_records import MARKET_RECORD, empty_records
from tradewind_native import market_record
from tradewind_native.order_book import OrderBook


def test_the_c_struct_has_the_wires_fields_offsets_and_size() -> None:
    ours, wires = market_record.MARKET_RECORD, MARKET_RECORD
    assert ours.names == wires.names
    assert dict(ours.fields or {}) == dict(wires.fields or {}) != {}
    assert ours.itemsize == wires.itemsize == 64
    assert ours == wires


@pytest.mark.parametrize(
    "records",
    [
        np.zeros(3, dtype=[("price", "<i8"), ("size", "<i8")]),
        np.zeros((2, 2), dtype=MARKET_RECORD),
        np.zeros(2, dtype=MARKET_RECORD.newbyteorder(">")),
        np.zeros(2),
        [],
        b"\0" * 64,
        None,
    ],
)
def test_a_kernel_refuses_anything_but_market_records(records: object) -> None:
    with pytest.raises(TypeError, match="market records"):
        OrderBook(1).apply(records)  # type: ignore[arg-type]


def test_records_are_read_with_any_stride_alignment_and_without_write_access() -> None:
    records = empty_records(4)
    records["instrument"], records["kind"], records["side"] = 1, 3, 1
    records["price"], records["size"], records["sequence"] = [10, 11, 12, 13], 5, [1, 2, 3, 4]
    shifted = np.frombuffer(b"x" + records.tobytes(), dtype=np.uint8)[1:].view(MARKET_RECORD)
    assert shifted.ctypes.data % 8 != 0
    assert not shifted.flags.writeable
    for view in (records[::2], shifted[::2]):
        book = OrderBook(1)
        assert book.apply(view) == 2
        assert book.levels(1, 9) == [(12, 5), (10, 5)]
    backwards = OrderBook(1)
    assert backwards.apply(records[::-1]) == 4
    assert backwards.sequence == 1

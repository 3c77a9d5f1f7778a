"""The market record for Cython: the C struct, its constants, and passage between it and numpy arrays."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t


cdef extern from "tradewind_native/market_record.h" nogil:
    ctypedef struct MarketRecord:
        int64_t ts_event
        int64_t ts_recv
        int64_t price
        int64_t size
        uint64_t order_id
        uint64_t sequence
        uint32_t instrument
        uint8_t kind
        uint8_t side
        uint8_t flags
        uint8_t level
        uint64_t reserved

    const uint8_t RECORD_TRADE
    const uint8_t RECORD_TOP_OF_BOOK
    const uint8_t RECORD_LEVEL
    const uint8_t RECORD_CLEAR
    const uint8_t SIDE_NONE
    const uint8_t SIDE_BUY
    const uint8_t SIDE_SELL
    const uint8_t FLAG_LAST
    const uint8_t FLAG_SNAPSHOT


ctypedef struct RecordSpan:
    # Borrowed memory: valid while the array it came from lives. Records may lie unaligned: copy one out to read it.
    const char* data
    Py_ssize_t count
    Py_ssize_t stride


cdef RecordSpan span_of(object records) except *
cdef object new_records(Py_ssize_t count)
cdef MarketRecord* records_data(object records)
cdef object view_of(object owner, MarketRecord* first, Py_ssize_t count)

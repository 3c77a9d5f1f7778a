"""The bridge between a vendor thread and asyncio, for Cython wrappers of vendor libraries."""

from libc.stdint cimport int64_t, uint64_t

from tradewind_native.market_record cimport MarketRecord


cdef extern from "tradewind_native/market_ring.h" nogil:
    ctypedef struct CRing "MarketRing":
        MarketRecord* records
        uint64_t capacity
        uint64_t head
        uint64_t dropped
        uint64_t wake_ups
        uint64_t high_water
        uint64_t tail
        uint64_t taken
        int sleeping
        int closed

    int ring_open(CRing* ring, uint64_t capacity, int wake_fd)
    void ring_free(CRing* ring)
    int64_t ring_push(CRing* ring, const MarketRecord* records, uint64_t count)
    uint64_t ring_take(CRing* ring, uint64_t most, MarketRecord** first)
    void ring_release(CRing* ring)
    int ring_arm(CRing* ring)
    void ring_close(CRing* ring)
    uint64_t load "RING_LOAD" (uint64_t field, int order)
    int load_flag "RING_LOAD" (int field, int order)


cdef class MarketRing:
    cdef CRing _ring
    cdef object _view
    cdef readonly int wait_fd
    cdef int _wake_fd

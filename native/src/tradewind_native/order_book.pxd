"""Price-level book of one instrument, and one side of it for other kernels."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp.vector cimport vector


ctypedef struct BookLevel:
    # The price of a bid, ~price of an ask: on both sides the best level is the greatest key and the last element.
    int64_t key
    int64_t size


cdef class OrderBook:
    cdef uint32_t _instrument
    cdef uint64_t _sequence
    cdef vector[BookLevel] _bids
    cdef vector[BookLevel] _asks

    cpdef Py_ssize_t apply(self, object records) except -1
    cpdef void clear(self)
    cdef vector[BookLevel]* _side(self, int side) except NULL

"""Chunks of market records that a decoder writes and readers see as read-only arrays without a copy."""

from tradewind_native.market_record cimport MarketRecord


cdef class RecordArena:
    cdef object _chunk
    cdef MarketRecord* _data
    cdef Py_ssize_t _capacity
    cdef Py_ssize_t _start
    cdef Py_ssize_t _end

    cdef int _adopt(self, Py_ssize_t capacity) except -1
    cdef MarketRecord* reserve(self, Py_ssize_t count) except NULL
    cdef void commit(self, Py_ssize_t count) noexcept
    cdef Py_ssize_t pending(self) noexcept
    cpdef object take(self)

"""Chunks of market records that a decoder writes and readers see as read-only arrays without a copy.

A view keeps its whole chunk (256 KiB) alive: who keeps records for long copies them.
"""

from cpython.ref cimport PyObject
from libc.string cimport memmove

from tradewind_native.market_record cimport MarketRecord, new_records, records_data, view_of


cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject* o)


cdef enum:
    CHUNK_RECORDS = 4096


cdef class RecordArena:
    """Owned by one decoder. What is written and committed is pending until it is taken."""

    def __cinit__(self):
        self._adopt(CHUNK_RECORDS)

    cdef int _adopt(self, Py_ssize_t capacity) except -1:
        self._chunk = new_records(capacity)
        self._chunk.flags.writeable = False
        self._data = records_data(self._chunk)
        self._capacity = capacity
        self._start = self._end = 0
        return 0

    cdef MarketRecord* reserve(self, Py_ssize_t count) except NULL:
        """Room for ``count`` records after the pending ones. Nothing changes for readers until commit."""
        if self._end + count <= self._capacity:
            return self._data + self._end
        cdef Py_ssize_t pending = self._end - self._start
        cdef MarketRecord* source = self._data + self._start
        cdef object previous
        # One reference is this arena's own: no reader holds the chunk, so it may be written again.
        if pending + count <= self._capacity and Py_REFCNT(<PyObject*> self._chunk) == 1:
            memmove(self._data, source, pending * sizeof(MarketRecord))
        else:
            previous = self._chunk
            # Twice what is pending, so that a batch nobody takes grows in amortised time.
            self._adopt(max(CHUNK_RECORDS, 2 * pending + count))
            memmove(self._data, source, pending * sizeof(MarketRecord))
        self._start = 0
        self._end = pending
        return self._data + pending

    cdef void commit(self, Py_ssize_t count) noexcept:
        """Make ``count`` records that were written after reserve() pending."""
        self._end += count

    cdef Py_ssize_t pending(self) noexcept:
        return self._end - self._start

    cpdef object take(self):
        """The pending records as a read-only view of the chunk; none are pending afterwards."""
        cdef object view = view_of(self._chunk, self._data + self._start, self._end - self._start)
        self._start = self._end
        return view

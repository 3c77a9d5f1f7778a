"""Bounded lock-free ring of market records. Twin: ``tradewind.venue.itch.ring_model``."""

import os

from cpython.ref cimport PyObject
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from tradewind_native.market_record cimport RecordSpan, new_records, span_of, view_of


cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject* o)


cdef extern from *:
    int ACQUIRE "__ATOMIC_ACQUIRE"
    int RELAXED "__ATOMIC_RELAXED"


cdef enum:
    PIECE = 256


cdef class MarketRing:
    """One producer, one consumer; see the stub for the details."""

    def __cinit__(self, capacity):
        self.wait_fd = self._wake_fd = -1
        memset(&self._ring, 0, sizeof(CRing))
        if not 0 < capacity <= 2**32 or capacity & (capacity - 1):
            raise ValueError(f"the capacity of a ring is a power of two up to 2^32, not {capacity}")
        if hasattr(os, "eventfd"):
            self.wait_fd = self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:
            self.wait_fd, self._wake_fd = os.pipe()
            os.set_blocking(self.wait_fd, False)
            os.set_blocking(self._wake_fd, False)
        if ring_open(&self._ring, capacity, self._wake_fd) != 0:
            raise MemoryError(f"no memory for a ring of {capacity} records")

    def __dealloc__(self):
        ring_free(&self._ring)
        if self.wait_fd >= 0:
            os.close(self.wait_fd)
        if self._wake_fd >= 0 and self._wake_fd != self.wait_fd:
            os.close(self._wake_fd)

    @property
    def capacity(self):
        """Records that fit."""
        return self._ring.capacity

    @property
    def closed(self):
        """No record goes in any more."""
        return load_flag(self._ring.closed, ACQUIRE) != 0

    def statistics(self):
        """Counters since the start."""
        cdef uint64_t tail = load(self._ring.tail, ACQUIRE)
        cdef uint64_t written = load(self._ring.head, ACQUIRE)
        return {
            "written": written,
            "dropped": load(self._ring.dropped, RELAXED),
            "wake_ups": load(self._ring.wake_ups, RELAXED),
            "high_water": load(self._ring.high_water, RELAXED),
            "used": written - tail,
        }

    def push(self, records):
        """Producer: write records; answers how many fitted, -1 when closed."""
        cdef RecordSpan span = span_of(records)
        cdef MarketRecord* copied
        cdef int64_t answer
        cdef Py_ssize_t index
        copied = <MarketRecord*> malloc(max(1, span.count) * sizeof(MarketRecord))
        if copied == NULL:
            raise MemoryError()
        try:
            for index in range(span.count):
                memcpy(copied + index, span.data + index * span.stride, sizeof(MarketRecord))
            answer = ring_push(&self._ring, copied, span.count)
        finally:
            free(copied)
        return answer

    def take(self, uint64_t most):
        """Consumer: a read-only view of the records that lie in one piece, at most ``most``."""
        cdef MarketRecord* first
        cdef uint64_t count
        if self._view is not None:
            raise BufferError("records are taken already: release them before the next")
        count = ring_take(&self._ring, most, &first)
        if count == 0:
            return new_records(0)
        self._view = view_of(self, first, count)
        return self._view

    def release(self):
        """Consumer: give the taken records back."""
        if self._view is None:
            return
        if Py_REFCNT(<PyObject*> self._view) > 1:
            raise BufferError("a view of the ring's records is still in use: copy what is kept for longer")
        self._view = None
        ring_release(&self._ring)

    def arm(self):
        """Consumer: True when it may sleep until ``wait_fd`` is readable, False when there is work."""
        return ring_arm(&self._ring) != 0

    def drain_wakes(self):
        """Consumer: make ``wait_fd`` unreadable again."""
        try:
            os.read(self.wait_fd, 4096)
        except BlockingIOError:
            return False
        return True

    def close(self):
        """Either side: nothing goes in any more; what is inside can still be taken."""
        ring_close(&self._ring)

    def produce(self, uint64_t count, uint64_t piece=PIECE):
        """Write ``count`` records of rising sequence from 1, without the GIL; answers how many were offered."""
        cdef MarketRecord records[PIECE]
        cdef uint64_t offered = 0, index, size
        cdef int64_t answer = 0
        if not 0 < piece <= PIECE:
            raise ValueError(f"a piece is 1 to {PIECE} records")
        with nogil:
            memset(records, 0, sizeof(records))
            while offered < count:
                size = min(piece, count - offered)
                for index in range(size):
                    records[index].sequence = offered + index + 1
                    records[index].flags = 0
                answer = ring_push(&self._ring, records, size)
                if answer < 0:
                    break
                offered += size
        return offered

"""Price-time priority matching of one instrument."""

from libc.stdint cimport int32_t, int64_t
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector


ctypedef struct RestingOrder:
    int64_t order_id
    int64_t owner
    int64_t price
    int64_t size
    # Neighbours in the queue of its level, as indices into the pool; NOBODY at the ends.
    int32_t ahead
    int32_t behind
    int32_t side


ctypedef struct QueueLevel:
    # The price of a bid, ~price of an ask: on both sides the best level is the greatest key and the last element.
    int64_t key
    int64_t size
    int32_t first
    int32_t last


cdef class MatchingEngine:
    cdef vector[RestingOrder] _orders
    cdef vector[int32_t] _free
    cdef unordered_map[int64_t, int32_t] _index
    cdef vector[QueueLevel] _bids
    cdef vector[QueueLevel] _asks

    cdef vector[QueueLevel]* _side(self, int side) except NULL
    cdef int32_t _slot(self, int64_t order_id) noexcept
    cdef int _check_room(self, int64_t order_id, int side, int64_t price, int64_t size) except -1
    cdef bint _can_fill(self, const vector[QueueLevel]* against, int64_t worst, int64_t size) noexcept
    cdef bint _meets_owner(
        self, const vector[QueueLevel]* against, int64_t worst, int64_t size, int64_t owner
    ) noexcept
    cdef int64_t _match(self, vector[QueueLevel]* against, int64_t worst, int64_t size, list fills) except -1
    cdef int _rest(self, int64_t order_id, int side, int64_t price, int64_t size, int64_t owner) except -1
    cdef int32_t _new_slot(self) except -1
    cdef QueueLevel* _level_at(self, int side, int64_t price) except NULL
    cdef QueueLevel* _level_of(self, int32_t slot) except NULL
    cdef int _take_out(self, int32_t slot) except -1
    cdef int _leave_queue(self, QueueLevel* level, int32_t slot) except -1

"""Order-level books of many instruments."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp.vector cimport vector

from tradewind_native.market_record cimport MarketRecord


cdef extern from "tradewind_native/order_table.hpp" namespace "tradewind" nogil:
    ctypedef struct RestingOrder:
        uint64_t id
        int64_t price
        int64_t size
        uint8_t side

    ctypedef struct OrderLevel:
        int64_t key
        int64_t size
        int64_t orders

    cdef cppclass LevelSides:
        vector[OrderLevel]& of(int side)

    cdef enum class Refusal(int):
        NONE
        WRONG_SIZE
        WRONG_SIDE

    cdef cppclass Books "tradewind::OrderBooks":
        uint64_t applied
        uint64_t unknown_orders
        uint64_t repeated_orders
        uint64_t excess_sizes
        size_t orders()
        RestingOrder* find(uint64_t id)
        uint32_t instrument_of(const RestingOrder& order)
        LevelSides* sides(uint32_t instrument)
        Refusal apply(const MarketRecord& record) except +


cdef class OrderBooks:
    cdef Books _books

    cdef vector[OrderLevel]* _side(self, uint32_t instrument, int side) except? NULL

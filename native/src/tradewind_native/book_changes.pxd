"""Trades, levels and best prices from order records."""

from libc.stddef cimport size_t
from libcpp cimport bool as cpp_bool

from tradewind_native.market_record cimport MarketRecord
from tradewind_native.order_books cimport Books, OrderBooks, Refusal
from tradewind_native.record_arena cimport RecordArena


cdef extern from "tradewind_native/book_changes.hpp" namespace "tradewind" nogil:
    const size_t MOST_CHANGES

    cdef cppclass Changes "tradewind::BookChanges":
        cpp_bool levels
        Refusal follow(Books& books, const MarketRecord& record, MarketRecord*& out) except +


cdef class BookChanges:
    cdef readonly OrderBooks books
    cdef Changes _changes
    cdef RecordArena _arena

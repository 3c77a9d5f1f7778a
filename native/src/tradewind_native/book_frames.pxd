"""Frames of OKX and Kraken and FIX messages to market records: the C++ decoders and their Python faces."""

from libc.stdint cimport int64_t, uint32_t
from libcpp cimport bool as cpp_bool
from libcpp.memory cimport unique_ptr
from libcpp.string cimport string

from tradewind_native.market_record cimport MarketRecord
from tradewind_native.record_arena cimport RecordArena


cdef extern from "tradewind_native/book_frames.hpp" namespace "tradewind" nogil:
    cdef cppclass Instrument:
        uint32_t number
        int price_precision
        int size_precision

    cdef cppclass BookFrames:
        cpp_bool has_checksum, has_sequence, has_previous
        int64_t checksum, sequence, previous
        int price_decimals, size_decimals
        void add_instrument(const char* symbol, size_t length, Instrument instrument) except +
        cpp_bool knows(const char* symbol, size_t length) except +
        int read(const char* frame, size_t length, int64_t ts_recv) except +
        size_t record_count()
        void copy_records(MarketRecord* out)
        int kind()
        uint32_t instrument()
        const string& reason()

    const int DECODED
    const int UNKNOWN
    const int MAX_PRECISION


cdef extern from "tradewind_native/okx_frames.hpp" namespace "tradewind" nogil:
    cdef cppclass OkxFrames(BookFrames):
        OkxFrames() except +


cdef extern from "tradewind_native/kraken_frames.hpp" namespace "tradewind" nogil:
    cdef cppclass KrakenFrames(BookFrames):
        KrakenFrames() except +


cdef extern from "tradewind_native/fix_market_frames.hpp" namespace "tradewind" nogil:
    cdef cppclass FixMarketFrames(BookFrames):
        FixMarketFrames() except +


cdef class BookFrameDecoder:
    cdef unique_ptr[BookFrames] _frames
    cdef RecordArena _arena

    cpdef int decode(self, object frame, int64_t ts_recv) except -1
    cdef int _append(self, int verdict) except -1

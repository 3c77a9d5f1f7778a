"""Binance spot frames to market records: the C++ decoder and its Python face."""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libcpp cimport bool as cpp_bool
from libcpp.string cimport string

from tradewind_native.market_record cimport MarketRecord
from tradewind_native.record_arena cimport RecordArena


cdef extern from "tradewind_native/binance_frames.hpp" namespace "tradewind" nogil:
    cdef cppclass Instrument:
        uint32_t number
        int price_precision
        int size_precision

    cdef cppclass FrameDecoder:
        uint64_t first_update_id
        uint64_t final_update_id
        uint32_t instrument
        void add_instrument(const char* symbol, size_t length, Instrument instrument) except +
        cpp_bool knows(const char* symbol, size_t length) except +
        int read_frame(const char* frame, size_t length) except +
        int read_snapshot(const char* body, size_t length, const char* symbol, size_t symbol_length) except +
        size_t record_count()
        int write_records(MarketRecord* out, int64_t ts_recv) except +
        int kind()
        const string& reason()

    const int DECODED
    const int MALFORMED
    const int UNKNOWN
    const int MAX_PRECISION


cdef class BinanceDecoder:
    cdef FrameDecoder _decoder
    cdef RecordArena _arena

    cpdef int decode(self, object frame, int64_t ts_recv) except -1
    cpdef int decode_snapshot(self, object body, str symbol, int64_t ts_recv) except -1
    cdef int _append(self, int verdict, int64_t ts_recv) except -1
    cdef int _refuse(self, int verdict) except -1

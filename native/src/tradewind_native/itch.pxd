"""ITCH 5.0 decoder."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libcpp cimport bool as cpp_bool
from libcpp.vector cimport vector

from tradewind_native.market_record cimport MarketRecord
from tradewind_native.record_arena cimport RecordArena


cdef extern from "tradewind_native/itch_messages.hpp" namespace "tradewind::itch" nogil:
    cdef enum class Stop(int):
        NEEDS_INPUT
        NEEDS_ROOM
        DIRECTORY
        ENDED
        WRONG_LENGTH
        WRONG_FIELD
        AFTER_END
        OTHER_PACKET

    cdef cppclass CountsByType "std::array<uint64_t, 256>":
        uint64_t& operator[](size_t index)

    cdef cppclass Decoder:
        vector[uint32_t] instruments
        CountsByType counts
        int64_t midnight_ns
        int64_t ts_recv
        uint64_t sequence
        uint64_t offset
        cpp_bool ended
        Stop message(const uint8_t* data, size_t size, MarketRecord*& out)
        Stop frames(const uint8_t*& at, const uint8_t* end, MarketRecord*& out, const MarketRecord* out_end)
        Stop blocks(const uint8_t*& at, const uint8_t* end, MarketRecord*& out, const MarketRecord* out_end)
        Stop packets(const uint8_t*& at, const uint8_t* end, MarketRecord*& out, const MarketRecord* out_end)

    uint16_t read_16(const uint8_t* at)
    Py_ssize_t blocks_in(const uint8_t* at, const uint8_t* end)


cdef enum Framing:
    FILE_FRAMES
    BLOCKS
    PACKETS


cdef class ItchDecoder:
    cdef Decoder _decoder
    cdef RecordArena _arena
    cdef object _number_of

    cdef Py_ssize_t _take(self, const uint8_t* start, const uint8_t* end, Framing framing) except -1
    cdef int _list(self, const uint8_t* message) except -1
    cdef object _error(self, Stop stop, const uint8_t* message, size_t size, size_t there)

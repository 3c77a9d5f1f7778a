"""ITCH 5.0 messages to market records. Twin: ``tradewind.venue.itch.decoding``."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer

from tradewind_native.itch_error import ItchError
from tradewind_native.record_arena cimport RecordArena


cdef enum:
    ROOM = 4096


cdef class ItchDecoder:
    """Decoder of one stream; see the stub for the details."""

    def __init__(self, number_of, int64_t midnight_ns):
        self._number_of = number_of
        self._decoder.midnight_ns = midnight_ns
        self._arena = RecordArena()

    @property
    def messages(self):
        """Messages taken so far, of all types."""
        return self._decoder.sequence

    @property
    def offset(self):
        """Bytes of the framed stream taken so far."""
        return self._decoder.offset

    @property
    def ended(self):
        """The stream has said that it is over."""
        return self._decoder.ended

    @property
    def counts(self):
        """Messages by type."""
        return {chr(kind): self._decoder.counts[kind] for kind in range(256) if self._decoder.counts[kind]}

    cdef int _list(self, const uint8_t* message) except -1:
        symbol = message[11:19].decode("latin-1").rstrip()
        number = self._number_of(symbol)
        if number is None:
            number = 0
        elif not 0 < number < 2**32:
            raise ValueError(f"{symbol!r} has instrument number {number}: 1 to 2^32 - 1 is wanted")
        self._decoder.instruments[read_16(message + 1)] = number
        return 0

    cdef object _error(self, Stop stop, const uint8_t* message, size_t size, size_t there):
        if stop == Stop.AFTER_END:
            return ItchError(self._decoder.offset, "bytes after the end of the session")
        kind = repr(chr(message[0])) if there else "?"
        if stop == Stop.WRONG_LENGTH:
            return ItchError(self._decoder.offset, f"a message of type {kind} has a wrong length, {size}")
        return ItchError(self._decoder.offset, f"a message of type {kind} has a field out of its range")

    cdef Py_ssize_t _take(self, const uint8_t* start, const uint8_t* end, Framing framing) except -1:
        """Whole messages from ``start`` on; answers how many bytes they are."""
        cdef const uint8_t* at = start
        cdef MarketRecord *first
        cdef MarketRecord *out
        cdef Stop stop
        cdef size_t header = 3 if framing == Framing.PACKETS else 2
        while True:
            first = out = self._arena.reserve(ROOM)
            with nogil:
                if framing == Framing.PACKETS:
                    stop = self._decoder.packets(at, end, out, first + ROOM)
                elif framing == Framing.BLOCKS:
                    stop = self._decoder.blocks(at, end, out, first + ROOM)
                else:
                    stop = self._decoder.frames(at, end, out, first + ROOM)
            self._arena.commit(out - first)
            if stop == Stop.DIRECTORY:
                # All three stop right behind the directory message, of 39 bytes.
                self._list(at - 39)
            elif stop == Stop.NEEDS_INPUT or stop == Stop.OTHER_PACKET:
                return at - start
            elif stop != Stop.NEEDS_ROOM:
                size = read_16(at) + 2 - header if end - at >= 2 else 0
                raise self._error(stop, at + header, size, max(0, end - at - <Py_ssize_t> header))

    def decode(self, data, int64_t ts_recv=0):
        """Whole length-prefixed messages at the start of ``data``; answers how many bytes they are."""
        cdef Py_buffer view
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            self._decoder.ts_recv = ts_recv
            return self._take(<const uint8_t*> view.buf, <const uint8_t*> view.buf + view.len, Framing.FILE_FRAMES)
        finally:
            PyBuffer_Release(&view)

    def decode_packets(self, data, int64_t ts_recv):
        """Whole SoupBinTCP packets at the start of ``data``; answers how many bytes they are."""
        cdef Py_buffer view
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            self._decoder.ts_recv = ts_recv
            return self._take(<const uint8_t*> view.buf, <const uint8_t*> view.buf + view.len, Framing.PACKETS)
        finally:
            PyBuffer_Release(&view)

    def decode_blocks(self, data, int64_t ts_recv):
        """The message blocks of a MoldUDP64 packet, all of ``data``; answers how many bytes they are."""
        cdef Py_buffer view
        cdef const uint8_t* start
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            self._decoder.ts_recv = ts_recv
            start = <const uint8_t*> view.buf
            if blocks_in(start, start + view.len) < 0:
                raise ItchError(self._decoder.offset, "the lengths of message blocks do not fill their packet")
            return self._take(start, start + view.len, Framing.BLOCKS)
        finally:
            PyBuffer_Release(&view)

    def expect(self, uint64_t sequence):
        """The next message has this number."""
        if sequence == 0:
            raise ValueError("sequence numbers begin at 1")
        self._decoder.sequence = sequence - 1

    def decode_message(self, data, uint64_t sequence, int64_t ts_recv):
        """One message without its length, as a session or a datagram carries it."""
        cdef Py_buffer view
        cdef MarketRecord *first
        cdef MarketRecord *out
        cdef const uint8_t* message
        cdef Stop stop
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            if sequence == 0:
                raise ValueError("sequence numbers begin at 1")
            message = <const uint8_t*> view.buf
            self._decoder.ts_recv = ts_recv
            self._decoder.sequence = sequence - 1
            first = out = self._arena.reserve(2)
            stop = self._decoder.message(message, view.len, out)
            if stop == Stop.WRONG_LENGTH or stop == Stop.WRONG_FIELD:
                raise self._error(stop, message, view.len, view.len)
            self._decoder.offset += view.len
            self._arena.commit(out - first)
            if stop == Stop.DIRECTORY:
                self._list(message)
        finally:
            PyBuffer_Release(&view)

    def take(self):
        """The records made since the last call, read-only."""
        return self._arena.take()


def count_blocks(data):
    """How many message blocks of MoldUDP64 fill the bytes exactly; -1 when they do not."""
    cdef Py_buffer view
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        return blocks_in(<const uint8_t*> view.buf, <const uint8_t*> view.buf + view.len)
    finally:
        PyBuffer_Release(&view)

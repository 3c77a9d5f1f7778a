"""Frames of OKX and Kraken and FIX messages to market records.

Twins: ``tradewind.venue.okx.decoding``, ``tradewind.venue.kraken.decoding``, ``tradewind.venue.fix_market_data``.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.unicode cimport PyUnicode_AsUTF8AndSize

from tradewind_native.frames import MalformedFrame, UnknownFrame


cdef class BookFrameDecoder:
    """What all have; see the stub for the details."""

    def __cinit__(self, *_):
        self._arena = RecordArena()

    def __init__(self, instruments):
        cdef Py_ssize_t length
        cdef const char* name
        cdef Instrument instrument
        if not self._frames:
            raise TypeError("make an OkxDecoder, a KrakenDecoder or a FixDecoder")
        for symbol, number, price_precision, size_precision in instruments:
            for precision in (price_precision, size_precision):
                if not 0 <= precision <= MAX_PRECISION:
                    raise ValueError(f"{symbol}: precision {precision} is not within 0 and {MAX_PRECISION}")
            if not 0 <= number < 2**32:
                raise ValueError(f"{symbol}: instrument number {number} does not fit 32 bits")
            name = PyUnicode_AsUTF8AndSize(symbol, &length)
            if self._frames.get().knows(name, length):
                raise ValueError(f"symbol {symbol} is given twice")
            instrument.number = number
            instrument.price_precision = price_precision
            instrument.size_precision = size_precision
            self._frames.get().add_instrument(name, length, instrument)

    @property
    def instrument(self):
        """The instrument number of the last frame; 0 when it is of none."""
        return self._frames.get().instrument()

    @property
    def checksum(self):
        """The checksum that the last frame has, or None."""
        return self._frames.get().checksum if self._frames.get().has_checksum else None

    @property
    def sequence(self):
        """The sequence number that the last frame has, or None."""
        return self._frames.get().sequence if self._frames.get().has_sequence else None

    @property
    def previous_sequence(self):
        """The number that the last frame says was before its own, or None."""
        return self._frames.get().previous if self._frames.get().has_previous else None

    @property
    def price_decimals(self):
        """Decimals of the last level's price as it was written, or None."""
        return self._frames.get().price_decimals if self._frames.get().price_decimals >= 0 else None

    @property
    def size_decimals(self):
        """Decimals of the last level's size as it was written, or None."""
        return self._frames.get().size_decimals if self._frames.get().size_decimals >= 0 else None

    @property
    def pending(self):
        """How many records were decoded and not yet taken."""
        return self._arena.pending()

    cpdef int decode(self, object frame, int64_t ts_recv) except -1:
        """Append the frame's records to the pending batch; see the stub for the details."""
        cdef Py_buffer view
        cdef int verdict
        PyObject_GetBuffer(frame, &view, PyBUF_SIMPLE)
        try:
            verdict = self._frames.get().read(<const char*> view.buf, view.len, ts_recv)
        finally:
            PyBuffer_Release(&view)
        return self._append(verdict)

    cdef int _append(self, int verdict) except -1:
        cdef size_t count
        if verdict == DECODED:
            count = self._frames.get().record_count()
            if count:
                self._frames.get().copy_records(self._arena.reserve(count))
                self._arena.commit(count)
            return self._frames.get().kind()
        reason = self._frames.get().reason().decode("utf-8", "replace")
        if verdict == UNKNOWN:
            raise UnknownFrame(f"unknown {self._venue()} frame: {reason}")
        raise MalformedFrame(f"malformed {self._venue()} frame: {reason}")

    def take(self):
        """The pending records as a read-only array without a copy; none are pending afterwards."""
        return self._arena.take()

    def _venue(self):
        return type(self).__name__.removesuffix("Decoder")


cdef class OkxDecoder(BookFrameDecoder):
    """Decodes the frames of one connection to OKX v5's public channels."""

    def __cinit__(self, *_):
        self._frames.reset(new OkxFrames())


cdef class KrakenDecoder(BookFrameDecoder):
    """Decodes the frames of one connection to Kraken v1's public channels."""

    def __cinit__(self, *_):
        self._frames.reset(new KrakenFrames())


cdef class FixDecoder(BookFrameDecoder):
    """Decodes market data messages of FIX 4.2 and 4.4."""

    def __cinit__(self, *_):
        self._frames.reset(new FixMarketFrames())

"""Binance spot frames to market records, on simdjson. Twin: ``tradewind.venue.binance.decoding``."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize

from tradewind_native.frames import MalformedFrame, UnknownFrame


cdef class BinanceDecoder:
    """Decodes the frames of one connection. Not safe for two threads at once."""

    def __cinit__(self, *_):
        self._arena = RecordArena()

    def __init__(self, instruments):
        cdef Py_ssize_t length
        cdef const char* name
        cdef Instrument instrument
        for symbol, number, price_precision, size_precision in instruments:
            for precision in (price_precision, size_precision):
                if not 0 <= precision <= MAX_PRECISION:
                    raise ValueError(f"{symbol}: precision {precision} is not within 0 and {MAX_PRECISION}")
            if not 0 <= number < 2**32:
                raise ValueError(f"{symbol}: instrument number {number} does not fit 32 bits")
            name = PyUnicode_AsUTF8AndSize(symbol, &length)
            if self._decoder.knows(name, length):
                raise ValueError(f"symbol {symbol} is given twice")
            instrument.number = number
            instrument.price_precision = price_precision
            instrument.size_precision = size_precision
            self._decoder.add_instrument(name, length, instrument)

    @property
    def first_update_id(self):
        """U of the last depth event; of other frames the same as final_update_id."""
        return self._decoder.first_update_id

    @property
    def final_update_id(self):
        """u of the last depth event or ticker, the id of a trade, lastUpdateId of a snapshot, 0 of an answer."""
        return self._decoder.final_update_id

    @property
    def instrument(self):
        """The instrument number of the last frame; 0 after an answer."""
        return self._decoder.instrument

    @property
    def pending(self):
        """How many records were decoded and not yet taken."""
        return self._arena.pending()

    cpdef int decode(self, object frame, int64_t ts_recv) except -1:
        """Append the frame's records to the pending batch; see the stub for the details."""
        cdef Py_buffer view
        cdef int verdict
        if PyBytes_CheckExact(frame):
            verdict = self._decoder.read_frame(PyBytes_AS_STRING(frame), PyBytes_GET_SIZE(frame))
        else:
            PyObject_GetBuffer(frame, &view, PyBUF_SIMPLE)
            try:
                verdict = self._decoder.read_frame(<const char*> view.buf, view.len)
            finally:
                PyBuffer_Release(&view)
        return self._append(verdict, ts_recv)

    cpdef int decode_snapshot(self, object body, str symbol, int64_t ts_recv) except -1:
        """Append a REST depth answer as records; see the stub for the details."""
        cdef Py_buffer view
        cdef int verdict
        cdef Py_ssize_t length
        cdef const char* name = PyUnicode_AsUTF8AndSize(symbol, &length)
        PyObject_GetBuffer(body, &view, PyBUF_SIMPLE)
        try:
            verdict = self._decoder.read_snapshot(<const char*> view.buf, view.len, name, length)
        finally:
            PyBuffer_Release(&view)
        return self._append(verdict, ts_recv)

    cdef int _append(self, int verdict, int64_t ts_recv) except -1:
        if verdict == DECODED:
            count = self._decoder.record_count()
            verdict = self._decoder.write_records(self._arena.reserve(count), ts_recv)
            if verdict == DECODED:
                self._arena.commit(count)
                return self._decoder.kind()
        return self._refuse(verdict)

    cdef int _refuse(self, int verdict) except -1:
        reason = self._decoder.reason().decode("utf-8", "replace")
        if verdict == UNKNOWN:
            raise UnknownFrame(f"unknown Binance frame: {reason}")
        raise MalformedFrame(f"malformed Binance frame: {reason}")

    def take(self):
        """The pending records as a read-only array without a copy; none are pending afterwards."""
        return self._arena.take()

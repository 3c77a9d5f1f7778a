"""ExecutionReport bytes to a typed record. Twin: ``tradewind.venue.fix_messages``."""

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport int64_t
from libc.string cimport memcmp

from tradewind_native.fix_records import ExecutionReport, FixMessageError


cdef extern from "tradewind_native/fix_messages.hpp" namespace "tradewind" nogil:
    cdef enum class Number:
        EXACT
    cdef enum class FixFault:
        NONE
    cdef struct FixSpan:
        const char* at
        size_t size
    const char* explain_fault "tradewind::explain"(FixFault)
    const char* explain_number "tradewind::explain"(Number)
    FixFault fix_fields(const char*, size_t, FixSpan*)
    Number parse_decimal(const char*, char, int, bint, int64_t&)


cdef extern from "Python.h":
    ctypedef struct PyTypeObject
    str PyUnicode_DecodeLatin1(const char*, Py_ssize_t, const char*)
    object PyType_GenericAlloc(PyTypeObject*, Py_ssize_t)
    void PyTuple_SET_ITEM(object, Py_ssize_t, PyObject*)


cdef enum:
    SLOTS = 22
    FIELDS = 21

cdef tuple TAGS = (35, 34, 49, 56, 43, 97, 37, 11, 41, 17, 150, 39, 55, 54, 38, 44, 32, 31, 151, 14, 6, 60)
cdef PyTypeObject* REPORT = <PyTypeObject*> ExecutionReport


cdef inline void put(object record, Py_ssize_t index, object value):
    # A record that was just made, as PyTuple_SET_ITEM wants it: it takes the reference.
    Py_INCREF(value)
    PyTuple_SET_ITEM(record, index, <PyObject*> value)


cdef inline str text(const FixSpan* field):
    return PyUnicode_DecodeLatin1(field.at, field.size, NULL) if field.at != NULL else ""


cdef class Remembered:
    """The last text of a field that is mostly the same: who sent it, to whom, of what."""

    cdef str text
    cdef bytes raw

    def __cinit__(self):
        self.text, self.raw = "", b""

    cdef inline str of(self, const FixSpan* field):
        if field.at == NULL:
            return ""
        if <size_t> len(self.raw) != field.size or memcmp(<const char*> self.raw, field.at, field.size) != 0:
            self.raw = field.at[:field.size]
            self.text = text(field)
        return self.text


cdef Remembered senders = Remembered()
cdef Remembered targets = Remembered()
cdef Remembered symbols = Remembered()


cdef inline int64_t number(const FixSpan* fields, int slot, int precision) except? -1:
    cdef int64_t out = 0
    cdef Number result
    if fields[slot].at == NULL:
        return 0
    result = parse_decimal(fields[slot].at, 1, precision, False, out)
    if result != Number.EXACT:
        raise FixMessageError(f"field {TAGS[slot]} of the FIX message {explain_number(result).decode()}")
    return out


cdef inline object flag(const FixSpan* field):
    return True if field.at != NULL and field.size == 1 and field.at[0] == c"Y" else False


def read_execution_report(bytes message, int price_precision, int quantity_precision):
    """The record of one whole message; see the stub for the details."""
    cdef FixSpan f[SLOTS]
    cdef FixFault fault
    if not (0 <= price_precision <= 18 and 0 <= quantity_precision <= 18):
        raise ValueError("a precision is 0 to 18")
    fault = fix_fields(message, len(message), f)
    if fault != FixFault.NONE:
        raise FixMessageError(f"the FIX message {explain_fault(fault).decode()}")
    if f[0].at == NULL or f[0].size != 1 or f[0].at[0] != c"8":
        raise FixMessageError("the FIX message is no ExecutionReport")
    # In the order of ExecutionReport. Filled in place: a tuple to make it from would cost as much as the parse.
    record = PyType_GenericAlloc(REPORT, FIELDS)
    put(record, 0, number(f, 1, 0))
    put(record, 1, senders.of(f + 2))
    put(record, 2, targets.of(f + 3))
    put(record, 3, flag(f + 4))
    put(record, 4, flag(f + 5))
    put(record, 5, text(f + 6))
    put(record, 6, text(f + 7))
    put(record, 7, text(f + 8))
    put(record, 8, text(f + 9))
    put(record, 9, text(f + 10))
    put(record, 10, text(f + 11))
    put(record, 11, symbols.of(f + 12))
    put(record, 12, text(f + 13))
    put(record, 13, number(f, 14, quantity_precision))
    put(record, 14, number(f, 15, price_precision))
    put(record, 15, number(f, 16, quantity_precision))
    put(record, 16, number(f, 17, price_precision))
    put(record, 17, number(f, 18, quantity_precision))
    put(record, 18, number(f, 19, quantity_precision))
    put(record, 19, text(f + 20))
    put(record, 20, text(f + 21))
    return record

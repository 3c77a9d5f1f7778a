"""ExecutionReport bytes to a typed record. Twin: ``tradewind.venue.fix_messages``."""

from libc.stdint cimport int64_t

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
    str PyUnicode_DecodeLatin1(const char*, Py_ssize_t, const char*)


cdef enum:
    SLOTS = 22

cdef tuple TAGS = (35, 34, 49, 56, 43, 97, 37, 11, 41, 17, 150, 39, 55, 54, 38, 44, 32, 31, 151, 14, 6, 60)
cdef object make = tuple.__new__


cdef inline str text(const FixSpan* field):
    return PyUnicode_DecodeLatin1(field.at, field.size, NULL) if field.at != NULL else ""


cdef inline int64_t number(const FixSpan* fields, int slot, int precision) except? -1:
    cdef int64_t out = 0
    cdef Number result
    if fields[slot].at == NULL:
        return 0
    result = parse_decimal(fields[slot].at, 1, precision, False, out)
    if result != Number.EXACT:
        raise FixMessageError(f"field {TAGS[slot]} of the FIX message {explain_number(result).decode()}")
    return out


cdef inline bint flag(const FixSpan* field):
    return field.at != NULL and field.size == 1 and field.at[0] == c"Y"


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
    return make(ExecutionReport, (
        number(f, 1, 0), text(f + 2), text(f + 3), flag(f + 4), flag(f + 5), text(f + 6), text(f + 7), text(f + 8),
        text(f + 9), text(f + 10), text(f + 11), text(f + 12), text(f + 13),
        number(f, 14, quantity_precision), number(f, 15, price_precision), number(f, 16, quantity_precision),
        number(f, 17, price_precision), number(f, 18, quantity_precision), number(f, 19, quantity_precision),
        text(f + 20), text(f + 21),
    ))

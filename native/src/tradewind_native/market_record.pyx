"""The market record's numpy dtype as the C compiler lays it out, and passage between records and numpy arrays."""

cimport numpy as cnp
from cpython.ref cimport Py_INCREF

import numpy as np

cdef extern from "numpy/arrayobject.h":
    # It steals the reference to the dtype.
    object PyArray_NewFromDescr(
        type subtype, cnp.dtype dtype, int dimensions, const cnp.npy_intp* shape, const cnp.npy_intp* strides,
        void* data, int flags, object finalized_from,
    )

cnp.import_array()


cdef MarketRecord _probe


def _layout():
    # Offsets come from the compiler, not from this list: a test compares them with the wire's own dtype.
    cdef char* start = <char*> &_probe
    return [
        ("ts_event", "<i8", <char*> &_probe.ts_event - start),
        ("ts_recv", "<i8", <char*> &_probe.ts_recv - start),
        ("price", "<i8", <char*> &_probe.price - start),
        ("size", "<i8", <char*> &_probe.size - start),
        ("order_id", "<u8", <char*> &_probe.order_id - start),
        ("sequence", "<u8", <char*> &_probe.sequence - start),
        ("instrument", "<u4", <char*> &_probe.instrument - start),
        ("kind", "u1", <char*> &_probe.kind - start),
        ("side", "u1", <char*> &_probe.side - start),
        ("flags", "u1", <char*> &_probe.flags - start),
        ("level", "u1", <char*> &_probe.level - start),
        ("reserved", "<u8", <char*> &_probe.reserved - start),
    ]


def _dtype():
    names, formats, offsets = zip(*_layout())
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": sizeof(MarketRecord)})


MARKET_RECORD = _dtype()
cdef object _dtype_here = MARKET_RECORD
# The dtype object last found equal to ours: comparing structured dtypes field by field costs a microsecond.
cdef object _dtype_seen = MARKET_RECORD


cdef RecordSpan span_of(object records) except *:
    """The memory of a one-dimensional record array, read-only ones too.

    Raises TypeError for anything else.
    """
    global _dtype_seen
    cdef RecordSpan span
    if not isinstance(records, cnp.ndarray):
        raise TypeError(f"a numpy array of market records is wanted, not {type(records).__name__}")
    cdef cnp.ndarray array = <cnp.ndarray> records
    cdef object dtype = <object> cnp.PyArray_DESCR(array)
    if dtype is not _dtype_seen:
        if dtype != _dtype_here:
            raise TypeError(f"a numpy array of market records is wanted, not of {dtype}")
        _dtype_seen = dtype
    if cnp.PyArray_NDIM(array) != 1:
        raise TypeError("a one-dimensional array of market records is wanted")
    span.data = <const char*> cnp.PyArray_DATA(array)
    span.count = cnp.PyArray_DIM(array, 0)
    span.stride = cnp.PyArray_STRIDE(array, 0)
    return span


cdef object new_records(Py_ssize_t count):
    """An array of records with undefined content."""
    return np.empty(count, dtype=_dtype_here)


cdef MarketRecord* records_data(object records):
    """Where an array made by new_records keeps its records."""
    return <MarketRecord*> cnp.PyArray_DATA(<cnp.ndarray> records)


cdef object view_of(object owner, MarketRecord* first, Py_ssize_t count):
    """A read-only array over memory that ``owner`` keeps alive; no copy."""
    cdef cnp.npy_intp length = count
    Py_INCREF(_dtype_here)
    view = PyArray_NewFromDescr(
        cnp.ndarray, <cnp.dtype> _dtype_here, 1, &length, NULL, first,
        cnp.NPY_ARRAY_C_CONTIGUOUS | cnp.NPY_ARRAY_ALIGNED, <object> NULL,
    )
    cnp.set_array_base(<cnp.ndarray> view, owner)
    return view

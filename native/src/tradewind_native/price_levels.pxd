"""One side of a price-level structure, for Cython."""

from libc.stdint cimport int64_t
from libcpp cimport bool as cpp_bool
from libcpp.vector cimport vector


cdef extern from "tradewind_native/price_levels.hpp" namespace "tradewind" nogil:
    int64_t key_of(int side, int64_t price)
    size_t first_not_below[Level](const vector[Level]& levels, int64_t key)
    cpp_bool has_key[Level](const vector[Level]& levels, size_t index, int64_t key)
    void insert_level[Level](vector[Level]& levels, size_t index, const Level& level) except +
    void erase_level[Level](vector[Level]& levels, size_t index)

"""Price-level book of one instrument. Twin: ``tradewind.venue.order_book``."""

from libc.string cimport memcpy

from tradewind_native.market_record cimport (
    FLAG_LAST, FLAG_SNAPSHOT, MarketRecord, RECORD_CLEAR, RECORD_LEVEL, RecordSpan, SIDE_BUY, SIDE_NONE, SIDE_SELL,
    new_records, records_data, span_of,
)
from tradewind_native.price_levels cimport erase_level, first_not_below, has_key, insert_level, key_of


cdef inline int put(vector[BookLevel]& levels, int64_t key, int64_t size) except -1:
    """Set the size at a level; 0 removes it."""
    cdef size_t index = first_not_below(levels, key)
    cdef bint exists = has_key(levels, index, key)
    cdef BookLevel level
    if size == 0:
        if exists:
            erase_level(levels, index)
    elif exists:
        levels[index].size = size
    else:
        level.key = key
        level.size = size
        insert_level(levels, index, level)
    return 0


cdef class OrderBook:
    """Levels of one instrument, built from LEVEL and CLEAR records; see the stub for the details."""

    def __init__(self, uint32_t instrument):
        self._instrument = instrument

    @property
    def instrument(self):
        """The instrument's number."""
        return self._instrument

    @property
    def sequence(self):
        """The sequence of the last applied record; 0 before the first and after clear()."""
        return self._sequence

    cpdef Py_ssize_t apply(self, object records) except -1:
        """Apply the LEVEL and CLEAR records of this instrument; answers how many there were."""
        cdef RecordSpan span = span_of(records)
        cdef MarketRecord record
        cdef Py_ssize_t index, applied = 0
        for index in range(span.count):
            memcpy(&record, span.data + index * span.stride, sizeof(MarketRecord))
            if record.instrument != self._instrument:
                continue
            if record.kind == RECORD_LEVEL:
                if record.size < 0 or record.side > SIDE_SELL:
                    raise ValueError(f"a LEVEL record has side {record.side} and size {record.size}")
                # No conditional expression here: it would copy the side.
                if record.side == SIDE_BUY:
                    put(self._bids, key_of(SIDE_BUY, record.price), record.size)
                elif record.side == SIDE_SELL:
                    put(self._asks, key_of(SIDE_SELL, record.price), record.size)
            elif record.kind == RECORD_CLEAR:
                self._bids.clear()
                self._asks.clear()
            else:
                continue
            self._sequence = record.sequence
            applied += 1
        return applied

    cpdef void clear(self):
        """Empty both sides and forget the sequence."""
        self._bids.clear()
        self._asks.clear()
        self._sequence = 0

    cdef vector[BookLevel]* _side(self, int side) except NULL:
        if side == SIDE_BUY:
            return &self._bids
        if side == SIDE_SELL:
            return &self._asks
        raise ValueError(f"side is 1 (BUY) or 2 (SELL), not {side}")

    def best_bid(self):
        """(price, size) of the best bid, or None."""
        if self._bids.empty():
            return None
        return self._bids.back().key, self._bids.back().size

    def best_ask(self):
        """(price, size) of the best ask, or None."""
        if self._asks.empty():
            return None
        return ~self._asks.back().key, self._asks.back().size

    def levels(self, int side, Py_ssize_t depth):
        """Up to ``depth`` levels (price, size) of a side, best first."""
        cdef vector[BookLevel]* levels = self._side(side)
        cdef Py_ssize_t count = max(0, min(depth, <Py_ssize_t> levels.size()))
        cdef Py_ssize_t last = levels.size() - 1
        cdef Py_ssize_t index
        cdef list answer = []
        for index in range(count):
            answer.append((key_of(side, levels[0][last - index].key), levels[0][last - index].size))
        return answer

    def worst(self, int side, Py_ssize_t count):
        """Up to ``count`` levels (price, size) of a side, worst first."""
        cdef vector[BookLevel]* levels = self._side(side)
        cdef Py_ssize_t index
        return [
            (key_of(side, levels[0][index].key), levels[0][index].size)
            for index in range(max(0, min(count, <Py_ssize_t> levels.size())))
        ]

    def size_at(self, int side, int64_t price):
        """The size at a price; 0 where there is no level."""
        cdef vector[BookLevel]* levels = self._side(side)
        cdef int64_t key = key_of(side, price)
        cdef size_t index = first_not_below(levels[0], key)
        return levels[0][index].size if has_key(levels[0], index, key) else 0

    def depth(self, int side):
        """The number of levels of a side."""
        return self._side(side).size()

    def snapshot_records(self, int64_t ts_event, int64_t ts_recv, Py_ssize_t depth):
        """CLEAR and LEVEL records of the best ``depth`` levels of each side, as a late joiner gets them."""
        cdef Py_ssize_t bids = max(0, min(depth, <Py_ssize_t> self._bids.size()))
        cdef Py_ssize_t asks = max(0, min(depth, <Py_ssize_t> self._asks.size()))
        records = new_records(1 + bids + asks)
        cdef MarketRecord* out = records_data(records)
        cdef MarketRecord record
        record.ts_event = ts_event
        record.ts_recv = ts_recv
        record.order_id = record.sequence = self._sequence
        record.price = record.size = 0
        record.instrument = self._instrument
        record.kind = RECORD_CLEAR
        record.side = SIDE_NONE
        record.flags = FLAG_SNAPSHOT
        record.level = 0
        record.reserved = 0
        out[0] = record
        record.kind = RECORD_LEVEL
        write_side(out + 1, record, self._bids, SIDE_BUY, bids)
        write_side(out + 1 + bids, record, self._asks, SIDE_SELL, asks)
        out[bids + asks].flags |= FLAG_LAST
        records.flags.writeable = False
        return records


cdef void write_side(
    MarketRecord* out, MarketRecord record, const vector[BookLevel]& levels, int side, Py_ssize_t count
) noexcept nogil:
    cdef Py_ssize_t last = levels.size() - 1
    cdef Py_ssize_t index
    record.side = side
    for index in range(count):
        record.price = key_of(side, levels[last - index].key)
        record.size = levels[last - index].size
        record.level = min(index, 255)
        out[index] = record

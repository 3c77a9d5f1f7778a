"""What order records mean for who follows price levels. Twin: ``tradewind.venue.itch.book_changes``."""

from libc.string cimport memcpy

from tradewind_native.market_record cimport RecordSpan, span_of


cdef enum:
    AT_ONCE = 400


cdef class BookChanges:
    """Order records with the trades, levels and best prices that they make; see the stub for the details."""

    def __init__(self, OrderBooks books not None):
        self.books = books
        self._arena = RecordArena()

    @property
    def levels(self):
        """Whether levels and best prices are made."""
        return self._changes.levels

    @levels.setter
    def levels(self, cpp_bool wanted):
        self._changes.levels = wanted

    def follow(self, object records):
        """Apply the records to the books; answers them and, behind each, what it makes."""
        cdef RecordSpan span = span_of(records)
        cdef MarketRecord record
        cdef MarketRecord *first
        cdef MarketRecord *out
        cdef Py_ssize_t index = 0, stop
        cdef Refusal refusal = Refusal.NONE
        while index < span.count:
            stop = min(span.count, index + AT_ONCE)
            first = out = self._arena.reserve(AT_ONCE * MOST_CHANGES)
            with nogil:
                while index < stop and refusal == Refusal.NONE:
                    memcpy(&record, span.data + index * span.stride, sizeof(MarketRecord))
                    refusal = self._changes.follow(self.books._books, record, out)
                    index += 1
            self._arena.commit(out - first)
            if refusal != Refusal.NONE:
                raise ValueError(
                    f"an order record of kind {record.kind} has order_id {record.order_id}, side {record.side} "
                    f"and size {record.size}"
                )
        return self._arena.take()

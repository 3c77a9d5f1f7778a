"""Price-time priority matching of one instrument. Twin: ``tradewind.venue.matching``."""

from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_SET_ITEM
from cython.operator cimport dereference
from libc.stdint cimport INT64_MAX, INT64_MIN

from tradewind_native.market_record cimport SIDE_BUY, SIDE_SELL
from tradewind_native.price_levels cimport erase_level, first_not_below, has_key, insert_level, key_of

from tradewind_native.submission import Fill, MatchingTimeInForce, SubmitResult, SubmitStatus


cdef extern from "Python.h":
    ctypedef struct PyTypeObject:
        object (*tp_alloc)(PyTypeObject* kind, Py_ssize_t length)


cdef enum:
    NOBODY = -1
    GTC = 0
    IOC = 1
    FOK = 2

if (GTC, IOC, FOK) != (MatchingTimeInForce.GTC, MatchingTimeInForce.IOC, MatchingTimeInForce.FOK):
    raise ImportError("tradewind_native.matching was built for another tradewind_native.submission: build it again")

cdef object FILL_TYPE = Fill
cdef object RESULT_TYPE = SubmitResult
cdef object ACCEPTED = SubmitStatus.ACCEPTED
cdef object FILLED = SubmitStatus.FILLED
cdef object PARTIALLY_FILLED = SubmitStatus.PARTIALLY_FILLED
cdef object CANCELED = SubmitStatus.CANCELED
cdef object REJECTED_POST_ONLY = SubmitStatus.REJECTED_POST_ONLY
cdef object REJECTED_SELF_TRADE = SubmitStatus.REJECTED_SELF_TRADE


cdef inline object new_named_tuple(object kind, Py_ssize_t length):
    """An unfilled NamedTuple: its Python-level constructor costs more than a match."""
    return (<PyTypeObject*> kind).tp_alloc(<PyTypeObject*> kind, length)


cdef inline void set_item(object named_tuple, Py_ssize_t position, object value) noexcept:
    Py_INCREF(value)
    PyTuple_SET_ITEM(named_tuple, position, value)


cdef object result_of(object status, int64_t remaining, list fills):
    cdef object made = new_named_tuple(RESULT_TYPE, 3)
    set_item(made, 0, status)
    set_item(made, 1, remaining)
    set_item(made, 2, fills)
    return made


cdef object fill_of(const RestingOrder& maker, int64_t size):
    cdef object made = new_named_tuple(FILL_TYPE, 5)
    set_item(made, 0, maker.order_id)
    set_item(made, 1, maker.price)
    set_item(made, 2, size)
    set_item(made, 3, maker.size)
    set_item(made, 4, maker.owner)
    return made


cdef class MatchingEngine:
    """Resting orders of one instrument in price-time priority; see the stub for the details."""

    def submit(
        self, int64_t order_id, int side, int64_t price, int64_t size, *, bint market=False, int time_in_force=GTC,
        bint post_only=False, int64_t owner=0, bint prevent_self_trade=False,
    ):
        """Match an order and let its remainder rest where its time in force says so."""
        if size <= 0:
            raise ValueError(f"order {order_id}: size {size} is not above 0")
        if side != SIDE_BUY and side != SIDE_SELL:
            raise ValueError(f"order {order_id}: side is 1 (BUY) or 2 (SELL), not {side}")
        if not GTC <= time_in_force <= FOK:
            raise ValueError(f"order {order_id}: time in force is 0 (GTC), 1 (IOC) or 2 (FOK), not {time_in_force}")
        if post_only and (market or time_in_force != GTC):
            raise ValueError(f"order {order_id}: post_only is for GTC limit orders")
        if self._slot(order_id) != NOBODY:
            raise ValueError(f"order {order_id} already rests")
        cdef bint rests = not market and time_in_force == GTC
        if rests:
            self._check_room(order_id, side, price, size)
        cdef int other = SIDE_SELL if side == SIDE_BUY else SIDE_BUY
        cdef vector[QueueLevel]* against = self._side(other)
        # The worst key of the other side that this order trades with.
        cdef int64_t worst = INT64_MIN if market else key_of(other, price)
        cdef bint crosses = not against.empty() and against.back().key >= worst
        cdef list fills = []
        if crosses:
            if post_only:
                return result_of(REJECTED_POST_ONLY, size, fills)
            if time_in_force == FOK and not self._can_fill(against, worst, size):
                return result_of(CANCELED, size, fills)
            if prevent_self_trade and owner != 0 and self._meets_owner(against, worst, size, owner):
                return result_of(REJECTED_SELF_TRADE, size, fills)
            size = self._match(against, worst, size, fills)
            if size == 0:
                return result_of(FILLED, 0, fills)
        if not rests:
            return result_of(CANCELED, size, fills)
        self._rest(order_id, side, price, size, owner)
        return result_of(PARTIALLY_FILLED if fills else ACCEPTED, size, fills)

    def cancel(self, int64_t order_id):
        """Take an order out; answers the size that rested, 0 if it does not rest."""
        cdef int32_t slot = self._slot(order_id)
        if slot == NOBODY:
            return 0
        cdef int64_t size = self._orders[slot].size
        self._take_out(slot)
        return size

    def reduce(self, int64_t order_id, int64_t new_size):
        """Make an order smaller without loss of priority; answers the size taken away, 0 if it does not rest."""
        if new_size <= 0:
            raise ValueError(f"order {order_id}: new size {new_size} is not above 0; to end an order cancel it")
        cdef int32_t slot = self._slot(order_id)
        if slot == NOBODY:
            return 0
        cdef int64_t taken = self._orders[slot].size - new_size
        if taken < 0:
            raise ValueError(f"order {order_id}: new size {new_size} is above the resting {self._orders[slot].size}")
        self._orders[slot].size = new_size
        self._level_of(slot).size -= taken
        return taken

    def remaining(self, int64_t order_id):
        """The resting size of an order; 0 if it does not rest."""
        cdef int32_t slot = self._slot(order_id)
        return 0 if slot == NOBODY else self._orders[slot].size

    def queue_ahead(self, int64_t order_id):
        """The size that trades before this order at its price."""
        cdef int32_t slot = self._slot(order_id)
        if slot == NOBODY:
            raise KeyError(order_id)
        cdef int64_t total = 0
        cdef int32_t ahead = self._orders[slot].ahead
        while ahead != NOBODY:
            total += self._orders[ahead].size
            ahead = self._orders[ahead].ahead
        return total

    def __len__(self):
        return self._index.size()

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
        cdef vector[QueueLevel]* levels = self._side(side)
        cdef Py_ssize_t count = max(0, min(depth, <Py_ssize_t> levels.size()))
        cdef Py_ssize_t last = levels.size() - 1
        cdef Py_ssize_t index
        cdef list answer = []
        for index in range(count):
            answer.append((key_of(side, levels[0][last - index].key), levels[0][last - index].size))
        return answer

    def size_at(self, int side, int64_t price):
        """The resting size at a price; 0 where there is none."""
        cdef vector[QueueLevel]* levels = self._side(side)
        cdef int64_t key = key_of(side, price)
        cdef size_t index = first_not_below(levels[0], key)
        return levels[0][index].size if has_key(levels[0], index, key) else 0

    cdef vector[QueueLevel]* _side(self, int side) except NULL:
        if side == SIDE_BUY:
            return &self._bids
        if side == SIDE_SELL:
            return &self._asks
        raise ValueError(f"side is 1 (BUY) or 2 (SELL), not {side}")

    cdef int32_t _slot(self, int64_t order_id) noexcept:
        found = self._index.find(order_id)
        return NOBODY if found == self._index.end() else dereference(found).second

    cdef int _check_room(self, int64_t order_id, int side, int64_t price, int64_t size) except -1:
        # Before anything trades: an order that could not rest afterwards would leave half of its work behind.
        cdef vector[QueueLevel]* levels = self._side(side)
        cdef int64_t key = key_of(side, price)
        cdef size_t index = first_not_below(levels[0], key)
        if has_key(levels[0], index, key) and levels[0][index].size > INT64_MAX - size:
            raise OverflowError(f"order {order_id}: the size resting at {price} would not fit 64 bits")
        return 0

    cdef bint _can_fill(self, const vector[QueueLevel]* against, int64_t worst, int64_t size) noexcept:
        cdef size_t index = against.size()
        while index > 0 and against[0][index - 1].key >= worst:
            index -= 1
            if against[0][index].size >= size:
                return True
            size -= against[0][index].size
        return False

    cdef bint _meets_owner(
        self, const vector[QueueLevel]* against, int64_t worst, int64_t size, int64_t owner
    ) noexcept:
        cdef size_t index = against.size()
        cdef int32_t slot
        while index > 0 and size > 0 and against[0][index - 1].key >= worst:
            index -= 1
            slot = against[0][index].first
            while slot != NOBODY and size > 0:
                if self._orders[slot].owner == owner:
                    return True
                size -= self._orders[slot].size
                slot = self._orders[slot].behind
        return False

    cdef int64_t _match(self, vector[QueueLevel]* against, int64_t worst, int64_t size, list fills) except -1:
        """Trade ``size`` with the resting orders; answers what remains."""
        cdef QueueLevel* level
        cdef RestingOrder* maker
        cdef int64_t traded
        cdef int32_t slot
        while size > 0 and not against.empty() and against.back().key >= worst:
            level = &against.back()
            slot = level.first
            maker = &self._orders[slot]
            traded = min(size, maker.size)
            size -= traded
            maker.size -= traded
            level.size -= traded
            fills.append(fill_of(maker[0], traded))
            if maker.size == 0:
                self._leave_queue(level, slot)
                if level.first == NOBODY:
                    against.pop_back()
        return size

    cdef int _rest(self, int64_t order_id, int side, int64_t price, int64_t size, int64_t owner) except -1:
        cdef QueueLevel* level = self._level_at(side, price)
        cdef int32_t slot = self._new_slot()
        cdef RestingOrder* order = &self._orders[slot]
        order.order_id = order_id
        order.owner = owner
        order.price = price
        order.size = size
        order.side = side
        order.ahead = level.last
        order.behind = NOBODY
        if level.last == NOBODY:
            level.first = slot
        else:
            self._orders[level.last].behind = slot
        level.last = slot
        level.size += size
        self._index[order_id] = slot
        return 0

    cdef int32_t _new_slot(self) except -1:
        cdef int32_t slot
        if self._free.empty():
            slot = <int32_t> self._orders.size()
            self._orders.resize(self._orders.size() + 1)
        else:
            slot = self._free.back()
            self._free.pop_back()
        return slot

    cdef QueueLevel* _level_at(self, int side, int64_t price) except NULL:
        """The level of a price, made if it is not there."""
        cdef vector[QueueLevel]* levels = self._side(side)
        cdef QueueLevel made
        cdef int64_t key = key_of(side, price)
        cdef size_t index = first_not_below(levels[0], key)
        if not has_key(levels[0], index, key):
            made.key = key
            made.size = 0
            made.first = made.last = NOBODY
            insert_level(levels[0], index, made)
        return &levels[0][index]

    cdef QueueLevel* _level_of(self, int32_t slot) except NULL:
        return self._level_at(self._orders[slot].side, self._orders[slot].price)

    cdef int _take_out(self, int32_t slot) except -1:
        cdef QueueLevel* level = self._level_of(slot)
        cdef vector[QueueLevel]* levels = self._side(self._orders[slot].side)
        level.size -= self._orders[slot].size
        self._leave_queue(level, slot)
        if level.first == NOBODY:
            erase_level(levels[0], level - levels.data())
        return 0

    cdef int _leave_queue(self, QueueLevel* level, int32_t slot) except -1:
        """Unlink an order from its level and free its slot."""
        cdef RestingOrder* order = &self._orders[slot]
        if order.ahead == NOBODY:
            level.first = order.behind
        else:
            self._orders[order.ahead].behind = order.behind
        if order.behind == NOBODY:
            level.last = order.ahead
        else:
            self._orders[order.behind].ahead = order.ahead
        self._index.erase(order.order_id)
        self._free.push_back(slot)
        return 0

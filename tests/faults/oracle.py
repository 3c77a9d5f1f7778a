"""The oracle: what must hold between the venue's own record and our database, whatever failed on the way.

Pure functions over plain data; ``oracle_readers`` fills it from the venue's file and from PostgreSQL, the simulation
from memory. All prices, sizes and money are exact Decimals, so that the two sides need no common precision. The checks
of ``ALWAYS`` hold after every commit of either side; those of ``SETTLED`` once nothing is in flight any more.
"""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

ZERO: Final = Decimal(0)
OPEN_AT_VENUE: Final = frozenset({"NEW", "PARTIALLY_FILLED"})
ENDED: Final[Mapping[str, frozenset[str]]] = {
    "FILLED": frozenset({"FILLED"}),
    "CANCELED": frozenset({"CANCELED"}),
    "EXPIRED": frozenset({"EXPIRED", "EXPIRED_IN_MATCH"}),
}
"""Our last word on an order: the venue's states that it stands for."""
_FILL_UNTOLD: Final = frozenset({"CANCELED", "EXPIRED"})
"""A venue may say these and tell the fill before it later: until then the order may be FILLED there."""
NEVER_THERE: Final = frozenset({"DENIED", "REJECTED"})
OPEN_HERE: Final = frozenset({"ACCEPTED", "PARTIALLY_FILLED", "PENDING_CANCEL", "PENDING_UPDATE", "TRIGGERED"})


class Violation(NamedTuple):
    """An invariant that does not hold, and where."""

    invariant: str
    what: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VenueOrder:
    """An order as the venue recorded it. ``side`` is 1 or -1; a market order has no price. ``locked`` is what it still
    ties up of the currency that it pays with. ``external``: somebody else's than our platform's."""

    order_id: str
    client_order_id: str
    symbol: str
    side: int
    size: Decimal
    price: Decimal | None
    executed: Decimal
    state: str
    created_ms: int
    updated_ms: int
    locked: Decimal = ZERO
    external: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VenueTrade:
    """One execution at the venue; ``trade_id`` as our store names it."""

    trade_id: str
    order_id: str
    symbol: str
    side: int
    price: Decimal
    size: Decimal
    fee: Decimal
    fee_currency: str
    time_ms: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VenueRecord:
    """All that the venue ever recorded of one account. ``symbols`` gives base and quote currency of each; ``locked`` is
    the part of ``balances`` that orders tie up; ``house`` is the other side of all balances, by book and currency."""

    symbols: Mapping[str, tuple[str, str]]
    orders: Sequence[VenueOrder]
    trades: Sequence[VenueTrade]
    opening: Mapping[str, Decimal]
    balances: Mapping[str, Decimal]
    locked: Mapping[str, Decimal] | None = None
    house: Mapping[tuple[str, str], Decimal] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoreOrder:
    """A row of ``orders``."""

    client_order_id: str
    strategy_id: str
    symbol: str
    side: int
    size: Decimal
    price: Decimal | None
    status: str
    outcome: str
    filled_size: Decimal
    venue_order_id: str | None
    reason: str | None = None
    event_count: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoreFill:
    """A row of ``fills``."""

    trade_id: str
    client_order_id: str
    venue_order_id: str
    strategy_id: str
    symbol: str
    side: int
    price: Decimal
    size: Decimal
    fee: Decimal
    fee_currency: str


class StoreEvent(NamedTuple):
    """A row of the journal that is part of an order's story."""

    client_order_id: str
    sequence: int
    type: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits that execution ran with; None is no limit. Notionals are in quote currency."""

    max_order_notional: Decimal | None = None
    max_instrument_notional: Decimal | None = None
    max_account_notional: Decimal | None = None
    max_open_orders_per_instrument: int | None = None
    max_open_orders: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoreRecord:
    """All that our database knows of one account. ``positions`` are by strategy and symbol in base currency, ``books``
    by strategy and currency; ``unpublished`` counts journal rows that the bus may not have; ``told_denied`` names
    orders of which the bus heard that they were refused while the store was away."""

    orders: Sequence[StoreOrder]
    fills: Sequence[StoreFill]
    positions: Mapping[tuple[str, str], Decimal]
    books: Mapping[tuple[str, str], Decimal]
    opening: Mapping[str, Decimal]
    events: Sequence[StoreEvent] = ()
    unpublished: int = 0
    told_denied: Sequence[str] = ()
    limits: Limits = Limits()


Check = Callable[[VenueRecord, StoreRecord], Iterator[Violation]]


def check(venue: VenueRecord, store: StoreRecord, *, settled: bool = True) -> list[Violation]:
    """Every violation that the two records show. ``settled``: the faults have stopped and everything had time to end;
    without it only what must hold at every moment is asked."""
    checks = ALWAYS + SETTLED if settled else ALWAYS
    return [violation for one in checks for violation in one(venue, store)]


# -- what holds at every moment ---------------------------------------------------------------------------------------


def one_order_per_intent(venue: VenueRecord, store: StoreRecord) -> Iterator[Violation]:
    """A client order id names one intent for ever, though the venue would take it again after a close."""
    orders = defaultdict(list)
    for order in _ours(venue):
        orders[order.client_order_id].append(order.order_id)
    for name, ids in orders.items():
        if len(ids) > 1:
            yield Violation("one order per intent", f"{name} is {len(ids)} orders at the venue: {', '.join(ids)}")


def written_before_sent(venue: VenueRecord, store: StoreRecord) -> Iterator[Violation]:
    """An order of ours is in the store before the venue can have it."""
    known = {order.client_order_id for order in store.orders}
    for order in _ours(venue):
        if order.client_order_id not in known:
            yield Violation("no venue order is missing", f"{_named(order)} ({order.state}) is not in our store")


def fills_are_the_venues(venue: VenueRecord, store: StoreRecord) -> Iterator[Violation]:
    """Each fill of ours is a trade of the venue, counted once, with all its figures."""
    trades = {trade.trade_id: trade for trade in venue.trades}
    names = {order.order_id: order for order in venue.orders}
    for trade_id, count in Counter(fill.trade_id for fill in store.fills).items():
        if count > 1:
            yield Violation("every fill once", f"trade {trade_id} is applied {count} times")
    for fill in store.fills:
        trade = trades.get(fill.trade_id)
        if trade is None:
            yield Violation(
                "every fill once", f"fill {fill.trade_id} of {fill.client_order_id}: the venue has no such trade"
            )
        elif _figures(trade) != _figures(fill):
            yield Violation(
                "every fill once", f"fill {fill.trade_id} is {_figures(fill)}, the venue says {_figures(trade)}"
            )
        elif (
            (order := names.get(trade.order_id))
            and not order.external
            and order.client_order_id != fill.client_order_id
        ):
            yield Violation(
                "every fill once", f"trade {fill.trade_id} is booked to {fill.client_order_id}, not to {_named(order)}"
            )


def fills_make_the_books(venue: VenueRecord, store: StoreRecord) -> Iterator[Violation]:
    """Orders, positions and books say what opening balances and fills add up to: one transaction wrote them."""
    filled: dict[str, Decimal] = defaultdict(Decimal)
    positions: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    books: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for currency, amount in store.opening.items():
        books["EXTERNAL", currency] += amount
    for fill in store.fills:
        filled[fill.client_order_id] += fill.size
        positions[fill.strategy_id, fill.symbol] += fill.side * fill.size
        for currency, amount in _moved(fill, venue.symbols[fill.symbol]):
            books[fill.strategy_id, currency] += amount
    for order in store.orders:
        if order.filled_size != filled[order.client_order_id]:
            said = f"{order.client_order_id} says filled {order.filled_size}"
            yield Violation("every fill once", f"{said}, its fills are {filled[order.client_order_id]}")
    yield from _differences("books", "position", positions, store.positions)
    yield from _differences("books", "book", books, store.books)


def ends_are_the_venues_word(venue: VenueRecord, store: StoreRecord) -> Iterator[Violation]:
    """What ended here ended so there; what was never there is not there; what is open here was taken there."""
    there = {order.client_order_id: order for order in venue.orders}
    by_id = {order.order_id: order for order in venue.orders}
    for order in store.orders:
        # Adopted orders may have a name of ours; the venue's number is theirs.
        found = there.get(order.client_order_id) or by_id.get(order.venue_order_id or "")
        said = f"{order.client_order_id} is {order.status}{f' ({order.reason})' if order.reason else ''} here"
        if order.status in NEVER_THERE and found is not None:
            yield Violation("an end is the venue's word", f"{said}, and {found.state} at the venue as {found.order_id}")
        elif order.status in OPEN_HERE | ENDED.keys() and found is None:
            yield Violation("an end is the venue's word", f"{said}, the venue never had it")
        elif found is not None and not _may_stand_for(found.state, order.status):
            yield Violation("an end is the venue's word", f"{said}, and {found.state} at the venue as {found.order_id}")


def cash_is_conserved(venue: VenueRecord, store: StoreRecord) -> Iterator[Violation]:
    """At the venue: deposits and trades make the balances, orders' trades their executed size, all sums are zero."""
    balances: dict[str, Decimal] = defaultdict(Decimal, venue.opening)
    executed: dict[str, Decimal] = defaultdict(Decimal)
    for trade in venue.trades:
        executed[trade.order_id] += trade.size
        for currency, amount in _moved(trade, venue.symbols[trade.symbol]):
            balances[currency] += amount
    yield from _differences("cash is conserved", "balance at the venue of", balances, venue.balances)
    for order in venue.orders:
        if order.executed != executed[order.order_id]:
            said = f"{_named(order)} executed {order.executed}"
            yield Violation("cash is conserved", f"{said}, its trades are {executed[order.order_id]}")
    if venue.locked is not None:
        locked: dict[str, Decimal] = defaultdict(Decimal)
        for order in venue.orders:
            base, quote = venue.symbols[order.symbol]
            locked[quote if order.side > 0 else base] += order.locked
        yield from _differences("cash is conserved", "locked at the venue of", locked, venue.locked)
    if venue.house is not None:
        totals: dict[str, Decimal] = defaultdict(Decimal, venue.balances)
        for (_, currency), amount in venue.house.items():
            totals[currency] += amount
        yield from _differences("cash is conserved", "sum over everybody of", {}, totals)


def stories_are_whole(venue: VenueRecord, store: StoreRecord) -> Iterator[Violation]:
    """Each order's events are numbered without a hole, and tell every fill once."""
    if not store.events:
        return
    told: dict[str, list[int]] = defaultdict(list)
    for event in store.events:
        told[event.client_order_id].append(event.sequence)
    fills_told = Counter(event.client_order_id for event in store.events if event.type == "OrderFilled")
    fills = Counter(fill.client_order_id for fill in store.fills)
    for order in store.orders:
        if sorted(told[order.client_order_id]) != list(range(1, order.event_count + 1)):
            numbers = sorted(told[order.client_order_id])
            yield Violation(
                "stories are whole", f"{order.client_order_id} has {order.event_count} events, told {numbers}"
            )
        if fills_told[order.client_order_id] != fills[order.client_order_id]:
            said = f"{order.client_order_id}: {fills[order.client_order_id]} fills"
            yield Violation("stories are whole", f"{said}, told {fills_told[order.client_order_id]} times")


def refusals_are_kept(venue: VenueRecord, store: StoreRecord) -> Iterator[Violation]:
    """No order lives that a strategy was told is denied."""
    statuses = {order.client_order_id: order.status for order in store.orders}
    for name in store.told_denied:
        if (status := statuses.get(name, "DENIED")) != "DENIED":
            yield Violation("an end is the venue's word", f"{name} was told to be denied, and is {status}")


def limits_hold(venue: VenueRecord, store: StoreRecord) -> Iterator[Violation]:
    """At each new order of ours: what rests at the venue by then is within the limits.

    Positions count at the lowest price of the run, and what happened in one millisecond in the order that is kindest,
    so that nothing is reported that was within its limit as risk saw it.
    """
    limits = store.limits
    exposure = _Exposure(venue)
    for moment in _moments(venue):
        if isinstance(moment, VenueTrade):
            exposure.trade(moment)
            continue
        opens, order = moment
        if not opens:
            exposure.close(order)
            continue
        exposure.open(order)
        for what, value, limit in exposure.against(order, limits):
            if limit is not None and value > limit:
                yield Violation("limits hold", f"at {_named(order)}: {what} was {value}, the limit is {limit}")


# -- what holds once nothing is in flight -----------------------------------------------------------------------------


def nothing_is_in_doubt(venue: VenueRecord, store: StoreRecord) -> Iterator[Violation]:
    """No order is UNKNOWN, none waits for its first word, no change waits for an answer."""
    for order in store.orders:
        if order.outcome == "UNKNOWN":
            yield Violation("no UNKNOWN is left", f"{order.client_order_id} ({order.status}) is UNKNOWN")
        elif order.status in ("INITIALIZED", "SUBMITTED", "PENDING_CANCEL", "PENDING_UPDATE"):
            yield Violation("no UNKNOWN is left", f"{order.client_order_id} still is {order.status}")
    if store.unpublished:
        yield Violation("stories are whole", f"{store.unpublished} committed messages were never published")


def nothing_is_missing(venue: VenueRecord, store: StoreRecord) -> Iterator[Violation]:
    """Every trade is a fill here, and every order that rests there rests here. What somebody else placed and ended
    without a trade need not be known."""
    applied = {fill.trade_id for fill in store.fills}
    for trade in venue.trades:
        if trade.trade_id not in applied:
            yield Violation(
                "every fill once", f"trade {trade.trade_id} of venue order {trade.order_id} is not in our store"
            )
    known = {order.client_order_id: order for order in store.orders}
    by_id = {order.venue_order_id: order for order in store.orders}
    for order in venue.orders:
        here = known.get(order.client_order_id) or by_id.get(order.order_id)
        if here is None:
            if order.external and (order.state in OPEN_AT_VENUE or order.executed):
                yield Violation("no venue order is missing", f"{_named(order)} of somebody else is not in our store")
            continue
        if here.venue_order_id != order.order_id:
            said = f"{_named(order)} is known here as {here.venue_order_id}"
            yield Violation("no venue order is missing", said)
        rests = order.state in OPEN_AT_VENUE and here.status in OPEN_HERE
        if not rests and order.state not in ENDED.get(here.status, ()):
            said = f"{_named(order)} is {order.state} at the venue"
            yield Violation("an end is the venue's word", f"{said}, and {here.status} here")


def books_are_the_venues(venue: VenueRecord, store: StoreRecord) -> Iterator[Violation]:
    """The sum of the books is the venue's balance, the sum of positions what traded there."""
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for (_, currency), amount in store.books.items():
        totals[currency] += amount
    yield from _differences("books = account = venue", "all books of", venue.balances, totals)
    traded: dict[str, Decimal] = defaultdict(Decimal)
    for trade in venue.trades:
        traded[trade.symbol] += trade.side * trade.size
    held: dict[str, Decimal] = defaultdict(Decimal)
    for (_, symbol), size in store.positions.items():
        held[symbol] += size
    yield from _differences("books = account = venue", "all positions of", traded, held)


ALWAYS: Final[tuple[Check, ...]] = (
    one_order_per_intent,
    written_before_sent,
    fills_are_the_venues,
    fills_make_the_books,
    ends_are_the_venues_word,
    cash_is_conserved,
    stories_are_whole,
    refusals_are_kept,
    limits_hold,
)
SETTLED: Final[tuple[Check, ...]] = (nothing_is_in_doubt, nothing_is_missing, books_are_the_venues)


# -- limits -----------------------------------------------------------------------------------------------------------


class _Exposure:
    """What rests at the venue and what is held, while its record is walked through."""

    def __init__(self, venue: VenueRecord) -> None:
        prices: dict[str, list[Decimal]] = defaultdict(list)
        for trade in venue.trades:
            prices[trade.symbol].append(trade.price)
        for order in venue.orders:
            if order.price is not None:
                prices[order.symbol].append(order.price)
        self._lowest = {symbol: min(known) for symbol, known in prices.items()}
        self._held: dict[str, Decimal] = defaultdict(Decimal)
        self._open: dict[str, tuple[VenueOrder, Decimal]] = {}
        self._traded: dict[str, Decimal] = defaultdict(Decimal)

    def open(self, order: VenueOrder) -> None:
        # What it took on its arrival is held already.
        self._open[order.order_id] = (order, order.size - self._traded[order.order_id])

    def close(self, order: VenueOrder) -> None:
        self._open.pop(order.order_id, None)

    def trade(self, trade: VenueTrade) -> None:
        self._held[trade.symbol] += trade.side * trade.size
        self._traded[trade.order_id] += trade.size
        if found := self._open.get(trade.order_id):
            self._open[trade.order_id] = (found[0], found[1] - trade.size)

    def against(self, order: VenueOrder, limits: Limits) -> Iterator[tuple[str, Decimal | int, Decimal | int | None]]:
        """Value and limit of everything that ``order`` counts in."""
        yield "its notional", (order.price or ZERO) * order.size, limits.max_order_notional
        same = sum(1 for other, _ in self._open.values() if other.symbol == order.symbol)
        yield f"number of open orders of {order.symbol}", same, limits.max_open_orders_per_instrument
        yield "number of open orders", len(self._open), limits.max_open_orders
        yield f"exposure of {order.symbol}", self._side(order.symbol, order.side), limits.max_instrument_notional
        symbols = {other.symbol for other, _ in self._open.values()} | self._held.keys()
        total = sum((max(self._side(symbol, side) for side in (1, -1)) for symbol in symbols), start=ZERO)
        yield "exposure of the account", total, limits.max_account_notional

    def _side(self, symbol: str, side: int) -> Decimal:
        resting = sum(
            (
                (other.price or ZERO) * left
                for other, left in self._open.values()
                if (other.symbol, other.side) == (symbol, side)
            ),
            start=ZERO,
        )
        return resting + max(self._held[symbol] * side, ZERO) * self._lowest.get(symbol, ZERO)


def _moments(venue: VenueRecord) -> list[VenueTrade | tuple[bool, VenueOrder]]:
    """Trades, closes and openings of our orders as they happened; an order that never rested only counts its trades."""
    moments: list[tuple[int, int, int, VenueTrade | tuple[bool, VenueOrder]]] = []
    for number, trade in enumerate(venue.trades):
        moments.append((trade.time_ms, 1, number, trade))
    for number, order in enumerate(venue.orders):
        if order.external:
            continue
        ended = order.state not in OPEN_AT_VENUE
        if ended and order.updated_ms <= order.created_ms:
            continue
        moments.append((order.created_ms, 2, number, (True, order)))
        if ended:
            moments.append((order.updated_ms, 0, number, (False, order)))
    return [moment for *_, moment in sorted(moments, key=lambda one: one[:3])]


# -- comparing --------------------------------------------------------------------------------------------------------


def _ours(venue: VenueRecord) -> Iterator[VenueOrder]:
    return (order for order in venue.orders if not order.external)


def _named(order: VenueOrder) -> str:
    return f"{order.client_order_id} (venue order {order.order_id})"


def _may_stand_for(state: str, status: str) -> bool:
    if status not in ENDED or state in ENDED[status]:
        return True
    return status in _FILL_UNTOLD and state == "FILLED"


def _figures(one: VenueTrade | StoreFill) -> tuple[str, int, Decimal, Decimal, Decimal, str]:
    # A fee of nothing has any currency.
    return (one.symbol, one.side, one.price, one.size, one.fee, one.fee_currency if one.fee else "")


def _moved(one: VenueTrade | StoreFill, currencies: tuple[str, str]) -> Iterator[tuple[str, Decimal]]:
    base, quote = currencies
    yield base, one.side * one.size
    yield quote, -one.side * one.size * one.price
    yield one.fee_currency, -one.fee


def _differences(
    invariant: str, what: str, wanted: Mapping[Any, Decimal], found: Mapping[Any, Decimal]
) -> Iterator[Violation]:
    for key in sorted({*wanted, *found}, key=str):
        should, does = wanted.get(key, ZERO), found.get(key, ZERO)
        if should != does:
            name = key if isinstance(key, str) else " ".join(key)
            yield Violation(invariant, f"{what} {name}: {does}, must be {should}")

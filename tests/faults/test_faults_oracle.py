"""The oracle sees each invariant broken, and nothing where all is well."""

import dataclasses
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from faults.oracle import (
    Limits,
    StoreEvent,
    StoreFill,
    StoreOrder,
    StoreRecord,
    VenueOrder,
    VenueRecord,
    VenueTrade,
    check,
)

D = Decimal
Broken = Callable[[VenueRecord, StoreRecord], tuple[VenueRecord, StoreRecord]]


def venue_order(number: int, name: str, state: str, **more: Any) -> VenueOrder:
    usual: dict[str, Any] = {
        "order_id": str(number), "client_order_id": name, "symbol": "BTCUSDT", "side": 1, "size": D(2),
        "price": D(100), "executed": D(0), "state": state, "created_ms": number * 10, "updated_ms": number * 10 + 5,
    }  # fmt: skip
    return VenueOrder(**usual | more)


def store_order(number: int | None, name: str, status: str, **more: Any) -> StoreOrder:
    usual: dict[str, Any] = {
        "client_order_id": name, "strategy_id": "a", "symbol": "BTCUSDT", "side": 1, "size": D(2), "price": D(100),
        "status": status, "outcome": "KNOWN", "filled_size": D(0), "venue_order_id": number and str(number),
        "event_count": 1,
    }  # fmt: skip
    return StoreOrder(**usual | more)


def venue() -> VenueRecord:
    """A buys 2 whole; B rests with half of it traded; C was canceled; D is somebody else's and rests."""
    return VenueRecord(
        symbols={"BTCUSDT": ("BTC", "USDT")},
        orders=[
            venue_order(1, "A", "FILLED", executed=D(2)),
            venue_order(2, "B", "PARTIALLY_FILLED", side=-1, executed=D(1), locked=D(1)),
            venue_order(3, "C", "CANCELED"),
            venue_order(4, "D", "NEW", external=True, locked=D(200)),
        ],
        trades=[
            VenueTrade(
                trade_id="BTCUSDT-1", order_id="1", symbol="BTCUSDT", side=1, price=D(100), size=D(2), fee=D("0.002"),
                fee_currency="BTC", time_ms=10,
            ),
            VenueTrade(
                trade_id="BTCUSDT-2", order_id="2", symbol="BTCUSDT", side=-1, price=D(100), size=D(1), fee=D("0.1"),
                fee_currency="USDT", time_ms=25,
            ),
        ],
        opening={"BTC": D(10), "USDT": D(1000)},
        balances={"BTC": D("10.998"), "USDT": D("899.9")},
        locked={"BTC": D(1), "USDT": D(200)},
        house={
            ("deposits", "BTC"): D(-10), ("deposits", "USDT"): D(-1000), ("market", "BTC"): D(-1),
            ("market", "USDT"): D(100), ("fees", "BTC"): D("0.002"), ("fees", "USDT"): D("0.1"),
        },
    )  # fmt: skip


def store() -> StoreRecord:
    fills = [
        StoreFill(
            trade_id=trade.trade_id, client_order_id={"1": "A", "2": "B"}[trade.order_id], strategy_id="a",
            venue_order_id=trade.order_id, symbol=trade.symbol, side=trade.side, price=trade.price, size=trade.size,
            fee=trade.fee, fee_currency=trade.fee_currency,
        )
        for trade in venue().trades
    ]  # fmt: skip
    return StoreRecord(
        orders=[
            store_order(1, "A", "FILLED", filled_size=D(2), event_count=2),
            store_order(2, "B", "PARTIALLY_FILLED", side=-1, filled_size=D(1), event_count=2),
            store_order(3, "C", "CANCELED"),
            store_order(4, "D", "ACCEPTED", strategy_id="EXTERNAL"),
            store_order(None, "E", "REJECTED", reason="NOT_AT_VENUE"),
            store_order(None, "F", "DENIED"),
        ],
        fills=fills,
        positions={("a", "BTCUSDT"): D(1)},
        books={
            ("EXTERNAL", "BTC"): D(10), ("EXTERNAL", "USDT"): D(1000), ("a", "BTC"): D("0.998"),
            ("a", "USDT"): D("-100.1"),
        },
        opening={"BTC": D(10), "USDT": D(1000)},
        events=[
            *(StoreEvent(name, 1, "OrderAccepted") for name in "ABCDEF"),
            StoreEvent("A", 2, "OrderFilled"),
            StoreEvent("B", 2, "OrderFilled"),
        ],
        limits=Limits(
            max_order_notional=D(200), max_instrument_notional=D(400), max_account_notional=D(500),
            max_open_orders_per_instrument=2, max_open_orders=2,
        ),
    )  # fmt: skip


def add_order(order: VenueOrder) -> Broken:
    return lambda v, s: (dataclasses.replace(v, orders=[*v.orders, order]), s)


def set_there(name: str, **change: Any) -> Broken:
    def broken(v: VenueRecord, s: StoreRecord) -> tuple[VenueRecord, StoreRecord]:
        orders = [dataclasses.replace(o, **change) if o.client_order_id == name else o for o in v.orders]
        return dataclasses.replace(v, orders=orders), s

    return broken


def set_here(name: str, **change: Any) -> Broken:
    def broken(v: VenueRecord, s: StoreRecord) -> tuple[VenueRecord, StoreRecord]:
        orders = [dataclasses.replace(o, **change) if o.client_order_id == name else o for o in s.orders]
        return v, dataclasses.replace(s, orders=orders)

    return broken


def in_venue(**change: Callable[[Any], Any]) -> Broken:
    return lambda v, s: (dataclasses.replace(v, **{n: f(getattr(v, n)) for n, f in change.items()}), s)


def in_store(**change: Callable[[Any], Any]) -> Broken:
    return lambda v, s: (v, dataclasses.replace(s, **{n: f(getattr(s, n)) for n, f in change.items()}))


def test_all_is_well() -> None:
    assert check(venue(), store()) == []


BROKEN: dict[str, tuple[str, Broken]] = {
    "an intent twice at the venue": ("one order per intent", add_order(venue_order(5, "C", "CANCELED"))),
    "an order that we never wrote": ("no venue order is missing", add_order(venue_order(5, "X", "CANCELED"))),
    "an order whose row is gone": ("no venue order is missing", in_store(orders=lambda rows: rows[1:])),
    "somebody's open order unknown": ("no venue order is missing", in_store(orders=lambda r: r[:3] + r[4:])),
    "another number at the venue": ("no venue order is missing", set_here("B", venue_order_id="9")),
    "a fill twice": ("every fill once", in_store(fills=lambda rows: [*rows, rows[0]])),
    "a fill that is no trade": (
        "every fill once",
        in_store(fills=lambda rows: [dataclasses.replace(rows[0], trade_id="X"), rows[1]]),
    ),
    "a fill with another price": (
        "every fill once",
        in_store(fills=lambda rows: [dataclasses.replace(rows[0], price=D(101)), rows[1]]),
    ),
    "a fill with another fee": (
        "every fill once",
        in_store(fills=lambda rows: [dataclasses.replace(rows[0], fee=D(0)), rows[1]]),
    ),
    "a fill of another order": (
        "every fill once",
        in_store(fills=lambda rows: [dataclasses.replace(rows[0], client_order_id="B"), rows[1]]),
    ),
    "a fill lost": ("every fill once", in_store(fills=lambda rows: rows[1:])),
    "filled size is not its fills": ("every fill once", set_here("B", filled_size=D("1.5"))),
    "a position off by the least": ("books", in_store(positions=lambda _: {("a", "BTCUSDT"): D("1.00000001")})),
    "a book off by the least": ("books", in_store(books=lambda b: b | {("a", "USDT"): D("-100.09999999")})),
    "opening balance is not the account's": (
        "books = account = venue",
        in_store(opening=lambda o: o | {"BTC": D(9)}, books=lambda b: b | {("EXTERNAL", "BTC"): D(9)}),
    ),
    "positions are not what traded": (
        "books = account = venue",
        in_store(positions=lambda p: p | {("b", "BTCUSDT"): D(1)}),
    ),
    "rejected here, there at the venue": ("an end is the venue's word", set_here("C", status="REJECTED")),
    "denied here, there at the venue": ("an end is the venue's word", set_here("C", status="DENIED")),
    "NOT_AT_VENUE, and it is": ("an end is the venue's word", add_order(venue_order(5, "E", "CANCELED"))),
    "canceled here, open there": ("an end is the venue's word", set_here("B", status="CANCELED")),
    "filled here, open there": ("an end is the venue's word", set_here("B", status="FILLED")),
    "open here, canceled there": ("an end is the venue's word", set_here("C", status="ACCEPTED")),
    "accepted here, never there": ("an end is the venue's word", set_here("E", status="ACCEPTED")),
    "canceled here, never there": ("an end is the venue's word", set_here("E", status="CANCELED")),
    "expired here, canceled there": ("an end is the venue's word", set_here("C", status="EXPIRED")),
    "the venue lost a unit": (
        "cash is conserved",
        in_venue(balances=lambda b: b | {"USDT": D("899.89999999")}, house=lambda _: None),
    ),
    "the market's side is off": (
        "cash is conserved",
        in_venue(house=lambda h: h | {("market", "BTC"): D("-1.00000001")}),
    ),
    "locked is not the orders'": ("cash is conserved", in_venue(locked=lambda x: x | {"BTC": D(2)})),
    "executed is not the trades'": ("cash is conserved", set_there("B", executed=D("0.5"))),
    "a hole in a story": ("stories are whole", in_store(events=lambda rows: rows[:-1])),
    "an event told twice": ("stories are whole", in_store(events=lambda rows: [*rows, rows[0]])),
    "a fill not told": (
        "stories are whole",
        in_store(events=lambda rows: [*rows[:-1], StoreEvent("B", 2, "OrderCanceled")]),
    ),
    "told to be denied, and alive": ("an end is the venue's word", in_store(told_denied=lambda _: ["F", "B"])),
    "messages unpublished": ("stories are whole", in_store(unpublished=lambda _: 1)),
    "an UNKNOWN left": ("no UNKNOWN is left", set_here("B", outcome="UNKNOWN")),
    "an order in flight left": ("no UNKNOWN is left", set_here("F", status="SUBMITTED")),
    "a cancel in flight left": ("no UNKNOWN is left", set_here("B", status="PENDING_CANCEL")),
    "an order over its limit": ("limits hold", set_there("A", price=D("100.01"))),
    "one order too many": (
        "limits hold",
        lambda v, s: add_order(venue_order(9, "Y", "NEW"))(*add_order(venue_order(8, "X", "NEW"))(v, s)),
    ),
    "too much on one side": (
        "limits hold",
        lambda v, s: add_order(venue_order(9, "Y", "NEW"))(
            *add_order(venue_order(8, "X", "NEW", size=D("1.51")))(v, s)
        ),
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_reported(name: str) -> None:
    invariant, broken = BROKEN[name]
    assert invariant in {violation.invariant for violation in check(*broken(venue(), store()))}


def test_an_order_that_ended_before_the_next_one_makes_room() -> None:
    ended = [venue_order(n, f"X{n}", "CANCELED", created_ms=1_000 + n, updated_ms=1_001 + n) for n in range(20, 30)]
    orders = [*venue().orders, *ended]
    found = check(dataclasses.replace(venue(), orders=orders), store(), settled=False)
    assert {violation.invariant for violation in found} == {"no venue order is missing"}


def test_what_is_still_in_flight_is_no_violation_before_the_end() -> None:
    v, s = set_here("A", status="CANCELED", filled_size=D(0), event_count=1)(venue(), store())
    untold = dataclasses.replace(
        s,
        fills=s.fills[1:],
        positions={("a", "BTCUSDT"): D(-1)},
        books=dict(s.books) | {("a", "BTC"): D(-1), ("a", "USDT"): D("99.9")},
        events=[event for event in s.events if event != ("A", 2, "OrderFilled")],
        unpublished=3,
    )
    assert check(v, untold, settled=False) == []
    assert {one.invariant for one in check(v, untold)} == {
        "every fill once", "an end is the venue's word", "books = account = venue", "stories are whole",
    }  # fmt: skip

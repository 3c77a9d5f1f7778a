"""Whose order a report is about, what nobody's order is called, and that the same reports again say nothing."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from order_path_kit import BTCUSDT, NOW, cancel, event_names, fill, new_engine, status, submit

from tradewind.execution.engine import ExecutionEngine
from tradewind.model.enums import OrderSide, Outcome, Resolution
from tradewind.model.identifiers import EXTERNAL, ClientOrderId, VenueOrderId
from tradewind.model.order_status import OrderStatus
from tradewind.wire.commands import ResolveOrder

S = OrderStatus
NAME = ClientOrderId("a-1-1")


def unknown(engine: ExecutionEngine) -> None:
    engine.plan_commands([submit("a-1-1")], NOW)
    engine.plan_unknown(NAME, "timeout", NOW)


def word(resolution: Resolution) -> ResolveOrder:
    return ResolveOrder(
        event_id="r1", correlation_id="r1", causation_id="", ts_event=NOW, ts_init=NOW, account_id="BINANCE-main",
        client_order_id=NAME, resolution=resolution, actor="ann", why="asked them",
    )  # fmt: skip


def test_a_report_that_cannot_be_the_order_of_its_name_is_a_strangers() -> None:
    engine = new_engine()
    unknown(engine)
    other_side = status("a-1-1", S.ACCEPTED, side=OrderSide.SELL, venue_order_id=VenueOrderId("7"))
    plan = engine.plan_reports([other_side], NOW)
    [adopted] = plan.new_orders.values()
    assert (adopted.client_order_id, adopted.strategy_id) == ("venue-BTCUSDT-7", EXTERNAL)
    assert engine.orders[NAME].outcome is Outcome.UNKNOWN


def test_a_replacement_under_the_same_name_is_external_and_the_old_order_ends_by_its_own_word() -> None:
    engine = new_engine()
    engine.plan_commands([submit("a-1-1")], NOW)
    engine.plan_reports([status("a-1-1", S.ACCEPTED, venue_order_id=VenueOrderId("1"))], NOW)
    plan = engine.plan_reports([status("a-1-1", S.ACCEPTED, venue_order_id=VenueOrderId("2"))], NOW)
    assert [order.client_order_id for order in plan.new_orders.values()] == ["venue-BTCUSDT-2"]
    assert engine.orders[NAME].status is S.ACCEPTED
    ended = engine.plan_reports([status("a-1-1", S.CANCELED, venue_order_id=VenueOrderId("1"))], NOW)
    assert event_names(ended) == ["OrderCanceled"]
    assert engine.orders[ClientOrderId("venue-BTCUSDT-2")].status is S.ACCEPTED
    fills = engine.plan_reports([fill("a-1-1", "t9", venue_order_id=VenueOrderId("2"))], NOW)
    assert [row.strategy_id for row in fills.fills] == [EXTERNAL]


def test_the_venue_counts_order_ids_per_instrument_and_so_do_we() -> None:
    engine = new_engine()
    fields = {f: getattr(BTCUSDT, f) for f in BTCUSDT.__struct_fields__} | {"instrument_id": "ETHUSDT.BINANCE"}
    engine.instruments["ETHUSDT.BINANCE"] = type(BTCUSDT)(**fields)  # type: ignore[index]
    reports: list[Any] = [
        status("x", S.ACCEPTED, client_order_id=None, venue_order_id=VenueOrderId("5"), instrument_id=name)
        for name in ("BTCUSDT.BINANCE", "ETHUSDT.BINANCE")
    ]
    plan = engine.plan_reports(reports, NOW)
    assert sorted(plan.new_orders) == ["venue-BTCUSDT-5", "venue-ETHUSDT-5"]


def test_an_adopted_orders_cancel_names_it_by_the_venues_id() -> None:
    engine = new_engine()
    engine.plan_reports([status("x", S.ACCEPTED, client_order_id=None, venue_order_id=VenueOrderId("5"))], NOW)
    [one] = engine.plan_commands([cancel("venue-BTCUSDT-5")], NOW).cancels
    assert one.venue_order_id == "5"


def test_thousands_of_open_orders_are_all_found_by_the_venues_id() -> None:
    engine = new_engine()
    reports = [
        status(f"x-{n}", S.ACCEPTED, client_order_id=None, venue_order_id=VenueOrderId(str(n))) for n in range(3_000)
    ]
    engine.plan_reports(reports, NOW)
    assert len(engine.orders) == 3_000
    plan = engine.plan_reports([fill("x-0", "t0", client_order_id=None, venue_order_id=VenueOrderId("0"))], NOW)
    assert [row.client_order_id for row in plan.fills] == ["venue-BTCUSDT-0"]
    assert engine.plan_reports(reports[1:], NOW).is_empty


def test_an_operators_word_that_the_venue_contradicts_is_overruled_and_told() -> None:
    engine = new_engine()
    unknown(engine)
    plan = engine.plan_operators([word(Resolution.NOT_AT_VENUE), word(Resolution.NOT_AT_VENUE)], NOW)
    assert event_names(plan) == ["OrderOutcomeResolved", "OrderRejected"]
    assert plan.recovery is not None
    assert len(plan.recovery.audit) == 1  # the same command twice is done once
    plan = engine.plan_reports([fill("a-1-1", "t1")], NOW)
    assert len(plan.alarms) == 1
    assert engine.orders[NAME].status is S.PARTIALLY_FILLED
    assert engine.risk.reserved_notional(BTCUSDT.instrument_id, OrderSide.BUY) > 0


def test_an_order_held_to_be_dead_and_seen_at_work_counts_again_and_is_cancelled_there() -> None:
    engine = new_engine()
    unknown(engine)
    engine.plan_not_sent(NAME, "NOT_AT_VENUE", NOW)
    assert NAME not in engine.orders
    plan = engine.plan_reports([status("a-1-1", S.ACCEPTED)], NOW)
    assert event_names(plan) == ["OrderOutcomeUnknown"]
    assert [one.client_order_id for one in plan.cancels] == [NAME]
    assert engine.risk.reserved_notional(BTCUSDT.instrument_id, OrderSide.BUY) == 6_000
    assert engine.plan_reports([status("a-1-1", S.ACCEPTED)], NOW).is_empty
    plan = engine.plan_reports([status("a-1-1", S.CANCELED)], NOW)
    assert event_names(plan) == ["OrderOutcomeResolved"]
    assert engine.risk.reserved_notional(BTCUSDT.instrument_id, OrderSide.BUY) == 0


def test_a_word_that_would_forget_fills_is_refused() -> None:
    engine = new_engine()
    engine.plan_commands([submit("a-1-1")], NOW)
    engine.plan_reports([fill("a-1-1", "t1")], NOW)
    engine.plan_unknown(NAME, "cancel: timeout", NOW)
    plan = engine.plan_operators([word(Resolution.NOT_AT_VENUE)], NOW)
    assert plan.recovery is not None
    assert "resolve it as CANCELED" in plan.recovery.audit[0].after
    assert engine.orders[NAME].outcome is Outcome.UNKNOWN


VENUE_IDS = st.sampled_from(["1", "2", "3"])
NAMES = st.sampled_from([None, "a-1-1", "b-1-1", "web"])


@st.composite
def report_sets(draw: Any) -> list[Any]:
    """Up to a few venue orders, each with one name and side, statuses and fills of each."""
    reports: list[Any] = []
    for number in draw(st.lists(VENUE_IDS, unique=True, max_size=3)):
        known: dict[str, Any] = {
            "venue_order_id": VenueOrderId(number),
            "client_order_id": draw(NAMES),
            "side": draw(st.sampled_from(list(OrderSide))),
        }
        filled = draw(st.sampled_from([0, 2_000, 10_000]))
        end = S.FILLED if filled == 10_000 else draw(st.sampled_from([S.ACCEPTED, S.CANCELED, S.EXPIRED]))
        if end is S.ACCEPTED and filled:
            end = S.PARTIALLY_FILLED
        reports.append(status("x", end, filled_size=filled, **known))
        if filled:
            reports.append(fill("x", f"t{number}", size=filled, **known))
    return reports


@given(report_sets(), st.randoms(use_true_random=False))
def test_a_second_pass_over_the_same_reports_makes_no_event(reports: list[Any], random: Any) -> None:
    engine = new_engine()
    engine.plan_commands([submit("a-1-1"), submit("b-1-1", side=OrderSide.SELL)], NOW)
    for _ in range(2):  # fills of orders that are not known yet are planned again, as the reconciler does
        engine.plan_reports(reports, NOW)
        engine.plan_reports(engine.orphans.values(), NOW)
    again = list(reports)
    random.shuffle(again)
    assert engine.plan_reports(again, NOW).is_empty
    assert engine.plan_reports(reports, NOW).is_empty
    totals = sum((amount for (_, currency), amount in engine.ledger.books.items() if currency == "BTC"), start=0)
    assert totals == engine.ledger.totals["BTC"]


@given(report_sets())
def test_the_same_reports_give_the_same_names(reports: list[Any]) -> None:
    engines = [new_engine(), new_engine()]
    for engine in engines:
        engine.plan_reports(reports, NOW)
    first, second = (sorted(engine.orders) for engine in engines)
    assert first == second

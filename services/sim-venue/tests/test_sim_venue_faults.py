"""The liar without I/O: scripts are checked whole, the same seed tells the same lies, and no lie touches the record."""

import contextlib
import copy
import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.services.sim_venue.accounts import Balances, Holding
from tradewind.services.sim_venue.amounts import ONE
from tradewind.services.sim_venue.changes import Changes
from tradewind.services.sim_venue.exchange import Exchange, FeeRates, OrderRequest
from tradewind.services.sim_venue.faults import script
from tradewind.services.sim_venue.faults.departures import DepartureLine
from tradewind.services.sim_venue.faults.desk import FaultDesk
from tradewind.services.sim_venue.faults.event_facts import event_facts
from tradewind.services.sim_venue.faults.liar import Liar
from tradewind.services.sim_venue.faults.plans import HONEST, EventFacts, EventPlan, Race, RequestFacts
from tradewind.services.sim_venue.faults.races import cancel_with_race, race_after_placing
from tradewind.services.sim_venue.faults.script import FaultScript, Rule
from tradewind.services.sim_venue.faults.script_reading import (
    SCRIPTS,
    ScriptRefused,
    load_script,
    parse_script,
    script_of,
    script_path,
)
from tradewind.services.sim_venue.faults.view_history import ViewHistory
from tradewind.services.sim_venue.flow import FlowGenerator
from tradewind.services.sim_venue.flow_market import FlowMarket
from tradewind.services.sim_venue.listings import KNOWN
from tradewind.services.sim_venue.orders import BUY, SELL, AccountTrade, OrderState, VenueOrder
from tradewind.services.sim_venue.refusals import Refused

BTC = KNOWN["BTCUSDT"]
NEW = RequestFacts(endpoint="new_order", symbol="BTCUSDT", client_order_id="s-1-1")
CANCEL = RequestFacts(endpoint="cancel_order", symbol="BTCUSDT", client_order_id="s-1-1")
TRADE = EventFacts(kind="TRADE", symbol="BTCUSDT", client_order_id="s-1-1", trade_id=4)
NEEDED = {"late_request", "stuck_request", "late_answer", "late_event", "slow_stream", "stale_view", "skewed_clock"}


def _script(*rules: dict[str, Any], seed: int = 1) -> FaultScript:
    return script_of({"seed": seed, "rules": list(rules)})


def _rule(lie: str, **fields: Any) -> dict[str, Any]:
    return {"lie": lie, **({"ms": 100} if lie in NEEDED else {}), **fields}


class Room:
    """An exchange whose journal is the record; every step is checked."""

    def __init__(self, seed: int) -> None:
        self.orders: dict[int, VenueOrder] = {}
        self.trades: dict[int, AccountTrade] = {}
        self.events: list[dict[str, Any]] = []
        self.history = ViewHistory()
        self.now_ms = 1_000
        self.exchange = Exchange(
            {"BTCUSDT": BTC},
            Balances(),
            FeeRates(maker=ONE // 1000, taker=ONE // 500),
            self._append,
            lambda: self.now_ms,
        )
        self.exchange.deposit("main", {"BTC": 50 * ONE, "USDT": 5_000_000 * ONE})
        generator = FlowGenerator(BTC, seed, 500.0)
        self.market = FlowMarket(BTC, generator, lambda *_: None, self.exchange.on_fill, start_ms=0)
        self.market.open()
        self.exchange.markets["BTCUSDT"] = self.market
        self._names = itertools.count()

    def _append(self, changes: Changes) -> int:
        self.history.note(changes, self.now_ms)
        self.orders.update({order.order_id: order for order in changes.orders})
        for trade in changes.trades:
            assert trade.trade_id not in self.trades
            self.trades[trade.trade_id] = trade
        self.events += [json.loads(message) for _, message in changes.messages]
        return len(self.events)

    def request(self, side: int, distance: int, size: int, name: str = "") -> OrderRequest:
        (bid, _), (ask, _) = self.market.best()
        price = bid - distance if side == BUY else ask + distance
        name = name or f"n{next(self._names)}"
        return OrderRequest("BTCUSDT", side, "LIMIT", "GTC", price * BTC.price_unit, size * BTC.step, name)

    def check(self) -> None:
        """The record is true: sizes and cash of every order are its trades', nothing is lost or made."""
        for order in self.orders.values():
            trades = [trade for trade in self.trades.values() if trade.order_id == order.order_id]
            assert order.executed == sum(trade.size for trade in trades)
            assert order.cash == sum(trade.cash for trade in trades)
            assert (order.state is OrderState.FILLED) == (order.remaining == 0)
            assert order.state.is_open or order.locked == 0
        balances = self.exchange.balances
        assert {balances.total(asset) for asset in ("BTC", "USDT")} == {0}
        for asset in ("BTC", "USDT"):
            locked = sum(
                order.locked for order in self.exchange.open_orders.values() if (asset == "USDT") == (order.side == BUY)
            )
            assert balances.of("main", asset).locked == locked


# -- scripts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"lie": "wrong"}, "field lie"),
        ({}, "lie"),
        ({"lie": "late_answer"}, r"rule 2 \(late_answer\), field ms"),
        ({"lie": "late_answer", "ms": -1}, "field ms"),
        ({"lie": "late_answer", "ms": "much"}, "ms"),
        ({"lie": "late_answer", "ms": 10**9}, "field ms"),
        ({"lie": "late_answer", "ms": 5, "endpoints": ["order"]}, "field endpoints"),
        ({"lie": "late_answer", "ms": 5, "speed": 3}, "speed"),
        ({"lie": "late_answer", "ms": 5, "probability": 0.0}, "field probability"),
        ({"lie": "late_answer", "ms": 5, "probability": float("nan")}, "field probability"),
        ({"lie": "late_answer", "ms": 5, "events": ["TRADE"]}, "field events"),
        ({"lie": "late_answer", "ms": 5, "nth": 0}, "field nth"),
        ({"lie": "late_answer", "ms": 5, "every": 3, "run": 4}, "field run"),
        ({"lie": "late_answer", "ms": 5, "from_ms": 9, "until_ms": 9}, "field until_ms"),
        ({"lie": "late_answer", "ms": 5, "symbol": "B" * 65}, "field symbol"),
        ({"lie": "missing_event", "on": "elsewhere"}, "field on"),
        ({"lie": "missing_event", "on": "market", "events": ["NEW"]}, "field events"),
        ({"lie": "missing_event", "streams": ["trade"]}, "field streams"),
        ({"lie": "doubled_event", "copies": 11}, "field copies"),
        ({"lie": "error_before", "status": 404}, "field status"),
        ({"lie": "fill_before_ack", "endpoints": ["cancel_order"]}, "field endpoints"),
        ({"lie": "fill_after_cancel", "percent": 0}, "field percent"),
        ({"lie": "stale_view", "ms": 60_001}, "field ms"),
        ({"lie": "stale_view", "ms": 60_000, "jitter_ms": 1}, "field jitter_ms"),
        ({"lie": "stale_view", "ms": 5, "endpoints": ["new_order"]}, "field endpoints"),
        ({"lie": "skewed_clock", "ms": 5, "nth": 2}, "field nth"),
        ({"lie": "skewed_clock"}, "field ms"),
    ],
)
def test_a_bad_rule_is_refused_by_number_and_field(rule: dict[str, Any], field: str) -> None:
    with pytest.raises(ScriptRefused, match="rule 2") as caught:
        _script(_rule("lost_answer"), rule)
    assert caught.match(field)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{",
        b'{"rules": 5}',
        b'{"rules": [5]}',
        b'{"seed": -1}',
        b'{"seed": "x"}',
        b'{"other": 1}',
        b'{"rules": [{"lie": "cut_after", "name": "a"}, {"lie": "cut_after", "name": "a"}]}',
        b"\xff",
        b"[" * 16_000,
        b" " * 20_000,
    ],
)
def test_what_is_no_script_is_refused(text: bytes) -> None:
    with pytest.raises(ScriptRefused):
        parse_script(text)


def test_too_many_rules_are_refused() -> None:
    _script(*[_rule("cut_after")] * script.MAX_RULES)
    with pytest.raises(ScriptRefused, match="at most 100"):
        _script(*[_rule("cut_after")] * (script.MAX_RULES + 1))


def test_every_lie_makes_a_rule() -> None:
    rules = _script(*[_rule(lie) for lie in script.LIES]).rules
    assert [rule.lie for rule in rules] == list(script.LIES)
    assert len({rule.name for rule in rules}) == len(rules)


def test_the_scripts_that_come_along_are_good(tmp_path: Any) -> None:
    names = sorted(path.stem for path in SCRIPTS.glob("*.toml"))
    assert names == ["blind", "rude", "storm"]
    for name in names:
        assert load_script(script_path(name)).rules
    written = tmp_path / "mine.json"
    written.write_text(json.dumps({"seed": 4, "rules": [_rule("cut_after")]}))
    assert load_script(script_path(str(written))).seed == 4
    with pytest.raises(ScriptRefused, match="blind, rude, storm"):
        script_path("polite")
    with pytest.raises(ScriptRefused, match="cannot be read"):
        load_script(script_path(str(tmp_path / "none.toml")))
    (tmp_path / "bad.toml").write_text("rules = 3")
    with pytest.raises(ScriptRefused, match=r"bad\.toml"):
        load_script(tmp_path / "bad.toml")


# -- who is lied to ----------------------------------------------------------------------------------------------------


def _hit(rule: dict[str, Any], facts: RequestFacts = NEW, times: int = 12) -> list[int]:
    """The numbers of the requests that a rule hits, from 1."""
    liar = Liar(_script(rule), began_ms=0)
    return [number for number in range(1, times + 1) if liar.request(facts, 0).rules]


def test_how_often() -> None:
    assert _hit(_rule("cut_after")) == list(range(1, 13))
    assert _hit(_rule("cut_after", nth=11)) == [11, 12]
    assert _hit(_rule("cut_after", nth=2, every=4)) == [2, 6, 10]
    assert _hit(_rule("cut_after", nth=2, every=5, run=2)) == [2, 3, 7, 8, 12]
    assert _hit(_rule("cut_after", nth=3, times=2)) == [3, 4]
    some = _hit(_rule("cut_after", probability=0.5), times=400)
    assert 120 < len(some) < 280


def test_whom() -> None:
    assert not _hit(_rule("cut_after", symbol="ETHUSDT"))
    assert not _hit(_rule("cut_after", client_order_id="t-"))
    assert _hit(_rule("cut_after", client_order_id="s-1"))
    assert not _hit(_rule("cut_after", endpoints=["cancel_order"]))
    assert _hit(_rule("cut_after", endpoints=["cancel_order"]), CANCEL)
    assert not _hit(_rule("cut_after"), RequestFacts(endpoint="time"))
    assert not _hit(_rule("fill_after_cancel"))


def test_from_when_until_when() -> None:
    liar = Liar(_script(_rule("cut_after", from_ms=100, until_ms=200), _rule("skewed_clock", ms=-7)), began_ms=1_000)
    assert [bool(liar.request(NEW, now).rules) for now in (1_099, 1_100, 1_199, 1_200)] == [False, True, True, False]
    assert liar.skew_ms(5_000) == -7


def test_the_first_rule_decides_and_all_count() -> None:
    liar = Liar(_script(_rule("cut_after", every=2), _rule("lost_answer")), began_ms=0)
    plans = [liar.request(NEW, 0).rules for _ in range(4)]
    assert plans == [("1-cut_after",), ("2-lost_answer",)] * 2
    assert [(each.matches, each.hits) for each in liar.hits()] == [(4, 2), (4, 2)]


def test_an_honest_venue_does_nothing() -> None:
    liar = Liar(FaultScript(), began_ms=0)
    assert liar.request(NEW, 0) is HONEST
    assert liar.private_event(TRADE, 0).copies_ms == (0,)
    assert (liar.skew_ms(0), liar.needs_history, liar.touches_market) == (0, False, False)


_RULES = st.builds(
    lambda lie, probability, nth, every, jitter: Rule(
        lie=lie,
        name=f"{lie}-{nth}-{every}-{jitter}",
        probability=probability,
        nth=nth,
        every=every,
        ms=50,
        jitter_ms=jitter,
    ),
    st.sampled_from([lie for lie in script.LIES if lie != script.CLOCK_LIE]),
    st.floats(0.05, 1.0),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(0, 500),
)
_ASKED = st.lists(st.sampled_from([NEW, CANCEL, TRADE, RequestFacts(endpoint="open_orders"), "depth"]), max_size=60)


@settings(max_examples=150, deadline=None)
@given(st.lists(_RULES, max_size=8, unique_by=lambda rule: rule.name), st.integers(0, 2**40), _ASKED)
def test_the_same_seed_and_questions_give_the_same_lies(rules: list[Rule], seed: int, asked: list[Any]) -> None:
    def ask() -> list[Any]:
        liar = Liar(FaultScript(rules=tuple(rules)), began_ms=0, seed=seed)
        answers: list[Any] = []
        for number, facts in enumerate(asked):
            if isinstance(facts, RequestFacts):
                answers.append(liar.request(facts, number))
            elif isinstance(facts, EventFacts):
                answers.append(liar.private_event(facts, number))
            else:
                answers.append(liar.market_event("BTCUSDT", "depth@100ms", number))
        return [*answers, liar.hits()]

    assert ask() == ask()


def test_questions_about_something_else_change_nothing() -> None:
    rules = (_rule("cut_after", probability=0.5), _rule("missing_event", probability=0.5))
    alone, mixed = Liar(_script(*rules), began_ms=0), Liar(_script(*rules), began_ms=0)
    wanted = [alone.request(NEW, 0) for _ in range(50)]
    found = []
    for _ in range(50):
        mixed.private_event(TRADE, 0)
        found.append(mixed.request(NEW, 0))
    assert found == wanted


def test_another_seed_tells_other_lies() -> None:
    rule = _rule("cut_after", probability=0.5)
    first, second = (Liar(_script(rule), began_ms=0, seed=seed) for seed in (1, 2))
    assert [first.request(NEW, 0) for _ in range(64)] != [second.request(NEW, 0) for _ in range(64)]


# -- departures --------------------------------------------------------------------------------------------------------


def _leave(plans: list[EventPlan]) -> list[int]:
    """The order in which events leave that came at once, one each ms."""
    line: DepartureLine[int] = DepartureLine()
    left: list[int] = []
    for number, plan in enumerate(plans):
        line.push(number, plan, number)
        left += line.due(number)
    while (next_ms := line.next_ms) is not None:
        left += line.due(next_ms)
    assert line.is_empty
    return left


def test_the_ways_to_leave() -> None:
    straight = EventPlan()
    assert _leave([straight] * 4) == [0, 1, 2, 3]
    assert _leave([EventPlan(copies_ms=()), straight]) == [1]
    assert _leave([EventPlan(copies_ms=(0, 0)), straight]) == [0, 0, 1]
    assert _leave([EventPlan(copies_ms=(0, 5)), straight]) == [0, 1, 0]
    assert _leave([EventPlan(copies_ms=(2,)), straight, straight, straight]) == [1, 0, 2, 3]
    assert _leave([EventPlan(copies_ms=(9,), holds_back=True), straight, straight]) == [0, 1, 2]
    assert _leave([EventPlan(copies_ms=(900,), after_events=2), straight, straight, straight]) == [1, 2, 0, 3]
    assert _leave([EventPlan(copies_ms=(2,), after_events=9), straight, straight, straight]) == [1, 2, 0, 3]


_PLANS = st.builds(
    EventPlan,
    copies_ms=st.lists(st.integers(0, 50), max_size=3).map(tuple),
    holds_back=st.booleans(),
    after_events=st.integers(0, 3),
)


@given(st.lists(_PLANS, max_size=40))
def test_each_copy_leaves_once(plans: list[EventPlan]) -> None:
    left = _leave(plans)
    for number, plan in enumerate(plans):
        assert left.count(number) == len(plan.copies_ms)


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradewind.services.sim_venue.faults.departures.MAX_HELD", 3)
    line: DepartureLine[int] = DepartureLine()
    for number in range(5):
        line.push(number, EventPlan(copies_ms=(1_000,)), 0)
    assert line.due(0) == [0, 1]
    for number in range(5):
        line.push(10 + number, EventPlan(copies_ms=(1_000,), after_events=9), 0)
    assert line.due(0) == [10, 11]
    line.clear()
    assert line.next_ms is None


# -- races and the record ----------------------------------------------------------------------------------------------


def test_a_fill_that_the_cancel_does_not_show_is_in_the_record() -> None:
    room = Room(1)
    liar = Liar(FaultScript(), began_ms=0)
    order = room.exchange.place("main", room.request(BUY, 500, 100)).order
    race = Race(when="after_cancel", percent=100, hold_trade_ms=700)
    told = cancel_with_race(room.exchange, room.exchange.open_orders[order.order_id], "c", race, liar)
    assert (told.order.state, told.order.executed) == (OrderState.CANCELED, 0)
    assert room.orders[order.order_id].state is OrderState.FILLED
    trade = next(event for event in room.events if event.get("x") == "TRADE")
    assert liar.private_event(event_facts(json.dumps(trade).encode()), 0).copies_ms == (700,)
    assert liar.private_event(event_facts(json.dumps(trade).encode()), 0).copies_ms == (0,)
    room.check()


def test_a_part_that_fills_before_the_cancel() -> None:
    room = Room(1)
    order = room.exchange.place("main", room.request(SELL, 500, 101)).order
    race = Race(when="before_cancel", percent=50)
    liar = Liar(FaultScript(), began_ms=0)
    told = cancel_with_race(room.exchange, room.exchange.open_orders[order.order_id], "c", race, liar)
    assert (told.order.state, told.order.executed) == (OrderState.CANCELED, 50 * BTC.step)
    assert room.orders[order.order_id].executed == 50 * BTC.step
    whole = room.exchange.place("main", room.request(SELL, 500, 10)).order
    race = Race(when="before_cancel", percent=100)
    with pytest.raises(Refused, match="Unknown order"):
        cancel_with_race(room.exchange, room.exchange.open_orders[whole.order_id], "c", race, liar)
    assert room.orders[whole.order_id].state is OrderState.FILLED
    room.check()


def test_a_fill_before_the_acknowledgement() -> None:
    room = Room(1)
    placed = room.exchange.place("main", room.request(BUY, 500, 100))
    traded = race_after_placing(room.exchange, placed, Race(when="before_ack", percent=30))
    assert traded is not None
    assert (placed.order.state, placed.order.executed) == (OrderState.NEW, 0)
    assert room.orders[placed.order.order_id].executed == 30 * BTC.step
    assert room.orders[placed.order.order_id].state is OrderState.PARTIALLY_FILLED
    market = room.exchange.place("main", room.request(BUY, -5_000, 10))
    assert race_after_placing(room.exchange, market, Race(when="before_ack", percent=30)) is None
    room.check()


_MOVES = st.lists(
    st.tuples(st.sampled_from([BUY, SELL]), st.integers(-300, 800), st.integers(10, 400), st.integers(0, 4)),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 99), st.lists(_RULES, max_size=8, unique_by=lambda rule: rule.name), _MOVES)
def test_the_record_stays_true_whatever_the_script(seed: int, rules: list[Rule], moves: list[Any]) -> None:
    room = Room(seed)
    liar = Liar(FaultScript(seed=seed, rules=tuple(rules)), began_ms=0)
    for side, distance, steps, what in moves:
        room.now_ms += 10
        if what == 4:
            room.market.advance(room.now_ms * 1_000_000, 50)
        elif what == 3 and room.exchange.open_orders:
            order = next(iter(room.exchange.open_orders.values()))
            race = liar.request(CANCEL, room.now_ms).race
            if race is None:
                room.exchange.cancel(order, "c")
            else:
                with contextlib.suppress(Refused):
                    cancel_with_race(room.exchange, order, "c", race, liar)
        else:
            plan = liar.request(NEW, room.now_ms)
            try:
                placed = room.exchange.place("main", room.request(side, distance, steps))
            except Refused:
                continue
            if plan.race is not None and plan.race.when == "before_ack":
                race_after_placing(room.exchange, placed, plan.race)
        room.check()


# -- a view of the past ------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 99), _MOVES, st.integers(0, 12))
def test_a_view_of_the_past_is_what_was(seed: int, moves: list[Any], begins_at: int) -> None:
    room = Room(seed)
    seen: list[tuple[int, list[VenueOrder], list[int], dict[str, Holding]]] = []
    balances = room.exchange.balances
    for number, (side, distance, steps, what) in enumerate(moves):
        if number == begins_at:
            room.history.begin(room.exchange.open_orders.values(), balances, room.now_ms)
        room.now_ms += 10
        if what == 3 and room.exchange.open_orders:
            room.exchange.cancel(next(iter(room.exchange.open_orders.values())), "c")
        elif what == 2 and room.exchange.open_orders:
            room.exchange.fill_resting(next(iter(room.exchange.open_orders.values())), BTC.step)
        else:
            room.exchange.place("main", room.request(side, distance, steps))
        if room.history.is_kept:
            holdings = {asset: copy.copy(balances.of("main", asset)) for asset in ("BTC", "USDT")}
            orders = [copy.copy(order) for order in room.exchange.orders_of("main")]
            seen.append((room.now_ms, orders, sorted(room.trades), holdings))
    for then_ms, orders, trades, holdings in seen:
        shown = room.history.open_orders("main", "BTCUSDT", room.exchange.orders_of("main"), then_ms + 9)
        assert shown == sorted(orders, key=lambda order: order.order_id)
        assert [trade.trade_id for trade in room.history.trades(room.trades.values(), then_ms + 9)] == trades
        for asset, held in holdings.items():
            assert room.history.holding("main", asset, balances.of("main", asset), then_ms + 9) == held


def test_the_past_is_forgotten_after_a_while() -> None:
    room = Room(3)
    room.history.begin([], room.exchange.balances, room.now_ms)
    for _ in range(20):
        order = room.exchange.place("main", room.request(BUY, 500, 10)).order
        room.exchange.cancel(room.exchange.open_orders[order.order_id], "c")
        room.now_ms += script.MAX_STALE_MS // 2
    assert len(room.history._orders) <= 4
    assert room.history.order(room.orders[1], room.now_ms) is room.orders[1]
    room.history.end()
    assert not room.history.is_kept


def test_the_desk_adds_up_what_was_told() -> None:
    room = Room(3)
    desk = FaultDesk(lambda: room.now_ms)
    desk.tell(_script(_rule("cut_after", times=2)), room.exchange)
    for _ in range(5):
        desk.liar.request(NEW, room.now_ms)
    desk.tell(_script(_rule("cut_after"), _rule("stale_view"), _rule("skewed_clock", ms=900)), room.exchange, seed=77)
    desk.liar.request(NEW, room.now_ms)
    assert desk.told() == {"cut_after": 3}
    assert (desk.now_ms(), desk.liar.seed, desk.history.is_kept) == (room.now_ms + 900, 77, True)
    assert [rule["hits"] for rule in desk.shown()["rules"]] == [1, 0, 0]
    desk.tell(FaultScript(), room.exchange)
    assert not desk.history.is_kept

"""Decides what happens to each request and each event. Seeded: the same script, seed and sequence of questions give
the same answers. It has no clock: every question brings the venue's true time in ms.
"""

import random
from collections.abc import Callable
from typing import Final

from tradewind.services.sim_venue.faults import script
from tradewind.services.sim_venue.faults.plans import (
    HONEST,
    HONEST_EVENT,
    EventFacts,
    EventPlan,
    Race,
    Refusal,
    RequestFacts,
    RequestPlan,
    RuleHits,
)
from tradewind.services.sim_venue.faults.script import CLOCK_LIE, EVENT_LIES, VIEW_LIE, FaultScript, Rule

KEPT_OPEN_MS: Final = 60_000
"""How long a connection whose answer is lost stays open when the rule says nothing."""
MAX_HELD_TRADES: Final = 10_000
_WORDS: Final = {
    "error": "Internal error; unable to process your request. Please try again.",
    "throttled": "Way too many requests; please use WebSocket Streams for live updates to avoid bans.",
    "banned": "Way too much request weight used; IP banned.",
    "clock": "Timestamp for this request is outside of the recvWindow.",
}
_THROTTLED_CODE: Final = -1003
_CLOCK_CODE: Final = -1021


class _Counted:
    """One rule with its counts and its own random numbers, so that no rule disturbs another."""

    def __init__(self, rule: Rule, seed: int, began_ms: int) -> None:
        self.rule = rule
        self.matches = 0
        self.hits = 0
        self._began_ms = began_ms
        self._random = random.Random(f"{seed}:{rule.name}")

    def in_time(self, now_ms: int) -> bool:
        """Whether the rule's time is now."""
        since_ms = now_ms - self._began_ms
        return since_ms >= self.rule.from_ms and (not self.rule.until_ms or since_ms < self.rule.until_ms)

    def falls_on(self, now_ms: int) -> bool:
        """Count one match; whether it is to be hit."""
        if not self.in_time(now_ms):
            return False
        rule = self.rule
        self.matches += 1
        past = self.matches - rule.nth
        chosen = past >= 0 and past % rule.every < rule.run
        if chosen and rule.probability < 1.0:
            chosen = self._random.random() < rule.probability
        return chosen and not (rule.times and self.hits >= rule.times)

    def ms(self) -> int:
        """The rule's time, with jitter."""
        rule = self.rule
        return rule.ms + (self._random.randrange(rule.jitter_ms + 1) if rule.jitter_ms else 0)


class Liar:
    """Everything that a script makes of a venue. One thread at a time."""

    def __init__(self, faults: FaultScript, *, began_ms: int, seed: int | None = None) -> None:
        """``began_ms``: the time that ``from_ms`` and ``until_ms`` count from. ``seed`` replaces the script's."""
        self.script = faults
        self.seed = faults.seed if seed is None else seed
        self.began_ms = began_ms
        rules = [_Counted(rule, self.seed, began_ms) for rule in faults.rules]
        self._rules = rules
        self._requests = [each for each in rules if each.rule.lie in script.REQUEST_LIES]
        self._views = [each for each in rules if each.rule.lie == VIEW_LIE]
        self._clocks = [each for each in rules if each.rule.lie == CLOCK_LIE]
        events = [each for each in rules if each.rule.lie in EVENT_LIES]
        self._private = [each for each in events if each.rule.on == "private"]
        self._market = [each for each in events if each.rule.on == "market"]
        self._held_trades: dict[int, int] = {}

    @property
    def needs_history(self) -> bool:
        """Whether it may ask for a view of the past (``ViewHistory``)."""
        return bool(self._views)

    @property
    def touches_market(self) -> bool:
        """Whether any rule is about market streams."""
        return bool(self._market)

    def request(self, facts: RequestFacts, now_ms: int) -> RequestPlan:
        """What happens to a request that has just arrived."""
        chosen: _Counted | None = None
        for each in self._requests:
            if _fits_request(each.rule, facts) and each.falls_on(now_ms) and chosen is None:
                chosen = each
        plan = HONEST
        if chosen is not None:
            chosen.hits += 1
            plan = _REQUEST_PLANS[chosen.rule.lie](chosen)
        lag_ms, names = self._view_lag(facts, now_ms)
        if not lag_ms and chosen is None:
            return plan
        rules = (*names, chosen.rule.name) if chosen is not None else names
        return RequestPlan(
            refusal=plan.refusal,
            executes=plan.executes,
            execute_after_ms=plan.execute_after_ms,
            race=plan.race,
            answer=plan.answer,
            answer_after_ms=plan.answer_after_ms,
            again_after_ms=plan.again_after_ms,
            error=plan.error,
            view_lag_ms=lag_ms,
            rules=rules,
        )

    def private_event(self, facts: EventFacts, now_ms: int) -> EventPlan:
        """What happens to an event of the private stream that is about to leave."""
        held_ms = self._held_trades.pop(facts.trade_id, 0) if facts.trade_id else 0
        chosen: _Counted | None = None
        for each in self._private:
            if _fits_event(each.rule, facts) and each.falls_on(now_ms) and chosen is None:
                chosen = each
        if held_ms:
            return EventPlan(copies_ms=(held_ms,), rules=("held trade",))
        return _event_plan(chosen)

    def market_event(self, symbol: str, kind: str, now_ms: int) -> EventPlan:
        """What happens to an event of a market stream; ``kind`` is one of ``script.STREAMS``."""
        chosen: _Counted | None = None
        for each in self._market:
            rule = each.rule
            fits = rule.symbol in ("", symbol) and (not rule.streams or kind in rule.streams)
            if fits and each.falls_on(now_ms) and chosen is None:
                chosen = each
        return _event_plan(chosen)

    def hold_trade(self, trade_id: int, ms: int) -> None:
        """The event of a trade that is about to be made leaves ``ms`` late, whatever the rules say: a race did it."""
        if len(self._held_trades) >= MAX_HELD_TRADES:
            self._held_trades.pop(next(iter(self._held_trades)))
        self._held_trades[trade_id] = ms

    def skew_ms(self, now_ms: int) -> int:
        """By how much the venue's clock is ahead of the true time now."""
        return sum(each.rule.ms for each in self._clocks if each.in_time(now_ms))

    def hits(self) -> list[RuleHits]:
        """Each rule with its counts, in the script's order. A clock has none."""
        return [
            RuleHits(name=each.rule.name, lie=each.rule.lie, matches=each.matches, hits=each.hits)
            for each in self._rules
        ]

    def _view_lag(self, facts: RequestFacts, now_ms: int) -> tuple[int, tuple[str, ...]]:
        lag_ms, names = 0, []
        for each in self._views:
            asked = each.rule.endpoints or script.VIEW_ENDPOINTS
            if facts.endpoint in asked and _names_fit(each.rule, facts) and each.falls_on(now_ms):
                each.hits += 1
                lag_ms = max(lag_ms, each.ms())
                names.append(each.rule.name)
        return lag_ms, tuple(names)


def _fits_request(rule: Rule, facts: RequestFacts) -> bool:
    endpoints = rule.endpoints or _DEFAULT_ENDPOINTS.get(rule.lie, script.ORDER_ENDPOINTS)
    return facts.endpoint in endpoints and _names_fit(rule, facts)


def _names_fit(rule: Rule, facts: RequestFacts | EventFacts) -> bool:
    return rule.symbol in ("", facts.symbol) and facts.client_order_id.startswith(rule.client_order_id)


def _fits_event(rule: Rule, facts: EventFacts) -> bool:
    return (not rule.events or facts.kind in rule.events) and _names_fit(rule, facts)


def _refused(status: int, code: int, words: str, retry_after_s: int | None = None) -> RequestPlan:
    refusal = Refusal(status=status, code=code, message=_WORDS[words], retry_after_s=retry_after_s)
    return RequestPlan(refusal=refusal, executes=False)


def _error(each: _Counted) -> Refusal:
    return Refusal(status=each.rule.status, code=each.rule.code, message=_WORDS["error"])


def _race(each: _Counted, when: str) -> Race:
    return Race(when=when, percent=each.rule.percent, hold_trade_ms=each.ms() if when == "after_cancel" else 0)


def _kept_open(each: _Counted) -> int:
    return each.ms() or KEPT_OPEN_MS


_DEFAULT_ENDPOINTS: Final = {
    "fill_before_ack": ("new_order",),
    "fill_before_cancel": ("cancel_order",),
    "fill_after_cancel": ("cancel_order",),
}
_REQUEST_PLANS: Final[dict[str, Callable[[_Counted], RequestPlan]]] = {
    "late_request": lambda each: RequestPlan(execute_after_ms=each.ms()),
    "stuck_request": lambda each: RequestPlan(execute_after_ms=each.ms(), answer="lose", answer_after_ms=KEPT_OPEN_MS),
    "lost_request": lambda each: RequestPlan(executes=False, answer="lose", answer_after_ms=_kept_open(each)),
    "late_answer": lambda each: RequestPlan(answer_after_ms=each.ms()),
    "lost_answer": lambda each: RequestPlan(answer="lose", answer_after_ms=_kept_open(each)),
    "doubled_answer": lambda each: RequestPlan(answer="double", again_after_ms=each.ms()),
    "cut_before": lambda each: RequestPlan(executes=False, answer="cut", answer_after_ms=each.ms()),
    "cut_after": lambda each: RequestPlan(answer="cut", answer_after_ms=each.ms()),
    "error_before": lambda each: RequestPlan(refusal=_error(each), executes=False),
    "error_after": lambda each: RequestPlan(error=_error(each)),
    "throttled": lambda each: _refused(429, _THROTTLED_CODE, "throttled", each.rule.retry_after_s),
    "banned": lambda each: _refused(418, _THROTTLED_CODE, "banned", each.rule.retry_after_s),
    "clock_refused": lambda _: _refused(400, _CLOCK_CODE, "clock"),
    "fill_before_ack": lambda each: RequestPlan(race=_race(each, "before_ack"), answer_after_ms=each.ms()),
    "fill_before_cancel": lambda each: RequestPlan(race=_race(each, "before_cancel")),
    "fill_after_cancel": lambda each: RequestPlan(race=_race(each, "after_cancel")),
}


def _event_plan(chosen: _Counted | None) -> EventPlan:
    if chosen is None:
        return HONEST_EVENT
    chosen.hits += 1
    rule, names = chosen.rule, (chosen.rule.name,)
    if rule.lie == "doubled_event":
        return EventPlan(copies_ms=tuple(number * chosen.ms() for number in range(rule.copies)), rules=names)
    if rule.lie in ("missing_event", "cut_stream"):
        return EventPlan(copies_ms=(), cuts=rule.lie == "cut_stream", rules=names)
    if rule.lie == "reordered_event":
        return EventPlan(copies_ms=(chosen.ms() or 1_000,), after_events=rule.after_events, rules=names)
    return EventPlan(copies_ms=(chosen.ms(),), holds_back=rule.lie == "slow_stream", rules=names)

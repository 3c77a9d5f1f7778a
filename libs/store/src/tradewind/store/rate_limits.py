"""A venue's rate limits, counted once for all processes that share its address and account, in Redis or Valkey.

Every step is one run of ``rate_limits.lua``: atomic, by the server's clock. A request has a priority, 0 the highest;
each limit says how much of it each priority may use, so that the lower ones leave a reserve. A request that must wait
is noted with the server, and lower priorities of all processes leave room for it.

The order path does not wait for a round trip: ``keep`` holds a few tokens ahead, which ``spend`` takes without I/O.
What is not spent within HOLD_S goes back.

While Redis is away ``take`` says None at once and the caller counts for itself (``note``); what it took is told when
Redis is back. A Redis that lost everything learns from what every process still knows and from the venue's own counts.
Until then only DOUBT of a running window is given out, except at priority 0.

``keep`` is a loop for the owner to run as a task; nothing here starts one. All waits are bounded. On cancel a held
token or a noted wait is forgotten by the server within about a second.
"""

import asyncio
import collections
import dataclasses
import itertools
import logging
import os
import secrets
import time
from collections.abc import Sequence
from importlib import resources
from typing import Any, Final

import msgspec
from redis.commands.core import AsyncScript
from redis.exceptions import ResponseError

from tradewind.store.redis_link import RedisLink

GUARD_S: Final = 0.5
"""How far the venue's clock may differ from the server's, the way of a request included."""
DOUBT: Final = 0.5
"""Share of a window that is given out while nobody can know what was used of it."""
HOLD_S: Final = 1.0
REFRESH_S: Final = 0.25
HOLD_PRIORITY: Final = 2
"""Tokens are held ahead by the rules of this priority; higher ones may spend them too."""
LEAST_HELD: Final = 4
MOST_HELD: Final = 32
TIMEOUT_S: Final = 0.1
RETRY_AFTER_S: Final = 0.5
MOST_LEASES_BACK: Final = 16
_LATENESS_S: Final = 1.0
_SHORTEST_HELD_INTERVAL_S: Final = 2 * (HOLD_S + 2 * GUARD_S)
_DIMS: Final = {"weight": 1, "orders": 2}
_ANSWER_HEAD: Final = 10
_SCRIPT: Final = resources.files("tradewind.store").joinpath("rate_limits.lua").read_text(encoding="utf-8")

_log: Final = logging.getLogger(__name__)

Rule = tuple[str, int, int, Sequence[int]]
"""What is counted ("weight" by address, "orders" by account), seconds of the window, the limit, and how much of it each
priority may use, from priority 0 on."""


class _RuleStep(msgspec.Struct):
    dim: int
    name: str
    interval: int  # ms, as all times of a step
    limit: int
    allowed: int
    added: int
    window: int
    known: int
    born: int


class _Seen(msgspec.Struct):
    rule: int  # from 1, as Lua counts
    used: int
    sent: int
    heard: int


class _LeaseBack(msgspec.Struct):
    begin: int
    finish: int
    amounts: tuple[int, int]
    born: tuple[int, int]


class RateLimitStep(msgspec.Struct, kw_only=True):
    """What one run of the script is told; see there. Amounts are (weight, orders), times ms."""

    name: str
    priority: int
    need: tuple[int, int] = (0, 0)
    want: tuple[int, int] = (0, 0)
    rules: list[_RuleStep] = []
    seen: list[_Seen] = []
    back: list[_LeaseBack] = []
    ticket: str = ""
    patience: int = 0
    block: int = 0
    ban: int = 0
    hold: int = 0
    guard: int = round(GUARD_S * 1_000)
    doubt: int = round(DOUBT * 1_000)
    lateness: int = round(_LATENESS_S * 1_000)
    now: int = 0  # 0: the server's clock; tests of the arithmetic set it


@dataclasses.dataclass(frozen=True, slots=True)
class StepAnswer:
    """What the script answered; ``windows`` has (number, used) of each rule's present window."""

    granted: bool
    wait_ms: int
    now_ms: int
    held: tuple[int, int]
    born: tuple[int, int]
    block_ms: int
    ban_ms: int
    ticket: str
    windows: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, answer: list[Any]) -> "StepAnswer":
        """The answer as a value."""
        granted, wait_ms, now_ms, weight, orders, *born, block_ms, ban_ms, ticket = answer[:_ANSWER_HEAD]
        tail = answer[_ANSWER_HEAD:]
        return cls(
            granted=bool(granted),
            wait_ms=wait_ms,
            now_ms=now_ms,
            held=(weight, orders),
            born=(born[0], born[1]),
            block_ms=block_ms,
            ban_ms=ban_ms,
            ticket=ticket.decode(),
            windows=tuple(zip(tail[::2], tail[1::2], strict=True)),
        )


@dataclasses.dataclass(slots=True)
class _Limit:
    """One rule and what this process knows of it."""

    dim: int
    name: str
    interval_s: int
    limit: int
    allowed: tuple[int, ...]
    added: int = 0  # taken without the server, not told yet
    added_window: int = 0
    window: int = 0
    known: int = 0
    born: int = 0

    def note(self, amount: int) -> None:
        window = int(time.time() // self.interval_s)
        if window != self.added_window:
            self.added, self.added_window = 0, window
        self.added += amount

    def take_added(self) -> int:
        if int(time.time() // self.interval_s) != self.added_window:
            self.added = 0
        added, self.added = self.added, 0
        return added


@dataclasses.dataclass(slots=True)
class _Held:
    """Tokens of this process: until when, and the lease they came from."""

    weight: int = 0
    orders: int = 0
    until_s: float = 0.0
    begin_ms: int = 0
    finish_ms: int = 0
    born: tuple[int, int] = (0, 0)


class SharedRateLimits:
    """The shared buckets of one venue address and account, as one process sees them. Making it does no I/O."""

    def __init__(
        self,
        url: str,
        *,
        venue: str,
        address: str,
        account: str = "",
        namespace: str = "tradewind",
        timeout_s: float = TIMEOUT_S,
        retry_after_s: float = RETRY_AFTER_S,
        log: Any = _log,
    ) -> None:
        """``address`` names what the venue counts weight by, ``account`` what it counts orders by.

        Raises:
            ValueError: the URL has another form than ``redis://``, ``rediss://`` or ``unix://``.
        """
        self._link = RedisLink(
            url,
            timeout_s=timeout_s,
            retry_after_s=retry_after_s,
            log=log,
            without="rate limits are counted by each process alone, with a part of them",
        )
        tag = f"{namespace}:rate:{{{venue}}}"  # the braces keep the three keys on one node of a cluster
        self._keys = [f"{tag}:address:{address}", f"{tag}:account:{account}", f"{tag}:waiting:{address}"]
        self._script: AsyncScript = self._link.client.register_script(_SCRIPT)
        self._numbers = itertools.count(1)
        self._name = f"{os.getpid():x}{secrets.token_hex(4)}"
        self._limits: list[_Limit] = []
        self._seen: dict[int, tuple[int, float, float]] = {}
        self._held = _Held()
        self._back: collections.deque[_LeaseBack] = collections.deque(maxlen=MOST_LEASES_BACK)
        # Told with every step, so that a server that forgot hears of it from everyone who knew.
        self._block_until_s = self._ban_until_s = 0.0
        self._spent = self._recently_spent = 0
        self._wake = asyncio.Event()
        self._keeping = False

    @property
    def available(self) -> bool:
        """The server answered the last step, or none was made yet."""
        return self._link.available

    def configure(self, rules: Sequence[Rule]) -> None:
        """Take the venue's limits; what is known of limits of the same kind and window is kept.

        Raises:
            ValueError: a rule is no rule.
        """
        known = {one.name: one for one in self._limits}
        limits = []
        for kind, interval_s, limit, allowed in rules:
            if kind not in _DIMS or interval_s < 1 or limit < 1 or len(allowed) <= HOLD_PRIORITY:
                raise ValueError(f"no rate limit: {kind!r} in {interval_s} s, {limit}, {allowed}")
            name = f"{kind}{interval_s}"
            one = known.get(name) or _Limit(_DIMS[kind], name, interval_s, limit, ())
            one.limit, one.allowed = limit, tuple(allowed)
            limits.append(one)
        self._limits = limits
        self._seen.clear()

    def spend(self, weight: int, orders: int) -> bool:
        """Use tokens that are held ahead; False when there are too few, or none may be used now. No I/O."""
        held, now_s = self._held, time.monotonic()
        self._spent += max(weight, orders)
        if held.weight < weight or held.orders < orders or not self._block_until_s <= now_s < held.until_s:
            return False
        held.weight -= weight
        held.orders -= orders
        return True

    async def take(self, priority: int, weight: int, orders: int, *, patience_s: float = 0.0) -> float | None:
        """Use tokens, waiting for up to ``patience_s``. 0: they are the caller's; else the seconds they would take.

        None when the server is away: count for yourself, and ``note`` it.
        """
        deadline_s = time.monotonic() + patience_s
        want = self._wanted() if priority == HOLD_PRIORITY and self._keeping else (0, 0)
        ticket = ""
        while True:
            if self._keeping and not self._link.available:
                return None  # the keeper asks for the server: an order need not wait for that
            left_s = max(deadline_s - time.monotonic(), 0.0)
            answer = await self._step(priority, (weight, orders), want, ticket, left_s)
            if answer is None:
                return None
            if answer.granted:
                return 0.0
            wait_s = answer.wait_ms / 1_000
            if wait_s > left_s:
                return wait_s
            ticket = answer.ticket
            await asyncio.sleep(wait_s)

    def note(self, weight: int, orders: int) -> None:
        """Tokens were used without the server; it is told when it is back."""
        for one in self._limits:
            one.note((weight, orders)[one.dim - 1])

    def observe(self, kind: str, interval_s: int, used: int, elapsed_s: float) -> None:
        """The venue's own count, in the answer to a request sent ``elapsed_s`` ago; told with the next step."""
        now_s = time.monotonic()
        for index, one in enumerate(self._limits, start=1):
            if one.name == f"{kind}{interval_s}":
                self._seen[index] = (min(used, 4 * one.limit), now_s - elapsed_s, now_s)

    def block(self, seconds: float, *, everyone: bool) -> None:
        """The venue wants nothing for so long, from all processes; ``everyone``: not even priority 0."""
        now_s = time.monotonic()
        self._block_until_s = max(self._block_until_s, now_s + seconds)
        if everyone:
            self._ban_until_s = max(self._ban_until_s, now_s + seconds)
        self._wake.set()

    async def tell(self) -> None:
        """Tell the server now what it has not heard: blocks, the venue's counts, tokens that come back."""
        await self._step(HOLD_PRIORITY, (0, 0), (0, 0), "", 0.0)

    async def keep(self) -> None:
        """Hold tokens ahead for ``spend`` and hear of blocks, until cancelled."""
        self._keeping = True
        try:
            while True:
                self._wake.clear()
                self._recently_spent = max(self._spent, self._recently_spent - 1)
                self._spent = 0
                await self._step(HOLD_PRIORITY, (0, 0), self._wanted(), "", 0.0)
                try:
                    async with asyncio.timeout(REFRESH_S):
                        await self._wake.wait()
                except TimeoutError:
                    continue
        finally:
            self._keeping = False

    async def close(self) -> None:
        """Give back what is held and close all connections."""
        self._give_back()
        if self._back and self._link.available:
            await self.tell()
        await self._link.close()

    # -- one step --------------------------------------------------------------------------------------------------

    async def _step(
        self, priority: int, need: tuple[int, int], want: tuple[int, int], ticket: str, patience_s: float
    ) -> StepAnswer | None:
        if not self._limits:
            return None
        sent_s = time.monotonic()
        step = RateLimitStep(
            name=f"{self._name}{next(self._numbers):x}",
            priority=priority,
            need=need,
            want=want,
            ticket=ticket,
            patience=round(patience_s * 1_000),
            rules=[self._rule_step(one, priority) for one in self._limits],
            seen=[
                _Seen(index, used, round((sent_s - sent) * 1_000), round((sent_s - heard) * 1_000))
                for index, (used, sent, heard) in self._seen.items()
            ],
            back=list(self._back),
            hold=round(HOLD_S * 1_000) if any(want) else 0,
            block=max(round((self._block_until_s - sent_s) * 1_000), 0),
            ban=max(round((self._ban_until_s - sent_s) * 1_000), 0),
        )
        self._seen.clear()
        self._back.clear()
        limits = self._limits
        answer = await self._run(step)
        if answer is None:
            for one, told in zip(limits, step.rules, strict=True):
                one.added += told.added
            return None
        self._learn(limits, answer, sent_s)
        if any(answer.held):
            self._hold(answer, sent_s)
        return answer

    async def _run(self, step: RateLimitStep) -> StepAnswer | None:
        message = msgspec.msgpack.encode(step)

        async def call() -> list[Any]:
            try:
                answer = await self._script(self._keys, [message])
            except ResponseError as error:
                if "WRONGTYPE" not in str(error):
                    raise
                # Somebody wrote something else under our names: it is of no use to anyone.
                await self._link.client.delete(*self._keys)
                answer = await self._script(self._keys, [message])
            return list(answer)

        answer = await self._link.attempt(call)
        return None if answer is None else StepAnswer.of(answer)

    def _rule_step(self, one: _Limit, priority: int) -> _RuleStep:
        return _RuleStep(
            dim=one.dim,
            name=one.name,
            interval=one.interval_s * 1_000,
            limit=one.limit,
            allowed=one.allowed[priority],
            added=one.take_added(),
            window=one.window,
            known=one.known,
            born=one.born,
        )

    def _learn(self, limits: list[_Limit], answer: StepAnswer, sent_s: float) -> None:
        for one, (window, used) in zip(limits, answer.windows, strict=True):
            one.window, one.known, one.born = window, used, answer.born[one.dim - 1]
        ban_until_s = sent_s + answer.ban_ms / 1_000
        self._ban_until_s = max(self._ban_until_s, ban_until_s)
        self._block_until_s = max(self._block_until_s, sent_s + answer.block_ms / 1_000, ban_until_s)

    # -- tokens held ahead -----------------------------------------------------------------------------------------

    def _wanted(self) -> tuple[int, int]:
        if any(one.interval_s < _SHORTEST_HELD_INTERVAL_S for one in self._limits):
            return 0, 0
        amount = max(LEAST_HELD, min(2 * self._recently_spent, MOST_HELD))
        return amount, amount

    def _hold(self, answer: StepAnswer, sent_s: float) -> None:
        self._give_back()
        begin_ms = answer.now_ms
        self._held = _Held(
            weight=answer.held[0],
            orders=answer.held[1],
            until_s=sent_s + HOLD_S,
            begin_ms=begin_ms,
            finish_ms=begin_ms + round(HOLD_S * 1_000),
            born=answer.born,
        )

    def _give_back(self) -> None:
        held, self._held = self._held, _Held()
        if held.weight or held.orders:
            self._back.append(_LeaseBack(held.begin_ms, held.finish_ms, (held.weight, held.orders), held.born))

"""What the buses say: the state of each feed and strategy, how far each group is behind, what was put aside.

Four tasks, owned by the service: three that follow a topic, and ``measure``; they go on over any absence of the broker.
Bounds: one state per instrument, strategy and account, one number per topic.
"""

import asyncio
import time
from typing import Final

from tradewind.bus.interface import Start
from tradewind.runtime.service import ServiceContext
from tradewind.wire.events import FeedStatusChanged, LimitsUsed, LimitUsed, StrategyStatusChanged
from tradewind.wire.topics import FIXED_TOPICS, MD_STATUS, RISK_LIMITS, STRATEGY_STATE, Plane, Topic, dead_letters_of

MEASURE_EVERY_S: Final = 10.0
DESCRIBE_TIMEOUT_S: Final = 5.0
MOST_FEEDS: Final = 5_000
MOST_STRATEGIES: Final = 1_000
MOST_ACCOUNTS: Final = 100
LIMITS_OLD_S: Final = 15.0
"""What was not told again for so long is not known any more: it is told about once a second."""
_FAILED: Final = "FAILED"
_WELL: Final = frozenset({"LIVE", "ENDED"})


class BusEye:
    """The newest that is known."""

    def __init__(self, context: ServiceContext, measure_every_s: float = MEASURE_EVERY_S) -> None:
        self._context = context
        self._every_s = measure_every_s
        self._feeds: dict[tuple[str, str], str] = {}
        self._limits: dict[str, tuple[float, tuple[LimitUsed, ...]]] = {}
        self.failed: dict[str, str] = {}
        """Service of each strategy that has FAILED -> why."""
        self.lag: dict[tuple[str, str], int] = {}
        """(topic, group) -> messages it has not committed."""
        self.put_aside: dict[str, int] = {}
        """Topic -> messages on its dead-letter topic since it was made."""
        self.measured = False
        """Whether there was a measurement yet."""
        self.problem = ""
        """Why the last measurement has no answer; empty when it has."""

    @property
    def knows_feeds(self) -> bool:
        """Whether any feed was heard of."""
        return bool(self._feeds)

    def unwell_feeds(self) -> dict[str, tuple[dict[str, str], int]]:
        """Venue -> (instrument -> state where that is neither LIVE nor the end of a replay), and how many it has."""
        found: dict[str, tuple[dict[str, str], int]] = {}
        for (venue, instrument), state in self._feeds.items():
            unwell, count = found.get(venue, ({}, 0))
            if state not in _WELL:
                unwell[instrument or "all"] = state
            found[venue] = (unwell, count + 1)
        return {venue: one for venue, one in found.items() if one[0]}

    async def follow_feeds(self) -> None:
        """Keep the states of feeds, until cancelled."""
        await self._follow(MD_STATUS)

    async def follow_strategies(self) -> None:
        """Keep the states of strategies, until cancelled."""
        await self._follow(STRATEGY_STATE)

    async def follow_limits(self) -> None:
        """Keep how much of each limit is used, until cancelled."""
        await self._follow(RISK_LIMITS, Start.LATEST)

    async def _follow(self, topic: Topic, start: Start = Start.EARLIEST) -> None:
        while True:
            try:
                await self._read(topic, start)
            except OSError as error:
                self._context.log.warning("not followed", topic=topic.name, reason=type(error).__name__)
                await asyncio.sleep(self._every_s)

    async def _read(self, topic: Topic, start: Start) -> None:
        subscription = await self._context.bus_for(topic).subscribe(topic, start=start)
        try:
            while True:
                for delivery in await subscription.receive():
                    if isinstance(delivery.payload, FeedStatusChanged):
                        self.take(delivery.payload)
                    elif isinstance(delivery.payload, StrategyStatusChanged):
                        self.take_strategy(delivery.payload)
                    elif isinstance(delivery.payload, LimitsUsed):
                        self.take_limits(delivery.payload, time.monotonic())
        finally:
            await subscription.close()

    def take_limits(self, event: LimitsUsed, now_s: float) -> None:
        """All limits of one account."""
        if event.account_id in self._limits or len(self._limits) < MOST_ACCOUNTS:
            self._limits[event.account_id] = (now_s, event.uses)

    def limits(self, now_s: float) -> dict[str, tuple[LimitUsed, ...]]:
        """Account -> its limits, where they were told of lately."""
        return {account: uses for account, (at, uses) in self._limits.items() if now_s - at <= LIMITS_OLD_S}

    def take_strategy(self, event: StrategyStatusChanged) -> None:
        """One strategy's state."""
        if event.state != _FAILED:
            self.failed.pop(event.service, None)
        elif event.service in self.failed or len(self.failed) < MOST_STRATEGIES:
            self.failed[event.service] = event.reason

    def take(self, event: FeedStatusChanged) -> None:
        """One state; without an instrument it is that of all of the venue."""
        venue = str(event.venue)
        known = [one for one in self._feeds if one[0] == venue and one[1]]
        if event.instrument_id is None:
            # Of instruments that are known it speaks; before any is, it is kept by itself.
            changed = known or [(venue, "")]
        else:
            self._feeds.pop((venue, ""), None)
            changed = [(venue, str(event.instrument_id))]
        for key in changed:
            if key in self._feeds or len(self._feeds) < MOST_FEEDS:
                self._feeds[key] = event.state

    async def measure(self) -> None:
        """Ask for lag and dead letters again and again, until cancelled."""
        while True:
            try:
                await self._measure_all()
            except (OSError, TimeoutError) as error:
                if not self.problem:
                    self._context.log.warning("the broker does not answer", reason=type(error).__name__)
                self.problem = f"no answer ({type(error).__name__})"
            else:
                self.problem, self.measured = "", True
            await asyncio.sleep(self._every_s)

    async def _measure_all(self) -> None:
        lag: dict[tuple[str, str], int] = {}
        for topic in FIXED_TOPICS:
            if topic.plane is Plane.ORDERS:
                described = await self._described(topic)
                lag.update({(topic.name, group): sum(parts.values()) for group, parts in described[1].items()})
            letters = await self._described(dead_letters_of(topic.name))
            self.put_aside[topic.name] = letters[0]
        self.lag = lag

    async def _described(self, topic: Topic) -> tuple[int, dict[str, dict[int, int]]]:
        async with asyncio.timeout(DESCRIBE_TIMEOUT_S):
            found = await self._context.bus_for(topic).describe(topic)
        return sum(one.end for one in found.partitions), {group: dict(parts) for group, parts in found.lag.items()}

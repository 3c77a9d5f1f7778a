"""Tells the equity: on the bus when it changed, to the database as a curve, to Redis as last values.

Owner: the service. The points of the curve wait in memory while the database is away: at most ``capacity_points``, past
that the oldest are dropped and counted. Redis gets everything every time, so that what it forgets comes back by itself.
"""

import time
from collections import deque
from typing import Final

from tradewind.runtime.logging import RateLimitedLog
from tradewind.runtime.service import ServiceContext
from tradewind.services.portfolio.books import Books, Equity
from tradewind.store.database import DatabaseUnavailable
from tradewind.store.equity import EquityPoint, EquityRepository
from tradewind.wire.events import EquityChanged
from tradewind.wire.messages import EventIds
from tradewind.wire.topics import ACCOUNT_EVENTS

POINTS_PER_WRITE: Final = 1_000
LAST_VALUE_TTL_S: Final = 60.0


class EquityTeller:
    """Compares the books with what was told last."""

    def __init__(self, context: ServiceContext, books: Books, capacity_points: int) -> None:
        self._context = context
        self._books = books
        self._capacity = capacity_points
        self._repository = EquityRepository(context.database)
        self._event_ids = EventIds()
        self._told: dict[tuple[str, str], Equity] = {}
        self._points: deque[EquityPoint] = deque()
        self._log = RateLimitedLog(context.log)
        metrics = context.metrics
        self._backlog = metrics.gauge("portfolio_backlog", "Points of the equity curve that wait", "points")
        self._dropped = metrics.counter("portfolio_dropped_points", "Points lost because too many waited")

    @property
    def waiting_points(self) -> int:
        """Points that wait for the database."""
        return len(self._points)

    async def tell(self) -> None:
        """Publish what changed and note it for the curve."""
        changed = [equity for equity in self._books.equity() if self._told.get(_key(equity)) != equity]
        for currency in sorted(self._books.unconverted):
            self._log.warning(f"fee {currency}", "fees are left out: their currency has no price", currency=currency)
        now_ns = time.time_ns()
        for equity in changed:
            await self._publish(equity, now_ns)
            self._told[_key(equity)] = equity
            self._note(equity, now_ns)
        await self._remember_last_values()

    async def write(self) -> None:
        """Write the points that wait; what the database does not take stays for the next time."""
        while self._points:
            points = [self._points.popleft() for _ in range(min(len(self._points), POINTS_PER_WRITE))]
            try:
                await self._repository.insert(points)
            except BaseException as error:
                self._points.extendleft(reversed(points))
                self._drop_over_capacity()
                if not isinstance(error, DatabaseUnavailable):
                    raise
                self._context.health.set_not_ready(f"{error}; {len(self._points)} points of the equity curve wait")
                return
            self._backlog.set(len(self._points))
        self._context.health.set_ready()

    def close(self) -> None:
        """Write the last summaries."""
        self._log.flush()
        if self._points:
            self._context.log.error("points of the equity curve are lost", count=len(self._points))

    async def _publish(self, equity: Equity, now_ns: int) -> None:
        event_id = self._event_ids()
        event = EquityChanged(
            event_id=event_id,
            correlation_id=event_id,
            causation_id="",
            ts_event=now_ns,
            ts_init=now_ns,
            account_id=self._books.account_id,
            strategy_id=equity.strategy_id,
            currency=equity.currency,
            realized_pnl=equity.realized_pnl,
            unrealized_pnl=equity.unrealized_pnl,
            fees=equity.fees,
        )
        await self._context.order_bus.publish(ACCOUNT_EVENTS, self._books.account_id, event)
        gauge = self._context.metrics.gauge(
            "net_pnl",
            "Net profit and loss of a book, in quote currency",
            strategy=equity.strategy_id,
            currency=equity.currency,
        )
        gauge.set(float(equity.net_pnl))

    def _note(self, equity: Equity, now_ns: int) -> None:
        self._points.append(
            EquityPoint(
                ts=now_ns,
                account_id=self._books.account_id,
                strategy_id=equity.strategy_id,
                currency=equity.currency,
                realized_pnl=equity.realized_pnl,
                unrealized_pnl=equity.unrealized_pnl,
                fees=equity.fees,
            )
        )
        self._drop_over_capacity()
        self._backlog.set(len(self._points))

    def _drop_over_capacity(self) -> None:
        while len(self._points) > self._capacity:
            self._points.popleft()
            self._dropped.inc()
            self._log.warning("points", "equity curve has a gap: too many points waited for the database")

    async def _remember_last_values(self) -> None:
        account_id = self._books.account_id
        values: dict[str, object] = {
            f"equity:{account_id}:{equity.strategy_id}:{equity.currency}": {
                "realized_pnl": str(equity.realized_pnl),
                "unrealized_pnl": str(equity.unrealized_pnl),
                "fees": str(equity.fees),
            }
            for equity in self._told.values()
        }
        values |= {f"mid:{instrument_id}": str(mid) for instrument_id, mid in self._books.mids().items()}
        await self._context.last_values.put_many(values, LAST_VALUE_TTL_S)


def _key(equity: Equity) -> tuple[str, str]:
    return equity.strategy_id, equity.currency

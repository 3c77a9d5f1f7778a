"""Profit and loss of a scope: since the day began, and below its peak.

The total is realized plus unrealized profit minus fees, in quote currency. It is kept as running sums that follow each
fill and each change of a price. What a restart must not reset goes to the store: with the transaction of each fill, and
about once a second when the day or the peak has moved. The stored peak runs ahead of the true one, so that a crash
between two writes makes the limit tighter, never looser.
"""

from decimal import Decimal
from typing import Final

from tradewind.execution.limits import StrategyLimits
from tradewind.store.risk_counters import RiskCounterRow

_AHEAD: Final = Decimal("0.02")
"""The stored peak is this part of the drawdown limit above the true one: a write per so much of new profit."""


class Profit:
    """One scope's figures. ``unmarked`` counts its positions that no price is known for."""

    __slots__ = (
        "_ahead",
        "_day",
        "_day_start",
        "_last",
        "_provisional",
        "_stored_peak",
        "dirty",
        "fees",
        "limits",
        "peak",
        "realized",
        "scope",
        "unmarked",
        "unrealized",
    )

    def __init__(self, scope: str, limits: StrategyLimits) -> None:
        self.scope = scope
        self.limits = limits
        self.realized = Decimal(0)
        self.unrealized = Decimal(0)
        self.fees = Decimal(0)
        self.unmarked = 0
        self.peak: Decimal | None = None
        self.dirty = False
        self._ahead = (limits.max_drawdown or Decimal(0)) * _AHEAD
        self._stored_peak: Decimal | None = None
        self._day = -1
        self._day_start: Decimal | None = None
        self._last: Decimal | None = None
        self._provisional = False

    @property
    def total(self) -> Decimal:
        """All profit and loss so far."""
        return self.realized + self.unrealized - self.fees

    @property
    def daily_loss(self) -> Decimal:
        """What was lost since the day began; below zero is a profit."""
        return Decimal(0) if self._day_start is None else self._day_start - self.total

    @property
    def drawdown(self) -> Decimal:
        """How far the total is below its peak."""
        return Decimal(0) if self.peak is None else self.peak - self.total

    def load(self, row: RiskCounterRow) -> None:
        """Take over what the store knows."""
        self.fees = row.fees
        self.peak = self._stored_peak = row.peak_pnl
        self._day, self._day_start, self._last = row.day, row.day_start_pnl, row.last_pnl
        self._provisional = True

    def settle(self, day: int) -> None:
        """Follow the total as it is now, on this trading day.

        A day that begins while we run starts from the last total before it. One that began while we were away starts
        from the higher of the last total stored and the first one seen: the loss overnight counts.
        """
        if self.unmarked:
            return
        total = self.total
        if day > self._day:
            self._day_start = total if self._last is None else self._last
            self._day = day
            self.dirty = True
            if self._provisional:
                self._day_start = max(self._day_start, total)
        self._provisional = False
        self._last = total
        if self.peak is None or total > self.peak:
            self.peak = total
        if self._stored_peak is None or self.peak > self._stored_peak - self._ahead / 2:
            self.dirty = self.dirty or self.limits.max_drawdown is not None

    def row(self) -> RiskCounterRow:
        """What the store must hold now."""
        self.dirty = False
        if self.peak is None or self._day_start is None or self._last is None:
            # No price yet: what is certain is stored without a day, so that the next total begins one.
            total = self.total
            return RiskCounterRow(
                scope=self.scope, day=-1, day_start_pnl=total, peak_pnl=total, last_pnl=total, fees=self.fees
            )
        if self._stored_peak is None or self.peak > self._stored_peak - self._ahead / 2:
            self._stored_peak = self.peak + self._ahead
        return RiskCounterRow(
            scope=self.scope,
            day=self._day,
            day_start_pnl=self._day_start,
            peak_pnl=max(self.peak, self._stored_peak),
            last_pnl=self._last,
            fees=self.fees,
        )

"""The ledger in memory: cash and positions per strategy on a shared account, exact to the last unit.

The books add up to the account at all times because each fill moves exactly one book, and what the account held when
it was first seen is the book of EXTERNAL.
"""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Protocol

from tradewind.model.identifiers import EXTERNAL, AccountId, InstrumentId, StrategyId
from tradewind.model.instruments import Instrument
from tradewind.model.orders import Order
from tradewind.model.positions import Position
from tradewind.store.order_store import BookRow, FillRow
from tradewind.venue.reports import FillReport


class LedgerWatcher(Protocol):
    """Whoever keeps sums of its own over positions and fees."""

    def position_changed(self, position: Position) -> None:
        """A position was loaded or moved."""

    def fill_applied(self, fill: FillRow, instrument: Instrument) -> None:
        """A fill was booked; its position has changed already."""


class Ledger:
    """Positions and cash books of one account. ``apply`` changes it; the changed rows go to the store."""

    def __init__(self, account_id: AccountId) -> None:
        self.account_id = account_id
        self.positions: dict[tuple[StrategyId, InstrumentId], Position] = {}
        self.books: dict[tuple[StrategyId, str], Decimal] = defaultdict(Decimal)
        self.totals: dict[str, Decimal] = defaultdict(Decimal)
        self._watcher: LedgerWatcher | None = None

    def watch(self, watcher: LedgerWatcher) -> None:
        """Tell ``watcher`` of every change from now on; there is one."""
        self._watcher = watcher

    def load(self, positions: Iterable[Position], books: Iterable[BookRow]) -> None:
        """Take over what the store knows."""
        for position in positions:
            self.positions[position.strategy_id, position.instrument_id] = position
            if self._watcher is not None:
                self._watcher.position_changed(position)
        for row in books:
            self.books[row.strategy_id, row.currency] = row.amount
            self.totals[row.currency] += row.amount

    def open_currency(self, currency: str, amount: Decimal) -> BookRow:
        """Credit what the account held of a currency when it was first seen to EXTERNAL."""
        return self._add(EXTERNAL, currency, amount)

    def apply(self, fill: FillRow, instrument: Instrument) -> tuple[Position, list[BookRow]]:
        """Move one strategy's position and cash by a fill; returns the rows that changed."""
        key = (fill.strategy_id, fill.instrument_id)
        position = self.positions.get(key)
        if position is None:
            position = Position(
                account_id=fill.account_id, strategy_id=fill.strategy_id, instrument_id=fill.instrument_id
            )
            self.positions[key] = position
        position.apply(fill.side.sign * fill.size, instrument.decimal_price(fill.price), instrument.size_precision)
        if self._watcher is not None:
            self._watcher.position_changed(position)
            self._watcher.fill_applied(fill, instrument)
        rows = {
            currency: self._add(fill.strategy_id, currency, amount)
            for currency, amount in (
                (fill.base_currency, fill.base_amount),
                (fill.quote_currency, fill.quote_amount),
                (fill.fee_currency, -fill.fee),
            )
        }
        return position, list(rows.values())

    def net_size(self, instrument_id: InstrumentId) -> int:
        """The account's net traded position of an instrument over all strategies, as a mantissa."""
        return sum(p.signed_size for (_, instrument), p in self.positions.items() if instrument == instrument_id)

    def _add(self, strategy_id: StrategyId, currency: str, amount: Decimal) -> BookRow:
        self.books[strategy_id, currency] += amount
        self.totals[currency] += amount
        return BookRow(
            account_id=self.account_id,
            strategy_id=strategy_id,
            currency=currency,
            amount=self.books[strategy_id, currency],
        )


def fill_row(report: FillReport, order: Order, instrument: Instrument) -> FillRow:
    """The fill of ``order`` that a venue reports, with what it moves."""
    sign = report.side.sign
    return FillRow(
        trade_id=report.trade_id,
        client_order_id=order.client_order_id,
        venue_order_id=report.venue_order_id,
        account_id=order.account_id,
        strategy_id=order.strategy_id,
        instrument_id=order.instrument_id,
        side=report.side,
        price=report.price,
        size=report.size,
        fee=report.fee,
        fee_currency=report.fee_currency,
        liquidity_side=report.liquidity_side,
        ts_event=report.ts_event,
        venue=instrument.venue,
        base_currency=instrument.base_currency,
        base_amount=sign * instrument.decimal_size(report.size),
        quote_currency=instrument.quote_currency,
        quote_amount=-sign * instrument.notional(report.price, report.size),
    )

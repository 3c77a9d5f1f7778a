"""Profit and loss of every strategy's book at the latest marks. No I/O.

Positions come as absolute values, so that a repeated or old message corrects itself with the next; fees are added up
from fills, each trade id once. A fee in the base currency is worth the fill's own price; one in a third currency is
worth the mid of the instrument that trades it, and is left out (and told) while there is no such price.
"""

import dataclasses
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from tradewind.model.identifiers import AccountId, InstrumentId, StrategyId, TradeId
from tradewind.model.instruments import Instrument
from tradewind.model.positions import Position
from tradewind.services.portfolio.marks import Touch
from tradewind.wire.events import OrderFilled, PositionChanged
from tradewind.wire.market_records import instrument_number

KEPT_TRADE_IDS: Final = 20_000
_ZERO: Final = Decimal(0)


@dataclasses.dataclass(slots=True)
class FeeSum:
    """Fees of one strategy in one instrument: by currency, and of each amount times the fill's price mantissa."""

    amounts: dict[str, Decimal] = dataclasses.field(default_factory=lambda: defaultdict(Decimal))
    times_price: dict[str, Decimal] = dataclasses.field(default_factory=lambda: defaultdict(Decimal))

    def add(self, currency: str, amount: Decimal, times_price: Decimal) -> None:
        """Count one fee, or a sum of fees."""
        self.amounts[currency] += amount
        self.times_price[currency] += times_price


@dataclasses.dataclass(frozen=True, slots=True)
class Equity:
    """One strategy's profit and loss in one quote currency."""

    strategy_id: StrategyId
    currency: str
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    fees: Decimal

    @property
    def net_pnl(self) -> Decimal:
        """Realized plus unrealized less fees."""
        return self.realized_pnl + self.unrealized_pnl - self.fees


class Books:
    """All books of one account."""

    def __init__(self, account_id: AccountId) -> None:
        self.account_id = account_id
        self.positions: dict[tuple[StrategyId, InstrumentId], Position] = {}
        self.unconverted: set[str] = set()
        self._fees: dict[tuple[StrategyId, InstrumentId], FeeSum] = defaultdict(FeeSum)
        self._instruments: dict[InstrumentId, Instrument] = {}
        self._mids: dict[InstrumentId, Decimal] = {}
        self._by_number: dict[int, Instrument] = {}
        self._trade_ids: OrderedDict[TradeId, None] = OrderedDict()

    @property
    def numbers(self) -> set[int]:
        """Numbers of the instruments whose marks are wanted."""
        return set(self._by_number)

    def define(self, instrument: Instrument) -> None:
        """Make an instrument known."""
        self._instruments[instrument.instrument_id] = instrument
        self._by_number[instrument_number(instrument.instrument_id)] = instrument

    def load(self, positions: Iterable[Position], trade_ids: Iterable[TradeId]) -> None:
        """Take over what the store knows; ``trade_ids`` are fills whose fees are loaded too."""
        for position in positions:
            self.positions[position.strategy_id, position.instrument_id] = position
        for trade_id in trade_ids:
            self._remember(trade_id)

    def load_fees(
        self, strategy_id: StrategyId, instrument_id: InstrumentId, currency: str, amount: Decimal, times_price: Decimal
    ) -> None:
        """Take over a sum of fees."""
        self._fees[strategy_id, instrument_id].add(currency, amount, times_price)

    def fill(self, event: OrderFilled) -> None:
        """Count the fee of a fill that was not counted before."""
        if event.account_id != self.account_id or event.trade_id in self._trade_ids:
            return
        self._remember(event.trade_id)
        self._fees[event.strategy_id, event.instrument_id].add(event.fee_currency, event.fee, event.fee * event.price)

    def change_position(self, event: PositionChanged) -> None:
        """Take a position as the order path states it."""
        if event.account_id != self.account_id:
            return
        self.positions[event.strategy_id, event.instrument_id] = Position(
            account_id=event.account_id,
            strategy_id=event.strategy_id,
            instrument_id=event.instrument_id,
            signed_size=event.signed_size,
            average_price=event.average_price,
            realized_pnl=event.realized_pnl,
        )

    def mark(self, touches: dict[int, Touch]) -> None:
        """Take new marks by instrument number."""
        for number, (bid, ask) in touches.items():
            instrument = self._by_number[number]
            self._mids[instrument.instrument_id] = instrument.decimal_price(bid + ask) / 2

    def mids(self) -> dict[InstrumentId, Decimal]:
        """Latest mid prices."""
        return dict(self._mids)

    def equity(self) -> list[Equity]:
        """Every book, by strategy and quote currency. An open position without a mark counts as if at its cost."""
        totals: dict[tuple[StrategyId, str], list[Decimal]] = defaultdict(lambda: [_ZERO, _ZERO, _ZERO])
        self.unconverted.clear()
        for (strategy_id, instrument_id), position in self.positions.items():
            if (instrument := self._instruments.get(instrument_id)) is not None:
                total = totals[strategy_id, instrument.quote_currency]
                total[0] += position.realized_pnl
                if (mid := self._mids.get(instrument_id)) is not None:
                    total[1] += position.unrealized_pnl(mid, instrument.size_precision)
        for (strategy_id, instrument_id), fees in self._fees.items():
            if (instrument := self._instruments.get(instrument_id)) is not None:
                totals[strategy_id, instrument.quote_currency][2] += self._in_quote_currency(fees, instrument)
        return [Equity(*key, *total) for key, total in sorted(totals.items())]

    def _in_quote_currency(self, fees: FeeSum, instrument: Instrument) -> Decimal:
        total = _ZERO
        for currency, amount in fees.amounts.items():
            if currency == instrument.quote_currency:
                total += amount
            elif currency == instrument.base_currency:
                total += fees.times_price[currency].scaleb(-instrument.price_precision)
            elif (rate := self._rate(currency, instrument.quote_currency)) is not None:
                total += amount * rate
            elif amount:
                self.unconverted.add(currency)
        return total

    def _rate(self, currency: str, quote_currency: str) -> Decimal | None:
        for instrument_id, mid in self._mids.items():
            instrument = self._instruments[instrument_id]
            if (instrument.base_currency, instrument.quote_currency) == (currency, quote_currency):
                return mid
        return None

    def _remember(self, trade_id: TradeId) -> None:
        self._trade_ids[trade_id] = None
        if len(self._trade_ids) > KEPT_TRADE_IDS:
            self._trade_ids.popitem(last=False)

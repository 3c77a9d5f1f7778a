"""Positions: netted per strategy and instrument, average-cost accounting, exact decimals."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

import msgspec

from tradewind.model.identifiers import AccountId, InstrumentId, StrategyId

_AVERAGE_STEP: Final = Decimal("1e-12")


class Position(msgspec.Struct, kw_only=True):
    """The net position of one strategy in one instrument on one account.

    ``signed_size`` is a mantissa, negative when short. ``average_price`` is the average cost of the open size in quote
    currency. ``realized_pnl`` is gross of fees, in quote currency.
    """

    account_id: AccountId
    strategy_id: StrategyId
    instrument_id: InstrumentId
    signed_size: int = 0
    average_price: Decimal = Decimal(0)
    realized_pnl: Decimal = Decimal(0)

    def apply(self, signed_size: int, price: Decimal, size_precision: int) -> Decimal:
        """Add a fill of ``signed_size`` at ``price``; returns the profit or loss that it realized.

        The average moves when the position grows; profit is realized when it shrinks; a fill through zero does both. A
        fill of nothing changes nothing.
        """
        if signed_size == 0:
            return Decimal(0)
        before = self.signed_size
        realized = Decimal(0)
        if before == 0 or (before > 0) == (signed_size > 0):
            total = before + signed_size
            cost = self.average_price * before + price * signed_size
            self.average_price = (cost / total).quantize(_AVERAGE_STEP, ROUND_HALF_EVEN)
        else:
            closed = min(abs(before), abs(signed_size)) * (1 if before > 0 else -1)
            realized = (price - self.average_price) * Decimal(closed).scaleb(-size_precision)
            if abs(signed_size) >= abs(before):
                self.average_price = price if abs(signed_size) > abs(before) else Decimal(0)
        self.signed_size = before + signed_size
        self.realized_pnl += realized
        return realized

    def unrealized_pnl(self, mark: Decimal, size_precision: int) -> Decimal:
        """Profit or loss of the open size at the price ``mark``, in quote currency."""
        return (mark - self.average_price) * Decimal(self.signed_size).scaleb(-size_precision)

"""Account balances as a venue states them."""

from decimal import Decimal

import msgspec


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """One currency of an account: FIX/Nautilus ``total = free + locked``."""

    currency: str
    free: Decimal
    locked: Decimal

    @property
    def total(self) -> Decimal:
        """Everything owned, reserved by resting orders or not."""
        return self.free + self.locked

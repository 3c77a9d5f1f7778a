"""Settings of the execution service: limits, lease and patience. Each is ``TRADEWIND_EXECUTION_<FIELD>``."""

from decimal import Decimal

import msgspec

from tradewind.execution.limits import RiskLimits


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Notionals are in quote currency. See the service's README for what each limit counts."""

    max_order_notional: Decimal = Decimal(250_000)
    max_instrument_notional: Decimal = Decimal(1_000_000)
    max_account_notional: Decimal = Decimal(2_000_000)
    max_open_orders_per_instrument: int = 50
    max_open_orders: int = 200
    max_command_age_s: float = 30.0
    lease_duration_s: float = 5.0
    lease_grace_s: float = 1.0
    send_margin_s: float = 1.0
    inflight_check_s: float = 2.0
    reconcile_every_s: float = 15.0

    @property
    def limits(self) -> RiskLimits:
        """The part that the risk checks read."""
        return RiskLimits(
            max_order_notional=self.max_order_notional,
            max_instrument_notional=self.max_instrument_notional,
            max_account_notional=self.max_account_notional,
            max_open_orders_per_instrument=self.max_open_orders_per_instrument,
            max_open_orders=self.max_open_orders,
            max_command_age_s=self.max_command_age_s,
        )

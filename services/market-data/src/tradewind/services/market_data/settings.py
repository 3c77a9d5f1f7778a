"""Settings of market-data: ``TRADEWIND_MARKET_DATA_<FIELD>``."""

import msgspec


class MarketDataSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Times are in seconds."""

    stale_after_s: float = 15.0
    snapshot_interval_s: float = 5.0
    snapshot_depth: int = 1_000
    update_interval_s: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what could not work. Raises ValueError in words."""
        for name in ("stale_after_s", "snapshot_interval_s", "update_interval_s"):
            if not 0 < getattr(self, name) < 3_600:
                raise ValueError(f"{name} must be more than 0 and less than 3600 seconds")
        if not 1 <= self.snapshot_depth <= 5_000:
            raise ValueError("snapshot_depth must be from 1 to 5000 levels a side")

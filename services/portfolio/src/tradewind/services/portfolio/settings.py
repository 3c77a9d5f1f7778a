"""Settings of the portfolio."""

import msgspec


class PortfolioSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``interval_s`` of wall time lies between two looks at the equity; ``capacity_points`` of the curve may wait for
    the database; marks are taken every ``mark_interval_s``."""

    interval_s: float = 1.0
    mark_interval_s: float = 0.05
    capacity_points: int = 20_000

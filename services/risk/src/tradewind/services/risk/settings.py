"""Settings of the risk service: its patience with a kill switch. Each is ``TRADEWIND_RISK_<FIELD>``."""

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """``ask_every_s``: a switch that is not flat takes its next step this often. ``watch_every_s``: one that is flat is
    looked at again this often, until it is released. ``stuck_after_s``: without progress for so long it is STUCK."""

    ask_every_s: float = 1.0
    watch_every_s: float = 30.0
    stuck_after_s: float = 30.0

    def __post_init__(self) -> None:
        """Refuse what cannot work. Raises ValueError in words."""
        if not 0 < self.ask_every_s <= self.watch_every_s:
            raise ValueError("ask_every_s must be above 0 and not above watch_every_s")
        if self.stuck_after_s <= self.ask_every_s:
            raise ValueError("stuck_after_s must be above ask_every_s")

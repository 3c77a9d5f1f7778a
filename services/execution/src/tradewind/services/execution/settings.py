"""Settings of the execution service: limits, lease and patience. Each is ``TRADEWIND_EXECUTION_<FIELD>``."""

from pathlib import Path

from tradewind.execution.limits import LimitSettings, RiskLimits
from tradewind.execution.limits_file import LimitsFile, read_limits_file


class Settings(LimitSettings, frozen=True, kw_only=True):
    """The limits of ``LimitSettings``, and how long the service waits for what.

    ``limits_file`` has limits of single strategies and instruments. docs/protocols/risk-limits.md says what each limit
    counts.
    """

    limits_file: Path | None = None
    lease_duration_s: float = 5.0
    lease_grace_s: float = 1.0
    send_margin_s: float = 2.0
    inflight_check_s: float = 2.0
    reconcile_every_s: float = 15.0

    def __post_init__(self) -> None:
        """Refuse limits that are no limits, and a limits file that says anything else.

        Raises:
            ValueError: names the setting, or the file and the key.
        """
        super().__post_init__()
        _ = self.limits

    @property
    def limits(self) -> RiskLimits:
        """The part that the risk checks read.

        Raises:
            LimitsFileError: the limits file is wrong.
        """
        own = LimitsFile() if self.limits_file is None else read_limits_file(self.limits_file)
        named = {name: getattr(self, name) for name in LimitSettings.__struct_fields__}
        return RiskLimits(**named, strategies=own.strategies, instruments=own.instruments)

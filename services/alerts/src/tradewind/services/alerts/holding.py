"""When a finding becomes an alert, and when an alert is over: both take time, so that a moment's hiccup is neither.

No I/O and no clock of its own; seconds are those of any monotonic clock.
"""

from collections.abc import Collection, Mapping

import msgspec

from tradewind.services.alerts.findings import Finding


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """``standing``: findings that are alerts now; ``over``: fingerprints of alerts that have ended."""

    standing: tuple[Finding, ...]
    over: tuple[str, ...]


class Holder:
    """Since when each finding has been there, and each open alert has had none."""

    def __init__(self, clear_s: float) -> None:
        self._clear_s = clear_s
        self._since: dict[str, float] = {}
        self._gone_since: dict[str, float] = {}

    def judge(
        self,
        findings: Mapping[str, Finding],
        open_names: Mapping[str, str],
        blind: Collection[str],
        now_s: float,
    ) -> Judgement:
        """``findings`` by fingerprint; ``open_names``: fingerprint -> name of each alert that is not resolved.

        What is named in ``blind`` could not be looked at: nothing begins and nothing ends there.
        """
        for fingerprint in [one for one in self._since if one not in findings]:
            del self._since[fingerprint]
        standing = []
        for fingerprint, found in findings.items():
            self._gone_since.pop(fingerprint, None)
            since = self._since.setdefault(fingerprint, now_s)
            if fingerprint in open_names or now_s - since >= found.hold_s:
                standing.append(found)
        return Judgement(standing=tuple(standing), over=tuple(self._over(findings, open_names, blind, now_s)))

    def _over(
        self,
        findings: Mapping[str, Finding],
        open_names: Mapping[str, str],
        blind: Collection[str],
        now_s: float,
    ) -> list[str]:
        over = []
        for fingerprint, name in open_names.items():
            if fingerprint in findings or name in blind:
                self._gone_since.pop(fingerprint, None)
            elif now_s - self._gone_since.setdefault(fingerprint, now_s) >= self._clear_s:
                over.append(fingerprint)
        for fingerprint in [one for one in self._gone_since if one not in open_names]:
            del self._gone_since[fingerprint]
        return over

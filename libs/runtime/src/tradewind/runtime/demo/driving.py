"""Drives a demo from outside the services: says where the page is, waits for the end of a replay, makes the report.

Owner: the supervisor, as its ``until``. It reads health, metrics and the database, and touches nothing else but the
order of the end: strategies stop first, then what they left comes to rest, then the report is made while the venue
still answers.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from tradewind.runtime.demo.options import DemoOptions
from tradewind.runtime.demo.reporting import RunTimes, make_report, to_json
from tradewind.runtime.health import process_health
from tradewind.runtime.metrics import process_metrics
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.service import ServiceKind
from tradewind.runtime.supervising import SharedResources, Supervisor

_POLL_S: Final = 0.01
_REST_TIMEOUT_S: Final = 30.0
_STILL_NS: Final = 150_000_000

Say = Callable[[str], None]


class Driver:
    """One demo, from the first ready service to the report."""

    def __init__(self, options: DemoOptions, shared: SharedResources, say: Say, page: str | None) -> None:
        self._options = options
        self._shared = shared
        self._say = say
        self._page = page
        self.supervisor: Supervisor | None = None

    async def run(self) -> None:
        """Until the replay has ended, the duration is over, or for ever.

        Raises:
            StartRefused: the capture cannot be played.
        """
        began_s = time.monotonic()
        await self._until_ready()
        self._introduce(time.monotonic() - began_s)
        try:
            async with asyncio.timeout(self._options.duration_s):
                await self._until_ended()
        except TimeoutError:
            self._say(f"{self._options.duration_s:g} s are over")
        await self._finish()

    async def _until_ready(self) -> None:
        while not process_health.all_ready and not self._venue_total("venue_replay_ended"):
            await asyncio.sleep(_POLL_S)

    def _introduce(self, seconds: float) -> None:
        self._say(f"All {len(process_health)} services are ready after {seconds:.1f} s.")
        if self._page is not None:
            self._say(f"Tradewind is at {self._page} (Ctrl-C ends it)")

    async def _until_ended(self) -> None:
        """A replay ends by itself; the venue's own flow does not."""
        while not self._venue_total("venue_replay_ended"):
            await asyncio.sleep(_POLL_S)

    async def _finish(self) -> None:
        await self._until_still(self._market_counters)
        if self.supervisor is None:
            raise RuntimeError("the driver needs its supervisor before it runs")
        await self.supervisor.stop_kind(ServiceKind.STRATEGY)
        await self._until_still(self._order_counters)
        times = RunTimes(int(self._venue_total("venue_first_frame_ns")), self._drained_ns())
        if self._options.replay is None and self._options.report is None:
            return
        report = await make_report(self._shared.platform, self._shared.database, times)
        self._say(_summary(report))
        if self._options.report is not None:
            self._options.report.write_bytes(to_json(report))
            self._say(f"Report: {self._options.report}")
        if failure := self._venue_failure():
            raise StartRefused(failure)

    async def _until_still(self, counters: Callable[[], tuple[float, ...]]) -> None:
        """Until nothing has been counted for a while and the recorder's backlog is empty; bounded."""
        deadline_s = time.monotonic() + _REST_TIMEOUT_S
        last, since_ns = counters(), time.monotonic_ns()
        while time.monotonic() < deadline_s:
            await asyncio.sleep(_POLL_S)
            now = counters()
            if now != last or self._venue_total("recorder_backlog"):
                last, since_ns = now, time.monotonic_ns()
            elif time.monotonic_ns() - since_ns > _STILL_NS:
                return
        self._say("The platform did not come to rest in 30 s; the report counts what is there.")

    def _market_counters(self) -> tuple[float, ...]:
        names = ("venue_frames", "market_records", "recorder_written_records")
        return tuple(process_metrics.total(name) for name in names)

    def _order_counters(self) -> tuple[float, ...]:
        return tuple(process_metrics.total(name) for name in ("order_commands", "orders_sent", "fills"))

    def _drained_ns(self) -> int:
        return int(process_metrics.total("recorder_last_write_ns")) or time.time_ns()

    def _venue_failure(self) -> str:
        row = next((row for row in process_health.rows() if row.name == "sim-venue"), None)
        return row.reason if row is not None and row.reason.startswith("capture") else ""

    @staticmethod
    def _venue_total(name: str) -> float:
        return process_metrics.total(name)


def _summary(report: dict[str, object]) -> str:
    """The report in a few lines for people."""
    lines = []
    for name in ("input", "book", "trades", "orders", "fills", "strategies", "db"):
        lines.append(f"  {name:12} {report[name]}")
    ledger = report["ledger"]
    if isinstance(ledger, dict):
        flags = {name: ledger[name] for name in ("books_equal_account", "account_equals_venue")}
        lines.append(f"  {'ledger':12} {flags}")
    lines.append(f"  {'latency_us':12} {report['latency_us']}")
    lines.append(f"  {'speed':12} {report['wall_s']} s, {report['frames_per_s']} frames/s")
    return "\n".join(["Run:", *lines])

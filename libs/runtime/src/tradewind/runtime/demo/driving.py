"""Drives a demo from outside the services: says where the page is, starts a replay, makes the report of its end.

Owner: the supervisor, as its ``until``. It reads health, metrics, the venue's status and the database, and touches
nothing but the beginning and the end: a replay begins when everyone listens; at the end strategies stop first, then
what they left comes to rest, then the report is made while the venue still answers.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from tradewind.runtime.demo.commit_probe import commit_probe
from tradewind.runtime.demo.options import DemoOptions
from tradewind.runtime.demo.reporting import RunTimes, make_report, to_json
from tradewind.runtime.demo.venue_progress import VenueProgress, VenueStatus
from tradewind.runtime.health import ServiceState, process_health
from tradewind.runtime.metrics import LatencyRecorder, process_metrics
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.service import ServiceKind
from tradewind.runtime.supervising import SharedResources, Supervisor

_POLL_S: Final = 0.05
_VENUE_POLL_S: Final = 0.25
_REST_TIMEOUT_S: Final = 30.0
_STILL_NS: Final = 400_000_000
"""Counters that others copy a few times a second must have had their turn."""

Say = Callable[[str], None]


class Driver:
    """One demo, from the first ready service to the report."""

    def __init__(self, options: DemoOptions, shared: SharedResources, say: Say, page: str | None) -> None:
        self._options = options
        self._shared = shared
        self._say = say
        self._page = page
        self._venue = VenueProgress(shared.platform.venue_rest_url)
        self._began_ns = 0  # of a market that makes itself; a replay's beginning is the venue's word
        self.supervisor: Supervisor | None = None

    async def run(self) -> None:
        """Until the replay has ended, the duration is over, or for ever.

        Raises:
            StartRefused: the capture cannot be played to its end.
        """
        began_s = time.monotonic()
        # The feed is ready only when its books are, and a held replay has no books to show yet.
        await self._until_ready(but_not=ServiceKind.FEED if self._options.replay else None)
        self._say(f"All {len(process_health)} services are up after {time.monotonic() - began_s:.1f} s.")
        if self._page is not None:
            self._say(f"Tradewind is at {self._page} (Ctrl-C ends it)")
        if self._options.replay is not None:
            await self._venue.start()
        if self._options.replay is None and self._options.report is None:
            await self._play()
            return
        async with commit_probe(self._shared.database) as bare_commit:
            await self._play()
        await self._finish(bare_commit)

    async def _play(self) -> None:
        self._began_ns = time.time_ns()
        try:
            async with asyncio.timeout(self._options.duration_s):
                await self._until_ended()
        except TimeoutError:
            self._say(f"{self._options.duration_s:g} s are over")
            await self._venue.stop()

    async def _until_ready(self, but_not: ServiceKind | None) -> None:
        left_out = but_not.name.lower().replace("_", "-") if but_not is not None else ""
        while not all(row.state is ServiceState.READY for row in process_health.rows() if row.kind != left_out):
            await asyncio.sleep(_POLL_S)

    async def _until_ended(self) -> None:
        """A replay ends by itself; the venue's own flow does not."""
        while not (await self._venue.status()).ended:
            await asyncio.sleep(_VENUE_POLL_S)

    async def _finish(self, bare_commit: LatencyRecorder) -> None:
        if self.supervisor is None:
            raise RuntimeError("the driver needs its supervisor before it runs")
        if self._options.replay is not None:
            await self._until_ended()
            await self._until_still(_market_counters)
        drained_ns = int(process_metrics.total("recorder_last_write_ns"))
        await self.supervisor.stop_kind(ServiceKind.STRATEGY)
        await self._until_still(_order_counters)
        status = await self._venue.status()
        times = RunTimes(status.began_ns or self._began_ns, max(drained_ns, status.ended_ns))
        await self._report(status, times, bare_commit)
        if status.error:
            raise StartRefused(f"capture {self._options.replay}: {status.error}")

    async def _report(self, status: VenueStatus, times: RunTimes, bare_commit: LatencyRecorder) -> None:
        report = await make_report(self._shared.platform, self._shared.database, status, times, bare_commit)
        self._say(_summary(report))
        if self._options.report is not None:
            self._options.report.write_bytes(to_json(report))
            self._say(f"Report: {self._options.report}")

    async def _until_still(self, counters: Callable[[], tuple[float, ...]]) -> None:
        """Until nothing has been counted for a while and the recorder's backlog is empty; bounded."""
        deadline_s = time.monotonic() + _REST_TIMEOUT_S
        last, since_ns = counters(), time.monotonic_ns()
        while time.monotonic() < deadline_s:
            await asyncio.sleep(_POLL_S)
            now = counters()
            if now != last or process_metrics.total("recorder_backlog"):
                last, since_ns = now, time.monotonic_ns()
            elif time.monotonic_ns() - since_ns > _STILL_NS:
                return
        self._say(f"The platform did not come to rest in {_REST_TIMEOUT_S:g} s; the report counts what is there.")


def _market_counters() -> tuple[float, ...]:
    names = ("market_records", "recorder_received_trades", "recorder_written_records")
    return tuple(process_metrics.total(name) for name in names)


def _order_counters() -> tuple[float, ...]:
    return tuple(process_metrics.total(name) for name in ("order_commands", "orders_sent", "fills"))


def _summary(report: dict[str, Any]) -> str:
    """The report in a few lines for people."""
    flags = {name: report["ledger"][name] for name in ("books_equal_account", "account_equals_venue")}
    shown = {name: report[name] for name in ("input", "book", "trades", "orders", "fills", "strategies", "db")}
    shown |= {"ledger": flags, "latency_us": report["latency_us"]}
    lines = [f"  {name:<11} {_words(value)}" for name, value in shown.items()]
    lines.append(f"  {'speed':<11} {report['frames_per_s']:,.0f} frames/s, {report['wall_s']:.2f} s")
    return "\n".join(["What happened:", *lines])


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_inner(item)}" for name, item in value.items())
    return _inner(value)


def _inner(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {_inner(item)}" for name, item in value.items()) + ")"
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)

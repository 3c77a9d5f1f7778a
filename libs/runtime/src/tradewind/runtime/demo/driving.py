"""Drives a demo from outside the services: says where the page is, starts a replay, makes the report of its end.

Owner: the supervisor, as its ``until``. It reads health, metrics, the venue's status and the database, and touches
nothing but the beginning and the end: a replay begins when everyone listens; at the end strategies stop first, then
what they left comes to rest, then the report is made while the venue still answers.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from tradewind.runtime.bus_watching import LAG
from tradewind.runtime.demo.commit_probe import commit_probe
from tradewind.runtime.demo.options import DemoOptions
from tradewind.runtime.demo.reporting import RunTimes, make_report, to_json
from tradewind.runtime.demo.venue_progress import VenueProgress, VenueStatus
from tradewind.runtime.health import ServiceState, kind_word
from tradewind.runtime.metrics import LatencyRecorder
from tradewind.runtime.platform_view import PlatformView
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.service import ServiceKind
from tradewind.runtime.supervising import SharedResources, Supervisor

_VENUE_POLL_S: Final = 0.25
_REST_TIMEOUT_S: Final = 30.0
_MARKET_COUNTERS: Final = ("market_records", "recorder_received_trades", "recorder_written_records")
_ORDER_COUNTERS: Final = ("order_commands", "orders_sent", "fills")
_SHOWN_DIGITS: Final = 16
_NS_PER_S: Final = 1_000_000_000
_BACKLOGS: Final = ("recorder_backlog", LAG)

Say = Callable[[str], None]


class Driver:
    """One demo, from the first ready service to the report. ``view`` sees the services, wherever they run."""

    def __init__(
        self, options: DemoOptions, shared: SharedResources, view: PlatformView, say: Say, page: str | None
    ) -> None:
        self._options = options
        self._shared = shared
        self._view = view
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
        self._say(f"All {len(self._view.rows())} services are up after {time.monotonic() - began_s:.1f} s.")
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
        left_out = kind_word(but_not) if but_not is not None else ""
        while not all(row.state is ServiceState.READY for row in self._view.rows() if row.kind != left_out):
            await asyncio.sleep(self._view.poll_s)

    async def _until_ended(self) -> None:
        """A replay ends by itself; the venue's own flow does not."""
        while not (await self._venue.status()).ended:
            await asyncio.sleep(_VENUE_POLL_S)

    async def _finish(self, bare_commit: LatencyRecorder) -> None:
        if self.supervisor is None:
            raise RuntimeError("the driver needs its supervisor before it runs")
        if self._options.replay is not None:
            await self._until_ended()
            await self._until_still(_MARKET_COUNTERS)
        drained_ns = int(self._view.total("recorder_last_write") * _NS_PER_S)
        await self.supervisor.stop_kind(ServiceKind.STRATEGY)
        await self._until_still(_ORDER_COUNTERS)
        status = await self._venue.status()
        times = RunTimes(status.began_ns or self._began_ns, max(drained_ns, status.ended_ns))
        await self._report(status, times, bare_commit)
        if status.error:
            raise StartRefused(f"capture {self._options.replay}: {status.error}")

    async def _report(self, status: VenueStatus, times: RunTimes, bare_commit: LatencyRecorder) -> None:
        report = await make_report(self._shared, self._view, status, times, bare_commit)
        self._say(_summary(report))
        if self._options.report is not None:
            self._options.report.write_bytes(to_json(report))
            self._say(f"Report: {self._options.report}")

    async def _until_still(self, counters: tuple[str, ...]) -> None:
        """Until nothing was counted for a while, and nothing waits on a bus or for the database; bounded."""
        deadline_s = time.monotonic() + _REST_TIMEOUT_S
        last, since_s = await self._figures(counters), time.monotonic()
        while time.monotonic() < deadline_s:
            await asyncio.sleep(self._view.poll_s)
            now = await self._figures(counters + _BACKLOGS)
            if now[: len(counters)] != last or any(now[len(counters) :]):
                last, since_s = now[: len(counters)], time.monotonic()
            elif time.monotonic() - since_s > self._view.still_s:
                return
        self._say(f"The platform did not come to rest in {_REST_TIMEOUT_S:g} s; the report counts what is there.")

    async def _figures(self, names: tuple[str, ...]) -> tuple[float, ...]:
        await self._view.refresh()
        return tuple(self._view.total(name) for name in names)


def _summary(report: dict[str, Any]) -> str:
    """The report in a few lines for people."""
    flags = {name: report["ledger"][name] for name in ("books_equal_account", "account_equals_venue")}
    shown = {name: report[name] for name in ("input", "book", "trades", "orders", "fills", "strategies", "db")}
    shown |= {"ledger": flags, "latency_us": report["latency_us"]}
    lines = [f"  {name:<11} {_words(value)}" for name, value in shown.items()]
    lines.append(
        f"  {'outcome':<11} orders {report['outcome']['orders']['sha256'][:_SHOWN_DIGITS]}, "
        f"fills {report['outcome']['fills']['sha256'][:_SHOWN_DIGITS]}"
    )
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

"""Runs the services of one process: starts them together, starts a failed one again, stops all in order.

The supervisor owns one task per service, the loop watchdog and the status display; all end before ``run`` returns.
Services stop kind by kind in the order of ``ServiceKind``, each within its own budget and all within one; one that
overruns is cancelled again and named in the log.
"""

import asyncio
import dataclasses
import functools
import gc
import math
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tradewind.bus.interface import Bus
from tradewind.runtime.bus_watching import watch_buses
from tradewind.runtime.health import HealthBoard, ServiceState, process_health
from tradewind.runtime.health_watching import watch_health
from tradewind.runtime.logging import get_logger
from tradewind.runtime.loop_watching import watch_loop
from tradewind.runtime.metrics import Metrics, ProcessMetrics, process_metrics
from tradewind.runtime.refusals import PortTaken, ProcessEnded, StartRefused, is_address_in_use, refusal_in
from tradewind.runtime.service import Service, ServiceContext, ServiceKind
from tradewind.runtime.settings import PlatformSettings, load_settings, service_prefix
from tradewind.runtime.status_line import show_status
from tradewind.runtime.tasks import TaskNursery

if TYPE_CHECKING:
    from tradewind.store.database import Database
    from tradewind.store.last_values import LastValues

STOP_BUDGET_S: Final = 5.0
"""From the first Ctrl-C to the end of the process."""
SERVICES_STOP_BUDGET_S: Final = 4.0
"""The services' part of it; the rest closes buses and stores."""
_KIND_MINIMUM_S: Final = 0.25
_OVERRUN_GRACE_S: Final = 0.1
_LEFTOVER_GRACE_S: Final = 0.5


@dataclasses.dataclass(frozen=True, slots=True)
class SharedResources:
    """What all services of a process use together."""

    platform: PlatformSettings
    market_bus: Bus
    order_bus: Bus
    database: "Database"
    last_values: "LastValues"


@dataclasses.dataclass(frozen=True, slots=True)
class BackOff:
    """Pauses before a restart: doubling from ``first_s`` to ``most_s``, anew after ``healthy_s`` of running."""

    first_s: float = 0.2
    most_s: float = 10.0
    healthy_s: float = 30.0

    def pause_s(self, failures_in_a_row: int) -> float:
        """The pause after the n-th failure in a row, n from 1."""
        # The exponent is capped because a float power overflows after a thousand failures.
        return min(self.first_s * 2.0 ** min(failures_in_a_row - 1, 32), self.most_s)


def load_service_settings(
    services: Mapping[str, Service], environ: Mapping[str, str] | None = None
) -> dict[str, msgspec.Struct]:
    """Every service's own settings from its own variables.

    Raises:
        SettingsError: see ``load_settings``.
    """
    return {
        name: load_settings(service.settings, prefix=service_prefix(name), environ=environ)
        for name, service in services.items()
    }


@dataclasses.dataclass(slots=True)
class _Running:
    service: Service
    context: ServiceContext
    task: asyncio.Task[None] | None = None
    stop_asked: bool = False


class Supervisor:
    """Keeps services running until it is stopped.

    ``settings`` holds each service's own settings by name. ``status_line`` makes one line of text for people; it is
    shown live on a terminal and logged now and then elsewhere; None shows nothing.
    """

    def __init__(
        self,
        services: Mapping[str, Service],
        shared: SharedResources,
        settings: Mapping[str, Any],
        *,
        board: HealthBoard = process_health,
        metrics: ProcessMetrics = process_metrics,
        back_off: BackOff | None = None,
        stop_budget_s: float = SERVICES_STOP_BUDGET_S,
        status_line: Callable[[], str] | None = None,
    ) -> None:
        self._back_off = back_off or BackOff()
        self._stop_budget_s = stop_budget_s
        self._status_line = status_line
        self._metrics = metrics
        self._board = board
        self._loop_stall_ms = shared.platform.loop_stall_ms
        self._buses = (shared.market_bus, shared.order_bus)
        self._log = get_logger("supervisor")
        self._over = asyncio.Event()
        self._refusal: StartRefused | None = None
        self._driver_error: Exception | None = None
        # From the start at 0: a rate over minutes needs to have seen it before the first failure.
        self._restarts = {
            name: metrics.counter("service_restarts", "Restarts after a failure", {"service": name})
            for name in services
        }
        self._running = [
            _Running(service, _context(service, shared, settings[name], board, metrics))
            for name, service in services.items()
        ]

    def stop(self) -> None:
        """Ask ``run`` to stop everything and return. May be called again."""
        self._over.set()

    async def run(self, until: Coroutine[Any, Any, None] | None = None) -> None:
        """Run all until ``stop``, the end of ``until``, or the end of the last service; then stop all in order.

        No task is left when it returns, unless it was named in the log as ignoring its cancellation.

        Raises:
            StartRefused: a service cannot work until the user changes something; all others were stopped.
            Exception: what ``until`` raised, after all were stopped.
        """
        # What was imported stays for the life of the process: collections that walk it would stop the loop for 40 ms.
        gc.collect()
        gc.freeze()
        attendants, nursery = TaskNursery("supervisor", log=self._log), TaskNursery("service", log=self._log)
        try:
            self._start(attendants, nursery, until)
            await self._over.wait()
            self._log.info("stopping", services=len(nursery))
        finally:
            try:
                await self._stop_in_order()
            finally:
                await nursery.close(_LEFTOVER_GRACE_S)
                await attendants.close(_LEFTOVER_GRACE_S)
        if self._refusal is not None:
            raise self._refusal
        if self._driver_error is not None:
            raise self._driver_error

    async def stop_kind(self, kind: ServiceKind) -> None:
        """Stop the services of one kind, each within its own budget, while the others go on. They stay stopped."""
        group = [entry for entry in self._running if entry.service.kind is kind]
        await self._stop_group(group, math.inf)

    def _start(self, attendants: TaskNursery, nursery: TaskNursery, until: Coroutine[Any, Any, None] | None) -> None:
        runtime = Metrics("runtime", self._metrics)
        attendants.spawn(watch_loop(runtime, self._loop_stall_ms), "loop-watchdog")
        attendants.spawn(watch_health(self._metrics, self._board), "health-watch")
        attendants.spawn(watch_buses(runtime, self._buses), "bus-watch")
        if self._status_line is not None:
            attendants.spawn(show_status(self._status_line), "status-line")
        for entry in self._running:
            entry.task = nursery.spawn(self._keep_running(entry), entry.service.name)
            entry.task.add_done_callback(functools.partial(self._task_ended, entry))
        if until is not None:
            attendants.spawn(self._drive(until), "driver")

    async def _drive(self, until: Coroutine[Any, Any, None]) -> None:
        try:
            await until
        except Exception as error:
            self._driver_error = error
        finally:
            self._over.set()

    async def _keep_running(self, entry: _Running) -> None:
        health, log, name = entry.context.health, entry.context.log, entry.service.name
        failures = 0
        while True:
            started_s = time.monotonic()
            health.set_starting()
            error = await _run_once(entry)
            if error is None or entry.stop_asked:
                self._ended(entry, error)
                return
            if refusal := self._refusal_of(entry, error):
                log.error("service refuses to start", reason=str(refusal))
                self._refusal = self._refusal or refusal
                health.set_stopped(str(refusal))
                self._over.set()
                return
            failures = 1 if time.monotonic() - started_s >= self._back_off.healthy_s else failures + 1
            pause_s = self._back_off.pause_s(failures)
            health.set_restarting(_in_words(error))
            self._restarts[name].inc()
            # Where a process ended is in its own log; a traceback of the code that noticed would only look like it.
            why = {"reason": str(error)} if isinstance(error, ProcessEnded) else {"exc_info": error}
            log.error("service failed; it is started again", restart_in_s=pause_s, **why)
            await asyncio.sleep(pause_s)

    def _ended(self, entry: _Running, error: BaseException | None) -> None:
        log, health = entry.context.log, entry.context.health
        if error is None:
            log.info("service ended")
            health.set_stopped("ended")
        else:
            log.error("service failed while stopping", exc_info=error)
            health.set_stopped(f"failed while stopping: {_in_words(error)}")

    def _refusal_of(self, entry: _Running, error: BaseException) -> StartRefused | None:
        # Later in its life the cause may pass, a full disk or a port of our own not yet released: then we try again.
        if entry.context.health.restarts:
            return None
        if (refusal := refusal_in(error)) is not None:
            return refusal
        port = getattr(entry.context.settings, "port", None)
        if port and is_address_in_use(error):
            return PortTaken(port, f"{service_prefix(entry.service.name)}PORT")
        return None

    def _task_ended(self, entry: _Running, _task: asyncio.Task[None]) -> None:
        if entry.context.health.state is not ServiceState.STOPPED:
            entry.context.health.set_stopped("stopped")
        if all(entry.task is not None and entry.task.done() for entry in self._running):
            self._over.set()

    async def _stop_in_order(self) -> None:
        deadline_s = time.monotonic() + self._stop_budget_s
        kinds = sorted({entry.service.kind for entry in self._running})
        for place, kind in enumerate(kinds, start=1):
            # What is kept back lets the later kinds end in order even if this one uses up all its time.
            kept_back_s = _KIND_MINIMUM_S * (len(kinds) - place)
            group = [entry for entry in self._running if entry.service.kind is kind]
            await self._stop_group(group, deadline_s - kept_back_s)

    async def _stop_group(self, group: list[_Running], deadline_s: float) -> None:
        began_s = time.monotonic()
        for entry in group:
            entry.stop_asked = True
            if entry.task is not None:
                entry.task.cancel()
        for entry in sorted(group, key=lambda one: one.service.stop_budget_s):
            if entry.task is None or entry.task.done():
                continue
            limit_s = min(began_s + entry.service.stop_budget_s, deadline_s) - time.monotonic()
            await asyncio.wait({entry.task}, timeout=max(limit_s, 0.0))
            if not entry.task.done():
                entry.context.log.error("service overran its stop budget; it is cut off")
                entry.task.cancel()
                await asyncio.wait({entry.task}, timeout=_OVERRUN_GRACE_S)


async def _run_once(entry: _Running) -> BaseException | None:
    """Run the service once: None when it returned, else what it raised. Only our own cancellation goes through."""
    try:
        await entry.service.run(entry.context)
    except asyncio.CancelledError as error:
        if entry.stop_asked or _is_cancelled():
            raise
        return error  # a cancellation of something inside the service that leaked out of it
    except (Exception, SystemExit) as error:  # servers of third parties call sys.exit when they cannot start
        return error
    return None


def _in_words(error: BaseException) -> str:
    """The error's own words; of a group, those of its first error, because a group's own say nothing."""
    if isinstance(error, ProcessEnded):
        return str(error)
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _context(
    service: Service, shared: SharedResources, settings: Any, board: HealthBoard, metrics: ProcessMetrics
) -> ServiceContext:
    return ServiceContext(
        name=service.name,
        platform=shared.platform,
        settings=settings,
        market_bus=shared.market_bus,
        order_bus=shared.order_bus,
        database=shared.database,
        last_values=shared.last_values,
        health=board.register(service.name, service.kind),
        metrics=Metrics(service.name, metrics),
        log=get_logger(service.name),
    )

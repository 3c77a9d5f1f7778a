"""Services in one process: up together, again after a failure, down in order, in time, with nothing left behind."""

import asyncio
import errno
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec
import pytest
from structlog.testing import capture_logs

from tradewind.bus.memory import MemoryBus
from tradewind.runtime.health import HealthBoard, ServiceState
from tradewind.runtime.metrics import ProcessMetrics
from tradewind.runtime.refusals import PortTaken, StartRefused
from tradewind.runtime.service import NoSettings, Service, ServiceContext, ServiceKind
from tradewind.runtime.settings import PlatformSettings, SettingsError
from tradewind.runtime.supervising import BackOff, SharedResources, Supervisor, load_service_settings
from tradewind.store.database import Database

Run = Callable[[ServiceContext], Awaitable[None]]
FAST = BackOff(first_s=0.001, most_s=0.004)


class _PortSettings(msgspec.Struct, frozen=True):
    port: int = 8080


class House:
    """One supervisor over services given as functions, and the board and metrics to look at."""

    def __init__(self, *services: Service, back_off: BackOff = FAST, stop_budget_s: float = 4.0) -> None:
        bus = MemoryBus()
        shared = SharedResources(PlatformSettings(), bus, bus, Database("postgresql://"), cast("Any", None))
        named = {service.name: service for service in services}
        self.board, self.metrics = HealthBoard(), ProcessMetrics()
        self.supervisor = Supervisor(
            named,
            shared,
            load_service_settings(named, {}),
            board=self.board,
            metrics=self.metrics,
            back_off=back_off,
            stop_budget_s=stop_budget_s,
        )

    async def run(self) -> None:
        before = asyncio.all_tasks()
        try:
            await self.supervisor.run()
        finally:
            assert asyncio.all_tasks() == before

    def state(self, name: str) -> ServiceState:
        return {row.name: row.state for row in self.board.rows()}[name]


def service(name: str, run: Run, kind: ServiceKind = ServiceKind.FEED, **more: Any) -> Service:
    return Service(name=name, kind=kind, run=run, **more)


async def ready_for_ever(context: ServiceContext) -> None:
    context.health.set_ready()
    await asyncio.Event().wait()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def test_all_services_start_at_the_same_time() -> None:
    meeting = asyncio.Barrier(3)

    async def meet(context: ServiceContext) -> None:
        await meeting.wait()
        context.health.set_ready()
        await asyncio.Event().wait()

    house = House(*(service(name, meet) for name in ("a", "b", "c")))
    async with asyncio.TaskGroup() as group:
        group.create_task(house.run())
        await until(lambda: house.board.all_ready)
        house.supervisor.stop()
    assert {row.state for row in house.board.rows()} == {ServiceState.STOPPED}


async def test_the_context_holds_the_services_own_things(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[ServiceContext] = []

    async def look(context: ServiceContext) -> None:
        seen.append(context)

    house = House(service("market-data", look, settings=_PortSettings))
    await house.run()
    [context] = seen
    assert (context.name, context.settings, context.metrics.service) == ("market-data", _PortSettings(), "market-data")
    assert context.market_bus is context.order_bus


async def test_a_service_that_raises_is_started_again_and_counted() -> None:
    runs = 0

    async def fail_twice(context: ServiceContext) -> None:
        nonlocal runs
        runs += 1
        if runs <= 2:
            raise ValueError(f"failure {runs}")
        await ready_for_ever(context)

    house = House(service("a", fail_twice), service("b", ready_for_ever))
    async with asyncio.TaskGroup() as group:
        group.create_task(house.run())
        await until(lambda: house.board.all_ready)
        house.supervisor.stop()
    assert runs == 3
    assert {row.name: row.restarts for row in house.board.rows()} == {"a": 2, "b": 0}
    assert house.metrics.total("service_restarts") == 2


async def test_while_it_waits_for_its_restart_the_reason_is_on_the_board() -> None:
    async def fail(_context: ServiceContext) -> None:
        raise ValueError("no such symbol")

    house = House(service("a", fail), back_off=BackOff(first_s=30, most_s=30))
    async with asyncio.TaskGroup() as group:
        group.create_task(house.run())
        await until(lambda: house.state("a") is ServiceState.RESTARTING)
        [row] = house.board.rows()
        house.supervisor.stop()
    assert (row.reason, row.restarts) == ("ValueError: no such symbol", 1)
    assert house.state("a") is ServiceState.STOPPED


@pytest.mark.parametrize("leak", [asyncio.CancelledError(), SystemExit(1), ExceptionGroup("two", [OSError(5, "io")])])
async def test_whatever_a_service_raises_by_itself_is_a_failure(leak: BaseException) -> None:
    runs = 0

    async def fail_once(context: ServiceContext) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise leak
        await ready_for_ever(context)

    house = House(service("a", fail_once))
    async with asyncio.TaskGroup() as group:
        group.create_task(house.run())
        await until(lambda: house.board.all_ready)
        house.supervisor.stop()
    assert runs == 2


def test_back_off_doubles_to_its_limit() -> None:
    back_off = BackOff()
    assert [back_off.pause_s(n) for n in range(1, 9)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert back_off.pause_s(100_000) == 10.0


async def test_back_off_begins_anew_after_a_healthy_run() -> None:
    runs = 0

    async def fail(context: ServiceContext) -> None:
        nonlocal runs
        runs += 1
        if runs == 4:
            await ready_for_ever(context)
        raise ValueError("again")

    with capture_logs() as logs:
        house = House(service("a", fail), back_off=BackOff(first_s=0.001, most_s=1, healthy_s=0))
        async with asyncio.TaskGroup() as group:
            group.create_task(house.run())
            await until(lambda: house.board.all_ready)
            house.supervisor.stop()
    assert [line["restart_in_s"] for line in logs if "restart_in_s" in line] == [0.001, 0.001, 0.001]


async def test_a_service_that_returns_has_ended_and_the_last_one_ends_the_run() -> None:
    runs = 0

    async def once(_context: ServiceContext) -> None:
        nonlocal runs
        runs += 1

    house = House(service("a", once), service("b", once))
    await house.run()
    assert runs == 2
    assert [(row.state, row.reason) for row in house.board.rows()] == [(ServiceState.STOPPED, "ended")] * 2


async def test_services_stop_in_the_order_of_their_kinds() -> None:
    story: list[str] = []

    def recorded(name: str, kind: ServiceKind) -> Service:
        async def run(context: ServiceContext) -> None:
            try:
                await ready_for_ever(context)
            finally:
                story.append(f"{name} begins")
                await asyncio.sleep(0.01)
                story.append(f"{name} done")

        return service(name, run, kind)

    kinds = list(ServiceKind)
    house = House(*(recorded(kind.name, kind) for kind in reversed(kinds)))
    async with asyncio.TaskGroup() as group:
        group.create_task(house.run())
        await until(lambda: house.board.all_ready)
        house.supervisor.stop()
    assert story == [f"{kind.name} {what}" for kind in kinds for what in ("begins", "done")]


async def test_a_service_that_overruns_its_own_budget_is_cut_off_and_named() -> None:
    cut = asyncio.Event()

    async def dawdle(context: ServiceContext) -> None:
        try:
            await ready_for_ever(context)
        finally:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                cut.set()
                raise

    with capture_logs() as logs:
        house = House(service("slow", dawdle, stop_budget_s=0.02), service("next", ready_for_ever, ServiceKind.VENUE))
        async with asyncio.TaskGroup() as group:
            group.create_task(house.run())
            await until(lambda: house.board.all_ready)
            house.supervisor.stop()
    assert cut.is_set()
    assert [line["service"] for line in logs if "overran" in line["event"]] == ["slow"]


async def test_all_together_stay_within_one_budget_and_the_last_still_has_its_turn() -> None:
    last_word = asyncio.Event()

    async def dawdle(context: ServiceContext) -> None:
        try:
            await ready_for_ever(context)
        finally:
            await asyncio.sleep(3600)

    async def brief(context: ServiceContext) -> None:
        try:
            await ready_for_ever(context)
        finally:
            await asyncio.sleep(0.01)
            last_word.set()

    slow = [service(kind.name, dawdle, kind, stop_budget_s=3600.0) for kind in ServiceKind if kind < ServiceKind.VENUE]
    house = House(*slow, service("venue", brief, ServiceKind.VENUE), stop_budget_s=1.5)
    async with asyncio.TaskGroup() as group:
        group.create_task(house.run())
        await until(lambda: house.board.all_ready)
        house.supervisor.stop()
    # The budgets add up to five hours; without the common one this test ends by its time-out.
    assert last_word.is_set()


async def test_a_service_that_fails_while_stopping_is_not_started_again() -> None:
    runs = 0

    async def fail_at_end(context: ServiceContext) -> None:
        nonlocal runs
        runs += 1
        try:
            await ready_for_ever(context)
        finally:
            raise RuntimeError("cannot say goodbye")

    house = House(service("a", fail_at_end))
    async with asyncio.TaskGroup() as group:
        group.create_task(house.run())
        await until(lambda: house.board.all_ready)
        house.supervisor.stop()
    assert runs == 1
    assert "cannot say goodbye" in house.board.rows()[0].reason


async def test_a_service_that_swallows_its_cancellation_once_still_ends() -> None:
    async def deaf_once(context: ServiceContext) -> None:
        try:
            await ready_for_ever(context)
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    house = House(service("a", deaf_once, stop_budget_s=0.01))
    async with asyncio.TaskGroup() as group:
        group.create_task(house.run())
        await until(lambda: house.board.all_ready)
        house.supervisor.stop()
    assert house.state("a") is ServiceState.STOPPED


async def test_cancelling_the_supervisor_stops_in_order_too() -> None:
    ended: list[str] = []

    def recorded(name: str, kind: ServiceKind) -> Service:
        async def run(context: ServiceContext) -> None:
            try:
                await ready_for_ever(context)
            finally:
                ended.append(name)

        return service(name, run, kind)

    house = House(recorded("books", ServiceKind.BOOKS), recorded("strategy", ServiceKind.STRATEGY))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(house.run())
        await until(lambda: house.board.all_ready)
        task.cancel()
    assert ended == ["strategy", "books"]


@pytest.mark.parametrize("refusal", [StartRefused("give it a key"), SettingsError("give it a key")])
async def test_a_refusal_ends_everything_with_its_message(refusal: Exception) -> None:
    async def refuse(_context: ServiceContext) -> None:
        raise ExceptionGroup("inside a task group", [refusal])

    house = House(service("a", refuse), service("b", ready_for_ever))
    with pytest.raises(StartRefused, match="give it a key"):
        await house.run()
    assert house.state("b") is ServiceState.STOPPED


async def test_a_port_that_is_taken_at_the_first_start_is_a_refusal_that_names_the_variable() -> None:
    async def bind(_context: ServiceContext) -> None:
        raise OSError(errno.EADDRINUSE, "address already in use")

    house = House(service("sim-venue", bind, settings=_PortSettings))
    with pytest.raises(
        PortTaken, match="port 8080 is taken by another program; stop it or set TRADEWIND_SIM_VENUE_PORT"
    ):
        await house.run()


async def test_the_run_ends_with_what_it_runs_until() -> None:
    house = House(service("a", ready_for_ever))

    async def when_ready() -> None:
        await until(lambda: house.board.all_ready)

    await house.supervisor.run(when_ready())
    assert house.state("a") is ServiceState.STOPPED


async def test_what_the_driver_raises_comes_out_after_the_services_have_stopped() -> None:
    house = House(service("a", ready_for_ever))

    async def fail() -> None:
        await until(lambda: house.board.all_ready)
        raise LookupError("the capture ends in the middle of a frame")

    with pytest.raises(LookupError, match="middle of a frame"):
        await house.supervisor.run(fail())
    assert house.state("a") is ServiceState.STOPPED


async def test_one_kind_can_be_stopped_before_the_others() -> None:
    house = House(service("maker", ready_for_ever, ServiceKind.STRATEGY), service("feed", ready_for_ever))

    async def drive() -> None:
        await until(lambda: house.board.all_ready)
        await house.supervisor.stop_kind(ServiceKind.STRATEGY)
        assert (house.state("maker"), house.state("feed")) == (ServiceState.STOPPED, ServiceState.READY)

    await house.supervisor.run(drive())
    assert house.state("feed") is ServiceState.STOPPED


async def test_a_refusal_of_the_driver_comes_out_without_a_traceback_in_the_log() -> None:
    async def refuse() -> None:
        raise StartRefused("the capture cannot be read")

    with capture_logs() as logs, pytest.raises(StartRefused, match="cannot be read"):
        await House(service("a", ready_for_ever)).supervisor.run(refuse())
    assert [line for line in logs if line["log_level"] == "error"] == []


async def test_the_loop_watchdog_sees_a_blocked_loop() -> None:
    async def block(context: ServiceContext) -> None:
        context.health.set_ready()
        while True:
            time.sleep(0.3)  # noqa: ASYNC251 - the fault under test
            await asyncio.sleep(0)

    house = House(service("a", block))
    async with asyncio.TaskGroup() as group:
        group.create_task(house.run())
        await until(lambda: house.metrics.total("loop_lag_max") > 0.02)
        house.supervisor.stop()


def test_a_service_without_settings_of_its_own_gets_none() -> None:
    assert load_service_settings({"a": service("a", ready_for_ever)}, {}) == {"a": NoSettings()}

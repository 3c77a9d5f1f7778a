"""Runs a demo: settings, folders, supervisor and driver put together."""

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

from tradewind.runtime.demo.driving import Driver
from tradewind.runtime.demo.options import DemoOptions, check, environment
from tradewind.runtime.listening_ports import check_ports
from tradewind.runtime.platform_start import open_shared
from tradewind.runtime.platform_view import OwnProcessView, PlatformView
from tradewind.runtime.process_running import load_platform_settings, run_process
from tradewind.runtime.processes.running import STOP_BUDGET_S as PROCESSES_STOP_BUDGET_S
from tradewind.runtime.processes.running import check_process_settings, open_processes
from tradewind.runtime.service import Service
from tradewind.runtime.service_registry import services_to_run
from tradewind.runtime.service_running import health_endpoint, say
from tradewind.runtime.settings import PREFIX, PlatformSettings
from tradewind.runtime.status_line import PlatformStatus
from tradewind.runtime.stop_signals import StopSwitch
from tradewind.runtime.supervising import STOP_BUDGET_S, SharedResources, Supervisor, load_service_settings
from tradewind.runtime.venue_target import venue_target


def run_demo(options: DemoOptions) -> int:
    """Run to the end, the duration or a signal; gives the exit code.

    Raises:
        StartRefused: something must be changed by the user first.
    """
    check(options, os.environ)
    with _data_dir(options) as data_dir:
        os.environ |= environment(options, data_dir, os.environ)
        return _run(options)


def _run(options: DemoOptions) -> int:
    platform = load_platform_settings()
    services = services_to_run(None)
    if options.headless:
        services.pop("api", None)
    say(venue_target(platform).sentence)
    page = None if options.headless else f"http://{platform.host}:{os.environ[f'{PREFIX}API_PORT']}"
    opened = _in_processes(platform, services) if options.processes else _in_this_process(platform, services)

    async def main(switch: StopSwitch) -> None:
        async with opened as house, health_endpoint(platform):
            driver = Driver(options, house.shared, house.view, say, page)
            status = None if options.headless else PlatformStatus(house.view)
            supervisor = driver.supervisor = house.supervisor(status)
            switch.stop = supervisor.stop
            await supervisor.run(until=driver.run())
        say("stopped")

    return run_process(main, PROCESSES_STOP_BUDGET_S if options.processes else STOP_BUDGET_S)


@dataclasses.dataclass(frozen=True, slots=True)
class _House:
    """What a demo drives, wherever its services run."""

    shared: SharedResources
    view: PlatformView
    supervisor: Callable[[PlatformStatus | None], Supervisor]


def _in_this_process(
    platform: PlatformSettings, services: Mapping[str, Service]
) -> contextlib.AbstractAsyncContextManager[_House]:
    settings = load_service_settings(services)
    check_ports(settings, platform.host)

    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[_House]:
        async with open_shared(platform) as shared:
            view = OwnProcessView()
            yield _House(shared, view, lambda status: Supervisor(services, shared, settings, status_line=status))

    return opened()


def _in_processes(
    platform: PlatformSettings, services: Mapping[str, Service]
) -> contextlib.AbstractAsyncContextManager[_House]:
    check_process_settings(platform, services)

    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[_House]:
        async with open_processes(platform, services) as processes:
            yield _House(processes.shared, processes.view, processes.supervisor)

    return opened()


@contextlib.contextmanager
def _data_dir(options: DemoOptions) -> Iterator[Path]:
    """The named folder, a temporary one for a replay, or the default."""
    if options.data_dir is not None:
        yield options.data_dir.expanduser().absolute()
    elif options.replay is not None:
        with tempfile.TemporaryDirectory(prefix="tradewind-replay-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
    else:
        yield Path(os.environ.get(f"{PREFIX}DATA_DIR") or PlatformSettings().data_dir)

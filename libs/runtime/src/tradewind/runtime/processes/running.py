"""Runs services as processes from the environment's settings: what ``up --processes`` and the demo share.

The supervisor's process opens the stores once, embedded ones too, and migrates; the others are told where they are. It
takes part in no bus.
"""

import contextlib
import dataclasses
import os
from collections.abc import AsyncIterator, Mapping
from typing import Final

from tradewind.bus.memory import MemoryBus
from tradewind.runtime.broker_urls import BUS_VARIABLE, DEFAULT_BROKER_URL, plane_urls
from tradewind.runtime.http_health import PORT_VARIABLE as HEALTH_PORT_VARIABLE
from tradewind.runtime.listening_ports import check_ports
from tradewind.runtime.process_running import load_platform_settings, run_process
from tradewind.runtime.processes.asking import open_session
from tradewind.runtime.processes.child import ProcessHouse, ServiceProcess, as_process_service
from tradewind.runtime.processes.figures import ProcessesView
from tradewind.runtime.processes.merged_log import MergedLog
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.service import NoSettings, Service
from tradewind.runtime.service_running import health_endpoint, say
from tradewind.runtime.settings import FILE_SUFFIX, PREFIX, PlatformSettings
from tradewind.runtime.status_line import PlatformStatus
from tradewind.runtime.stop_signals import StopSwitch
from tradewind.runtime.stores_starting import Stores, open_stores
from tradewind.runtime.supervising import SharedResources, Supervisor, load_service_settings
from tradewind.runtime.venue_target import venue_target

STOP_BUDGET_S: Final = 30.0
"""From the first Ctrl-C to the end of the supervisor; less than what a cluster gives by default."""
SERVICES_STOP_BUDGET_S: Final = 28.0
_OF_ONE_PROCESS: Final = (HEALTH_PORT_VARIABLE, f"{PREFIX}LOG_FORMAT")


@dataclasses.dataclass(frozen=True, slots=True)
class Processes:
    """Services that each run as a process, ready for a supervisor, and the view of them all."""

    services: Mapping[str, Service]
    shared: SharedResources
    view: ProcessesView

    def supervisor(self, status: PlatformStatus | None) -> Supervisor:
        """A supervisor of all of them."""
        settings = {name: NoSettings() for name in self.services}
        return Supervisor(
            self.services, self.shared, settings, stop_budget_s=SERVICES_STOP_BUDGET_S, status_line=status
        )


def run_as_processes(services: Mapping[str, Service]) -> int:
    """Run each of ``services`` as a process until they end or a signal stops them; gives the exit code.

    Raises:
        StartRefused: a setting, the venue's address, a port or the bus is not in order.
    """
    take_default_broker()
    platform = load_platform_settings()
    check_process_settings(platform, services)
    say(venue_target(platform).sentence)

    async def main(switch: StopSwitch) -> None:
        async with open_processes(platform, services) as processes, health_endpoint(platform):
            supervisor = processes.supervisor(PlatformStatus(processes.view))
            switch.stop = supervisor.stop
            await supervisor.run()
        say("stopped")

    return run_process(main, STOP_BUDGET_S)


def take_default_broker() -> None:
    """Without a setting, processes meet at Kafka on this machine."""
    if not os.environ.get(BUS_VARIABLE) and not os.environ.get(BUS_VARIABLE + FILE_SUFFIX):
        os.environ[BUS_VARIABLE] = DEFAULT_BROKER_URL


def check_process_settings(platform: PlatformSettings, services: Mapping[str, Service]) -> None:
    """Check what each process would refuse later, and what only a single process can have.

    Raises:
        StartRefused: a setting is wrong, a port is taken, or a plane is on the bus that ends at its process.
    """
    settings = load_service_settings(services)
    for broker in plane_urls(platform):
        if broker.is_memory:
            raise StartRefused(
                f"{broker.variable} is memory://, which no other process can reach; set it to a broker such as "
                f"{DEFAULT_BROKER_URL} or amqp://127.0.0.1:5672, or leave --processes away"
            )
    check_ports(settings, platform.host)


@contextlib.asynccontextmanager
async def open_processes(platform: PlatformSettings, services: Mapping[str, Service]) -> AsyncIterator[Processes]:
    """Open the stores, and make ready to start each of ``services`` as a process that uses them.

    Raises:
        StartRefused: as ``open_stores``.
    """
    async with contextlib.AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(platform))
        log = stack.enter_context(MergedLog(platform.log_format))
        session = await stack.enter_async_context(open_session())
        view = ProcessesView()
        house = ProcessHouse(child_environment(platform, stores, log.child_format), log, view, session)
        found = {}
        for name, service in services.items():
            process = ServiceProcess(name, house)
            stack.callback(process.close)
            found[name] = as_process_service(service, process)
        no_bus = MemoryBus()
        stack.push_async_callback(no_bus.close)
        shared = SharedResources(platform, no_bus, no_bus, stores.database, stores.last_values)
        yield Processes(found, shared, view)


def child_environment(platform: PlatformSettings, stores: Stores, log_format: str) -> dict[str, str]:
    """Our own environment, with the stores that we have started and without what is for one process alone."""
    found = {name: value for name, value in os.environ.items() if name.removesuffix(FILE_SUFFIX) not in _OF_ONE_PROCESS}
    found[f"{PREFIX}LOG_FORMAT"] = log_format
    embedded = {
        f"{PREFIX}POSTGRES_DSN": "" if platform.postgres_dsn else stores.postgres_dsn,
        f"{PREFIX}REDIS_URL": "" if platform.redis_url else stores.redis_url,
    }
    for name, address in embedded.items():
        if address:
            found.pop(name + FILE_SUFFIX, None)
            found[name] = address
    return found

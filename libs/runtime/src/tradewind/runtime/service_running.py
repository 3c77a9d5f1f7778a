"""Runs services in this process from the environment's settings: what ``up`` and ``run`` share."""

import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Mapping

from tradewind.runtime.http_health import health_server
from tradewind.runtime.listening_ports import check_ports
from tradewind.runtime.platform_start import open_shared
from tradewind.runtime.process_running import load_platform_settings, run_process
from tradewind.runtime.service import Service
from tradewind.runtime.settings import PlatformSettings
from tradewind.runtime.status_line import PlatformStatus
from tradewind.runtime.stop_signals import StopSwitch
from tradewind.runtime.supervised import health_listener_fd, is_supervised
from tradewind.runtime.supervising import Supervisor, load_service_settings
from tradewind.runtime.venue_target import venue_target


def run_services(services: Mapping[str, Service], *, live_status: bool) -> int:
    """Run ``services`` until they end or a signal stops them; gives the exit code.

    Everything that the user may have to change is checked before the first store is opened. ``live_status`` shows the
    status line.

    Raises:
        StartRefused: a setting, the venue's address or a port is not in order.
    """
    platform = load_platform_settings()
    settings = load_service_settings(services)
    tell = say if not is_supervised() else _say_nothing
    tell(venue_target(platform).sentence)
    check_ports(settings, platform.host)

    async def main(switch: StopSwitch) -> None:
        async with health_endpoint(platform), open_shared(platform) as shared:
            status = PlatformStatus() if live_status else None
            supervisor = Supervisor(services, shared, settings, status_line=status)
            switch.stop = supervisor.stop
            await supervisor.run()
        tell("stopped")

    return run_process(main)


def say(text: str) -> None:
    """One line for the person at the terminal, outside the log."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _say_nothing(_text: str) -> None:
    """The supervisor says it once for all."""


@contextlib.asynccontextmanager
async def health_endpoint(platform: PlatformSettings) -> AsyncIterator[None]:
    """Answer for the health of this process during the block, if there is a port for it."""
    if (fd := health_listener_fd()) is not None:
        with socket.socket(fileno=fd) as listener:
            async with health_server(platform.host, 0, listener=listener):
                yield
    elif platform.health_port:
        async with health_server(platform.host, platform.health_port):
            yield
    else:
        yield

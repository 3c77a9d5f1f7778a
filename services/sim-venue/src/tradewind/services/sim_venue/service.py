"""The service ``sim-venue``: the simulated exchange as a process member."""

import asyncio
from typing import Final

from tradewind.runtime.service import Service, ServiceContext, ServiceKind
from tradewind.services.sim_venue.server import SimVenue
from tradewind.services.sim_venue.settings import Settings

_SHOW_EVERY_S: Final = 0.25


async def run(context: ServiceContext) -> None:
    """Serve until cancelled. The listening port is in the log and, of a replay, the progress in the metrics."""
    settings: Settings = context.settings
    venue = SimVenue(
        settings,
        context.platform.data_dir,
        settings.api_key or context.platform.venue_api_key,
        settings.api_secret or context.platform.venue_api_secret,
        context.log,
        lockstep=bool(context.platform.lockstep),
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_show(context, venue), name="sim-venue.metrics")
        await venue.run(context.platform.host)


async def _show(context: ServiceContext, venue: SimVenue) -> None:
    await venue.ready.wait()
    context.log.info("simulated venue listens", port=venue.port, mode=context.settings.mode)
    context.health.set_ready()
    gauge = _Progress(context, venue)
    while True:
        gauge.update()
        await asyncio.sleep(_SHOW_EVERY_S)


class _Progress:
    """Copies the venue's own counts into the metrics of the process."""

    def __init__(self, context: ServiceContext, venue: SimVenue) -> None:
        metrics = context.metrics
        self._venue = venue
        self._shown = {"frames": 0, "malformed": 0, "slow_clients_cut": 0, "flow_events": 0}
        self._counters = {
            "frames": metrics.counter("input_frames", "Messages received from the venue, or played by it"),
            "malformed": metrics.counter("input_malformed", "Messages that could not be read"),
            "slow_clients_cut": metrics.counter("slow_clients_cut", "Stream connections cut because they did not read"),
            "flow_events": metrics.counter("flow_events", "Orders and cancels of the made flow"),
        }
        self._metrics = metrics
        self._lies: dict[str, int] = {}
        self._ended = metrics.gauge("replay_ended", "1 once the capture has been played to its end or has failed")

    def update(self) -> None:
        """Bring the metrics up to the venue's counts."""
        status = self._venue.status()
        for name, counter in self._counters.items():
            if (more := status[name] - self._shown[name]) > 0:
                counter.inc(more)
                self._shown[name] = status[name]
        for lie, told in status["lies_told"].items():
            if (more := told - self._lies.get(lie, 0)) > 0:
                self._metrics.counter("lies_told", "Lies that the fault script made the venue tell", lie=lie).inc(more)
                self._lies[lie] = told
        self._ended.set(1 if status["ended"] else 0)


SERVICE: Final = Service(name="sim-venue", kind=ServiceKind.VENUE, run=run, settings=Settings)

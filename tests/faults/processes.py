"""A simulated process: one execution service in an event loop of its own, which may die, freeze and come again.

``service.run`` is the real one; around it stands what the supervisor does: start it again when it fails. Dying is
``kill -9``: no task of the process runs another step, and what it had not sent is gone. Freezing is SIGSTOP: what was
sent arrives, what comes is kept, and after SIGCONT it goes on where it was.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

from faults.client import SimulatedClient
from faults.sim_bus import SESSION_TIMEOUT_S, SimulatedBus
from faults.sim_database import Connection, SimulatedDatabase
from faults.virtual_time import ProcessLoop
from tradewind.runtime.health import Health
from tradewind.runtime.service import ServiceContext, ServiceKind
from tradewind.runtime.settings import PlatformSettings
from tradewind.services.execution import service
from tradewind.venue.adapter import ExecutionClient

if TYPE_CHECKING:
    from faults.world import World

RESTART_S: Final = 0.5
PLATFORM: Final = PlatformSettings(symbols="BTCUSDT,ETHUSDT")


class QuietMetrics:
    """Metrics that nobody reads: every call is taken and nothing is kept."""

    def __getattr__(self, _: str) -> Any:
        return self._take

    def _take(self, *_: Any, **__: Any) -> "QuietMetrics":
        return self


class StoryLog:
    """A logger whose lines become part of the story."""

    def __init__(self, world: "World", name: str) -> None:
        self._world = world
        self._name = name

    def __getattr__(self, level: str) -> Any:
        return self._say

    def _say(self, event: str, **fields: Any) -> None:
        self._world.tell(self._name, event, fields)


class Process:
    """One process and what outlives a step of it: its connections."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.alive = False
        self.frozen = False
        self.connections: dict[Connection, None] = {}
        self.clients: list[SimulatedClient] = []
        self.health = Health(name, ServiceKind.ORDER_PATH)
        self.life = 0
        self.dead: list[ProcessLoop] = []
        self._loop: ProcessLoop | None = None
        self._bus: SimulatedBus | None = None
        self._thaws = 0

    @property
    def steps(self) -> int:
        """Steps of its present life."""
        return self._loop.steps if self._loop is not None else 0

    @property
    def loop(self) -> ProcessLoop | None:
        """The event loop of its present life."""
        return self._loop

    @property
    def ready(self) -> bool:
        """Whether it does its work."""
        return self.alive and not self.frozen and self.health.ready

    def start(self) -> None:
        """Begin a life."""
        if self.alive:
            return
        self.alive, self.frozen = True, False
        self.life += 1
        self.world.tell(self.name, "starts")
        self.health = Health(self.name, ServiceKind.ORDER_PATH)
        self._loop = self.world.scheduler.add_loop(self.name, self._fail)
        self._loop.owner = self
        self._bus = SimulatedBus(self.world.broker, self)
        self._loop.create_task(self._supervise(self._context(self._bus)))

    def crash(self) -> None:
        """Kill -9; it is started again a while later."""
        if not self.alive:
            return
        self.world.tell(self.name, "DIES")
        self.world.died += 1
        self.alive = self.frozen = False
        assert self._loop is not None
        self.world.scheduler.drop_loop(self._loop)
        self.dead.append(self._loop)
        self._loop = None
        for connection in list(self.connections):
            connection.cut()
        for client in self.clients:
            client.cut()
        self.clients.clear()
        if self._bus is not None:
            self._bus.cut()
        self.world.scheduler.after(self.world.delay_s(0.05, 4.0), self.start)

    def freeze(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT a while later."""
        if not self.alive or self.frozen or self._loop is None:
            return
        self.world.tell(self.name, f"FREEZES for {seconds:.3f} s")
        self.frozen = self._loop.frozen = True
        self._thaws += 1
        self.world.scheduler.after(seconds, self.thaw, self._thaws)
        if seconds > SESSION_TIMEOUT_S:
            self.world.scheduler.after(SESSION_TIMEOUT_S, self._leave_groups, self._thaws)

    def thaw(self, number: int | None = None) -> None:
        """SIGCONT."""
        if not self.frozen or self._loop is None or number not in (None, self._thaws):
            return
        self.world.tell(self.name, "GOES ON")
        self.frozen = self._loop.frozen = False

    def settle(self, answer: "asyncio.Future[Any]", result: Any) -> None:
        """Hand an answer, or an error, to who waits for it; a dead process hears nothing."""
        loop = answer.get_loop()
        if answer.done() or not isinstance(loop, ProcessLoop) or loop.dropped:
            return
        if isinstance(result, BaseException):
            answer.set_exception(result)
        else:
            answer.set_result(result)

    def _leave_groups(self, number: int) -> None:
        if self.frozen and number == self._thaws and self._bus is not None:
            self._bus.lose_partitions()

    def _context(self, bus: SimulatedBus) -> ServiceContext:
        log: Any = StoryLog(self.world, self.name)
        metrics: Any = QuietMetrics()
        last_values: Any = None
        return ServiceContext(
            name="execution",
            platform=PLATFORM,
            settings=self.world.settings,
            market_bus=bus,
            order_bus=bus,
            database=SimulatedDatabase(self.world.server, self, log),
            last_values=last_values,
            health=self.health,
            metrics=metrics,
            log=log,
        )

    async def _supervise(self, context: ServiceContext) -> None:
        while True:
            try:
                await service.run(context)
            except Exception as error:
                self._fail(f"{type(_first(error)).__name__}: {_first(error)}", _first(error))
                self.health.set_restarting(str(error))
            await asyncio.sleep(RESTART_S)

    def _fail(self, reason: str, error: BaseException | None = None) -> None:
        self.world.failed(self.name, reason, error)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@contextlib.asynccontextmanager
async def no_venue_limits(*_: Any, **__: Any) -> AsyncIterator[None]:
    """In place of the rate limits that processes share in Redis: the venue's refusals are among the faults."""
    yield None


def client_of_this_process(*_: Any) -> ExecutionClient:
    """In place of the adapter: the client of the process whose loop runs."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ProcessLoop)
    process: Process = loop.owner
    return SimulatedClient(process.world, process)

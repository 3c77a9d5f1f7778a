"""One service as a process of its own, to the supervisor a service like any other.

It is started, watched and stopped inside ``run``: a process that ends by itself makes ``run`` raise, and the supervisor
starts it again with back-off; its refusal to start is ours; a cancellation sends SIGTERM, and a second one SIGKILL.

Tasks, owned by ``run``: one reads the output (its log never waits, so the process never does either), one asks for its
health. Both end before ``run`` does.
"""

import asyncio
import dataclasses
import os
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Final

import aiohttp
from structlog.typing import FilteringBoundLogger

from tradewind.runtime.health import Health, ServiceState
from tradewind.runtime.processes.asking import ProcessAsker
from tradewind.runtime.processes.figures import ProcessesView
from tradewind.runtime.processes.line_splitting import LineSplitter
from tradewind.runtime.processes.merged_log import MergedLog
from tradewind.runtime.refusals import USER_ERROR_EXIT_CODE, ProcessEnded, StartRefused
from tradewind.runtime.service import NoSettings, Service, ServiceContext
from tradewind.runtime.supervised import HEALTH_FD_VARIABLE, PARENT_VARIABLE
from tradewind.runtime.tasks import TaskNursery

STOP_MARGIN_S: Final = 3.0
"""What a process needs beside its service's own budget: to close buses and stores, and to leave Python."""
_LOOK_INTERVAL_S: Final = 0.5
_KEEP_LAST_TIMEOUT_S: Final = 0.5
_UNANSWERED_LOOKS: Final = 3
_LAST_OUTPUT_TIMEOUT_S: Final = 0.5
_CHUNK_BYTES: Final = 65_536
_BACKLOG: Final = 16
_REFUSAL_MARK: Final = b"tradewind: "


@dataclasses.dataclass(frozen=True, slots=True)
class ProcessHouse:
    """What all processes of one supervisor share. ``environ`` is the environment that they are given."""

    environ: Mapping[str, str]
    log: MergedLog
    view: ProcessesView
    session: aiohttp.ClientSession


class ServiceProcess:
    """The processes of one service, one after another; they inherit one health port, which stays the same."""

    def __init__(self, name: str, house: ProcessHouse) -> None:
        self.name = name
        self._house = house
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self._refusal = ""

    @property
    def health_port(self) -> int:
        """Where ``/readyz`` and ``/metrics`` of the process are, on the loopback."""
        port: int = self._listener.getsockname()[1]
        return port

    def close(self) -> None:
        """Let the port go."""
        self._listener.close()

    async def run(self, context: ServiceContext) -> None:
        """One process from its start to its end.

        Raises:
            StartRefused: the process says that the user must change something.
            ProcessEnded: it ended by itself.
        """
        self._refusal = ""
        async with TaskNursery(f"{self.name}-process", log=context.log) as nursery:
            process = await self._started(nursery)
            context.log.debug("process started", pid=process.pid, health_port=self.health_port)
            self._house.view.attach(self.name, ProcessAsker(self._house.session, self.health_port))
            reading = nursery.spawn(self._read_output(process), "output")
            watching = nursery.spawn(self._watch(context.health), "watch")
            try:
                await process.wait()
            except asyncio.CancelledError:
                watching.cancel()
                await self._stop(process, context.log)
                raise
            finally:
                watching.cancel()
                await self._let_go(process, reading, context.log)
        self._raise_for(process)

    async def _started(self, nursery: TaskNursery) -> asyncio.subprocess.Process:
        fd = self._listener.fileno()
        own = {PARENT_VARIABLE: str(os.getpid()), HEALTH_FD_VARIABLE: str(fd)}
        starting = nursery.spawn(
            asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tradewind.runtime", "run", self.name),
                stdin=asyncio.subprocess.PIPE,  # held open: its end tells the child that we are gone
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env={**self._house.environ, **own},
                start_new_session=True,  # the terminal's Ctrl-C is for us alone, who stop all in order
                pass_fds=(fd,),
            ),
            "start",
        )
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            process = await starting
            process.kill()
            await process.wait()
            raise

    async def _read_output(self, process: asyncio.subprocess.Process) -> None:
        splitter = LineSplitter()
        while process.stdout is not None and (chunk := await process.stdout.read(_CHUNK_BYTES)):
            self._take(splitter.feed(chunk))
        self._take(splitter.flush())

    def _take(self, lines: list[bytes]) -> None:
        for line in lines:
            if line.startswith(_REFUSAL_MARK):
                self._refusal = line.removeprefix(_REFUSAL_MARK).decode("utf-8", "replace")
        self._house.log.add(self.name, (line for line in lines if line and not line.startswith(_REFUSAL_MARK)))

    async def _watch(self, health: Health) -> None:
        """Let the supervisor's board say what the process says of itself."""
        unanswered = 0
        while True:
            state = await self._house.view.look(self.name)
            row = next((row for row in state.services if row.name == self.name), None) if state is not None else None
            if row is not None:
                unanswered = 0
                health.mirror(row)
            elif health.state is not ServiceState.STARTING:
                unanswered += 1
                if unanswered >= _UNANSWERED_LOOKS:
                    health.set_not_ready("its process does not answer")
            await asyncio.sleep(_LOOK_INTERVAL_S)

    async def _stop(self, process: asyncio.subprocess.Process, log: FilteringBoundLogger) -> None:
        """SIGTERM, and wait; the supervisor cancels again when the budget is over."""
        try:
            async with asyncio.timeout(_KEEP_LAST_TIMEOUT_S):
                await self._house.view.keep_last(self.name)
        except TimeoutError:
            log.warning("process did not answer before it was stopped; its last figures are missing")
        if process.returncode is None:
            process.terminate()
        code = await process.wait()
        if code:
            log.warning("process ended while stopping", how=_in_words(code))

    async def _let_go(
        self, process: asyncio.subprocess.Process, reading: asyncio.Task[None], log: FilteringBoundLogger
    ) -> None:
        if process.returncode is None:
            log.error("process did not end after SIGTERM; it is killed", pid=process.pid)
            process.kill()
        self._house.view.detach(self.name)
        await process.wait()
        await asyncio.wait({reading}, timeout=_LAST_OUTPUT_TIMEOUT_S)

    def _raise_for(self, process: asyncio.subprocess.Process) -> None:
        code = process.returncode
        if code == USER_ERROR_EXIT_CODE:
            raise StartRefused(self._refusal or f"service {self.name} refuses to start; its log says why")
        if code:
            raise ProcessEnded(f"its process {_in_words(code)}")


def as_process_service(service: Service, process: ServiceProcess) -> Service:
    """What the supervisor runs in place of the service itself."""
    return Service(
        name=service.name,
        kind=service.kind,
        run=process.run,
        settings=NoSettings,
        stop_budget_s=service.stop_budget_s + STOP_MARGIN_S,
    )


def _in_words(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"

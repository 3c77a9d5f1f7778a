"""The services as separate processes, two of execution, each started again when it ends, as Kubernetes would.

Tasks: one for each member, owned by ``Fleet.run``'s task group; it starts the process, waits for its end, pauses and
starts it again. A process never outlives this one: the platform's own watch of the parent ends it.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import aiohttp

from tradewind.bus.brokers.broker_process import free_ports
from tradewind.runtime.supervised import PARENT_VARIABLE

_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 5.0
_STEADY_S: Final = 30.0
_ASK_TIMEOUT_S: Final = 2.0
_STOP_PATIENCE_S: Final = 20.0
EXECUTIONS: Final = ("execution-a", "execution-b")
STRATEGIES: Final = ("strategy-ema-cross", "strategy-market-maker")
MEMBERS: Final = ("sim-venue", "market-data", *EXECUTIONS, "portfolio", "recorder", "risk", "api", *STRATEGIES)


class Member:
    """One process after another of the same service."""

    def __init__(self, name: str, environment: Mapping[str, str], folder: Path, port: int) -> None:
        self.name = name
        self._service = "execution" if name in EXECUTIONS else name
        self._environment = environment
        self._log = folder / f"{name}.log"
        self.health_url = f"http://127.0.0.1:{port}"
        self._process: asyncio.subprocess.Process | None = None
        self._wanted = True
        self._struck = False
        self.starts = 0
        self.ends: list[str] = []
        """How it ended, of each time that nobody here ended it."""

    async def keep(self) -> None:
        """Run until ``stop``."""
        pause_s = _FIRST_PAUSE_S
        while self._wanted:
            began = time.monotonic()
            code = await self._run_once()
            if self._wanted and not self._struck:
                self.ends.append(f"exit code {code}")
            self._struck = False
            pause_s = _FIRST_PAUSE_S if time.monotonic() - began > _STEADY_S else min(pause_s * 2, _LONGEST_PAUSE_S)
            if self._wanted:
                await asyncio.sleep(pause_s)

    async def _run_once(self) -> int:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tradewind.runtime", "run", self._service),
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=dict(self._environment),
                start_new_session=True,
            )
        self.starts += 1
        try:
            return await self._process.wait()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            raise

    def kill(self) -> None:
        """SIGKILL."""
        self._struck = True
        self._send(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL when that is not heard; it is not started again."""
        self._wanted = False
        self.thaw()
        self._send(signal.SIGTERM)
        if self._process is not None:
            try:
                async with asyncio.timeout(_STOP_PATIENCE_S):
                    await self._process.wait()
            except TimeoutError:
                self.ends.append("did not end after SIGTERM")
                self._send(signal.SIGKILL)
                await self._process.wait()

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


class Fleet:
    """All members."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        folder.mkdir(parents=True)
        ports = free_ports(len(MEMBERS))
        own = {PARENT_VARIABLE: str(os.getpid()), "TRADEWIND_LOG_FORMAT": "lines"}
        self.members = {
            name: Member(name, {**environment, **own, "TRADEWIND_HEALTH_PORT": str(port)}, folder, port)
            for name, port in zip(MEMBERS, ports, strict=True)
        }
        self._session: aiohttp.ClientSession | None = None

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator["Fleet"]:
        """Keep all members running during the block, and end them after it."""
        timeout = aiohttp.ClientTimeout(total=_ASK_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as self._session, asyncio.TaskGroup() as tasks:
            keeping = [tasks.create_task(one.keep(), name=f"keep.{one.name}") for one in self.members.values()]
            try:
                yield self
            finally:
                for task in keeping:
                    task.cancel()

    async def not_ready(self) -> dict[str, str]:
        """Who is not ready, with the reason. Of execution one must be; the other stands by."""
        asked = await asyncio.gather(*(self._why_not_ready(name) for name in self.members))
        found = {name: why for name, why in zip(self.members, asked, strict=True) if why is not None}
        standing_by = [name for name in EXECUTIONS if name in found]
        if len(standing_by) == 1 and "standing by" in found[standing_by[0]]:
            del found[standing_by[0]]
        return found

    async def holder(self) -> str:
        """The execution that holds the account now, as far as can be seen."""
        for name in EXECUTIONS:
            if await self._why_not_ready(name) is None:
                return name
        return EXECUTIONS[0]

    async def _why_not_ready(self, name: str) -> str | None:
        if self._session is None:
            return "not started"
        try:
            async with self._session.get(f"{self.members[name].health_url}/readyz") as answer:
                if answer.status == 200:
                    return None
                return (await answer.text())[:300]
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return f"does not answer: {type(error).__name__}"

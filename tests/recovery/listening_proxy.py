"""A TCP proxy that notes when which request came through, so that a test knows what a process has really sent."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Final

_CHUNK: Final = 65_536


class ListeningProxy:
    """Passes bytes to ``port`` and keeps the method and path of each HTTP request with its time (monotonic, s)."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.requests: list[tuple[float, str, str]] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["ListeningProxy"]:
        """Listen for the length of the block."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()

    def changes_since(self, moment_s: float) -> list[str]:
        """New orders and cancels that came through later than a time."""
        return [
            f"{method} {path}"
            for at_s, method, path in self.requests
            if at_s > moment_s and method in ("POST", "DELETE") and path.startswith("/api/v3/order")
        ]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
            try:
                async with asyncio.TaskGroup() as ways:
                    ways.create_task(self._pass(reader, there_writer, note=True))
                    ways.create_task(self._pass(there_reader, writer, note=False))
            finally:
                there_writer.close()
        except* (OSError, asyncio.CancelledError):
            pass  # one side is gone, or the block ends: so does the connection
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, note: bool) -> None:
        while data := await reader.read(_CHUNK):
            if note:
                self._note(data)
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError("the end of the stream")

    def _note(self, data: bytes) -> None:
        """Our adapter writes each request at once and whole."""
        line = data.split(b"\r\n", 1)[0].split(b" ")
        if len(line) == 3:
            method, path = line[0].decode("latin-1"), line[1].decode("latin-1").split("?")[0]
            self.requests.append((time.monotonic(), method, path))

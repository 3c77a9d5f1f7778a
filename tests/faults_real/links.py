"""A small TCP proxy in front of each server, whose connections can be cut, frozen, delayed or left half-open.

Tasks: two pumps for each connection, owned by ``Link.run``'s task group. Order: bytes leave as they came. Bound: a pump
holds one chunk and then stops reading, so a frozen link pushes back as a real one does. On cancel all is closed.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from typing import Final

_CHUNK_BYTES: Final = 65_536
_CONNECT_TIMEOUT_S: Final = 10.0
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
HOST: Final = "127.0.0.1"


class _Pair:
    """One connection: the client's side and the server's."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.sides = (client, server)
        self.lost = False
        """Half-open: what is sent arrives nowhere, and neither side is told."""

    def reset(self) -> None:
        """End both sides with RST, as a firewall or a dead machine's successor does."""
        for writer in self.sides:
            link: socket.socket | None = writer.get_extra_info("socket")
            if link is not None and not writer.transport.is_closing():
                with contextlib.suppress(OSError):
                    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()


class Link:
    """A proxy from a port of its own to ``target``: ``host:port``, or the path of a Unix socket."""

    def __init__(self, name: str, port: int, target: str) -> None:
        self.name = name
        self.port = port
        self._target = target
        self._pairs: set[_Pair] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._delay_s = 0.0
        self._refuses = False
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def address(self) -> str:
        """``host:port`` that clients connect to."""
        return f"{HOST}:{self.port}"

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator["Link"]:
        """Serve during the block."""
        server = await asyncio.start_server(self._accept, HOST, self.port)
        async with server, asyncio.TaskGroup() as self._tasks:
            try:
                yield self
            finally:
                server.close()
                self.heal()
                self.reset()

    def reset(self) -> None:
        """Cut every connection; new ones are let in."""
        for pair in list(self._pairs):
            pair.reset()

    def refuse(self) -> None:
        """Cut every connection and let nobody in until ``heal``."""
        self._refuses = True
        self.reset()

    def freeze(self) -> None:
        """Nothing passes until ``heal``; connections stay."""
        self._flows.clear()

    def delay(self, seconds: float) -> None:
        """Each chunk passes so much later until ``heal``."""
        self._delay_s = seconds

    def lose(self) -> None:
        """Leave the connections that there are half-open for ever; new ones work."""
        for pair in self._pairs:
            pair.lost = True

    def end_lost(self) -> None:
        """Cut what was left half-open."""
        for pair in list(self._pairs):
            if pair.lost:
                pair.reset()

    def heal(self) -> None:
        """Let everything pass again."""
        self._refuses = False
        self._delay_s = 0.0
        self._flows.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses or self._tasks is None:
            writer.transport.abort()
            return
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                there = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        pair = _Pair(writer, there[1])
        self._pairs.add(pair)
        try:
            self._tasks.create_task(self._serve(pair, reader, there[0]), name=f"link.{self.name}")
        except RuntimeError:  # the group is ending
            pair.reset()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._target.startswith("/"):
            return await asyncio.open_unix_connection(self._target)
        host, _, port = self._target.rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def _serve(self, pair: _Pair, from_client: asyncio.StreamReader, from_server: asyncio.StreamReader) -> None:
        client, server = pair.sides
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(pair, from_client, server))
                pumps.create_task(self._pump(pair, from_server, client))
        finally:
            self._pairs.discard(pair)
            pair.reset()

    async def _pump(self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK_BYTES):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                await self._flows.wait()
                if not pair.lost:
                    writer.write(chunk)
                    await writer.drain()
        if pair.lost:
            return
        with contextlib.suppress(OSError, RuntimeError):
            writer.write_eof()

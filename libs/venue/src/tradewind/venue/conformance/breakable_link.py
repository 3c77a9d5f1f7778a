"""A TCP relay on loopback that breaks in the ways a network does, between an adapter and its counterpart."""

import asyncio
from typing import Final

CHUNK_BYTES: Final = 65_536
_HOST: Final = "127.0.0.1"


class BreakableLink:
    """Connections to ``port`` go to ``target_port``. What is set takes effect at once."""

    def __init__(self) -> None:
        self.port = 0
        self.target_port = 0
        self.holds_answers = False
        """What the venue says is thrown away; what the client says still arrives."""
        self.carried = 0
        """Bytes that clients sent and the venue was given."""
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._relays: set[asyncio.Task[None]] = set()

    async def start(self, target_port: int) -> None:
        """Listen, on a free port the first time and on the same one later."""
        self.target_port = target_port
        self._server = await asyncio.start_server(self._relay, _HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Take no connections, and end those that are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()
        # Their connections are gone, so they end by themselves.
        await asyncio.gather(*self._relays, return_exceptions=True)

    def cut(self) -> None:
        """Reset all connections; new ones are taken."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._relays.add(task)
            task.add_done_callback(self._relays.discard)
        self._writers.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection(_HOST, self.target_port)
        except OSError:
            writer.transport.abort()
            self._writers.discard(writer)
            return
        self._writers.add(far_writer)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, far_writer, from_venue=False))
                group.create_task(self._carry(far_reader, writer, from_venue=True))
        finally:
            for each in (writer, far_writer):
                each.transport.abort()
                self._writers.discard(each)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_venue: bool) -> None:
        try:
            while data := await reader.read(CHUNK_BYTES):
                if from_venue and self.holds_answers:
                    continue
                if not from_venue:
                    self.carried += len(data)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass  # one side was cut off: the other one is too, below
        writer.transport.abort()

"""An ITCH 5.0 file as a source: played once, as fast as its readers follow, then quiet."""

import asyncio
import gzip
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

from tradewind.venue.adapter import FeedHandler, VenueRejected
from tradewind.venue.itch.feed import ItchFeed
from tradewind.venue.itch.files import GZIP_MAGIC, PIECE_BYTES
from tradewind_native.itch import ItchDecoder
from tradewind_native.itch_error import ItchError


class FileSource:
    """See ``ItchSource``. The records carry the time at which they were read."""

    def __init__(self, path: Path) -> None:
        self.name = f"file {path}"
        self._path = path

    async def check_listed(self, symbols: Sequence[str], timeout_s: float) -> None:
        """Raises VenueRejected: the file cannot be read, or its stock directory has not all symbols."""
        seen = dict[str, None]()
        decoder = ItchDecoder(lambda symbol: seen.setdefault(symbol), 0)
        try:
            with _opened(self._path) as stream:
                data = b""
                while not seen.keys() >= set(symbols) and (piece := stream.read(PIECE_BYTES)):
                    data = _rest(decoder, data + piece)
                    await asyncio.sleep(0)
        except (ItchError, EOFError, OSError) as error:
            raise VenueRejected(0, f"{self.name}: {error}") from error
        if missing := sorted(set(symbols) - seen.keys()):
            raise VenueRejected(0, f"the stock directory of {self.name} has no {', '.join(missing)}")

    async def run(self, feed: ItchFeed, handler: FeedHandler) -> None:
        """Play the file, then wait for ever."""
        handler.on_feed_status(None, "CONNECTING", self.name)
        feed.begin(self.name)
        said = "the file is at its end"
        try:
            with _opened(self._path) as stream:
                rest = b""
                while piece := stream.read(PIECE_BYTES):
                    data = rest + piece
                    rest = data[feed.framed(memoryview(data), time.time_ns()) :]
                    feed.flush()
                    feed.caught_up(self.name)
                    await asyncio.sleep(0)
            if rest:
                said = f"the file is cut off inside a message, {len(rest)} bytes of it are there"
        except (ItchError, EOFError, OSError) as error:
            said = f"the file cannot be read on: {error}"
        feed.flush()
        handler.on_feed_status(None, "ENDED", said)
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Nothing is open outside ``run``."""


def _rest(decoder: ItchDecoder, data: bytes) -> bytes:
    taken = decoder.decode(data)
    decoder.take()
    return data[taken:]


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as raw:
        packed = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    return cast(BinaryIO, gzip.open(path, "rb")) if packed else path.open("rb")

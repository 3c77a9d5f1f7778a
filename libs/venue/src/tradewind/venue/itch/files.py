"""ITCH 5.0 files: messages behind a two-byte length, plain or gzip, read in pieces of bounded memory."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

from tradewind.wire.market_records import RecordArray
from tradewind_native.itch import ItchDecoder
from tradewind_native.itch_error import ItchError

PIECE_BYTES: Final = 65_536
GZIP_MAGIC: Final = b"\x1f\x8b"


def read_records(path: Path, decoder: ItchDecoder) -> Iterator[RecordArray]:
    """Batches of records of a file, at most those of 128 KiB of messages each.

    Raises:
        ItchError: a wrong length or field, or a file cut off inside a message; the batches before it were given.
        EOFError: a gzip file that is cut off. OSError: not gzip inside, or it cannot be read.
    """
    with path.open("rb") as raw:
        packed = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        raw.seek(0)
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
        yield from read_stream(stream, decoder)


def read_stream(stream: BinaryIO, decoder: ItchDecoder) -> Iterator[RecordArray]:
    """The same, of an open stream of unpacked bytes."""
    rest = b""
    while piece := stream.read(PIECE_BYTES):
        data = rest + piece
        try:
            rest = data[decoder.decode(data) :]
        finally:
            records = decoder.take()
        if len(records):
            yield records
    if rest:
        raise ItchError(decoder.offset, f"the stream ends inside a message, {len(rest)} bytes of it are there")

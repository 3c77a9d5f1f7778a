"""Any capture as one iterator of (receive time, bytes or MarketBatch): the form is read off the file's first bytes."""

import gzip
import zlib
from pathlib import Path
from typing import Final

from tradewind.model.identifiers import Venue
from tradewind.runtime.captures.dbn_files import DBN_MAGIC, ZSTD_MAGIC, DbnCapture
from tradewind.runtime.captures.frame_files import MAGIC, FrameCapture
from tradewind.runtime.captures.itch_files import ItchFileCapture, is_itch_file
from tradewind.runtime.captures.itch_records import ITCH_VENUE
from tradewind.runtime.captures.items import CaptureReader, CaptureRefused
from tradewind.runtime.captures.line_files import GZIP_MAGIC, MALFORMED, LineCapture, parse_line
from tradewind.runtime.captures.pcap_captures import PcapCapture

PCAP_MAGICS: Final = frozenset(
    bytes.fromhex(magic) for magic in ("a1b2c3d4", "d4c3b2a1", "a1b23c4d", "4d3cb2a1", "0a0d0d0a")
)
"""pcap in microseconds and nanoseconds in both byte orders, and pcapng's section header."""
_LOOKED_AT: Final = 256
_TAKEN: Final = "a capture is a file of `tradewind capture`, lines of time and frame, ITCH 5.0, pcap, pcapng or DBN"


def open_capture(
    path: Path, *, venue: Venue | None = None, ports: frozenset[int] = frozenset(), raw: bool = False
) -> CaptureReader:
    """The reader of a file.

    Args:
        path: the file.
        venue: whose the instruments are, where the file does not say it.
        ports: of a packet capture only datagrams to these UDP ports; empty: all.
        raw: of binary frames the bytes as received, not market records.

    Raises:
        CaptureRefused: the file is none of the forms, cannot be opened, or a library for it is missing.
    """
    magic, content = _beginning(path)
    if magic in PCAP_MAGICS:
        return PcapCapture(path, venue or ITCH_VENUE, ports)
    if magic == ZSTD_MAGIC or magic.startswith(DBN_MAGIC):
        return DbnCapture(path, venue)
    if content[:4] in PCAP_MAGICS:
        raise CaptureRefused(f"{path} is a packed packet capture: unpack it first (gzip -d)")
    if is_itch_file(content):
        return ItchFileCapture(path, venue or ITCH_VENUE)
    if content.startswith(MAGIC):
        return FrameCapture(path, raw=raw)
    if not magic.startswith(GZIP_MAGIC) and parse_line(content) is MALFORMED:
        raise CaptureRefused(f"{path} is no capture: {_TAKEN}")
    return LineCapture(path)


def why_no_replay(path: Path) -> str:
    """Why the simulated venue cannot replay a capture of another form, in words; empty for a file of text frames.

    A file that is no capture at all is not judged here.
    """
    try:
        magic, content = _beginning(path)
    except CaptureRefused:
        return ""
    other = content.startswith(MAGIC) or is_itch_file(content) or bool({magic, content[:4]} & PCAP_MAGICS)
    if other or magic == ZSTD_MAGIC or magic.startswith(DBN_MAGIC):
        return (
            "it has no frames of Binance, which are what the simulated venue replays; "
            "`tradewind capture info` says what is in it"
        )
    return ""


def _beginning(path: Path) -> tuple[bytes, bytes]:
    """The first four bytes of a file, and its beginning, unpacked when it is gzip."""
    magic = b""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
            if not magic.startswith(GZIP_MAGIC):
                return magic, magic + file.read(_LOOKED_AT - len(magic))
        with gzip.open(path, "rb") as unpacked:
            return magic, unpacked.read(_LOOKED_AT)
    except (EOFError, zlib.error):
        return magic, b""
    except OSError as error:
        raise CaptureRefused(f"{path} cannot be read: {error.strerror or error}") from error

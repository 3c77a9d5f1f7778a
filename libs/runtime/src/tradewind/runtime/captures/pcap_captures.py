"""pcap and pcapng files with ITCH 5.0 over MoldUDP64 inside, as market records with each packet's receive time."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.model.identifiers import Venue
from tradewind.runtime.captures.itch_records import ITCH_VENUE, MoldSessions
from tradewind.runtime.captures.items import CaptureBroken, CaptureCounts, CaptureItem, CaptureRefused
from tradewind.runtime.captures.mold_packets import parse_packet
from tradewind_native.pcap_error import PcapError

if TYPE_CHECKING:
    from tradewind_native.pcap_files import Datagram, PcapFile

MISSING: str = (
    "pcap and pcapng files need libpcap, which this build of tradewind-native does not have: install it (Debian: "
    "libpcap-dev) and build tradewind-native again."
)


class PcapCapture:
    """See ``CaptureReader``. With ``ports`` only datagrams to those UDP ports are looked at."""

    form = "packets (pcap or pcapng) with ITCH 5.0 over MoldUDP64"

    def __init__(self, path: Path, venue: Venue = ITCH_VENUE, ports: frozenset[int] = frozenset()) -> None:
        """
        Raises:
            CaptureRefused: libpcap is missing, or it cannot read the file.
        """
        self.path = path
        self.counts = CaptureCounts()
        self._ports = ports
        self._sessions = MoldSessions(venue, self.counts)
        self._file = _open(path)

    def __iter__(self) -> Iterator[CaptureItem]:
        """All batches; see ``CaptureReader``."""
        broken: PcapError | None = None
        while True:
            try:
                datagrams = self._file.read()
            except PcapError as error:
                datagrams, broken = [], error
            if not datagrams:
                break
            for datagram in datagrams:
                yield from self._take(datagram)
            yield from self._sessions.flush()
        yield from self._sessions.end()
        self._count_packets()
        self._file.close()
        if broken is not None:
            raise CaptureBroken(str(broken)) from broken

    def _take(self, datagram: "Datagram") -> Iterator[CaptureItem]:
        if self._ports and datagram.port not in self._ports:
            self.counts.count("datagrams to other ports")
            return
        packet = parse_packet(datagram.payload)
        if packet is None:
            self.counts.count("datagrams that are no MoldUDP64")
            return
        self.counts.at(datagram.ts_recv)
        yield from self._sessions.add(datagram.ts_recv, packet)

    def _count_packets(self) -> None:
        for name, count in self._file.counts._asdict().items():
            self.counts.details[f"packets {name}" if name != "packets" else name] = count
        self.counts.malformed += self._file.counts.malformed


def _open(path: Path) -> "PcapFile":
    try:
        from tradewind_native.pcap_files import PcapFile
    except ImportError as error:
        raise CaptureRefused(MISSING) from error
    try:
        return PcapFile(str(path))
    except PcapError as error:
        raise CaptureRefused(str(error)) from error

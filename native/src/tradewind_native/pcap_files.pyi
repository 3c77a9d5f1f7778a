from typing import NamedTuple

class Datagram(NamedTuple):
    """One UDP datagram. ``address`` is the destination's, 4 or 16 bytes."""

    ts_recv: int
    address: bytes
    port: int
    payload: bytes

class PacketCounts(NamedTuple):
    """What the packets read so far were; ``datagrams`` are those that were given."""

    packets: int
    datagrams: int
    other: int
    """Not UDP over IP."""
    fragments: int
    """Parts of an IP packet that was cut up on its way; they are not put together."""
    truncated: int
    """The capture holds less of them than they were long."""
    malformed: int
    """A length or a time inside cannot be."""

class PcapFile:
    """UDP datagrams of a pcap or pcapng file, read through libpcap; times are nanoseconds UTC.

    Ethernet with VLAN tags, Linux cooked captures and raw IP; checksums are not looked at, because the capturing
    machine may not have computed them. Not safe for several threads at once.
    """

    def __init__(self, path: str) -> None:
        """
        Raises:
            PcapError: libpcap cannot read the file, or the link type is none of the above.
        """

    @property
    def counts(self) -> PacketCounts:
        """Counted since the file was opened."""

    def read(self, packets: int = 1024) -> list[Datagram]:
        """The datagrams of at most so many packets and about 4 MiB; empty at the end of the file only.

        Raises:
            PcapError: the file is cut off or damaged here. Every datagram before it was given by an earlier call.
        """

    def close(self) -> None:
        """Close the file; may be repeated."""

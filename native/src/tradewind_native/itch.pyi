from collections.abc import Callable

import numpy as np
import numpy.typing as npt

class ItchDecoder:
    """Nasdaq TotalView-ITCH 5.0 to market records, one stream. Twin: ``tradewind.venue.itch.decoding.ItchDecoder``."""

    def __init__(self, number_of: Callable[[str], int | None], midnight_ns: int) -> None:
        """
        Args:
            number_of: asked once for each symbol of the stock directory: its instrument number (1 to 2^32 - 1), or None
                where no records of it are wanted.
            midnight_ns: UTC nanoseconds of the midnight (New York) that the feed counts from.
        """

    @property
    def messages(self) -> int:
        """The number of the last message, from 1; 0 before the first."""

    @property
    def offset(self) -> int:
        """Bytes of the stream taken so far."""

    @property
    def ended(self) -> bool:
        """The stream has said that it is over (a length of 0)."""

    @property
    def counts(self) -> dict[str, int]:
        """Messages by type, those of unknown types and unwanted instruments too."""

    def decode(self, data: bytes | bytearray | memoryview, ts_recv: int = 0) -> int:
        """Take the whole length-prefixed messages at the start of ``data``; answers how many bytes they are.

        The caller puts what is left (part of one message) before the next bytes. ``ts_recv`` 0: the time of the event.

        Raises:
            ItchError: a wrong length or field, or bytes after the end; with its offset. What came before is taken.
        """

    def decode_message(self, data: bytes | bytearray | memoryview, sequence: int, ts_recv: int) -> None:
        """Take one message without its length: the payload of a SoupBinTCP packet or a MoldUDP64 block.

        Raises:
            ItchError: a wrong length or field. Nothing is taken.
            ValueError: a sequence number of 0.
        """

    def decode_packets(self, data: bytes | bytearray | memoryview, ts_recv: int) -> int:
        """Take the whole SoupBinTCP packets of type S at the start of ``data``; answers how many bytes they are.

        Server heartbeats (H) are passed over. It stops before a packet of another type, a length that cannot be, and
        a packet that is not whole: the caller looks what it is.

        Raises:
            ItchError: a message of a wrong length or field. What came before is taken; ``offset`` has grown by it.
        """

    def decode_blocks(self, data: bytes | bytearray | memoryview, ts_recv: int) -> int:
        """Take the message blocks of a MoldUDP64 packet (what follows its header); answers how many bytes they are.

        Raises:
            ItchError: the lengths do not fill ``data``: nothing is taken. Or a message of a wrong length or field:
                what came before is taken; ``offset`` has grown by it.
        """

    def expect(self, sequence: int) -> None:
        """The next message has this number, from 1. Raises ValueError for 0."""

    def take(self) -> npt.NDArray[np.void]:
        """The records made since the last call, read-only; what each message makes: the twin's ``rows_of``."""

def count_blocks(data: bytes | bytearray | memoryview) -> int:
    """How many message blocks of MoldUDP64 (each behind its length) fill the bytes exactly; -1 when they do not."""

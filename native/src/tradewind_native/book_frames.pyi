from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

class BookFrameDecoder:
    """What all decoders have. Not safe for two threads at once. After an error the pending batch is as before."""

    def __init__(self, instruments: Sequence[tuple[str, int, int, int]]) -> None:
        """``instruments``: the venue's symbol, instrument number, price precision, size precision.

        Raises:
            ValueError: a symbol comes twice, a precision is not within 0 and 18, or a number is not 32-bit.
        """

    @property
    def instrument(self) -> int:
        """The instrument number of the last frame; 0 when it is of none."""

    @property
    def checksum(self) -> int | None:
        """The checksum of the book after the last frame, where the frame has one."""

    @property
    def sequence(self) -> int | None:
        """OKX's ``seqId`` of the last book frame, FIX's MsgSeqNum; Kraken has none."""

    @property
    def previous_sequence(self) -> int | None:
        """OKX's ``prevSeqId``: the frame follows on only if it is the ``seqId`` of the one before."""

    @property
    def price_decimals(self) -> int | None:
        """Decimals of the last level's price as it was written: Kraken's checksum is over these digits."""

    @property
    def size_decimals(self) -> int | None:
        """Decimals of the last level's size as it was written."""

    @property
    def pending(self) -> int:
        """How many records were decoded and not yet taken."""

    def decode(self, frame: bytes | bytearray | memoryview, ts_recv: int) -> int:
        """Append the frame's records to the pending batch and return its FrameKind.

        ``ts_recv`` is our time of arrival in nanoseconds. A book's update without levels makes one LEVEL record of no
        side, which moves time on.

        Raises:
            MalformedFrame: not a frame: count it, and resync where it may have been part of a sequence.
            UnknownFrame: a channel or an instrument that this decoder was not made for.
        """

    def take(self) -> npt.NDArray[np.void]:
        """The pending records as a read-only array without a copy; none are pending afterwards."""

class OkxDecoder(BookFrameDecoder):
    """Decodes the frames of one connection: books, books5, books-l2-tbt, books50-l2-tbt, bbo-tbt, trades, tickers.

    Source: OKX API guide v5, "Order book channel", "Trades channel", "Tickers channel".
    """

class KrakenDecoder(BookFrameDecoder):
    """Decodes the frames of one connection: book-N, trade, spread.

    Source: Kraken WebSocket API v1, "book", "trade", "spread".
    """

class FixDecoder(BookFrameDecoder):
    """Decodes MarketDataSnapshotFullRefresh (35=W) and MarketDataIncrementalRefresh (35=X) of FIX 4.2 and 4.4.

    Each frame is one whole message; its BodyLength and CheckSum are checked. Bids and offers become LEVEL records, with
    a size of 0 for a deletion; trades become TRADE records; entries of other types are passed over. Each entry must
    have its price: books that delete by MDEntryID alone are not followed. A symbol holds for the entries after it that
    have none. The time is the entry's where it has one, else SendingTime; ``level`` is MDEntryPositionNo less 1.
    Source: FIX 4.4, volume 3, "Market Data".
    """

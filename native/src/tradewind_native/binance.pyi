from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

class BinanceDecoder:
    """Decodes the frames of one connection, streams combined or raw. Not safe for two threads at once.

    Source: Binance spot API, "WebSocket Streams" (trade, bookTicker, diff. depth) and "Order book" (REST).
    """

    def __init__(self, instruments: Sequence[tuple[str, int, int, int]]) -> None:
        """``instruments``: the venue's symbol, instrument number, price precision, size precision.

        Raises:
            ValueError: a symbol comes twice, a precision is not within 0 and 18, or a number is not 32-bit.
        """

    @property
    def first_update_id(self) -> int:
        """``U`` of the last depth event; of other frames the same as ``final_update_id``."""

    @property
    def final_update_id(self) -> int:
        """``u`` of the last depth event or ticker, the id of a trade, lastUpdateId of a snapshot, 0 of an answer."""

    @property
    def instrument(self) -> int:
        """The instrument number of the last frame; 0 after an answer."""

    @property
    def pending(self) -> int:
        """How many records were decoded and not yet taken."""

    def decode(self, frame: bytes | bytearray | memoryview, ts_recv: int) -> int:
        """Append the frame's records to the pending batch and return its FrameKind.

        ``ts_recv`` is our time of arrival in nanoseconds. After an error the pending batch and the properties are as
        before. A ticker has no venue time: its records carry the latest one that this decoder has seen, or
        ``ts_recv`` before the first.

        Raises:
            MalformedFrame: not a frame: count it, and resync where it may have been part of a sequence.
            UnknownFrame: an event type or symbol that this decoder was not made for.
        """

    def decode_snapshot(self, body: bytes | bytearray | memoryview, symbol: str, ts_recv: int) -> int:
        """Append the answer of ``GET /api/v3/depth``: a CLEAR record, then a LEVEL record for each level.

        Raises:
            MalformedFrame: not such an answer.
            UnknownFrame: ``symbol`` is not known to this decoder.
        """

    def take(self) -> npt.NDArray[np.void]:
        """The pending records as a read-only array without a copy; none are pending afterwards.

        The array keeps its chunk of 4096 records alive: copy what is kept for long.
        """

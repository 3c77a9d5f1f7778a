"""What a frame decoder answers: the kind of a frame, or why there is none. Shared by the kernel and its twin."""

import enum


class FrameKind(enum.IntEnum):
    """What one frame of a venue was."""

    CONTROL = 0
    """The answer to a request, such as ``{"result":null,"id":1}``; it makes no record."""
    DEPTH = 1
    TICKER = 2
    TRADE = 3
    SNAPSHOT = 4


class MalformedFrame(ValueError):
    """Not a frame of the venue: no JSON, a field missing, of a wrong type, not exact, or too large.

    Count it, and take a new snapshot where it may have been part of a sequence.
    """


class UnknownFrame(ValueError):
    """Valid JSON of an event type or a symbol that the decoder was not made for: count it and go on."""

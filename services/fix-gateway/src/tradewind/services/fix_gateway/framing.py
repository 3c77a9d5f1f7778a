"""FIX messages out of a stream of bytes, with bounds: what is larger or does not end is refused before it is kept.

FIX 4.4 volume 2, "Garbled messages": bytes between messages and a message with a wrong end are passed over; who counts
on the number that is then missing asks for it again.
"""

import re
from typing import Final

SOH: Final = b"\x01"
MOST_GARBAGE: Final = 4_096
_START: Final = b"8=FIX"
_HEAD: Final = re.compile(rb"8=FIX\.[0-9]\.[0-9]\x019=([0-9]{1,7})\x01")
_TRAILER: Final = re.compile(rb"10=[0-9]{3}\x01")
_LONGEST_HEAD: Final = 24
_TRAILER_SIZE: Final = 7


class FramingError(ValueError):
    """The stream cannot be read any further; the message says why."""


class FixReader:
    """Cuts a stream into messages; whether a CheckSum is right is left to QuickFIX."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._held = bytearray()
        self._garbage = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete now.

        Raises:
            FramingError: a message says that it is too long, or what comes is no FIX.
        """
        self._held += data
        messages: list[bytes] = []
        while (message := self._next()) is not None:
            messages.append(message)
        return messages

    def _next(self) -> bytes | None:
        while self._find_start():
            head = _HEAD.match(self._held)
            if head is None:
                if len(self._held) < _LONGEST_HEAD:
                    return None
                self._pass_over(1)
                continue
            size = head.end() + int(head[1]) + _TRAILER_SIZE
            if size > self._most_bytes:
                raise FramingError(f"a message says that it has {size} bytes, at most {self._most_bytes} are read")
            if len(self._held) < size:
                return None
            if _TRAILER.fullmatch(self._held, size - _TRAILER_SIZE, size) is None:
                self._pass_over(1)
                continue
            message = bytes(self._held[:size])
            del self._held[:size]
            return message
        return None

    def _find_start(self) -> bool:
        """Whether what is held begins like a message."""
        at = self._held.find(_START)
        if at < 0:
            # The first bytes of a start may be the last that have come.
            self._pass_over(max(0, len(self._held) - len(_START) + 1))
            return False
        self._pass_over(at)
        return True

    def _pass_over(self, count: int) -> None:
        self._garbage += count
        del self._held[:count]
        if self._garbage > MOST_GARBAGE:
            raise FramingError(f"more than {MOST_GARBAGE} bytes are no FIX message")


def has_right_checksum(message: bytes) -> bool:
    """Whether CheckSum (10) of a whole message is the sum of the bytes before it."""
    return message[-4:-1] == b"%03d" % (sum(message[:-_TRAILER_SIZE]) % 256)

"""The error that the ITCH decoder and its Python twin share."""


class ItchError(ValueError):
    """Bytes that are not ITCH 5.0. ``offset``: of the message's length in the stream, from 0; what came before is kept.

    The stream cannot be read on: fetch it anew, or resume the session after the last good message.
    """

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"ITCH at byte {offset}: {reason}")
        self.offset = offset
        self.reason = reason

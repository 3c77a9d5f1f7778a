"""The base of every typed message, and the identity that it carries.

``event_id`` names the message for ever (consumers dedupe on it), ``correlation_id`` the whole story it belongs to,
``causation_id`` the message that directly caused it. ``ts_event`` is when the thing happened, ``ts_init`` when this
message was made; both in ns since the epoch, UTC.
"""

import itertools
import secrets

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What all messages have. A message is never changed after it is made."""

    event_id: str
    correlation_id: str
    causation_id: str
    ts_event: int
    ts_init: int


class EventIds:
    """Makes event ids that no other process and no later start of this one makes: a random prefix and a counter."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(8)
        self._numbers = itertools.count(1)

    def __call__(self) -> str:
        return f"{self._prefix}-{next(self._numbers)}"

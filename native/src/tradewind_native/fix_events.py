"""What a FIX session says, and what it answers; importable without QuickFIX."""

from enum import IntEnum
from typing import NamedTuple


class FixEventKind(IntEnum):
    """What has happened."""

    CREATED = 1
    """A session has read its store."""
    LOGON = 2
    LOGOUT = 3
    """Logged out, or the connection has gone."""
    MESSAGE = 4
    """An application message of the peer, in order of MsgSeqNum."""
    ADMIN_IN = 5
    """Logon, Heartbeat, TestRequest, ResendRequest, Reject, SequenceReset or Logout of the peer."""
    ADMIN_OUT = 6
    SENT = 7
    """An application message as it goes out, first or again."""
    NOTE = 8
    """A line of the session's event log: text, no FIX message. The session is "" for those of the whole engine."""


class FixEvent(NamedTuple):
    """One event of a session."""

    kind: FixEventKind
    session_id: str
    message: bytes


class SendResult(NamedTuple):
    """What became of a message.

    ``sequence`` is its MsgSeqNum; 0 when nothing was stored, so that it surely never reaches the peer. A message that
    is stored and not ``written`` goes out when the peer asks for it again: its outcome is unknown.
    """

    written: bool
    sequence: int


class SessionState(NamedTuple):
    """How a session stands; the numbers are the MsgSeqNum of the next message each way."""

    logged_on: bool
    enabled: bool
    next_sender: int
    next_target: int

"""SoupBinTCP packets as values and as bytes, both sides, without I/O.

Source: Nasdaq "SoupBinTCP" 3.00, section 2 (packet formats), and 4.0, which adds the heartbeat time-out to the login.
A packet is a big-endian length of two bytes (of all that follows), a type of one byte, and a payload. Text is ASCII:
user and password are filled with spaces on the right, session and numbers on the left.

A ``PacketReader`` keeps at most one packet that is not whole, so its memory is bounded by the protocol: 64 KiB.
"""

import enum
import struct
from typing import Final, NamedTuple

import msgspec

HEADER_BYTES: Final = 3
LENGTH_BYTES: Final = 2
MAX_PAYLOAD_BYTES: Final = 0xFFFF - 1
MAX_SEQUENCE: Final = 2**63 - 1
HEARTBEAT_INTERVAL_S: Final = 1.0
"""Each side sends a heartbeat when it has sent nothing for so long (section 1.3)."""
DEAD_AFTER_S: Final = 15.0
"""A peer that is silent for so long is dead (section 1.3)."""
LEAST_TIMEOUT_MS: Final = 1_000
LONGEST_TIMEOUT_MS: Final = 50_000
_LOGIN: Final = struct.Struct("6s10s10s20s")
_LOGIN_4: Final = struct.Struct("6s10s10s20s5s")
_ACCEPTED: Final = struct.Struct("10s20s")


class SoupError(ValueError):
    """Bytes that are no SoupBinTCP, or a value that it cannot say; the text names the field."""


class PacketType(enum.IntEnum):
    """The type byte of a packet."""

    DEBUG = ord("+")  # text for people, either side
    LOGIN_ACCEPTED = ord("A")
    LOGIN_REJECTED = ord("J")
    SERVER_HEARTBEAT = ord("H")
    SEQUENCED = ord("S")
    END_OF_SESSION = ord("Z")
    LOGIN_REQUEST = ord("L")
    UNSEQUENCED = ord("U")
    CLIENT_HEARTBEAT = ord("R")
    LOGOUT_REQUEST = ord("O")


FROM_SERVER: Final = frozenset(PacketType[name] for name in (
    "DEBUG", "LOGIN_ACCEPTED", "LOGIN_REJECTED", "SERVER_HEARTBEAT", "SEQUENCED", "UNSEQUENCED", "END_OF_SESSION",
))  # fmt: skip
FROM_CLIENT: Final = frozenset(PacketType[name] for name in (
    "DEBUG", "LOGIN_REQUEST", "UNSEQUENCED", "CLIENT_HEARTBEAT", "LOGOUT_REQUEST",
))  # fmt: skip
_EMPTY: Final = frozenset(PacketType[name] for name in (
    "SERVER_HEARTBEAT", "CLIENT_HEARTBEAT", "END_OF_SESSION", "LOGOUT_REQUEST",
))  # fmt: skip


class RejectReason(enum.StrEnum):
    """Why a login is refused (section 2.2.2)."""

    NOT_AUTHORIZED = "A"
    NO_SUCH_SESSION = "S"


class SoupPacket(NamedTuple):
    """One packet."""

    kind: PacketType
    payload: bytes


class LoginRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Type L. An empty ``session`` asks for the one that is active, ``sequence`` 0 for only what is new.

    ``timeout_ms``: the server takes the client for dead after so long (4.0); None: a login of 3.00.
    """

    user: str
    password: str
    session: str = ""
    sequence: int = 1
    timeout_ms: int | None = None

    def __repr__(self) -> str:
        """Without the password."""
        return f"LoginRequest({self.user!r}, session {self.session!r}, sequence {self.sequence})"


class LoginAccepted(msgspec.Struct, frozen=True):
    """Type A. ``sequence`` is the number of the next sequenced message."""

    session: str
    sequence: int


def packet(kind: PacketType, payload: bytes = b"") -> bytes:
    """One packet. Raises SoupError when the payload is too long."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise SoupError(f"a payload of {len(payload)} bytes; a packet takes at most {MAX_PAYLOAD_BYTES}")
    return (len(payload) + 1).to_bytes(LENGTH_BYTES, "big") + bytes((kind,)) + payload


SERVER_HEARTBEAT: Final = packet(PacketType.SERVER_HEARTBEAT)
CLIENT_HEARTBEAT: Final = packet(PacketType.CLIENT_HEARTBEAT)
END_OF_SESSION: Final = packet(PacketType.END_OF_SESSION)
LOGOUT_REQUEST: Final = packet(PacketType.LOGOUT_REQUEST)


def sequenced(message: bytes) -> bytes:
    """Type S: the next message of the session. The number is not sent: both sides count."""
    return packet(PacketType.SEQUENCED, message)


def unsequenced(message: bytes) -> bytes:
    """Type U: a message that is not repeated after a lost connection."""
    return packet(PacketType.UNSEQUENCED, message)


def debug(text: str) -> bytes:
    """Type +: a text for people."""
    return packet(PacketType.DEBUG, text.encode("ascii", "replace"))


def login_request(request: LoginRequest) -> bytes:
    """Type L. Raises SoupError when a field does not fit."""
    fields = (
        _left("the user", request.user, 6),
        _left("the password", request.password, 10, secret=True),
        _right("the session", request.session, 10),
        _digits("the sequence", request.sequence, 20),
    )
    if request.timeout_ms is None:
        return packet(PacketType.LOGIN_REQUEST, _LOGIN.pack(*fields))
    if not LEAST_TIMEOUT_MS <= request.timeout_ms <= LONGEST_TIMEOUT_MS:
        raise SoupError(f"a time-out of {request.timeout_ms} ms; {LEAST_TIMEOUT_MS} to {LONGEST_TIMEOUT_MS} are wanted")
    return packet(PacketType.LOGIN_REQUEST, _LOGIN_4.pack(*fields, _digits("the time-out", request.timeout_ms, 5)))


def login_accepted(accepted: LoginAccepted) -> bytes:
    """Type A. Raises SoupError when a field does not fit."""
    session, sequence = _right("the session", accepted.session, 10), _digits("the sequence", accepted.sequence, 20)
    return packet(PacketType.LOGIN_ACCEPTED, _ACCEPTED.pack(session, sequence))


def login_rejected(reason: RejectReason) -> bytes:
    """Type J."""
    return packet(PacketType.LOGIN_REJECTED, reason.encode())


def read_login_request(payload: bytes) -> LoginRequest:
    """The payload of type L, of 3.00 or 4.0. Raises SoupError."""
    timeout_ms = None
    if len(payload) == _LOGIN_4.size:
        *fields, timeout = _LOGIN_4.unpack(payload)
        # 0 and blanks mean the server's own default.
        timeout_ms = _number("the time-out", timeout) or None
    elif len(payload) == _LOGIN.size:
        fields = list(_LOGIN.unpack(payload))
    else:
        raise SoupError(f"a login request of {len(payload)} bytes; {_LOGIN.size} or {_LOGIN_4.size} are wanted")
    if timeout_ms is not None and not LEAST_TIMEOUT_MS <= timeout_ms <= LONGEST_TIMEOUT_MS:
        raise SoupError(f"a time-out of {timeout_ms} ms; {LEAST_TIMEOUT_MS} to {LONGEST_TIMEOUT_MS} are wanted")
    user, password, session, sequence = fields
    return LoginRequest(
        user=_text("the user", user),
        password=_text("the password", password),
        session=_text("the session", session),
        sequence=_number("the sequence", sequence),
        timeout_ms=timeout_ms,
    )


def read_login_accepted(payload: bytes) -> LoginAccepted:
    """The payload of type A. Raises SoupError."""
    if len(payload) != _ACCEPTED.size:
        raise SoupError(f"an accepted login of {len(payload)} bytes; {_ACCEPTED.size} are wanted")
    session, sequence = _ACCEPTED.unpack(payload)
    number = _number("the sequence", sequence)
    if number == 0:
        raise SoupError("an accepted login with sequence 0; sequence numbers begin at 1")
    return LoginAccepted(_text("the session", session), number)


def read_login_rejected(payload: bytes) -> RejectReason:
    """The payload of type J. Raises SoupError."""
    try:
        return RejectReason(payload.decode("ascii"))
    except ValueError:
        raise SoupError(f"a login refused for the unknown reason {payload[:8]!r}") from None


class PacketReader:
    """Whole packets out of the bytes of one direction, however they are cut."""

    def __init__(self, allowed: frozenset[PacketType], max_payload_bytes: int = MAX_PAYLOAD_BYTES) -> None:
        """``allowed``: ``FROM_SERVER`` or ``FROM_CLIENT``, or fewer."""
        self._allowed = allowed
        self._max_payload_bytes = max_payload_bytes
        self._rest = b""

    @property
    def pending(self) -> int:
        """Bytes of a packet that is not whole yet."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[SoupPacket]:
        """The packets that are whole now.

        Raises:
            SoupError: a length or type that cannot be. The stream is of no use after it; packets before it are lost.
        """
        data, at = self._rest + data, 0
        packets = []
        while (size := self._size(data, at)) and len(data) - at >= size:
            packets.append(SoupPacket(PacketType(data[at + 2]), data[at + HEADER_BYTES : at + size]))
            at += size
        self._rest = data[at:]
        return packets

    def _size(self, data: bytes, at: int) -> int:
        """Bytes of the packet at a place with its length; 0: too little is there to say."""
        if len(data) - at < LENGTH_BYTES:
            return 0
        size = int.from_bytes(data[at : at + LENGTH_BYTES], "big")
        if size == 0 or size - 1 > self._max_payload_bytes:
            raise SoupError(f"a packet of length {size}; 1 to {self._max_payload_bytes + 1} are possible")
        if len(data) - at < HEADER_BYTES:
            return 0
        kind = data[at + LENGTH_BYTES]
        if kind not in self._allowed:
            raise SoupError(f"a packet of type {chr(kind)!r}; this side sends {_listed(self._allowed)}")
        if size > 1 and kind in _EMPTY:
            raise SoupError(f"a packet of type {chr(kind)!r} has a payload of {size - 1} bytes; it has none")
        return LENGTH_BYTES + size


def _listed(kinds: frozenset[PacketType]) -> str:
    return ", ".join(sorted(chr(kind) for kind in kinds))


def _checked(what: str, text: str, size: int, *, secret: bool = False) -> bytes:
    shown = what if secret else f"{what} {text!r}"
    if not text.isascii() or not text.isprintable() or len(text) > size or text != text.strip():
        raise SoupError(f"{shown} must be at most {size} printable ASCII characters without spaces around")
    return text.encode()


def _left(what: str, text: str, size: int, *, secret: bool = False) -> bytes:
    return _checked(what, text, size, secret=secret).ljust(size)


def _right(what: str, text: str, size: int) -> bytes:
    return _checked(what, text, size).rjust(size)


def _digits(what: str, number: int, size: int) -> bytes:
    if not 0 <= number <= MAX_SEQUENCE or len(str(number)) > size:
        raise SoupError(f"{what} {number} cannot be said in {size} digits")
    return str(number).encode().rjust(size)


def _text(what: str, field: bytes) -> str:
    try:
        text = field.decode("ascii").strip(" ")
    except UnicodeDecodeError:
        raise SoupError(f"{what} is not ASCII") from None
    if not text.isprintable():
        raise SoupError(f"{what} has characters that cannot be printed")
    return text


def _number(what: str, field: bytes) -> int:
    digits = field.strip(b" ")
    if digits and not digits.isdigit():
        raise SoupError(f"{what} {field!r} is not a number")
    number = int(digits or b"0")
    if number > MAX_SEQUENCE:
        raise SoupError(f"{what} {number} is larger than {MAX_SEQUENCE}")
    return number

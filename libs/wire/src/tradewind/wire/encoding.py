"""Encoding and decoding of typed messages: msgpack maps with a ``type`` tag and a version beside them.

Adding a field with a default keeps the version. A breaking change raises VERSIONS of that type, keeps the old fixture,
and adds an upgrade from the old map to the new one, so that everything ever written can still be read.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from tradewind.wire.commands import COMMAND_TYPES
from tradewind.wire.events import EVENT_TYPES, DeadLettered
from tradewind.wire.messages import Message

MAX_MESSAGE_BYTES: Final = 1_000_000
MAX_DEAD_LETTER_BYTES: Final = 1_020_000
"""A dead letter holds a whole message and a reason; it still fits Kafka's default of 1,048,588 bytes."""

MESSAGE_TYPES: Final[dict[str, type[msgspec.Struct]]] = {t.__name__: t for t in (*COMMAND_TYPES, *EVENT_TYPES)}
VERSIONS: Final[dict[str, int]] = dict.fromkeys(MESSAGE_TYPES, 1)
UPGRADES: Final[dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]]] = {}
"""(type, old version) -> function that turns the old map into the next version's."""

# RecursionError: an unknown field nested thousands deep. UnicodeDecodeError: a string that is not UTF-8.
_DECODE_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_encoder = msgspec.msgpack.Encoder(decimal_format="string")
_decoders: Final = {name: msgspec.msgpack.Decoder(t) for name, t in MESSAGE_TYPES.items()}


class UndecodableMessage(ValueError):
    """Bytes that are no message of ours; the reason goes with them to the dead-letter topic."""


def type_name(message: Message) -> str:
    """The name that stands for the message's type on the wire."""
    return type(message).__name__


def encode(message: Message) -> bytes:
    """The msgpack form of a message.

    Raises:
        ValueError: larger than MAX_MESSAGE_BYTES (a dead letter: MAX_DEAD_LETTER_BYTES).
    """
    payload = _encoder.encode(message)
    if len(payload) > (limit := _max_bytes(type_name(message))):
        raise ValueError(f"{type_name(message)} of {len(payload)} bytes is over {limit}")
    return payload


def decode(name: str, version: int, payload: bytes | memoryview) -> Message:
    """The message in ``payload``, brought up to the present version of its type.

    Raises:
        UndecodableMessage: unknown type, a version from the future, too large, or not what the type says.
    """
    if (present := VERSIONS.get(name)) is None:
        raise UndecodableMessage(f"unknown message type {name!r}")
    if not 1 <= version <= present:
        raise UndecodableMessage(f"{name} version {version} is unknown here (newest is {present}); update this service")
    if len(payload) > (limit := _max_bytes(name)):
        raise UndecodableMessage(f"{name} of {len(payload)} bytes is over {limit}")
    try:
        if version == present:
            message: Any = _decoders[name].decode(payload)
            return message  # type: ignore[no-any-return]
        return _decode_old(name, version, payload)
    except _DECODE_ERRORS as error:
        raise UndecodableMessage(f"{name} version {version}: {error}") from error


def _max_bytes(name: str) -> int:
    return MAX_DEAD_LETTER_BYTES if name == DeadLettered.__name__ else MAX_MESSAGE_BYTES


def _decode_old(name: str, version: int, payload: bytes | memoryview) -> Message:
    fields = msgspec.msgpack.decode(payload, type=dict[str, Any])
    for step in range(version, VERSIONS[name]):
        try:
            fields = UPGRADES[name, step](fields)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            # An upgrade is written for maps that were valid once; these bytes never were.
            raise UndecodableMessage(f"{name} version {version}: upgrade from {step} failed: {error!r}") from error
    message: Any = msgspec.convert(fields, MESSAGE_TYPES[name])
    return message  # type: ignore[no-any-return]

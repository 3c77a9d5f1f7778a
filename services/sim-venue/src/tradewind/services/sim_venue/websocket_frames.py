"""Unmasked WebSocket text frames as bytes, so that one write can carry many. Source: RFC 6455, 5.2."""

import struct
from typing import Final

_TEXT_FINAL: Final = 0x81
_SHORT: Final = 126
_MEDIUM: Final = 65_536
_NAME_AT: Final = 11
"""Where the stream name begins in a combined frame."""
_HEADERS: Final = [
    bytes((_TEXT_FINAL, size)) if size < _SHORT else struct.pack("!BBH", _TEXT_FINAL, _SHORT, size)
    for size in range(2_048)
]
"""Headers of the usual sizes, made once."""


def text_frame(payload: bytes) -> bytes:
    """One whole frame."""
    size = len(payload)
    if size < len(_HEADERS):
        return _HEADERS[size] + payload
    if size < _MEDIUM:
        return struct.pack("!BBH", _TEXT_FINAL, _SHORT, size) + payload
    return struct.pack("!BBQ", _TEXT_FINAL, _SHORT + 1, size) + payload


def combined_payload(stream: bytes, data: bytes) -> bytes:
    """An event as ``/stream`` connections get it."""
    return b'{"stream":"' + stream + b'","data":' + data + b"}"


def stream_of(payload: bytes) -> bytes:
    """The stream name of a combined frame, without parsing its data.

    Raises:
        ValueError: the frame does not begin and end like one.
    """
    if not payload.startswith(b'{"stream":"') or not payload.endswith(b"}"):
        raise ValueError("not a combined frame")
    end = payload.index(b'"', _NAME_AT)
    if payload[end : end + 9] != b'","data":':
        raise ValueError("not a combined frame")
    return payload[_NAME_AT:end]


def data_of(payload: bytes, stream: str) -> bytes:
    """The event alone of a combined frame of a known stream."""
    return payload[_NAME_AT + len(stream) + 9 : -1]

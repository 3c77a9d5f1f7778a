"""How a payload travels through a broker: a body of bytes, and headers that say what the bytes are.

Headers are ASCII text: ``type`` and ``version`` of the message, ``ts``, the publisher's clock in ns, and for a
``MarketBatch`` its ``venue``. The body is the msgpack of a message, or a batch's records as they lie in memory.
Anybody may have written what is read here, so nothing of it is believed.
"""

import functools
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from tradewind.bus.dead_letters import MAX_REASON_CHARACTERS
from tradewind.bus.interface import Payload
from tradewind.model.identifiers import Venue
from tradewind.wire.encoding import MAX_MESSAGE_BYTES, VERSIONS, UndecodableMessage, decode, encode, type_name
from tradewind.wire.events import DeadLettered
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.messages import EventIds

T = TypeVar("T")

BATCH_TYPE: Final = MarketBatch.__name__
BATCH_VERSION: Final = 1
MAX_BROKER_BYTES: Final = 1_050_000
"""What a broker must take as one message: the largest body, its headers and its key."""

_MAX_NAME_CHARACTERS: Final = 64
_MAX_INT64_DIGITS: Final = 19
_MAX_INT64: Final = 2**63 - 1

_event_ids = EventIds()


def sealed(payload: Payload, ts_publish: int) -> tuple[dict[str, bytes], bytes]:
    """Headers and body of a payload.

    Raises:
        ValueError: the body would be over ``MAX_MESSAGE_BYTES``; send it in parts.
    """
    if isinstance(payload, MarketBatch):
        if (size := payload.records.nbytes) > MAX_MESSAGE_BYTES:
            raise ValueError(f"{BATCH_TYPE} of {size} bytes is over {MAX_MESSAGE_BYTES}; publish smaller batches")
        headers = _headers(BATCH_TYPE, BATCH_VERSION, ts_publish)
        headers["venue"] = payload.venue.encode()
        return headers, payload.to_bytes()
    name = type_name(payload)
    return _headers(name, VERSIONS[name], ts_publish), encode(payload)


def opened(headers: Mapping[str, object], body: object) -> tuple[Payload, int]:
    """The payload and the publisher's clock in ns.

    Raises:
        UndecodableMessage: a header is missing or odd, or the body is not what the headers say.
    """
    if not isinstance(body, bytes):
        raise UndecodableMessage("message without a body")
    name, version = _kind(headers.get("type"), headers.get("version"))
    ts_publish = _number("ts", headers.get("ts"))
    if name == BATCH_TYPE:
        return _opened_batch(headers, version, body), ts_publish
    return decode(name, version, body), ts_publish


def undecodable(
    topic: str, partition: int, offset: int, key: str, headers: Mapping[str, object], body: object, reason: str
) -> DeadLettered:
    """The wrapper of bytes that ``opened`` refused, for the dead-letter topic; over-long ones are cut, and say so."""
    raw = body if isinstance(body, bytes) else b""
    if len(raw) > MAX_MESSAGE_BYTES:
        reason = f"{reason}; cut from {len(raw)} bytes"
        raw = raw[:MAX_MESSAGE_BYTES]
    now = time.time_ns()
    return DeadLettered(
        event_id=_event_ids(),
        correlation_id="",
        causation_id="",
        ts_event=_claimed(_number, headers, "ts") or now,
        ts_init=now,
        topic=topic,
        partition=partition,
        offset=offset,
        key=key[:MAX_REASON_CHARACTERS],
        message_type=_claimed(_text, headers, "type") or "",
        message_version=_claimed(_number, headers, "version") or 0,
        reason=reason[:MAX_REASON_CHARACTERS],
        payload=raw,
    )


def key_text(key: object) -> str:
    """A key as text; one that is not ours is shown, never refused."""
    return key.decode(errors="replace") if isinstance(key, bytes) else ""


def _headers(name: str, version: int, ts_publish: int) -> dict[str, bytes]:
    kind, number = _kind_bytes(name, version)
    return {"type": kind, "version": number, "ts": b"%d" % ts_publish}


@functools.lru_cache(maxsize=256)
def _kind_bytes(name: str, version: int) -> tuple[bytes, bytes]:
    return name.encode(), b"%d" % version


def _opened_batch(headers: Mapping[str, object], version: int, body: bytes) -> MarketBatch:
    if version != BATCH_VERSION:
        raise UndecodableMessage(
            f"{BATCH_TYPE} version {version} is unknown here (newest is {BATCH_VERSION}); update this service"
        )
    if len(body) > MAX_MESSAGE_BYTES:
        raise UndecodableMessage(f"{BATCH_TYPE} of {len(body)} bytes is over {MAX_MESSAGE_BYTES}")
    try:
        return MarketBatch.from_bytes(Venue(_text("venue", headers.get("venue"))), body)
    except ValueError as error:
        raise UndecodableMessage(str(error)) from error


@functools.lru_cache(maxsize=256)
def _kind(name: object, version: object) -> tuple[str, int]:
    # The same few pairs come again and again; what is refused is not remembered.
    return _text("type", name), _number("version", version)


def _text(name: str, value: object) -> str:
    if not isinstance(value, bytes):
        raise UndecodableMessage(f"message without a {name!r} header")
    if not value or len(value) > _MAX_NAME_CHARACTERS or not value.isascii():
        raise UndecodableMessage(f"header {name!r} is no name: {value[:_MAX_NAME_CHARACTERS]!r}")
    return value.decode("ascii")


def _number(name: str, value: object) -> int:
    if not isinstance(value, bytes):
        raise UndecodableMessage(f"message without a {name!r} header")
    if len(value) > _MAX_INT64_DIGITS or not value.isdigit() or (number := int(value)) > _MAX_INT64:
        raise UndecodableMessage(f"header {name!r} is no number: {value[:_MAX_NAME_CHARACTERS]!r}")
    return number


def _claimed(read: Callable[[str, object], T], headers: Mapping[str, object], name: str) -> T | None:
    try:
        return read(name, headers.get(name))
    except UndecodableMessage:
        return None

"""What cannot be handled is put aside with its reason, so that one poisoned message does not stop a topic."""

import time
from typing import Final

from tradewind.bus.interface import Delivery, Payload
from tradewind.wire.encoding import VERSIONS, encode, type_name
from tradewind.wire.events import DeadLettered
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.messages import EventIds

MAX_REASON_CHARACTERS: Final = 2_000
"""A reason may quote a venue or a traceback; the wrapper must stay within the message size."""

_event_ids = EventIds()


def dead_lettered(delivery: Delivery, reason: str) -> DeadLettered:
    """The wrapper of a message that could not be handled. It keeps the story's ids, so that a trace finds it."""
    payload = delivery.payload
    data, reason = _encoded(payload, reason[:MAX_REASON_CHARACTERS])
    return DeadLettered(
        event_id=_event_ids(),
        correlation_id="" if isinstance(payload, MarketBatch) else payload.correlation_id,
        causation_id="" if isinstance(payload, MarketBatch) else payload.event_id,
        ts_event=delivery.ts_publish,
        ts_init=time.time_ns(),
        topic=delivery.topic,
        partition=delivery.partition,
        offset=delivery.offset,
        key=delivery.key,
        message_type=type(payload).__name__,
        message_version=VERSIONS.get(type(payload).__name__, 0),
        reason=reason,
        payload=data,
    )


def _encoded(payload: Payload, reason: str) -> tuple[bytes, str]:
    if isinstance(payload, MarketBatch):
        return payload.to_bytes(), reason
    try:
        return encode(payload), reason
    except ValueError as error:
        # A memory transport carries what no broker would; losing the bytes is better than stopping the reader.
        return b"", f"{reason}; {type_name(payload)} not kept: {error}"

"""A message as RabbitMQ carries it: the headers of an envelope and the key as AMQP text headers, and the body.

``message_id`` says who published it and in which order; see ``rabbitmq_order``.
"""

import dataclasses
from collections.abc import Mapping
from typing import Final

import aiormq.abc
from pamqp import commands as spec

from tradewind.bus.envelopes import key_text, opened, undecodable
from tradewind.bus.interface import NO_OFFSET, Delivery
from tradewind.wire.encoding import UndecodableMessage
from tradewind.wire.events import DeadLettered

_KEY: Final = "key"
STREAM_OFFSET: Final = "x-stream-offset"
PERSISTENT: Final = 2


def properties(headers: Mapping[str, bytes], key: str, message_id: str) -> spec.Basic.Properties:
    """What travels beside a body."""
    table: dict[str, str] = {name: value.decode("ascii") for name, value in headers.items()}
    table[_KEY] = key
    return spec.Basic.Properties(delivery_mode=PERSISTENT, headers=table, message_id=message_id)  # type: ignore[arg-type]


@dataclasses.dataclass(slots=True)
class Arrival:
    """One message of a queue, not read yet."""

    topic: str
    partition: int
    offset: int
    tag: int
    message: aiormq.abc.DeliveredMessage

    @property
    def message_id(self) -> str | None:
        """Who published it, and in which order."""
        return self.message.header.properties.message_id

    @property
    def headers(self) -> Mapping[str, object]:
        """Its headers that are text, as bytes; ours are."""
        table = self.message.header.properties.headers or {}
        return {name: value.encode() for name, value in table.items() if isinstance(value, str)}

    def delivery(self) -> Delivery:
        """What it says.

        Raises:
            UndecodableMessage: it is no message of ours.
        """
        headers = self.headers
        payload, ts_publish = opened(headers, self.message.body)
        return Delivery(self.topic, self.partition, self.offset, key_text(headers.get(_KEY)), payload, ts_publish)

    def why_not(self) -> str:
        """Why ``delivery`` refuses it."""
        try:
            self.delivery()
        except UndecodableMessage as error:
            return str(error)
        return "not known"

    def dead_letter(self, reason: str) -> DeadLettered:
        """The wrapper of what ``delivery`` refused."""
        headers = self.headers
        key = key_text(headers.get(_KEY))
        return undecodable(self.topic, self.partition, self.offset, key, headers, self.message.body, reason)


def arrival(topic: str, partition: int, message: aiormq.abc.DeliveredMessage) -> Arrival:
    """A message that the broker handed over."""
    table = message.header.properties.headers or {}
    offset = table.get(STREAM_OFFSET, NO_OFFSET)
    tag = getattr(message.delivery, "delivery_tag", 0) or 0
    return Arrival(topic, partition, offset if isinstance(offset, int) else NO_OFFSET, tag, message)

"""The AsyncAPI 3.0 document of every topic: channels, who sends and receives, messages, the market record.

It is committed as ``docs/protocols/asyncapi.json``, written by ``libs/wire/tests/make_protocol_pages.py``.
"""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any, Final

from tradewind.wire.describing.message_schemas import REF, message_schemas, paragraphs
from tradewind.wire.describing.record_layout import record_fields
from tradewind.wire.encoding import MAX_DEAD_LETTER_BYTES, MAX_MESSAGE_BYTES, MESSAGE_TYPES, VERSIONS
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import MARKET_RECORD
from tradewind.wire.topic_messages import DEAD_LETTERS, TRAFFIC, MessageType, TopicTraffic
from tradewind.wire.topics import FIXED_TOPICS, Plane, Topic

VERSION: Final = "1.0.0"
"""Of the protocol. The first number is raised when a topic or message goes away or changes incompatibly."""
MESSAGE_CONTENT: Final = "application/vnd.msgpack"
BATCH_CONTENT: Final = "application/vnd.tradewind.market-records"
KAFKA_BINDING: Final = "0.5.0"
AMQP_BINDING: Final = "0.3.0"

PROMISES: Final[Mapping[Plane, str]] = {
    Plane.MARKET_DATA: (
        "Market-data plane: ordered per publisher, the publisher never waits; a slow reader loses the oldest batches, "
        "and the next one it gets has the GAP flag on its first record."
    ),
    Plane.ORDERS: (
        "Order plane: ordered per key, at least once, never dropped; repeats have the same event_id; "
        "what cannot be handled goes to the dead letters with its reason."
    ),
}

_DESCRIPTION: Final = f"""What the services of Tradewind tell each other over Kafka or RabbitMQ.

A message is a msgpack map with a `type` field ({MESSAGE_CONTENT}), at most {MAX_MESSAGE_BYTES:,} bytes (a dead \
letter {MAX_DEAD_LETTER_BYTES:,}). Its headers, ASCII text, carry its type, its version and the publisher's time. A \
batch of market data is the raw bytes of its {MARKET_RECORD.itemsize}-byte records ({BATCH_CONTENT}).

Prices and sizes are int64 mantissas at the instrument's precisions; money is a decimal written as text; times are \
nanoseconds since the Unix epoch, UTC.

A message's partition is the CRC-32 of its key's UTF-8, modulo the topic's partitions. On Kafka a topic is a topic, \
and the key is the record's. On RabbitMQ a topic is a durable direct exchange, the partition's number is the routing \
key, and the key is the header `key`. A deployment may put a prefix before all names.

The schemas describe the decoded map; in the examples bytes are base64."""

_PARAMETERS: Final[Mapping[str, dict[str, Any]]] = {
    "venue": {"description": "The venue's name in lower case.", "examples": ["binance"]},
    "topic": {
        "description": "The topic that the messages could not be read from.",
        "examples": [topic.name for topic in FIXED_TOPICS],
    },
}


def asyncapi_document(examples: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The whole document. ``examples`` are decoded messages by type name, in readable form.

    Raises:
        KeyError: a field of a message is not described yet, or a type has no example.
    """
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tradewind topics",
            "version": VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": MESSAGE_CONTENT,
        "channels": {_channel_id(traffic.topic): _channel(traffic) for traffic in TRAFFIC},
        "operations": dict(itertools.chain.from_iterable(map(_operations, TRAFFIC))),
        "components": {
            "messages": {
                MarketBatch.__name__: _batch_message(),
                **{name: _message(name, examples[name]) for name in MESSAGE_TYPES},
            },
            "schemas": {
                "MarketRecords": _records_schema(),
                **message_schemas(MESSAGE_TYPES.values()),
            },
        },
    }


def _channel_id(topic: Topic) -> str:
    return topic.name.replace("<", "").replace(">", "")


def _channel(traffic: TopicTraffic) -> dict[str, Any]:
    topic = traffic.topic
    address = topic.name.replace("<", "{").replace(">", "}")
    channel = {
        "address": address,
        "title": address,
        "description": f"{traffic.meaning}\n\n{PROMISES[topic.plane]}",
        "messages": {one.__name__: {"$ref": f"#/components/messages/{one.__name__}"} for one in traffic.messages},
        "tags": [{"name": topic.plane.value}],
        "bindings": {"kafka": _kafka_binding(topic), "amqp": _amqp_binding(address)},
        "x-plane": topic.plane.value,
        "x-key": topic.key,
        "x-partitions": topic.partitions,
        "x-retention-s": None if topic.compacted else topic.retention_s,
        "x-compacted": topic.compacted,
        "x-dead-letters": None if topic is DEAD_LETTERS else f"{address}.dead-letter",
    }
    for name, parameter in _PARAMETERS.items():
        if f"{{{name}}}" in address:
            channel["parameters"] = {name: parameter}
    return channel


def _kafka_binding(topic: Topic) -> dict[str, Any]:
    kept = (
        {"cleanup.policy": ["compact"]}
        if topic.compacted
        else {"cleanup.policy": ["delete"], "retention.ms": topic.retention_s * 1_000}
    )
    return {"partitions": topic.partitions, "topicConfiguration": kept, "bindingVersion": KAFKA_BINDING}


def _amqp_binding(address: str) -> dict[str, Any]:
    exchange = {"name": address, "type": "direct", "durable": True, "autoDelete": False}
    return {"is": "routingKey", "exchange": exchange, "bindingVersion": AMQP_BINDING}


def _operations(traffic: TopicTraffic) -> list[tuple[str, dict[str, Any]]]:
    sent = [_operation("send", service, traffic, types) for service, types in traffic.senders.items()]
    return sent + [_operation("receive", service, traffic, traffic.messages) for service in traffic.receivers]


def _operation(
    action: str, service: str, traffic: TopicTraffic, types: tuple[MessageType, ...]
) -> tuple[str, dict[str, Any]]:
    channel = f"#/channels/{_channel_id(traffic.topic)}"
    name = f"{service.replace('-*', '').replace(' ', '-')}.{action}.{_channel_id(traffic.topic)}"
    return name, {
        "action": action,
        "channel": {"$ref": channel},
        "summary": f"{service} {action}s",
        "tags": [{"name": service}],
        "messages": [{"$ref": f"{channel}/messages/{one.__name__}"} for one in types],
    }


def _message(name: str, example: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "title": name,
        "description": paragraphs(MESSAGE_TYPES[name].__doc__ or ""),
        "contentType": MESSAGE_CONTENT,
        "headers": _headers(name, VERSIONS[name]),
        "payload": {"$ref": REF + name},
        "bindings": {"kafka": _KEY_BINDING},
        "examples": [{"name": f"version{VERSIONS[name]}", "payload": example}],
    }


def _batch_message() -> dict[str, Any]:
    return {
        "name": MarketBatch.__name__,
        "title": MarketBatch.__name__,
        "description": paragraphs(MarketBatch.__doc__ or ""),
        "contentType": BATCH_CONTENT,
        "headers": _headers(MarketBatch.__name__, 1, venue={"type": "string", "description": "the venue"}),
        "payload": {"$ref": REF + "MarketRecords"},
        "bindings": {"kafka": _KEY_BINDING},
    }


_KEY_BINDING: Final = {
    "key": {"type": "string", "description": "UTF-8 text; what it names stands in the channel's `x-key`"},
    "bindingVersion": KAFKA_BINDING,
}


def _headers(name: str, version: int, **more: dict[str, Any]) -> dict[str, Any]:
    clock = "publisher's clock, ns since the Unix epoch, UTC"
    properties = {
        "type": {"type": "string", "const": name, "description": "the message's type"},
        "version": {"type": "string", "enum": [str(one + 1) for one in range(version)], "description": "its version"},
        "ts": {"type": "string", "pattern": "^[0-9]{1,19}$", "description": clock},
        **more,
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _records_schema() -> dict[str, Any]:
    size = MARKET_RECORD.itemsize
    return {
        "title": "MarketRecords",
        "type": "string",
        "format": "binary",
        "minLength": size,
        "description": f"One or more records of {size} bytes, packed, little-endian; `x-record` is one of them.",
        "x-record-bytes": size,
        "x-record": [_record_field(field) for field in map(dataclasses.asdict, record_fields())],
    }


def _record_field(field: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in field.items() if key != "codes" or value}

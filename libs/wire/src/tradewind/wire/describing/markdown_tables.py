"""The tables of ``docs/protocols/messages.md``, made from the types, and put between the page's markers."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from tradewind.model.accounts import Balance
from tradewind.model.instruments import Instrument
from tradewind.wire.commands import COMMAND_TYPES
from tradewind.wire.describing.field_meanings import COMMON, meaning_of
from tradewind.wire.describing.message_schemas import paragraphs
from tradewind.wire.describing.record_layout import record_fields
from tradewind.wire.events import EVENT_TYPES, ORDER_EVENT_TYPES, BalanceDifference, LimitUsed, OrderEvent
from tradewind.wire.topic_messages import TRAFFIC, TopicTraffic
from tradewind.wire.topics import DAY_S, Topic

MARKED: Final = re.compile(r"(<!-- made: (?P<name>[a-z ]+) -->\n).*?(<!-- /made -->)", re.DOTALL)

STATUS_AFTER: Final[Mapping[str, str]] = {
    "OrderInitialized": "INITIALIZED",
    "OrderDenied": "DENIED",
    "OrderSubmitted": "SUBMITTED",
    "OrderAccepted": "ACCEPTED",
    "OrderRejected": "REJECTED",
    "OrderPendingCancel": "PENDING_CANCEL",
    "OrderCancelRejected": "the one before the cancel",
    "OrderCanceled": "CANCELED",
    "OrderExpired": "EXPIRED",
    "OrderFilled": "PARTIALLY_FILLED or FILLED; a late partial fill leaves a closed order closed",
    "OrderOutcomeUnknown": "unchanged",
    "OrderOutcomeResolved": "unchanged",
    "OrderClaimed": "unchanged",
}
"""Order event -> the order's status after it."""

_Struct = type[msgspec.Struct]
_ORDER_EVENT_FIELDS: Final = frozenset(field.name for field in msgspec.structs.fields(OrderEvent))


class UnknownTable(LookupError):
    """The page asks for a table that is not made here."""


def with_tables(page: str) -> str:
    """The page with every marked table made anew.

    Raises:
        UnknownTable: a marker names no table.
        KeyError: a message or field is not described yet.
    """
    return MARKED.sub(_made, page)


def _made(match: re.Match[str]) -> str:
    if (table := TABLES.get(match["name"])) is None:
        raise UnknownTable(f"no table {match['name']!r}; there are: {', '.join(TABLES)}")
    return f"{match[1]}\n{table()}\n\n{match[3]}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(_line(cells) for cells in (header, ["---"] * len(header), *rows))


def _line(cells: Iterable[str]) -> str:
    return "|" + "".join(f" {cell.replace('|', chr(92) + '|')} |" if cell else " |" for cell in cells)


def _topics() -> str:
    header = ["topic", "plane", "key", "partitions", "kept", "from", "to", "messages"]
    return _table(header, map(_topic_row, TRAFFIC))


def _topic_row(traffic: TopicTraffic) -> list[str]:
    topic = traffic.topic
    plane = topic.plane.value.replace("-", " ")
    types: list[type] = [one for one in traffic.messages if one not in ORDER_EVENT_TYPES]
    names = ", ".join(f"`{one.__name__}`" for one in types)
    if len(types) < len(traffic.messages):
        names = f"all order events below, {names}"
    places = (", ".join(traffic.senders), ", ".join(traffic.receivers))
    return [f"`{topic.name}`", plane, topic.key, str(topic.partitions), kept(topic), *places, names]


def kept(topic: Topic) -> str:
    """How long a broker keeps the topic's messages, in words."""
    if topic.compacted:
        return "the last of each key"
    days = topic.retention_s / DAY_S
    return f"{days:g} day{'' if days == 1 else 's'}"


def _common() -> str:
    return _table(["field", "meaning"], ([f"`{name}`", meaning] for name, meaning in COMMON.items()))


def _messages(types: Iterable[_Struct]) -> str:
    return _table(["message", "says"], ([f"`{one.__name__}`", _first_paragraph(one)] for one in types))


def _order_events() -> str:
    rows = ([f"`{one.__name__}`", _first_paragraph(one), STATUS_AFTER[one.__name__]] for one in ORDER_EVENT_TYPES)
    return _table(["message", "says", "status after it"], rows)


def _first_paragraph(one: _Struct) -> str:
    return paragraphs(one.__doc__ or "").partition("\n")[0]


def _fields() -> str:
    rows: list[list[str]] = []
    types: tuple[_Struct, ...] = (
        *COMMAND_TYPES,
        OrderEvent,
        *EVENT_TYPES,
        Instrument,
        Balance,
        BalanceDifference,
        LimitUsed,
    )
    for one in types:
        inherited = set(COMMON) | (_ORDER_EVENT_FIELDS if one in ORDER_EVENT_TYPES else set())
        name = "every order event" if one is OrderEvent else f"`{one.__name__}`"
        own = [field for field in msgspec.structs.fields(one) if field.name not in inherited]
        for place, field in enumerate(own):
            rows.append(["" if place else name, f"`{field.name}`", *_field_cells(one.__name__, field)])
    return _table(["message", "field", "type", "default", "meaning"], rows)


def _field_cells(name: str, field: msgspec.structs.FieldInfo) -> list[str]:
    default = "" if field.required else f"`{_plain(field.default)}`"
    return [_type_name(field.type), default, meaning_of(name, field.name)]


def _plain(default: Any) -> str:
    return {None: "null", True: "true", False: "false", "": '""'}.get(default, str(default))


def _type_name(kind: Any) -> str:
    """A type as its reader on the wire sees it."""
    schema = msgspec.json.schema(kind, ref_template="{name}")
    if "anyOf" in schema:
        return " or ".join(_wire_name(choice) for choice in schema["anyOf"])
    return _wire_name(schema)


def _wire_name(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"])
    if schema["type"] == "array":
        return f"list of {_wire_name(schema['items'])}"
    if schema.get("contentEncoding"):
        return "bytes"
    words = {"integer": "int64", "string": "text", "boolean": "bool", "null": "null"}
    return str(schema.get("format") or words[schema["type"]])


def _record() -> str:
    rows = (
        [str(one.offset), f"`{one.name}`", one.type, one.unit, one.meaning + _code_words(one.codes)]
        for one in record_fields()
    )
    return _table(["offset", "field", "type", "unit", "meaning"], rows)


def _code_words(codes: Mapping[str, int]) -> str:
    return ": " + ", ".join(f"{number} {name}" for name, number in codes.items()) if codes else ""


TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "topics": _topics,
    "common fields": _common,
    "commands": lambda: _messages(COMMAND_TYPES),
    "order events": _order_events,
    "other events": lambda: _messages(one for one in EVENT_TYPES if one not in ORDER_EVENT_TYPES),
    "fields": _fields,
    "market record": _record,
}
"""Name in a marker -> the table."""

"""Messages as lines for the eye: time, place, key, type and the fields that matter; decimals where they are known.

Everything that came from outside goes through ``shown``: a message cannot write on the terminal by itself.
"""

import enum
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tradewind.bus.interface import Delivery
from tradewind.model.instruments import Instrument
from tradewind.runtime.topics.choosing import Choice
from tradewind.runtime.topics.instruments import KnownInstruments
from tradewind.runtime.topics.plain_text import shown, shown_time
from tradewind.runtime.topics.put_aside import put_aside
from tradewind.wire.encoding import UndecodableMessage
from tradewind.wire.events import DeadLettered
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import RecordFlag, RecordKind, RecordSide
from tradewind.wire.messages import Message

PRICES: Final = frozenset({"price", "trigger_price", "price_increment", "max_price"})
SIZES: Final = frozenset({"size", "filled_size", "signed_size", "size_increment", "min_size", "max_size"})
"""Fields that hold mantissas of the message's instrument."""
_UNSHOWN: Final = frozenset(Message.__struct_fields__)
_MAX_BYTES: Final = 24
_MAX_ITEMS: Final = 20
_PLAIN: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,:;+-_/@#%*")


class TextLines:
    """One line per message, one per market record. With ``named`` each line says its topic."""

    def __init__(self, instruments: KnownInstruments, choice: Choice, *, named: bool) -> None:
        self._instruments = instruments
        self._choice = choice
        self._named = named

    def of(self, delivery: Delivery) -> Iterator[str]:
        """The lines of a delivery; none when nothing in it is wanted. A record's time is that of its event."""
        topic = f" {delivery.topic}" if self._named else ""
        place = f"{topic} {delivery.partition}@{delivery.offset}"
        payload = delivery.payload
        if isinstance(payload, MarketBatch):
            for record in self._choice.records(delivery, payload):
                yield f"{shown_time(int(record['ts_event']))}{place} {self._record(record)}"
        elif self._choice.wants(delivery):
            head = f"{shown_time(delivery.ts_publish)}{place} {_value(delivery.key)} {type(payload).__name__}"
            yield f"{head}{self._fields(payload)}"

    def _record(self, record: Any) -> str:
        number = int(record["instrument"])
        price, size = int(record["price"]), int(record["size"])
        if (instrument := self._instruments.by_number.get(number)) is None:
            words = [f"#{number}", _code(RecordKind, record["kind"]), _side(record), f"{price}m x {size}m"]
        else:
            amounts = f"{instrument.format_price(price)} x {instrument.format_size(size)}"
            words = [shown(instrument.instrument_id), _code(RecordKind, record["kind"]), _side(record), amounts]
        words += [f"{name}={int(record[name])}" for name in ("level", "sequence", "order_id") if record[name]]
        if record["flags"]:
            words.append(f"flags={_flags(int(record['flags']))}")
        return " ".join(word for word in words if word)

    def _fields(self, message: Message) -> str:
        if isinstance(message, DeadLettered):
            return self._letter(message)
        instrument = self._instruments.by_id.get(getattr(message, "instrument_id", None) or "")
        return "".join(f" {pair}" for pair in _pairs(message, instrument))

    def _letter(self, letter: DeadLettered) -> str:
        origin = f"{_value(letter.topic)} {letter.partition}@{letter.offset} {_value(letter.key)}"
        return f" reason={_value(letter.reason)} from {origin} {self._inner(letter)}"

    def _inner(self, letter: DeadLettered) -> str:
        inner = put_aside(letter)
        name = f"{_value(letter.message_type)} v{letter.message_version}"
        if isinstance(inner, UndecodableMessage):
            return f"{name} ({_value(str(inner))}) {_value(letter.payload)}"
        if isinstance(inner, MarketBatch):
            records = (f"({self._record(record)})" for record in inner.records[:_MAX_ITEMS])
            return f"{name} of {len(inner.records)} records {' '.join(records)}"
        return f"{name}{self._fields(inner)}"


def _pairs(struct: msgspec.Struct, instrument: Instrument | None) -> Iterator[str]:
    """``name=value`` of what is not common to all messages and not empty."""
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        is_untold_time = name.startswith("ts_") and value == 0
        if name not in _UNSHOWN and value is not None and value is not False and value != "" and not is_untold_time:
            yield f"{name}={_amount(name, value, instrument)}"


def _amount(name: str, value: Any, instrument: Instrument | None) -> str:
    if name in PRICES and isinstance(value, int):
        return f"{value}m" if instrument is None else instrument.format_price(value)
    if name in SIZES and isinstance(value, int):
        return f"{value}m" if instrument is None else instrument.format_size(value)
    return _value(value)


def _value(value: Any) -> str:
    if isinstance(value, str):
        text = shown(value)
        if text and _PLAIN.issuperset(text):
            return text
        return '"' + text.replace('"', r"\"") + '"'
    if isinstance(value, bytes):
        rest = len(value) - _MAX_BYTES
        return f"{value[:_MAX_BYTES].hex(' ')}{f' …(+{rest} bytes)' if rest > 0 else ''}"
    if isinstance(value, msgspec.Struct):
        return f"({' '.join(_pairs(value, value if isinstance(value, Instrument) else None))})"
    if isinstance(value, tuple | list):
        rest = len(value) - _MAX_ITEMS
        more = [f"…(+{rest})"] if rest > 0 else []
        return f"[{', '.join([*map(_value, value[:_MAX_ITEMS]), *more])}]"
    return "true" if value is True else shown(str(value))


def _code(codes: type[enum.IntEnum], value: Any) -> str:
    number = int(value)
    return codes(number).name if number in codes._value2member_map_ else f"{codes.__name__}={number}"


def _side(record: Any) -> str:
    return _code(RecordSide, record["side"]) if record["side"] else ""


def _flags(value: int) -> str:
    names = [flag.name or "" for flag in RecordFlag if flag & value]
    if rest := value & ~sum(RecordFlag):
        names.append(str(rest))
    return "|".join(names)

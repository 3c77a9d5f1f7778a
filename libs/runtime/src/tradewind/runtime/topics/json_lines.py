"""Messages as JSON lines for programs: everything that was on the wire, and decimals beside mantissas.

Only printable ASCII: every other character is escaped, so that it is safe on a terminal too.
"""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from tradewind.bus.interface import Delivery
from tradewind.runtime.topics.choosing import Choice
from tradewind.runtime.topics.instruments import KnownInstruments
from tradewind.runtime.topics.put_aside import put_aside
from tradewind.wire.encoding import UndecodableMessage
from tradewind.wire.events import DeadLettered
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import MARKET_RECORD, RecordKind

_FIELDS = [name for name in MARKET_RECORD.names or () if name != "reserved"]
_KINDS = {kind.value: kind.name for kind in RecordKind}


class JsonLines:
    """One object per message, one per market record.

    All have ``topic``, ``partition``, ``offset``, ``key``, ``ts_publish`` and ``type``. A message is under ``message``
    as it was on the wire (bytes in base64), what a dead letter holds under ``inner``. A record is under ``record``; its
    ``instrument_id`` and its ``price`` and ``size`` as decimals are there when the instrument is known.
    """

    def __init__(self, instruments: KnownInstruments, choice: Choice) -> None:
        self._instruments = instruments
        self._choice = choice

    def of(self, delivery: Delivery) -> Iterator[str]:
        """The lines of a delivery; none when nothing in it is wanted."""
        payload = delivery.payload
        head = {
            "topic": delivery.topic,
            "partition": delivery.partition,
            "offset": delivery.offset,
            "key": delivery.key,
            "ts_publish": delivery.ts_publish,
        }
        if isinstance(payload, MarketBatch):
            for record in self._records(self._choice.records(delivery, payload)):
                yield json.dumps(head | record)
        elif self._choice.wants(delivery):
            yield json.dumps(head | self._message(payload))

    def _message(self, message: Any) -> dict[str, Any]:
        found = {"type": type(message).__name__, "message": msgspec.to_builtins(message)}
        if isinstance(message, DeadLettered):
            found["inner"] = self._inner(message)
        return found

    def _inner(self, letter: DeadLettered) -> dict[str, Any]:
        inner = put_aside(letter)
        if isinstance(inner, UndecodableMessage):
            return {"undecodable": str(inner)}
        if isinstance(inner, MarketBatch):
            return {"type": MarketBatch.__name__, "records": list(self._records(inner.records))}
        return self._message(inner)

    def _records(self, records: np.ndarray[Any, Any]) -> Iterator[dict[str, Any]]:
        columns = [records[name].tolist() for name in _FIELDS]
        for values in zip(*columns, strict=True):
            record = dict(zip(_FIELDS, values, strict=True))
            found: dict[str, Any] = {"type": _KINDS.get(record["kind"], str(record["kind"])), "record": record}
            if instrument := self._instruments.by_number.get(record["instrument"]):
                found["instrument_id"] = instrument.instrument_id
                found["price"] = instrument.format_price(record["price"])
                found["size"] = instrument.format_size(record["size"])
            yield found

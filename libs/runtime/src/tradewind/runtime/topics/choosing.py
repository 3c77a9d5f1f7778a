"""Which messages and which market records are wanted."""

from typing import NamedTuple

from tradewind.bus.interface import Delivery
from tradewind.model.identifiers import InstrumentId
from tradewind.wire.events import DeadLettered
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import RecordArray, RecordKind, instrument_number


class Choice(NamedTuple):
    """``key`` is the message's, or the instrument of a market record; ``type`` that of the message, of what a dead
    letter holds, or a kind of market record. None takes everything."""

    key: str | None = None
    type: str | None = None

    def wants(self, delivery: Delivery) -> bool:
        """Whether a typed message is wanted."""
        payload = delivery.payload
        if self.key is not None and delivery.key != self.key:
            return False
        if self.type is None or self.type == type(payload).__name__:
            return True
        return isinstance(payload, DeadLettered) and payload.message_type == self.type

    def records(self, delivery: Delivery, batch: MarketBatch) -> RecordArray:
        """The wanted records of a batch."""
        records = batch.records
        if self.type is not None and self.type != MarketBatch.__name__:
            records = records[records["kind"] == RecordKind.__members__.get(self.type, 0)]
        if self.key is not None and self.key != delivery.key:
            records = records[records["instrument"] == instrument_number(InstrumentId(self.key))]
        return records

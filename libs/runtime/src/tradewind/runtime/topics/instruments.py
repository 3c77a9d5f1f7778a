"""The instruments that ``ref.instruments`` defines: they turn mantissas into decimals and numbers into names."""

import time
from typing import Final

from tradewind.bus.interface import Bus
from tradewind.model.instruments import Instrument
from tradewind.wire.events import InstrumentDefined
from tradewind.wire.market_records import instrument_number
from tradewind.wire.topics import REF_INSTRUMENTS

MAX_DEFINITIONS: Final = 100_000
"""Definitions read at a time; the topic is compacted, so there are hardly more than instruments."""
_READ_AGAIN_S: Final = 5.0


class KnownInstruments:
    """Instruments by id and by the number that stands for them in market records."""

    def __init__(self, bus: Bus | None) -> None:
        self.by_id: dict[str, Instrument] = {}
        self.by_number: dict[int, Instrument] = {}
        self._bus = bus
        self._next_reading_s = 0.0

    async def read(self) -> None:
        """Take what the topic holds now; without a bus of the order plane there is nothing to take."""
        self._next_reading_s = time.monotonic() + _READ_AGAIN_S
        if self._bus is None:
            return
        for delivery in await self._bus.replay(REF_INSTRUMENTS, limit=MAX_DEFINITIONS):
            if isinstance(delivery.payload, InstrumentDefined):
                self.define(delivery.payload.instrument)

    async def read_again(self) -> None:
        """Something unknown was seen: look again, but not all the time."""
        if time.monotonic() >= self._next_reading_s:
            await self.read()

    def define(self, instrument: Instrument) -> None:
        """Know one more."""
        self.by_id[instrument.instrument_id] = instrument
        self.by_number[instrument_number(instrument.instrument_id)] = instrument

    @property
    def venues(self) -> list[str]:
        """The venues that have an instrument."""
        return sorted({instrument.venue for instrument in self.by_id.values()})

"""The last best bid, best ask and trade of each instrument, for late joiners and the page."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tradewind.model.instruments import Instrument
from tradewind.wire.market_records import RecordArray, RecordKind, RecordSide, instrument_number


class LastSeen:
    """Made from whole batches now and then, so that a batch costs nothing when it arrives."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._ids = {instrument_number(each.instrument_id): each.instrument_id for each in instruments}
        self._values: dict[str, dict[str, Any]] = {each.instrument_id: {} for each in instruments}

    def update(self, batches: Sequence[RecordArray]) -> dict[str, dict[str, Any]]:
        """Take batches, oldest first; answers the values of the instruments that changed, by key of the store.

        Prices and sizes are mantissas of the instrument, times ns.
        """
        if not batches:
            return {}
        records = np.concatenate(batches)
        changed: dict[str, dict[str, Any]] = {}
        for kind in (RecordKind.TOP_OF_BOOK, RecordKind.TRADE):
            some = records[records["kind"] == kind]
            for number in np.unique(some["instrument"]).tolist():
                if (instrument_id := self._ids.get(number)) is not None:
                    values = self._values[instrument_id]
                    _note(values, kind, some[some["instrument"] == number])
                    changed[last_value_key(instrument_id)] = values
        return changed

    def values(self) -> dict[str, dict[str, Any]]:
        """The values of all instruments that have some, by key of the store."""
        return {last_value_key(each): values for each, values in self._values.items() if values}


def last_value_key(instrument_id: str) -> str:
    """The key under which an instrument's last values are kept."""
    return f"market:{instrument_id}"


def _note(values: dict[str, Any], kind: RecordKind, records: RecordArray) -> None:
    values["ts_event"] = int(records["ts_event"][-1])
    if kind is RecordKind.TRADE:
        values["trade_price"], values["trade_size"] = int(records["price"][-1]), int(records["size"][-1])
        values["trade_side"] = RecordSide(int(records["side"][-1])).name
        return
    for side, name in ((RecordSide.BUY, "bid"), (RecordSide.SELL, "ask")):
        one_side = records[records["side"] == side]
        if len(one_side):
            values[f"{name}_price"], values[f"{name}_size"] = int(one_side["price"][-1]), int(one_side["size"][-1])

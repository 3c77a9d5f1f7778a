"""Market records in, reference prices out: what orders and positions are counted at, and how old that is."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from tradewind.execution.reference_prices import ReferencePrices
from tradewind.model.enums import OrderSide
from tradewind.model.identifiers import InstrumentId
from tradewind.wire.market_records import RecordArray, RecordKind, RecordSide

# Kinds that come from the venue. CLEAR and STATUS are also made by our own feed, when it has lost the venue.
_LAST_OF_VENUE: Final = RecordKind.ORDER_EXECUTE


def take_prices(prices: ReferencePrices, by_number: Mapping[int, InstrumentId], records: RecordArray) -> None:
    """Note the best bids and asks in a batch, and of which instruments the venue spoke at all."""
    spoken = records[records["kind"] <= _LAST_OF_VENUE]
    if not len(spoken):
        return
    heard_ns = int(spoken["ts_recv"].max())
    for number in np.unique(spoken["instrument"]).tolist():
        if name := by_number.get(number):
            prices.touch(name, heard_ns)
    tops = spoken[spoken["kind"] == RecordKind.TOP_OF_BOOK]
    for number, side, price in zip(
        tops["instrument"].tolist(), tops["side"].tolist(), tops["price"].tolist(), strict=True
    ):
        if name := by_number.get(number):
            prices.take(name, OrderSide.BUY if side == RecordSide.BUY else OrderSide.SELL, price, heard_ns)

"""What a private event is about, read from its JSON."""

from typing import Final

import msgspec

from tradewind.services.sim_venue.faults.plans import EventFacts


class _Event(msgspec.Struct, rename={"kind": "x", "symbol": "s", "name": "c", "original": "C", "trade_id": "t"}):
    kind: str = "POSITION"
    symbol: str = ""
    name: str = ""
    original: str = ""
    trade_id: int = 0


_decoder: Final = msgspec.json.Decoder(_Event)


def event_facts(event: bytes) -> EventFacts:
    """The facts of an executionReport or an outboundAccountPosition of this venue."""
    read = _decoder.decode(event)
    return EventFacts(
        kind=read.kind,
        symbol=read.symbol,
        client_order_id=read.original or read.name,
        trade_id=max(read.trade_id, 0),
    )

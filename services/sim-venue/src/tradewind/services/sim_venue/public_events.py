"""Public market data as JSON bytes.

Source: Binance spot API, "WebSocket Streams" (trade, bookTicker, diff. depth) and "Market data endpoints" (depth).
"""

from collections.abc import Sequence
from typing import NamedTuple

from tradewind.services.sim_venue.amounts import amount_text
from tradewind.services.sim_venue.listings import Listing
from tradewind.services.sim_venue.orders import SELL

Level = tuple[int, int]
"""Price mantissa, size amount."""


class PublicTrade(NamedTuple):
    """One print. ``aggressor`` is the side that took."""

    trade_id: int
    price: int
    size: int
    aggressor: int
    time_ms: int


def trade_event(listing: Listing, trade: PublicTrade) -> bytes:
    """An event of ``<symbol>@trade``."""
    maker = "true" if trade.aggressor == SELL else "false"
    return (
        f'{{"e":"trade","E":{trade.time_ms},"s":"{listing.symbol}","t":{trade.trade_id},'
        f'"p":"{listing.price_text(trade.price)}","q":"{amount_text(trade.size)}",'
        f'"T":{trade.time_ms},"m":{maker},"M":true}}'
    ).encode()


def book_ticker_event(listing: Listing, update_id: int, bid: Level, ask: Level) -> bytes:
    """An event of ``<symbol>@bookTicker``; an empty side is (0, 0)."""
    return (
        f'{{"u":{update_id},"s":"{listing.symbol}","b":"{listing.price_text(bid[0])}","B":"{amount_text(bid[1])}",'
        f'"a":"{listing.price_text(ask[0])}","A":"{amount_text(ask[1])}"}}'
    ).encode()


def depth_event(
    listing: Listing, time_ms: int, first: int, final: int, bids: Sequence[Level], asks: Sequence[Level]
) -> bytes:
    """An event of ``<symbol>@depth@100ms``: updates ``first`` to ``final``, size 0 removes a level."""
    return (
        f'{{"e":"depthUpdate","E":{time_ms},"s":"{listing.symbol}","U":{first},"u":{final},'
        f'"b":{_levels(listing, bids)},"a":{_levels(listing, asks)}}}'
    ).encode()


def depth_snapshot(listing: Listing, update_id: int, bids: Sequence[Level], asks: Sequence[Level]) -> bytes:
    """The answer of ``GET /api/v3/depth``."""
    return f'{{"lastUpdateId":{update_id},"bids":{_levels(listing, bids)},"asks":{_levels(listing, asks)}}}'.encode()


def _levels(listing: Listing, levels: Sequence[Level]) -> str:
    texts = (f'["{listing.price_text(price)}","{amount_text(size)}"]' for price, size in levels)
    return f"[{','.join(texts)}]"

"""Public REST endpoints. Source: Binance spot API, "General endpoints", "Market data endpoints"."""

import dataclasses
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from tradewind.services.sim_venue import refusals
from tradewind.services.sim_venue.amounts import ONE, amount_text
from tradewind.services.sim_venue.calls import Call
from tradewind.services.sim_venue.exchange import Exchange
from tradewind.services.sim_venue.listings import Listing, symbol_info
from tradewind.services.sim_venue.orders import SELL
from tradewind.services.sim_venue.public_events import Level, PublicTrade
from tradewind.services.sim_venue.rate_limits import RateLimits
from tradewind.services.sim_venue.refusals import Refused

MAX_DEPTH: Final = 5_000
MAX_TRADES: Final = 1_000


@dataclasses.dataclass(frozen=True, slots=True)
class PublicSource:
    """Where one symbol's public data comes from."""

    snapshot: Callable[[int], Awaitable[bytes]]
    best: Callable[[], tuple[Level, Level]]
    trades: Callable[[], Sequence[PublicTrade]]
    """The last trades, oldest first."""


class PublicEndpoints:
    """Handlers of the endpoints that need no key."""

    def __init__(self, exchange: Exchange, sources: dict[str, PublicSource], limits: RateLimits) -> None:
        self._exchange = exchange
        self._sources = sources
        self._limits = limits

    async def ping(self, _call: Call) -> Any:
        return {}

    async def time(self, call: Call) -> Any:
        return {"serverTime": call.now_ms}

    async def exchange_info(self, call: Call) -> Any:
        listings = [self._exchange.listing(symbol) for symbol in self._asked_symbols(call)]
        return {
            "timezone": "UTC",
            "serverTime": call.now_ms,
            "rateLimits": self._limits.shown(),
            "exchangeFilters": [],
            "symbols": [symbol_info(listing, self._exchange.max_open_orders) for listing in listings],
        }

    async def depth(self, call: Call) -> Any:
        _, source = self._source(call)
        return await source.snapshot(call.parameters.limit(100, MAX_DEPTH))

    async def trades(self, call: Call) -> Any:
        listing, source = self._source(call)
        limit = call.parameters.limit(500, MAX_TRADES)
        return [_trade_view(listing, trade) for trade in list(source.trades())[-limit:]]

    async def aggregate_trades(self, call: Call) -> Any:
        """The last trades, those of one taker at one price and time as one row."""
        listing, source = self._source(call)
        limit = call.parameters.limit(500, MAX_TRADES)
        same = itertools.groupby(source.trades(), lambda trade: (trade.time_ms, trade.price, trade.aggressor))
        return [_aggregate_view(listing, list(trades)) for _, trades in same][-limit:]

    async def book_ticker(self, call: Call) -> Any:
        return self._for_symbols(call, _book_ticker)

    async def ticker_24h(self, call: Call) -> Any:
        """Statistics over the last trades that the venue keeps: it has no longer memory."""
        return self._for_symbols(call, lambda listing, source: _statistics(listing, source, call.now_ms))

    def _for_symbols(self, call: Call, view: Callable[[Listing, PublicSource], dict[str, Any]]) -> Any:
        views = [view(self._exchange.listing(name), self._sources[name]) for name in self._asked_symbols(call)]
        return views[0] if "symbol" in call.parameters else views

    def _source(self, call: Call) -> tuple[Listing, PublicSource]:
        listing = self._exchange.listing(call.parameters.text("symbol"))
        return listing, self._sources[listing.symbol]

    def _asked_symbols(self, call: Call) -> list[str]:
        """``symbol``, ``symbols`` as a JSON list, or all."""
        if "symbol" in call.parameters:
            return [self._exchange.listing(call.parameters.text("symbol")).symbol]
        if "symbols" not in call.parameters:
            return list(self._exchange.listings)
        try:
            names = msgspec.json.decode(call.parameters.text("symbols"), type=list[str])
        except (msgspec.DecodeError, UnicodeEncodeError):
            raise Refused(-1100, "Illegal characters found in parameter 'symbols'.") from None
        return [self._exchange.listing(name).symbol for name in dict.fromkeys(names)] or self._none()

    def _none(self) -> list[str]:
        raise refusals.missing("symbols")


def _trade_view(listing: Listing, trade: PublicTrade) -> dict[str, Any]:
    return {
        "id": trade.trade_id,
        "price": listing.price_text(trade.price),
        "qty": amount_text(trade.size),
        "quoteQty": amount_text(listing.notional(trade.price, trade.size)),
        "time": trade.time_ms,
        "isBuyerMaker": trade.aggressor == SELL,
        "isBestMatch": True,
    }


def _aggregate_view(listing: Listing, trades: list[PublicTrade]) -> dict[str, Any]:
    first, last = trades[0], trades[-1]
    return {
        "a": first.trade_id,
        "p": listing.price_text(first.price),
        "q": amount_text(sum(trade.size for trade in trades)),
        "f": first.trade_id,
        "l": last.trade_id,
        "T": first.time_ms,
        "m": first.aggressor == SELL,
        "M": True,
    }


def _book_ticker(listing: Listing, source: PublicSource) -> dict[str, Any]:
    (bid, bid_size), (ask, ask_size) = source.best()
    return {
        "symbol": listing.symbol,
        "bidPrice": listing.price_text(bid),
        "bidQty": amount_text(bid_size),
        "askPrice": listing.price_text(ask),
        "askQty": amount_text(ask_size),
    }


def _statistics(listing: Listing, source: PublicSource, now_ms: int) -> dict[str, Any]:
    trades = list(source.trades()) or [PublicTrade(-1, 0, 0, SELL, now_ms)]
    first, last = trades[0], trades[-1]
    volume = sum(trade.size for trade in trades)
    cash = sum(listing.notional(trade.price, trade.size) for trade in trades)
    change = last.price - first.price
    return {
        **_book_ticker(listing, source),
        "priceChange": listing.price_text(change),
        "priceChangePercent": f"{100 * change / first.price if first.price else 0.0:.3f}",
        "weightedAvgPrice": amount_text(cash * ONE // volume if volume else 0),
        "prevClosePrice": listing.price_text(first.price),
        "lastPrice": listing.price_text(last.price),
        "lastQty": amount_text(last.size),
        "openPrice": listing.price_text(first.price),
        "highPrice": listing.price_text(max(trade.price for trade in trades)),
        "lowPrice": listing.price_text(min(trade.price for trade in trades)),
        "volume": amount_text(volume),
        "quoteVolume": amount_text(cash),
        "openTime": first.time_ms,
        "closeTime": now_ms,
        "firstId": first.trade_id,
        "lastId": last.trade_id,
        "count": len(source.trades()),
    }

"""What the venue lists: symbols, their steps and limits, and how exchangeInfo shows them.

Source: Binance spot API, "Exchange information" and "Filters".
"""

import dataclasses
from typing import Any, Final

from tradewind.runtime.refusals import StartRefused
from tradewind.services.sim_venue.amounts import DECIMALS, ONE, amount_text

ORDER_TYPES: Final = ("LIMIT", "LIMIT_MAKER", "MARKET")
TIMES_IN_FORCE: Final = ("GTC", "IOC", "FOK")
SELF_TRADE_PREVENTION: Final = "EXPIRE_MAKER"


@dataclasses.dataclass(frozen=True, slots=True)
class Listing:
    """A symbol. Prices are mantissas at ``price_precision``; sizes and notionals are amounts of 0.00000001."""

    symbol: str
    base: str
    quote: str
    price_precision: int
    tick: int
    max_price: int
    step: int
    max_size: int
    min_notional: int
    max_notional: int
    start_price: int
    """Where the made flow begins."""

    @property
    def stream(self) -> str:
        """The symbol in stream names."""
        return self.symbol.lower()

    @property
    def price_unit(self) -> int:
        """The amount of 0.00000001 in one unit of the price mantissa."""
        return int(10 ** (DECIMALS - self.price_precision))

    def notional(self, price: int, size: int) -> int:
        """Price times size as an amount of the quote currency; exact for sizes on the step."""
        return int(price * size // 10**self.price_precision)

    def price_text(self, price: int) -> str:
        """A price as the API shows it, with 8 decimals."""
        return amount_text(price * self.price_unit)


def _listing(symbol: str, base: str, quote: str, start_price: int) -> Listing:
    return Listing(
        symbol=symbol,
        base=base,
        quote=quote,
        price_precision=2,
        tick=1,
        max_price=1_000_000_00,
        step=1_000,
        max_size=9_000 * ONE,
        min_notional=5 * ONE,
        max_notional=9_000_000 * ONE,
        start_price=start_price * 100,
    )


KNOWN: Final = {
    listing.symbol: listing
    for listing in (_listing("BTCUSDT", "BTC", "USDT", 60_000), _listing("ETHUSDT", "ETH", "USDT", 3_000))
}


def listings_of(symbols: str) -> dict[str, Listing]:
    """The listings of comma-separated symbols.

    Raises:
        StartRefused: none, or one that this venue does not know.
    """
    names = [name.strip().upper() for name in symbols.split(",") if name.strip()]
    unknown = [name for name in names if name not in KNOWN]
    if unknown or not names:
        raise StartRefused(
            f"TRADEWIND_SIM_VENUE_SYMBOLS={symbols!r}: the simulated venue lists {', '.join(sorted(KNOWN))}"
        )
    return {name: KNOWN[name] for name in names}


def symbol_info(listing: Listing, max_open_orders: int) -> dict[str, Any]:
    """One entry of ``symbols`` in exchangeInfo."""
    return {
        "symbol": listing.symbol,
        "status": "TRADING",
        "baseAsset": listing.base,
        "baseAssetPrecision": DECIMALS,
        "quoteAsset": listing.quote,
        "quotePrecision": DECIMALS,
        "quoteAssetPrecision": DECIMALS,
        "baseCommissionPrecision": DECIMALS,
        "quoteCommissionPrecision": DECIMALS,
        "orderTypes": ORDER_TYPES,
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "quoteOrderQtyMarketAllowed": False,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "amendAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _filters(listing, max_open_orders),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": SELF_TRADE_PREVENTION,
        "allowedSelfTradePreventionModes": [SELF_TRADE_PREVENTION],
    }


def _filters(listing: Listing, max_open_orders: int) -> list[dict[str, Any]]:
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": listing.price_text(listing.tick),
            "maxPrice": listing.price_text(listing.max_price),
            "tickSize": listing.price_text(listing.tick),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": amount_text(listing.step),
            "maxQty": amount_text(listing.max_size),
            "stepSize": amount_text(listing.step),
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": amount_text(listing.min_notional),
            "applyMinToMarket": True,
            "maxNotional": amount_text(listing.max_notional),
            "applyMaxToMarket": False,
            "avgPriceMins": 0,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": max_open_orders},
    ]

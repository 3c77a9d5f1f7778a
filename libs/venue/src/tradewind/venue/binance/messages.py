"""The venue's JSON as typed structs: only the fields that we read; further ones are passed over.

Source: Binance spot API, "General / Market Data / Trading / Account endpoints" and "User Data Streams".
"""

import msgspec


class ServerTime(msgspec.Struct, frozen=True):
    """``GET /api/v3/time``."""

    serverTime: int


class ListenKey(msgspec.Struct, frozen=True):
    """``POST /api/v3/userDataStream``."""

    listenKey: str


class RateLimit(msgspec.Struct, frozen=True):
    """One limit of exchangeInfo."""

    rateLimitType: str
    interval: str
    intervalNum: int
    limit: int


class SymbolFilter(msgspec.Struct, frozen=True):
    """Any of the filters of a symbol; each kind fills its own fields."""

    filterType: str
    minPrice: str = "0"
    maxPrice: str = "0"
    tickSize: str = "0"
    minQty: str = "0"
    maxQty: str = "0"
    stepSize: str = "0"
    minNotional: str = "0"


class SymbolInfo(msgspec.Struct, frozen=True):
    """One symbol of exchangeInfo."""

    symbol: str
    baseAsset: str
    quoteAsset: str
    filters: tuple[SymbolFilter, ...]
    baseAssetPrecision: int = 8


class ExchangeInfo(msgspec.Struct, frozen=True):
    """``GET /api/v3/exchangeInfo``."""

    symbols: tuple[SymbolInfo, ...]
    rateLimits: tuple[RateLimit, ...] = ()


class OrderState(msgspec.Struct, frozen=True):
    """An order in the answers of order queries, new orders and cancels.

    ``time`` and ``updateTime`` come in queries, ``transactTime`` in answers to new orders and cancels. A cancel names
    the order by ``origClientOrderId``; there ``clientOrderId`` is the cancel's own id.
    """

    symbol: str
    orderId: int
    clientOrderId: str
    price: str
    origQty: str
    executedQty: str
    status: str
    timeInForce: str
    type: str
    side: str
    origClientOrderId: str = ""
    transactTime: int = 0
    time: int = 0
    updateTime: int = 0
    fills: tuple["OrderFill", ...] = ()


class OrderFill(msgspec.Struct, frozen=True):
    """One fill in a FULL answer to a new order."""

    price: str
    qty: str
    commission: str
    commissionAsset: str
    tradeId: int


class AccountTrade(msgspec.Struct, frozen=True):
    """One row of ``GET /api/v3/myTrades``."""

    symbol: str
    id: int
    orderId: int
    price: str
    qty: str
    commission: str
    commissionAsset: str
    time: int
    isBuyer: bool
    isMaker: bool


class AccountBalance(msgspec.Struct, frozen=True):
    """One balance of ``GET /api/v3/account``."""

    asset: str
    free: str
    locked: str


class Account(msgspec.Struct, frozen=True):
    """``GET /api/v3/account``."""

    balances: tuple[AccountBalance, ...]
    updateTime: int = 0


class StreamEventType(msgspec.Struct, frozen=True):
    """The name of a private stream event."""

    e: str


class ExecutionReport(msgspec.Struct, frozen=True, rename={"transacted": "T", "trade_id": "t", "created": "O"}):
    """``executionReport``. The one-letter names are the venue's; T, t and O have words, as they mislead."""

    s: str
    c: str
    S: str
    o: str
    f: str
    q: str
    p: str
    x: str
    X: str
    i: int
    l: str  # noqa: E741 - the venue's name
    z: str
    L: str
    transacted: int
    trade_id: int
    m: bool
    n: str = "0"
    N: str | None = None
    C: str = ""
    r: str = "NONE"
    created: int = 0


class StreamBalance(msgspec.Struct, frozen=True):
    """One balance of outboundAccountPosition."""

    a: str
    f: str
    l: str  # noqa: E741 - the venue's name


class AccountPosition(msgspec.Struct, frozen=True):
    """``outboundAccountPosition``: the balances that an event may have changed."""

    u: int
    B: tuple[StreamBalance, ...]

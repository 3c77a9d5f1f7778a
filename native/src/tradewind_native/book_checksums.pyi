from tradewind_native.order_book import OrderBook

def okx_checksum(book: OrderBook, price_precision: int, size_precision: int) -> int:
    """OKX's signed CRC32 over ``price:size`` of the best 25 bids and asks in turn, decimals without zeros at the end.

    Source: OKX API guide v5, "Order book channel", checksum.

    Raises:
        ValueError: a precision is not within 0 and 18.
    """

def kraken_checksum(book: OrderBook, more_price_decimals: int, more_size_decimals: int) -> int:
    """Kraken's CRC32 over the digits of the best 10 asks, then bids: price and size without point and leading zeros.

    ``more_…``: how many decimals the venue writes beyond the instrument's precision; digits past 64 bits wrap around
    and make another checksum. Source: Kraken WebSocket API v1, "book", checksum calculation.

    Raises:
        ValueError: one is not within 0 and 18.
    """

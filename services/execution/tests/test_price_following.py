from order_path_kit import BTCUSDT

from tradewind.execution.reference_prices import ReferencePrices
from tradewind.model.enums import OrderSide
from tradewind.services.execution.price_following import take_prices
from tradewind.wire.market_records import RecordArray, RecordKind, RecordSide, empty_records, instrument_number

BTC = BTCUSDT.instrument_id
KNOWN = {instrument_number(BTC): BTC}


def record(kind: RecordKind, ts_recv: int, price: int = 0, side: RecordSide = RecordSide.NONE) -> RecordArray:
    records = empty_records(1)
    records["instrument"], records["kind"], records["ts_recv"] = instrument_number(BTC), kind, ts_recv
    records["price"], records["side"] = price, side
    return records


def test_best_prices_and_their_age_come_from_the_records() -> None:
    prices = ReferencePrices()
    take_prices(prices, KNOWN, record(RecordKind.TOP_OF_BOOK, 7, 100, RecordSide.BUY))
    take_prices(prices, KNOWN, record(RecordKind.TOP_OF_BOOK, 8, 102, RecordSide.SELL))
    assert (prices.best(BTC, OrderSide.BUY), prices.best(BTC, OrderSide.SELL)) == (100, 102)
    assert (prices.exit_price(BTC, 1), prices.exit_price(BTC, -1), prices.highest(BTC)) == (100, 102, 102)
    assert prices.heard_ns(BTC) == 8


def test_any_word_of_the_venue_keeps_a_price_young_and_our_own_clear_does_not() -> None:
    prices = ReferencePrices()
    take_prices(prices, KNOWN, record(RecordKind.TOP_OF_BOOK, 7, 100, RecordSide.BUY))
    take_prices(prices, KNOWN, record(RecordKind.TRADE, 9, 101))
    assert prices.heard_ns(BTC) == 9
    for kind in (RecordKind.CLEAR, RecordKind.STATUS):
        take_prices(prices, KNOWN, record(kind, 20))
    assert prices.heard_ns(BTC) == 9


def test_instruments_that_are_not_ours_are_passed_over() -> None:
    prices = ReferencePrices()
    take_prices(prices, {}, record(RecordKind.TOP_OF_BOOK, 7, 100, RecordSide.BUY))
    assert prices.heard_ns(BTC) is None
    assert prices.highest(BTC) is None


def test_an_empty_side_is_no_price() -> None:
    prices = ReferencePrices()
    take_prices(prices, KNOWN, record(RecordKind.TOP_OF_BOOK, 7, 100, RecordSide.BUY))
    take_prices(prices, KNOWN, record(RecordKind.TOP_OF_BOOK, 8, 0, RecordSide.BUY))
    assert prices.best(BTC, OrderSide.BUY) is None
    assert prices.exit_price(BTC, 1) is None

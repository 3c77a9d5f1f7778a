"""All that a quant imports: the strategy class, its settings, and the values that its callbacks get."""

from tradewind.model.enums import OrderSide, TimeInForce
from tradewind.model.identifiers import InstrumentId
from tradewind.model.order_status import OrderStatus
from tradewind.model.orders import Order
from tradewind.model.positions import Position
from tradewind.strategy.bars import Bar
from tradewind.strategy.context import StrategyContext
from tradewind.strategy.market_views import Quote, Trade
from tradewind.strategy.settings import Policy, StrategySettings, decimal_setting, setting
from tradewind.strategy.strategy import Strategy

__all__ = [
    "Bar",
    "InstrumentId",
    "Order",
    "OrderSide",
    "OrderStatus",
    "Policy",
    "Position",
    "Quote",
    "Strategy",
    "StrategyContext",
    "StrategySettings",
    "TimeInForce",
    "Trade",
    "decimal_setting",
    "setting",
]

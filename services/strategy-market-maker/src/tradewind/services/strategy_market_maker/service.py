"""The service ``strategy-market-maker``."""

from tradewind.services.strategy_market_maker.strategy import MarketMaker, MarketMakerSettings
from tradewind.strategy.running import strategy_service

SERVICE = strategy_service("strategy-market-maker", MarketMaker, MarketMakerSettings)

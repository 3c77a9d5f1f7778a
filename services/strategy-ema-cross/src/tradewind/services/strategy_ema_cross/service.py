"""The service ``strategy-ema-cross``."""

from tradewind.services.strategy_ema_cross.strategy import EmaCross, EmaCrossSettings
from tradewind.strategy.running import strategy_service

SERVICE = strategy_service("strategy-ema-cross", EmaCross, EmaCrossSettings)

"""Binance spot: market data, orders and the private stream. The simulated venue differs only by its address."""

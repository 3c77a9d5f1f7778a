"""A real exchange server with a real matching engine that speaks the Binance spot API."""

"""Makes the folder of a new service or strategy: ``tradewind new``."""

"""Values of the trading domain: no I/O, no asyncio, no clock."""

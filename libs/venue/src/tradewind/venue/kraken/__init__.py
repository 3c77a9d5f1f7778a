"""Kraken spot: market data of its public v1 channels, each book checked by the venue's own checksum."""

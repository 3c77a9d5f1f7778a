"""OKX: market data of its public v5 channels, each book checked by the venue's own checksum."""

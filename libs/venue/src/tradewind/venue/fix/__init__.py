"""An account at a venue that takes orders over FIX 4.2 or 4.4 and answers questions over REST, as Binance does."""

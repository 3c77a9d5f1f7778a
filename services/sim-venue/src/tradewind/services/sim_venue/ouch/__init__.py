"""Orders over OUCH 4.2 and SoupBinTCP, on the one exchange."""

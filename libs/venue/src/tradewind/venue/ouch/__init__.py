"""OUCH 4.2: Nasdaq's order entry messages."""

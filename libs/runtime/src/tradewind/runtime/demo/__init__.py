"""``tradewind demo``: the whole platform in one process on the simulated venue, live or replaying a capture."""

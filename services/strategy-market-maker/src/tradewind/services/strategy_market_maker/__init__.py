"""Two-sided quotes around the mid price, skewed by inventory."""

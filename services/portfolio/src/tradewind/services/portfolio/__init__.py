"""Marks, profit and loss, equity curve."""

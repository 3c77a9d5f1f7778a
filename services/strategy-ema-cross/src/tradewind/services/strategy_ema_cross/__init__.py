"""Exponential moving average cross on mid prices."""

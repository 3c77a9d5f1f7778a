"""Deterministic simulation of the real order path: virtual time, simulated store, bus and venue, faults everywhere."""

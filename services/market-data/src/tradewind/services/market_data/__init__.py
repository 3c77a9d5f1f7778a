"""Venue bytes to market records on the bus."""

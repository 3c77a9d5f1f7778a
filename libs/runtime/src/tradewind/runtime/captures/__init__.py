"""Captures: recording live feeds, and reading recorded ones in every form through one interface (docs/protocols)."""

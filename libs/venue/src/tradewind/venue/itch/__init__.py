"""Nasdaq TotalView-ITCH 5.0: files, and the plain-Python twins of the kernels for it."""

"""Alerts from what the services say, told once by webhook and e-mail."""

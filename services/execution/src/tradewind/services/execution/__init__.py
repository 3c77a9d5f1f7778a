"""Owns one venue account: risk-checked, durably written orders."""

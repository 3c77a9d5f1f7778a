"""Faults in real processes: brokers, databases, services and the venue, under load, judged by the oracle."""

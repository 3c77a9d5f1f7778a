"""Fixtures that the tests of every package share: a real database and a real Redis, started when first asked for."""

pytest_plugins = ["tradewind.store.testing", "tradewind.bus.brokers.kafka_testing"]

"""Real brokers started by ourselves: for tests, benches and a first look. Production runs its own."""

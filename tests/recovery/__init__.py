"""Recovery of the order path across packages: real processes and PostgreSQL, the simulated venue over sockets."""

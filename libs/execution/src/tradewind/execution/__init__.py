"""The order path as a library: risk checks, the ledger, the engine that plans every step, without any I/O."""

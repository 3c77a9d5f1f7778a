"""The WebSocket: a snapshot, then ordered deltas of the parts that a client has chosen."""

"""Every message that crosses a process boundary: its schema, version, encoding, and the 64-byte market record."""

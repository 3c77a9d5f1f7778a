"""Publish, subscribe and replay behind one interface; the transport is chosen by URL."""

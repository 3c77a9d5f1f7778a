"""Process mode: every service as its own operating system process, under one supervisor."""

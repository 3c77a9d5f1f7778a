"""How a process lives: settings, lifecycle, supervision, health, metrics, logging, command line."""

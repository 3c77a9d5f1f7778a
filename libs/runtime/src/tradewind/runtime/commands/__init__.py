"""The commands of ``tradewind``: each module here has ``register(app)``; a new module is a new command."""

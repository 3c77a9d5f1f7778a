"""Reasons not to run that only the user can remove: shown as one line, exit code 2, no traceback, no restart."""

import errno

USER_ERROR_EXIT_CODE = 2


class StartRefused(RuntimeError):
    """The process cannot do its work until the user changes something; the message says what to change.

    A service may raise it from ``run``: the supervisor then stops the whole process instead of starting it again.
    """


class ProcessEnded(RuntimeError):
    """A service that runs as its own process has ended by itself; the message says how."""


class PortTaken(StartRefused):
    """Another program listens where a service wants to."""

    def __init__(self, port: int, variable: str) -> None:
        super().__init__(f"port {port} is taken by another program; stop it or set {variable}")
        self.port = port
        self.variable = variable


def is_address_in_use(error: BaseException) -> bool:
    """Whether a port was taken, also deep inside the group that a TaskGroup raises."""
    if isinstance(error, BaseExceptionGroup):
        return any(is_address_in_use(inner) for inner in error.exceptions)
    return isinstance(error, OSError) and error.errno == errno.EADDRINUSE


def refusal_in(error: BaseException) -> StartRefused | None:
    """The refusal that an error is, or that the group of a TaskGroup holds."""
    if isinstance(error, StartRefused):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((found for inner in error.exceptions if (found := refusal_in(inner))), None)
    return None

"""The child's side of process mode: what its supervisor tells it, and how it ends when that one is gone.

A supervised process never outlives its supervisor, not even one that was killed: the kernel kills it (Linux), and a
thread that waits for the end of standard input, which the supervisor holds open, does the same everywhere else.
"""

import ctypes
import os
import signal
import sys
import threading
from typing import Final

PARENT_VARIABLE: Final = "TRADEWIND_SUPERVISED_PARENT"
HEALTH_FD_VARIABLE: Final = "TRADEWIND_SUPERVISED_HEALTH_FD"
ORPHANED_EXIT_CODE: Final = 71
_PR_SET_PDEATHSIG: Final = 1
_CHUNK_BYTES: Final = 4096
_STANDARD_INPUT: Final = 0


def is_supervised() -> bool:
    """Whether this process was started by ``--processes``."""
    return PARENT_VARIABLE in os.environ


def health_listener_fd() -> int | None:
    """The listening socket that the supervisor has opened for this process's health."""
    text = os.environ.get(HEALTH_FD_VARIABLE)
    return int(text) if text else None


def end_with_parent() -> None:
    """End this process at once when its supervisor ends; nothing happens in a process without one."""
    if not is_supervised():
        return
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(os.environ[PARENT_VARIABLE]):
        os._exit(ORPHANED_EXIT_CODE)
    threading.Thread(target=_wait_for_the_end, name="parent-watch", daemon=True).start()


def _wait_for_the_end() -> None:
    while os.read(_STANDARD_INPUT, _CHUNK_BYTES):
        pass  # nobody writes there; its end is what tells
    os._exit(ORPHANED_EXIT_CODE)

"""Become an unprivileged user and run a program; run as a script by root, because PostgreSQL refuses to run as root.

``python -I -S unprivileged.py UID GID PROGRAM [ARGUMENT...]``

The program keeps one capability, CAP_DAC_OVERRIDE: it reaches its folder and its own binaries below folders that only
root may enter (``/root``, a private checkout), so nobody's permissions are changed for it. It is Linux's own call, made
before the program is there; no thread and no other code runs in this process.
"""

import ctypes
import os
import struct
import sys

_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_OVERRIDE = 1


def become(uid: int, gid: int) -> None:
    """Change to ``uid`` and ``gid`` for ever, with CAP_DAC_OVERRIDE and nothing else.

    Raises:
        OSError: this root may not do that (a container without CAP_SETUID, CAP_SETGID or CAP_DAC_OVERRIDE).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    mask = 1 << CAP_DAC_OVERRIDE
    header = struct.pack("<Ii", _CAPABILITY_VERSION_3, 0)
    # effective, permitted and inheritable of the capabilities 0..31, then of 32..63
    _check(libc.capset(header, struct.pack("<6I", mask, mask, mask, 0, 0, 0)))
    _check(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def main(arguments: list[str]) -> None:
    """Never returns: the process becomes the program, or ends with one line on stderr."""
    uid, gid, program = int(arguments[0]), int(arguments[1]), arguments[2]
    try:
        become(uid, gid)
        os.execv(program, arguments[2:])  # noqa: S606 - the caller names the program, no shell
    except OSError as error:
        sys.exit(f"cannot run {program} as user {uid}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])

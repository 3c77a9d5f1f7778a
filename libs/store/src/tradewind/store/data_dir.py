"""The folder that the embedded servers live in: made, checked, locked, and with a place for sockets."""

import errno
import fcntl
import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

SOCKET_PATH_LIMIT: Final = 103  # bytes without the final zero: macOS takes 104 with it, Linux 108
_LONGEST_SOCKET_NAME: Final = ".s.PGSQL.5432"
_PRIVATE: Final = 0o700


class EmbeddedServerError(RuntimeError):
    """An embedded server cannot run; the message says why and what to do."""


class DataDirInUse(EmbeddedServerError):
    """Another process runs its servers on the same folder."""


def make_folder(path: Path) -> Path:
    """``path``, made private if it was not there.

    Raises:
        EmbeddedServerError: it cannot be made or written.
    """
    try:
        path.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
    except OSError as error:
        raise folder_error(path, error) from error
    return path


def folder_error(path: Path, error: OSError) -> EmbeddedServerError:
    """One clear sentence for what the system says about a folder."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_full(path)
    return EmbeddedServerError(
        f"cannot use the data folder {path}: {error.strerror}; give it to this user, or pass --data-dir"
    )


def disk_full(path: Path) -> EmbeddedServerError:
    """The sentence for a full disk."""
    return EmbeddedServerError(f"the disk of the data folder {path} is full; free some space, or pass --data-dir")


def socket_folder(data_dir: Path) -> Path:
    """A private folder for sockets: ``run`` in the data folder, or one in the temporary folder where that is too long.

    Raises:
        EmbeddedServerError: it cannot be made, or somebody else made it.
    """
    inside = data_dir / "run"
    if len(os.fsencode(inside / _LONGEST_SOCKET_NAME)) <= SOCKET_PATH_LIMIT:
        return make_folder(inside)
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    outside = make_folder(Path(tempfile.gettempdir()) / f"tradewind-{os.getuid()}-{name}")
    found = outside.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) != _PRIVATE:
        raise EmbeddedServerError(
            f"{outside} is not a private folder of this user; remove it, or pass a shorter --data-dir"
        )
    return outside


class DataDirLock:
    """Held by the one process that uses a data folder; the system lets it go when the process ends, however it ends."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock at once.

        Raises:
            DataDirInUse: another process has it.
            EmbeddedServerError: the folder cannot be written.
        """
        path = self._data_dir / "tradewind.lock"
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise folder_error(self._data_dir, error) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError as error:
            owner = os.pread(file, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(file)
            raise DataDirInUse(
                f"another tradewind (pid {owner}) uses {self._data_dir}; stop it or pass --data-dir"
            ) from error
        except OSError as error:
            os.close(file)
            raise folder_error(self._data_dir, error) from error
        self._file = file

    def release(self) -> None:
        """Let it go; nothing happens if it is not held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

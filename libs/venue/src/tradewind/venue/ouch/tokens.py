"""Names of orders at an OUCH venue: tokens of 14 characters, made from our client order ids, and the way back.

A token is the SHA-256 of account and client order id in base 36: the same order has the same token in every process, so
it can be asked for after any crash. 36^14 is 2^72: among a million orders two equal ones have a chance of 1 in 10^10,
and a name that would share another's token is refused before anything is sent.

The way back is a file of lines ``token client_order_id``, appended before the first byte of the order. It outlives the
process, not a power cut; what is lost of it is not an order, only its name in what the venue says unasked.
"""

import hashlib
import os
from pathlib import Path
from typing import Final

from tradewind.model.identifiers import AccountId, ClientOrderId
from tradewind.venue.adapter import VenueRejected, VenueUnavailable
from tradewind.venue.ouch.messages import TOKEN_LENGTH

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PRIVATE: Final = 0o600
_PRIVATE_FOLDER: Final = 0o700


def token_of(account_id: AccountId, client_order_id: ClientOrderId) -> str:
    """The token of an order; the same one for ever."""
    digest = hashlib.sha256(f"{account_id}\n{client_order_id}".encode()).digest()
    number = int.from_bytes(digest, "big") % len(_DIGITS) ** TOKEN_LENGTH
    letters = []
    for _ in range(TOKEN_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        letters.append(_DIGITS[digit])
    return "".join(letters)


class TokenNames:
    """Which client order id each token stands for."""

    def __init__(self, account_id: AccountId, path: Path) -> None:
        self._account_id = account_id
        self._path = path
        self._names: dict[str, ClientOrderId] = {}
        self._file: int | None = None
        self._saved: set[str] = set()

    def open(self) -> None:
        """Read what earlier processes have written. Raises VenueUnavailable."""
        if self._file is not None:
            return
        try:
            self._path.parent.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _PRIVATE)
            text = self._path.read_text("ascii", "replace")
        except OSError as error:
            raise VenueUnavailable(f"the names of orders cannot be kept in {self._path}: {error}") from error
        for line in text.splitlines():
            token, _, name = line.partition(" ")
            # A line that was cut off, or is not ours, makes another token.
            if name and token_of(self._account_id, ClientOrderId(name)) == token:
                self._names[token] = ClientOrderId(name)
                self._saved.add(token)
        if text and not text.endswith("\n"):
            os.write(self._file, b"\n")

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def token(self, name: ClientOrderId) -> str:
        """The token of a name, remembered from now on. Raises VenueRejected when another name has it."""
        token = token_of(self._account_id, name)
        if self._names.setdefault(token, name) != name:
            raise VenueRejected(
                0, f"{name} and {self._names[token]} have the same OUCH token; give the order another id"
            )
        return token

    def save(self, token: str) -> None:
        """Write a name down before its order leaves. Raises VenueUnavailable."""
        if token in self._saved:
            return
        if self._file is None:
            raise VenueUnavailable("the OUCH client is not connected; nothing was sent")
        line = f"{token} {self._names[token]}\n".encode()
        try:
            if os.write(self._file, line) != len(line):
                raise OSError("the disk is full")
        except OSError as error:
            raise VenueUnavailable(f"the name of an order cannot be kept in {self._path}: {error}") from error
        self._saved.add(token)

    def name(self, token: str) -> ClientOrderId | None:
        """The name of a token; None when it is not of us or was lost."""
        return self._names.get(token)

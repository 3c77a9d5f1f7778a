"""Asking a running platform's api service, and giving it commands, from the command line."""

import urllib.error
import urllib.request
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec

from tradewind.runtime.api_token import token_for
from tradewind.runtime.refusals import StartRefused

T = TypeVar("T")
DEFAULT_URL: Final = "http://127.0.0.1:8080"
URL_VARIABLE: Final = "TRADEWIND_API_URL"
TIMEOUT_S: Final = 10.0
WHO_ASKS: Final = "say who you are with `tradewind login`, TRADEWIND_API_TOKEN or TRADEWIND_API_TOKEN_FILE"
_PREFIX: Final = "/api/v1"
_LONGEST_ANSWER: Final = 10_000_000


class NoAnswer(StartRefused):
    """Nobody answers there, or what answers has no word for it now; the same may be asked again."""


class Refused(StartRefused):
    """The platform refuses; the message is its own and says what to change."""


class _Problem(msgspec.Struct):
    detail: str


class PlatformApi:
    """One api service, by its address.

    Requests carry ``token``; without one, that of the environment or of ``tradewind login`` for this address.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        if not url.startswith(("http://", "https://")):
            raise StartRefused(f"{url!r} is no address; it takes one like {DEFAULT_URL}")
        self.url = url.rstrip("/")
        self._token = token_for(self.url) if token is None else token

    def get(self, path: str, shape: type[T]) -> T:
        """What is at a path.

        Raises:
            NoAnswer: nobody answers, or its store is away.
            Refused: it answers something else.
        """
        return self._decoded(path, self._ask(path, None), shape)

    def post(self, path: str, body: dict[str, Any]) -> None:
        """Give a command; returns when the platform has taken it.

        Raises:
            NoAnswer: nobody answers; whether it took effect is not known.
            Refused: the platform does not take it.
        """
        self._ask(path, msgspec.json.encode(body))

    def put(self, path: str, body: dict[str, Any]) -> None:
        """Replace what is there; returns when the platform has taken it.

        Raises:
            NoAnswer, Refused: as ``post``.
        """
        self._ask(path, msgspec.json.encode(body), "PUT")

    def delete(self, path: str) -> None:
        """Take something away.

        Raises:
            NoAnswer, Refused: as ``post``.
        """
        self._ask(path, b"{}", "DELETE")

    def _ask(self, path: str, body: bytes | None, method: str | None = None) -> bytes:
        headers = {"Content-Type": "application/json", "X-Tradewind-Request": "yes"} if body is not None else {}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        address = self.url + _PREFIX + path
        # The scheme is checked above.
        request = urllib.request.Request(address, data=body, headers=headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
                answer: bytes = response.read(_LONGEST_ANSWER)
        except urllib.error.HTTPError as error:
            with error:
                detail = _detail(error.read(_LONGEST_ANSWER)) or f"{address} answered {error.code}"
            if error.code in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT):
                raise NoAnswer(detail) from error
            if error.code == HTTPStatus.UNAUTHORIZED:
                raise Refused(f"{detail}; {WHO_ASKS}") from error
            raise Refused(detail) from error
        except (OSError, ValueError) as error:
            why = getattr(error, "reason", error)
            raise NoAnswer(
                f"nothing answers at {self.url} ({why}); give the api service's address with --url or {URL_VARIABLE}"
            ) from error
        return answer

    def _decoded(self, path: str, answer: bytes, shape: type[T]) -> T:
        try:
            return msgspec.json.decode(answer, type=shape)
        except msgspec.DecodeError as error:
            raise Refused(f"{self.url}{_PREFIX}{path} is not what this version expects; is it tradewind?") from error


def _detail(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Problem).detail
    except msgspec.DecodeError:
        return ""

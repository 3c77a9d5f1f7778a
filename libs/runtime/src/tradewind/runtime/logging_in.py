"""What ``tradewind login`` and ``tradewind logout`` do: a password becomes an api token that is kept for commands."""

import http.cookiejar
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Final

import msgspec

from tradewind.runtime import api_token
from tradewind.runtime.platform_api import TIMEOUT_S, NoAnswer, PlatformApi, Refused

_LONGEST_ANSWER: Final = 1_000_000


class _Made(msgspec.Struct):
    token_id: str
    secret: str


class _Problem(msgspec.Struct):
    detail: str


def log_in(url: str, name: str, password: str, days: int, say: Callable[[str], None]) -> None:
    """Log in, make a token that lasts so many days, and keep it; the session itself ends at once.

    Raises:
        NoAnswer: nobody answers.
        Refused: the platform does not let this person in.
    """
    address = PlatformApi(url).url
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    _ask(browser, f"{address}/api/v1/auth/login", {"name": name, "password": password})
    label = f"command line on {socket.gethostname()}"[:64]
    answer = _ask(browser, f"{address}/api/v1/tokens", {"name": label, "days": days})
    made = msgspec.json.decode(answer, type=_Made)
    _ask(browser, f"{address}/api/v1/auth/logout", {})
    path = api_token.store(url, f"{made.secret}\n{made.token_id}")
    say(f"Logged in as {name} for {days} days; the token is in {path}. End it with: tradewind logout")


def log_out(url: str, say: Callable[[str], None]) -> None:
    """Revoke the kept token and forget it."""
    known = api_token.stored_at(url)
    lines = known.read_text(encoding="utf-8").split() if known.is_file() else []
    if len(lines) == 2:
        try:
            PlatformApi(url, lines[0]).delete(f"/tokens/{lines[1]}")
        except (NoAnswer, Refused) as error:
            say(f"The platform was not told ({error}); revoke the token on its page.")
    say("Logged out." if api_token.forget(url) else f"Nobody was logged in to {url} from here.")


def _ask(browser: urllib.request.OpenerDirector, address: str, body: dict[str, object]) -> bytes:
    headers = {"Content-Type": "application/json", "X-Tradewind-Request": "yes"}
    # The scheme is checked where the address was taken.
    request = urllib.request.Request(address, data=msgspec.json.encode(body), headers=headers)  # noqa: S310
    try:
        with browser.open(request, timeout=TIMEOUT_S) as response:
            answer: bytes = response.read(_LONGEST_ANSWER)
    except urllib.error.HTTPError as error:
        with error:
            raise Refused(_detail(error.read(_LONGEST_ANSWER)) or f"{address} answered {error.code}") from error
    except (OSError, ValueError) as error:
        raise NoAnswer(f"nothing answers at {address} ({getattr(error, 'reason', error)})") from error
    return answer


def _detail(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Problem).detail
    except msgspec.DecodeError:
        return ""

"""``tradewind status``: what a running platform says about itself, wherever its processes run.

The api service, or a health port, tells of its own process. Every process of the deployment tells of itself through
Redis; without Redis only the first is shown, and that is said.
"""

import asyncio
import urllib.error
import urllib.request
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from tradewind.runtime.api_token import token_for
from tradewind.runtime.refusals import StartRefused

if TYPE_CHECKING:
    from tradewind.store.presence import PresenceSeen

_TIMEOUT_S: Final = 3.0
_HEALTH_PATHS: Final = ("/api/v1/health", "/readyz")
"""Of the api service, and of every health port."""
_WHO: Final = "is it the api service of tradewind?"
NOT_READY_EXIT_CODE: Final = 1
_READY: Final = "ready"


class _Row(msgspec.Struct):
    name: str
    kind: str
    state: str
    restarts: int = 0
    reason: str = ""


class _Report(msgspec.Struct):
    ready: bool
    services: list[_Row]
    destination: str = ""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status(
    url: Annotated[
        str, typer.Option(envvar="TRADEWIND_API_URL", help="Address of the platform's api service, or a health port.")
    ] = "http://127.0.0.1:8080",
) -> None:
    """Print the health of each service of a running platform. Leaves with 0 when all are ready, else with 1.

    Processes that run elsewhere are found through Redis: TRADEWIND_REDIS_URL, or the one under TRADEWIND_DATA_DIR.

    \b
    Examples:
      tradewind status
      tradewind status --url http://127.0.0.1:9000
      tradewind status --url http://127.0.0.1:9100   (TRADEWIND_HEALTH_PORT of `tradewind up --processes`)
    """
    # Imported late: every process of a service loads all commands.
    from rich.console import Console

    from tradewind.runtime.status_tables import processes_table, services_table

    console = Console(highlight=False, markup=False)
    seen, why_none = _seen()
    processes = seen.processes if seen is not None else ()
    try:
        report = _report(url)
    except StartRefused as refusal:
        if not processes:
            raise
        console.print(str(refusal))
        report = _Report(ready=False, services=[])
    if report.destination:
        console.print(report.destination)
    if processes:
        console.print(processes_table(processes))
    else:
        rows = [(row.name, row.kind, row.state, str(row.restarts), row.reason) for row in report.services]
        console.print(services_table(rows))
        console.print(f"Only what {url} knows: {why_none}")
    if seen is not None and seen.unreadable:
        console.print(f"{seen.unreadable} rows in Redis could not be read; tradewind did not write them")
    if not report.ready or any(one.state != _READY for process in processes for one in process.services):
        raise typer.Exit(NOT_READY_EXIT_CODE)


def _seen() -> "tuple[PresenceSeen | None, str]":
    """Who tells of itself through Redis, and why that may be nobody."""
    from tradewind.runtime.presence import NoRedis, processes_seen
    from tradewind.runtime.settings import PlatformSettings, load_settings

    try:
        return asyncio.run(processes_seen(load_settings(PlatformSettings))), "no process has told of itself in Redis"
    except NoRedis as error:
        return None, str(error)


def _report(url: str) -> _Report:
    if not url.startswith(("http://", "https://")):
        raise StartRefused(f"{url!r} is no address; it takes one like http://127.0.0.1:8080")
    for path in _HEALTH_PATHS:
        if (body := _answer(url, path)) is not None:
            try:
                return msgspec.json.decode(body, type=_Report)
            except msgspec.DecodeError as error:
                raise StartRefused(f"{url}{path} gave no health report; {_WHO}") from error
    raise StartRefused(f"{url} knows neither {' nor '.join(_HEALTH_PATHS)}; {_WHO}")


def _answer(url: str, path: str) -> bytes | None:
    """The body of what ``url`` answers; None when it has no such path."""
    address = url.rstrip("/") + path
    token = token_for(url)
    # The scheme is checked above.
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"} if token else {})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
            body: bytes = response.read()
    except urllib.error.HTTPError as error:
        with error:
            # Without a login its readiness is told, and no more.
            if error.code in (HTTPStatus.NOT_FOUND, HTTPStatus.UNAUTHORIZED):
                return None
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE:  # how it says that not all are ready
                raise StartRefused(f"{address} answered {error.code}; {_WHO}") from error
            return error.read()
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", error)
        raise StartRefused(
            f"nothing answers at {url} ({why}); start the platform with `tradewind up`, or give its --url"
        ) from error
    return body

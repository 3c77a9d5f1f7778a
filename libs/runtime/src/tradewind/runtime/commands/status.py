"""``tradewind status``: what a running platform says about itself."""

import urllib.error
import urllib.request
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
import typer

from tradewind.runtime.refusals import StartRefused

_TIMEOUT_S: Final = 3.0
_HEALTH_PATHS: Final = ("/api/v1/health", "/readyz")
"""Of the api service, and of every health port."""
_WHO: Final = "is it the api service of tradewind?"
NOT_READY_EXIT_CODE: Final = 1


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

    \b
    Examples:
      tradewind status
      tradewind status --url http://127.0.0.1:9000
      tradewind status --url http://127.0.0.1:9100   (TRADEWIND_HEALTH_PORT of `tradewind up --processes`)
    """
    # Imported late: every process of a service loads all commands.
    from rich.console import Console
    from rich.table import Table

    report = _report(url)
    table = Table("service", "kind", "state", "restarts", "reason", box=None, pad_edge=False)
    for row in report.services:
        table.add_row(row.name, row.kind, row.state, str(row.restarts), row.reason)
    console = Console()
    if report.destination:
        console.print(report.destination)
    console.print(table)
    if not report.ready:
        raise typer.Exit(NOT_READY_EXIT_CODE)


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
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT_S) as response:  # noqa: S310 - the scheme is checked above
            body: bytes = response.read()
    except urllib.error.HTTPError as error:
        with error:
            if error.code == HTTPStatus.NOT_FOUND:
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

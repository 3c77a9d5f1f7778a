"""The command ``tradewind``.

Its commands are the modules of ``tradewind.runtime.commands`` and whatever installed packages add through the entry
point group ``tradewind.commands``; each gives a ``register(app)`` that adds to the Typer application.
"""

import importlib
import pkgutil
import sys
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Annotated, Final

import typer

from tradewind.runtime import commands
from tradewind.runtime.refusals import USER_ERROR_EXIT_CODE, StartRefused

GROUP: Final = "tradewind.commands"
INTERRUPTED_EXIT_CODE: Final = 130

_HELP: Final = """A trading platform: market data in, strategies, risk-checked orders out.

Everything is configured by environment variables that begin with TRADEWIND_. With none set, `tradewind up` trades on a
simulated exchange on this machine, with its own PostgreSQL and Valkey under ~/.local/share/tradewind.

\b
Examples:
  tradewind demo              everything on a simulated exchange, page open
  tradewind up                everything in one process; Ctrl-C stops it
  tradewind up api risk       only the named services
  tradewind up --processes    each service as its own process, over Kafka or RabbitMQ
  tradewind run market-data   one service, as a container does
  tradewind services          which services are installed
  tradewind venues            which exchange adapters are installed, and what each can do here
  tradewind status            what a running platform says of itself
  tradewind login NAME        who kill, orders, accounts and status act as
  tradewind users list        who may log in to the page
  tradewind kill engage firm  halt, cancel everything, prove it (--flatten: close positions too)
  tradewind alerts list       what is wrong, and who works on it
  tradewind topics list       what is on the bus, and who is behind
  tradewind capture info FILE  what is in a recorded feed
  tradewind db migrate        bring the database to this version
  tradewind new strategy NAME a folder with a strategy that trades
  tradewind k8s render PROFILE the Kubernetes manifests of a deployment
"""


def build_app() -> typer.Typer:
    """The application with all its commands.

    Raises:
        StartRefused: a command of another package cannot be loaded.
    """
    app = typer.Typer(
        name="tradewind",
        help=_HELP,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=True,
    )
    app.callback()(_options)
    for module in pkgutil.iter_modules(commands.__path__):
        importlib.import_module(f"{commands.__name__}.{module.name}").register(app)
    for point in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        try:
            register = point.load()
        except Exception as error:
            raise StartRefused(f"command {point.name!r} ({point.value}) cannot be loaded: {error}") from error
        register(app)
    return app


def main() -> None:
    """The entry point of the ``tradewind`` script."""
    try:
        build_app()()
    except StartRefused as refusal:
        sys.stderr.write(f"tradewind: {refusal}\n")
        sys.exit(USER_ERROR_EXIT_CODE)
    except KeyboardInterrupt:  # before the event loop took over the signals
        sys.exit(INTERRUPTED_EXIT_CODE)


def platform_version() -> str:
    """The version of the platform; all its packages have the same one."""
    try:
        return version("tradewind-runtime")
    except PackageNotFoundError:
        return "unknown (not installed as a package)"


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tradewind {platform_version()}")
        raise typer.Exit


def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Options of the command itself."""

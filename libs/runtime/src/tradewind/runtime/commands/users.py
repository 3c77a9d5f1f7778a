"""``tradewind users``: who may log in, directly on the database, for the operator who has it."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tradewind.runtime.stop_signals import StopSwitch
    from tradewind.runtime.user_keeping import UserKeeping

Name = Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")]
Role = Annotated[str, typer.Argument(metavar="ROLE", help="viewer, trader, risk or admin.")]
Why = Annotated[str, typer.Option("--why", help="The reason, for the audit.")]
Page = Annotated[str, typer.Option("--page", envvar="TRADEWIND_API_PAGE_URL", help="The page's address, for the link.")]
_PAGE: Final = "http://127.0.0.1:8080"
_HELP: Final = """Users of the page, directly on the database: for the first start, and when nobody can log in any more.

It needs TRADEWIND_POSTGRES_DSN, or is about the embedded database under TRADEWIND_DATA_DIR. What is done is in the
audit under your name on this machine. Everyday work with users is on the page.

\b
Examples:
  tradewind users list
  tradewind users add anna trader
  tradewind users link anna
  tradewind users role anna risk --why "new desk"
  tradewind users disable anna --why "left the house"
"""


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(name="users", help=_HELP, no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_users)
    group.command("add")(add)
    group.command("link")(link)
    group.command("role")(role)
    group.command("disable")(disable)
    app.add_typer(group)


def list_users() -> None:
    """Show everybody with role and last login.

    \b
    Example:
      tradewind users list
    """
    _run(lambda keeping: keeping.list())


def add(name: Name, role: Role, page: Page = _PAGE) -> None:
    """Add a user, and print a one-time link by which that person sets a password.

    \b
    Example:
      tradewind users add anna trader
    """
    _run(lambda keeping: keeping.add(name, role, page))


def link(name: Name, page: Page = _PAGE) -> None:
    """Print a new one-time link for a user who has lost the password.

    \b
    Example:
      tradewind users link anna
    """
    _run(lambda keeping: keeping.link(name, page))


def role(name: Name, role: Role, why: Why) -> None:
    """Give a user another role; the user's logins end.

    \b
    Example:
      tradewind users role anna risk --why "new desk"
    """
    _run(lambda keeping: keeping.change(name, role=role, why=why))


def disable(
    name: Name,
    why: Why,
    again: Annotated[bool, typer.Option("--enable", help="The other way: let the user in again.")] = False,
) -> None:
    """Let a user in no more; the user's logins and tokens end at once.

    \b
    Example:
      tradewind users disable anna --why "left the house"
    """
    _run(lambda keeping: keeping.change(name, enabled=again, why=why))


def _run(work: "Callable[[UserKeeping], Awaitable[None]]") -> None:
    # Imported late: every process of a service loads all commands.
    from tradewind.runtime.process_running import load_platform_settings, run_process
    from tradewind.runtime.user_keeping import keeping_users

    platform = load_platform_settings()

    async def main(_switch: "StopSwitch") -> None:
        async with keeping_users(platform, typer.echo) as keeping:
            await work(keeping)

    raise typer.Exit(run_process(main))

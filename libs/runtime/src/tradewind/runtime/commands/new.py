"""``tradewind new``: the folder of a new service or strategy."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tradewind.runtime.scaffolding.folders import Kind


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(name="new", help=_group.__doc__, no_args_is_help=True, rich_markup_mode=None)
    group.callback()(_group)
    group.command("service")(service)
    group.command("strategy")(strategy)
    group.command("generate")(generate)
    app.add_typer(group)


def service(
    name: Annotated[str, typer.Argument(help="Its folder, image and Kubernetes name, such as tide-watch.")],
    about: Annotated[str, typer.Option(help="What it does, in one line.")] = "Says whether the database is there",
) -> None:
    """Make services/NAME: code with settings and health, tests, image, compose and Kubernetes parts, README.

    It runs, builds, deploys and passes its tests as it is. Nothing else is to be written by hand; what is generated
    from the folders is brought up to date. To be rid of it, remove the folder and run: tradewind new generate

    \b
    Examples:
      tradewind new service tide-watch --about "Warns when the market turns"
      tradewind new service tide-watch && make setup && .venv/bin/pytest services/tide-watch
    """
    _make("service", name, about)


def strategy(
    name: Annotated[str, typer.Argument(help="Its strategy id, such as carry; the folder is strategy-carry.")],
    about: Annotated[str, typer.Option(help="What it does, in one line.")] = "Buys a little, and sells it again",
) -> None:
    """Make services/strategy-NAME: a strategy that trades, with settings, tests, image, compose and Kubernetes parts.

    It trades as it is: run `make demo` and look at the page. Change on_timer, or override on_quote, on_trade, on_bar.

    \b
    Examples:
      tradewind new strategy carry
      tradewind new strategy carry && make setup && make demo
    """
    _make("strategy", name, about)


def generate() -> None:
    """Bring up to date what is generated from the service folders: k8s/rendered and docker/services.yaml.

    Needed after a folder was removed, or a template, a profile or a service.toml was changed.

    \b
    Example:
      rm -r services/tide-watch && tradewind new generate
    """
    from tradewind.runtime.commands.k8s import need_packages

    need_packages()
    from tradewind.runtime.kubernetes.trees import find_root
    from tradewind.runtime.scaffolding.generated_files import generate as generate_all

    root = find_root()
    for path in generate_all(root):
        typer.echo(f"{path.relative_to(root)}")


def _make(kind: "Kind", text: str, about: str) -> None:
    from tradewind.runtime.commands.k8s import need_packages

    need_packages()
    from tradewind.runtime.kubernetes.trees import find_root, repository_version
    from tradewind.runtime.scaffolding.folders import NewService, checked_name, make_folder
    from tradewind.runtime.scaffolding.generated_files import generate as generate_all

    name, root = checked_name(kind, text), find_root()
    folder = make_folder(root, NewService(kind, name, repository_version(root), checked_about(about)))
    generated = generate_all(root)
    typer.echo(f"made services/{name}: {sum(path.is_file() for path in folder.rglob('*'))} files")
    typer.echo(f"brought up to date: {len(generated)} generated files")
    typer.echo(f"next: make setup, then .venv/bin/pytest services/{name}, then make demo")


def checked_about(text: str) -> str:
    """A description that can stand in a docstring, a TOML string and a README.

    Raises:
        StartRefused: it is no plain line.
    """
    from tradewind.runtime.refusals import StartRefused

    if not text.strip() or len(text) > 90 or any(sign in text for sign in '"\\@') or not text.isprintable():
        raise StartRefused("--about takes one line of up to 90 characters, without quotes, backslashes and @")
    return text.strip().rstrip(".")


def _group() -> None:
    """The folder of a new service or strategy, ready to build, deploy and test."""

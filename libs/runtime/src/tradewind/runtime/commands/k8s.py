"""``tradewind k8s``: the Kubernetes manifests of a profile."""

from pathlib import Path
from typing import Annotated

import typer

from tradewind.runtime.refusals import StartRefused


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(name="k8s", help=_group.__doc__, no_args_is_help=True, rich_markup_mode=None)
    group.callback()(_group)
    group.command("render")(render)
    group.command("profiles")(profiles)
    app.add_typer(group)


def render(
    profile: Annotated[list[str], typer.Argument(help="Profiles, as `tradewind k8s profiles` lists them.")],
    out: Annotated[
        Path | None, typer.Option(help="Write the tree into this folder, <folder>/<profile>, instead of printing it.")
    ] = None,
    version: Annotated[
        str, typer.Option(help="Version of our images; the repository's by default.", envvar="TRADEWIND_VERSION")
    ] = "",
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; say in what the folder of --out is different, exit code 1.")
    ] = False,
) -> None:
    """Write the manifests of a profile, from services/*/k8s.yaml.j2 and k8s/profiles/<profile>.yaml.

    Without --out they are printed, in the order in which they are applied. With it there is one file for each template,
    in three folders: 1-platform, 2-migration, 3-services; files that belong to nothing any more are removed. The same
    repository gives the same bytes. A mistake in a profile or a template is said with its file and line.

    \b
    Examples:
      tradewind k8s render dev_local | less
      tradewind k8s render dev_local prod_main --out k8s/rendered
      tradewind k8s render prod_main --version 0.3.1 --out build/manifests
      tradewind k8s render dev_local --out k8s/rendered --check
    """
    need_packages()
    from tradewind.runtime.kubernetes.profiles import load_profile
    from tradewind.runtime.kubernetes.rendering import as_one
    from tradewind.runtime.kubernetes.rendering import render as render_tree
    from tradewind.runtime.kubernetes.trees import differences, find_root, repository_version, write_tree

    if check and out is None:
        raise StartRefused("--check compares with a folder: name it with --out")
    root = find_root()
    trees = {name: render_tree(root, load_profile(root, name), version or repository_version(root)) for name in profile}
    if out is None:
        typer.echo("".join(as_one(tree) for tree in trees.values()), nl=False)
        return
    if check:
        found = [line for name, tree in trees.items() for line in differences(out / name, tree)]
        typer.echo("".join(f"{line}\n" for line in found), nl=False)
        raise typer.Exit(1 if found else 0)
    for name, tree in trees.items():
        changed = write_tree(out / name, tree)
        typer.echo(f"{out / name}: {len(tree)} files, {len(changed)} changed")


def profiles(
    names: Annotated[bool, typer.Option("--names", help="Only the names, one a line.")] = False,
) -> None:
    """List the profiles: k8s/profiles/<environment>_<name>.yaml, one for each deployment.

    \b
    Examples:
      tradewind k8s profiles
      tradewind k8s render $(tradewind k8s profiles --names) --out k8s/rendered
    """
    need_packages()
    from rich.console import Console
    from rich.table import Table

    from tradewind.runtime.kubernetes.profiles import load_profile, profile_names
    from tradewind.runtime.kubernetes.trees import find_root

    root = find_root()
    if names:
        typer.echo("".join(f"{name}\n" for name in profile_names(root)), nl=False)
        return
    table = Table("profile", "namespace", "broker", "orders go to", "instruments", box=None, pad_edge=False)
    for profile in (load_profile(root, name) for name in profile_names(root)):
        says = profile.says
        venue = says.venue.real.rest_url if says.venue.real is not None else "the simulated venue"
        table.add_row(profile.full_name, profile.namespace, says.broker.kind, venue, ", ".join(says.venue.instruments))
    Console().print(table)


def need_packages() -> None:
    """Say what to install where the extra is missing.

    Raises:
        StartRefused: it is missing.
    """
    try:
        import jinja2
        import yaml
    except ImportError as error:
        raise StartRefused(f"{error.name} is missing: install tradewind-runtime[k8s], or run make setup") from error
    del jinja2, yaml


def _group() -> None:
    """Kubernetes manifests: render a profile, list the profiles."""

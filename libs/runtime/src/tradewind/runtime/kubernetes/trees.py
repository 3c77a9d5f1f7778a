"""Trees on disk: where the repository is, writing a tree, comparing one."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tradewind.runtime.kubernetes.positions import ManifestError
from tradewind.runtime.kubernetes.rendering import stale_files

RENDERED: Final = Path("k8s/rendered")


def find_root(start: Path | None = None) -> Path:
    """The repository around a folder, the current one by default.

    Raises:
        ManifestError: there is none.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "k8s" / "profiles").is_dir() and (folder / "services").is_dir():
            return folder
    raise ManifestError(f"{here} is not inside a repository of Tradewind: go to a folder of one")


def repository_version(root: Path) -> str:
    """The version of the repository, which its images have too."""
    return str(tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def write_tree(folder: Path, tree: Mapping[str, str]) -> list[Path]:
    """Make a folder hold exactly this tree; returns the files that were changed or removed.

    Raises:
        ManifestError: the folder holds manifests that no tree of ours has, which would be lost.
    """
    _check_is_ours(folder)
    changed = []
    for path in stale_files(folder, tree):
        path.unlink()
        changed.append(path)
    for name, text in sorted(tree.items()):
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def differences(folder: Path, tree: Mapping[str, str]) -> list[str]:
    """In what a folder is not this tree, one line each; empty when it is."""
    found = [f"{path} is there no more" for path in stale_files(folder, tree)]
    for name, text in sorted(tree.items()):
        path = folder / name
        if not path.is_file():
            found.append(f"{path} is missing")
        elif path.read_text(encoding="utf-8") != text:
            found.append(f"{path} is different")
    return found


def _check_is_ours(folder: Path) -> None:
    for path in sorted(folder.rglob("*.yaml")) if folder.is_dir() else ():
        with path.open(encoding="utf-8") as file:
            if not file.readline().startswith("# Written by `tradewind k8s render"):
                raise ManifestError(f"{path} was not written by this command and would be lost: name another folder")

"""Installs into an image exactly what one service needs, from the workspace and its lock file.

Runs inside image builds (see ../base.Dockerfile) and uses the standard library and ``uv`` alone. Four targets, each a
tree that is copied to ``/`` of an image as one layer, so that a change breaks no more layers than it must:

``platform-packages``   third-party packages that every service needs
``platform``            our libraries that every service needs
``needs FOLDER``        what the service in FOLDER needs beyond them: ``/out/packages`` and ``/out/libs``
``service FOLDER``      the service itself: ``/out/service``
``build-packages``      what builds wheels, for the toolchain, into its own Python

The same input gives the same bytes: no time stamps, no paths of the build.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(os.environ.get("TRADEWIND_SOURCE", "/src"))
OUT: Final = Path(os.environ.get("TRADEWIND_OUT", "/out"))
LOCK: Final = "requirements.lock"
PLATFORM: Final = "tradewind-runtime"
"""Every service runs inside it, so what it needs is shared by all images."""
PREFIX: Final = Path("usr/local")

_NAME: Final = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[([A-Za-z0-9._, -]*)\])?")
_VIA: Final = re.compile(r"^\s+#\s+(?:via\s+)?([A-Za-z0-9][A-Za-z0-9._-]*)\s*$")
_OF_DEVELOPMENT: Final = ("*.pyi", "*.pxd", "*.pyx", "*.c", "*.cc", "*.cpp", "*.h", "*.hpp", "*.a", "*.lib")
_EPOCH_S: Final = 315_532_800  # 1980, the first year that a zip file knows
_OF_THIS_BUILD: Final = ("direct_url.json", "uv_cache.json", "RECORD", "REQUESTED")


class PackagingError(Exception):
    """The workspace and its lock file do not say what to install; the message says why."""


class Workspace:
    """Our own packages and what they need, from their ``pyproject.toml`` files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folders: dict[str, Path] = {}
        self._projects: dict[str, dict[str, Any]] = {}
        for pattern in ("libs/*/pyproject.toml", "native/pyproject.toml", "services/*/pyproject.toml"):
            for path in sorted(root.glob(pattern)):
                project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
                self.folders[_normal(project["name"])] = path.parent
                self._projects[_normal(project["name"])] = project

    def name_of(self, folder: Path) -> str:
        """The package in ``folder``.

        Raises:
            PackagingError: there is none.
        """
        for name, of_package in self.folders.items():
            if of_package == folder:
                return name
        raise PackagingError(f"{folder} has no pyproject.toml")

    def members_of(self, name: str) -> set[str]:
        """The package and all packages of ours that it needs, directly or not."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += [need for need in self._needs(one) if need in self._projects]
        return found

    def direct_needs(self, members: Iterable[str]) -> set[str]:
        """Names of the third-party packages that these packages ask for."""
        return {need for member in members for need in self._needs(member) if need not in self._projects}

    def _needs(self, name: str) -> Iterator[str]:
        for line in self._projects[name].get("dependencies", ()):
            yield _name_in(line)


class Lock:
    """``requirements.lock``: each package with its hashes, and the comments that say which packages ask for it."""

    def __init__(self, text: str) -> None:
        self._entries: dict[str, list[str]] = {}
        self._asked_by: dict[str, set[str]] = {}
        name = ""
        for line in text.splitlines():
            if line and not line.startswith((" ", "#")):
                name = _name_in(line)
                self._entries.setdefault(name, []).append(line)
            elif line.strip() != "# via" and (via := _VIA.match(line)):
                self._asked_by.setdefault(name, set()).add(_normal(via.group(1)))
            elif line.startswith("    --hash"):
                self._entries[name].append(line)

    def closure(self, direct: set[str]) -> set[str]:
        """These packages and all that they need.

        Raises:
            PackagingError: one of them is not locked.
        """
        if unknown := sorted(direct - self._entries.keys()):
            raise PackagingError(f"{LOCK} lacks {', '.join(unknown)}; run: make lock")
        found = set(direct)
        while more := {name for name, by in self._asked_by.items() if by & found} - found:
            found |= more
        return found

    def text(self, names: set[str]) -> str:
        """The lock file of these packages alone."""
        return "".join(f"{line}\n" for name in sorted(names) for line in self._entries[name])


def platform_packages(workspace: Workspace, lock: Lock) -> set[str]:
    """Third-party packages of every image."""
    return lock.closure(workspace.direct_needs(workspace.members_of(PLATFORM)))


def service_packages(workspace: Workspace, lock: Lock, service: str) -> set[str]:
    """Third-party packages that a service needs beyond those of every image."""
    needed = lock.closure(workspace.direct_needs(workspace.members_of(service)))
    return needed - platform_packages(workspace, lock)


def service_libs(workspace: Workspace, service: str) -> set[str]:
    """Packages of ours that a service needs beyond those of every image and itself."""
    return workspace.members_of(service) - workspace.members_of(PLATFORM) - {service}


def build_packages(workspace: Workspace, lock: Lock) -> set[str]:
    """What the workspace's ``build`` group asks for."""
    groups = tomllib.loads((workspace.root / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    return lock.closure({_name_in(line) for line in groups["build"]})


def install_locked(requirements: str, tree: Path) -> None:
    """Install third-party packages below ``tree``, checked against their hashes."""
    (tree / PREFIX).mkdir(parents=True, exist_ok=True)
    if requirements:
        _uv("--require-hashes", "--no-deps", "--prefix", str(tree / PREFIX), "--requirement", "-", text=requirements)
        _finish(tree, development_too=True)


def install_own(folders: Iterable[Path], tree: Path) -> None:
    """Build and install packages of ours below ``tree``; a built wheel in ``/wheels`` is taken as it is."""
    (tree / PREFIX).mkdir(parents=True, exist_ok=True)
    if sources := [str(folder) for folder in folders]:
        _uv("--no-deps", "--no-build-isolation", "--no-index", "--prefix", str(tree / PREFIX), *sources)
        _finish(tree, development_too=False)


def _uv(*arguments: str, text: str = "") -> None:
    subprocess.run(  # noqa: S603 - our own command line, no shell
        ["uv", "--quiet", "--no-config", "pip", "install", "--link-mode", "copy", *arguments],  # noqa: S607
        input=text,
        text=True,
        check=True,
    )


def _finish(tree: Path, *, development_too: bool) -> None:
    packages = next((tree / PREFIX / "lib").glob("python3*/site-packages"))
    programs = tree / PREFIX / "bin"
    for path in sorted(packages.rglob("*")):
        if path.is_dir() and path.name in ("tests", "test") and development_too:
            shutil.rmtree(path)
        elif path.name in _OF_THIS_BUILD or (development_too and any(path.match(name) for name in _OF_DEVELOPMENT)):
            path.unlink(missing_ok=True)
    # The one program of an image is ours; those of packages are for development.
    for program in programs.iterdir() if programs.is_dir() else ():
        if program.name != "tradewind":
            program.unlink()
    libraries = [str(path) for path in packages.rglob("*.so") if ".libs" not in str(path) and "numpy" not in path.parts]
    if libraries and shutil.which("strip"):
        subprocess.run(["strip", "--strip-debug", *libraries], check=True)  # noqa: S603, S607 - of the build's own image
    # The root file system is read-only, so byte code is made now; without time stamps it is the same each time.
    compiling = ["compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    command = [sys.executable, "-m", *compiling, "-s", str(tree), "-p", "/", str(packages)]
    subprocess.run(command, check=True)  # noqa: S603 - our own command line, no shell
    # Equal files with equal times are the same layer in every image, and are stored and sent once.
    for path in [tree, *tree.rglob("*")]:
        os.utime(path, (_EPOCH_S, _EPOCH_S), follow_symlinks=False)


def _name_in(line: str) -> str:
    found = _NAME.match(line.strip())
    if found is None:
        raise PackagingError(f"cannot read the requirement {line!r}")
    return _normal(found.group(1))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="packages.py", description="Installs packages into an image's layers.")
    parser.add_argument("target", choices=("build-packages", "platform-packages", "platform", "needs", "service"))
    parser.add_argument("folder", nargs="?", help="services/NAME, for needs and service")
    parser.add_argument(
        "--from", dest="source", type=Path, help="a list that --list has printed, for platform-packages"
    )
    parser.add_argument("--list", action="store_true", help="print what would be installed and install nothing")
    options = parser.parse_args()
    if options.target in ("needs", "service") and not options.folder:
        parser.error(f"{options.target} takes a service's folder")
    return options


def _list(workspace: Workspace, lock: Lock, options: argparse.Namespace) -> None:
    if options.target == "build-packages":
        sys.stdout.write(lock.text(build_packages(workspace, lock)))
    elif options.target == "platform-packages":
        sys.stdout.write(lock.text(platform_packages(workspace, lock)))
    elif options.target == "needs":
        name = workspace.name_of(workspace.root / options.folder)
        sys.stdout.write(lock.text(service_packages(workspace, lock, name)))
    else:
        members = workspace.members_of(PLATFORM) if options.target == "platform" else {options.folder}
        sys.stdout.write("".join(f"{member}\n" for member in sorted(members)))


def _install(workspace: Workspace, lock: Lock, options: argparse.Namespace) -> None:
    if options.target == "platform-packages":
        source: Path | None = options.source
        install_locked(
            source.read_text(encoding="utf-8") if source else lock.text(platform_packages(workspace, lock)),
            OUT / "packages",
        )
        return
    if options.target == "platform":
        install_own(_sources(workspace, workspace.members_of(PLATFORM)), OUT / "platform")
        return
    folder = workspace.root / options.folder
    name = workspace.name_of(folder)
    if options.target == "needs":
        install_locked(lock.text(service_packages(workspace, lock, name)), OUT / "packages")
        install_own(_sources(workspace, service_libs(workspace, name)), OUT / "libs")
    else:
        install_own([folder], OUT / "service")


def _sources(workspace: Workspace, members: set[str]) -> list[Path]:
    """Folders to build from, in a fixed order; a package that an earlier stage has built is its wheel."""
    wheels = {_normal(path.name.split("-", 1)[0]): path for path in Path("/wheels").glob("*.whl")}
    return [wheels.get(name, workspace.folders[name]) for name in sorted(members)]


def main() -> int:
    """Returns the exit status."""
    options = _arguments()
    workspace = Workspace(ROOT)
    try:
        lock = Lock((ROOT / LOCK).read_text(encoding="utf-8"))
        (_list if options.list else _install)(workspace, lock, options)
    except PackagingError as error:
        sys.stderr.write(f"packages.py: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

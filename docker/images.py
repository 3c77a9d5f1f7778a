"""Writes the file that ``docker buildx bake`` builds all images from: one target for each ``services/*/Dockerfile``.

    python3 docker/images.py | docker buildx bake --file -
    python3 docker/images.py --local | docker buildx bake --file -

The services' images share the stages of ``docker/base.Dockerfile`` inside one build, so that nothing needs to be pushed
or tagged before. ``--local`` is for a machine that reaches no image registry: stand-ins for the images of others, made
from Debian packages and Maven artifacts under the names that the compose files use.

Settings are environment variables: TRADEWIND_REGISTRY (with its slash at the end), TRADEWIND_VERSION, TRADEWIND_TAGS
(more tags, comma-separated), TRADEWIND_REVISION (the commit, for a label), TRADEWIND_CACHE (a reference without tag,
for a build cache in a registry), DEBIAN_IMAGE, PYTHON_IMAGE, UV_VERSION, and the images of others as the compose files
name them (KAFKA_IMAGE ...). Standard library only: it runs before ``make setup``.
"""

import argparse
import json
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
BASE: Final = ("builder", "runtime")
_DEFAULT: Final = re.compile(r"\$\{([A-Z_]+_IMAGE):-([^}]+)\}")

Target = dict[str, Any]


def version() -> str:
    """The version of the repository, unless TRADEWIND_VERSION says another."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return os.environ.get("TRADEWIND_VERSION") or str(project["version"])


def services() -> list[str]:
    """Names of the folders that have a Dockerfile."""
    return sorted(path.parent.name for path in (ROOT / "services").glob("*/Dockerfile"))


def image(name: str, tag: str) -> str:
    """The reference of one of our images."""
    return f"{os.environ.get('TRADEWIND_REGISTRY', '')}tradewind/{name}:{tag}"


def third_party() -> dict[str, str]:
    """Variable -> reference of every image of others in the compose files, as the environment or the file has it."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "docker").glob("*.yaml")):
        for variable, default in _DEFAULT.findall(path.read_text(encoding="utf-8")):
            found[variable] = os.environ.get(variable) or default
    return found


def targets() -> dict[str, Target]:
    """What to build, by target name."""
    tags = [version(), *filter(None, os.environ.get("TRADEWIND_TAGS", "").split(","))]
    base = {name: _target(name, "docker/base.Dockerfile", tags, target=name) for name in BASE}
    arguments = {"TRADEWIND_REGISTRY": os.environ.get("TRADEWIND_REGISTRY", ""), "TRADEWIND_VERSION": tags[0]}
    contexts = {image(name, tags[0]): f"target:{name}" for name in BASE}
    return base | {
        name: _target(name, f"services/{name}/Dockerfile", tags, args=arguments, contexts=contexts)
        for name in services()
    }


def local_targets() -> dict[str, Target]:
    """Stand-ins for the images of others, by target name; what has no stand-in is said on standard error."""
    found: dict[str, Target] = {}
    for variable, reference in sorted(third_party().items()):
        name = variable.removesuffix("_IMAGE").lower()
        folder = ROOT / "docker" / "local" / name
        if not (folder / "Dockerfile").is_file():
            sys.stderr.write(
                f"{reference}: no Debian package to make a stand-in from; that part of compose stays off\n"
            )
            continue
        found[name] = {
            "context": str(ROOT),
            "dockerfile": f"docker/local/{name}/Dockerfile",
            "args": _given("DEBIAN_IMAGE"),
            "tags": [reference],
        }
    return found


def _target(name: str, dockerfile: str, tags: list[str], **more: Any) -> Target:
    arguments = _given("DEBIAN_IMAGE", "PYTHON_IMAGE", "UV_VERSION") | more.pop("args", {})
    labels = {"org.opencontainers.image.title": f"tradewind/{name}", "org.opencontainers.image.version": tags[0]}
    if revision := os.environ.get("TRADEWIND_REVISION"):
        labels["org.opencontainers.image.revision"] = revision
    target = {
        "context": str(ROOT),
        "dockerfile": dockerfile,
        "args": arguments,
        "labels": labels,
        "tags": [image(name, tag) for tag in tags],
        **more,
    }
    if cache := os.environ.get("TRADEWIND_CACHE"):
        target["cache-from"] = [f"type=registry,ref={cache}:{name}"]
        target["cache-to"] = [f"type=registry,ref={cache}:{name},mode=max"]
    return target


def _given(*names: str) -> dict[str, str]:
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="images.py", description="Writes a bake file of all images, as JSON.")
    parser.add_argument("--local", action="store_true", help="stand-ins for the images of others instead of ours")
    parser.add_argument("--names", action="store_true", help="print the references of our images, one a line")
    parser.add_argument("--third-party", action="store_true", help="print the references of the images of others")
    options = parser.parse_args()
    if options.names:
        sys.stdout.write("".join(f"{image(name, version())}\n" for name in [*BASE, *services()]))
    elif options.third_party:
        sys.stdout.write("".join(f"{reference}\n" for reference in sorted(set(third_party().values()))))
    else:
        found = local_targets() if options.local else targets()
        json.dump({"group": {"default": {"targets": sorted(found)}}, "target": found}, sys.stdout, indent=2)
        sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

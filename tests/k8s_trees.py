"""The manifests of every profile, rendered from this repository once for all tests."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tradewind.runtime.kubernetes.profiles import load_profile, profile_names
from tradewind.runtime.kubernetes.rendering import render
from tradewind.runtime.kubernetes.trees import repository_version

ROOT = Path(__file__).resolve().parents[1]
PROFILES = profile_names(ROOT)
Document = dict[str, Any]


@functools.cache
def tree(profile: str) -> dict[str, str]:
    return render(ROOT, load_profile(ROOT, profile), repository_version(ROOT))


@functools.cache
def documents(profile: str) -> tuple[tuple[str, Document], ...]:
    """Path in the tree and document, all of them in order."""
    return tuple(
        (path, document) for path, text in sorted(tree(profile).items()) for document in yaml.safe_load_all(text)
    )


def of_kind(profile: str, *kinds: str) -> Iterator[tuple[str, Document]]:
    return ((path, document) for path, document in documents(profile) if document["kind"] in kinds)


def the_one(profile: str, kind: str, name: str) -> Document:
    [found] = [one for _, one in of_kind(profile, kind) if one["metadata"]["name"] == name]
    return found


def pod_of(document: Document) -> Document:
    found: Document = document["spec"]["template"]
    return found


def container_of(document: Document) -> Document:
    [container] = pod_of(document)["spec"]["containers"]
    found: Document = container
    return found


def environment_of(profile: str, document: Document) -> dict[str, str]:
    """The variables of a workload's container, from its config maps and its own list."""
    container = container_of(document)
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        found |= the_one(profile, "ConfigMap", source["configMapRef"]["name"])["data"]
    return found | {one["name"]: one["value"] for one in container.get("env", ())}

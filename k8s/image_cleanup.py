"""Removes old images of ours from a registry, by ``k8s/image-policy.toml``. Over the registry's own HTTP interface.

    python3 k8s/image_cleanup.py [--dry-run]

Settings: TRADEWIND_REGISTRY (host/path/), TRADEWIND_REGISTRY_USER, TRADEWIND_REGISTRY_PASSWORD. A manifest is removed
by its digest, so one that a tag to be kept shares with others stays. Standard library only, as docker/images.py.
"""

import argparse
import base64
import dataclasses
import datetime
import json
import os
import re
import subprocess
import sys
import tomllib
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
_TIMEOUT_S: Final = 30.0
_MOST_BYTES: Final = 8_388_608
_RELEASE: Final = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
_COMMIT: Final = re.compile(r"[0-9a-f]{7,40}")
_LINK: Final = re.compile(r'<([^>]+)>;\s*rel="?next"?')
_CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')
_INDEXES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


class CleanupError(Exception):
    """The registry cannot be used as it is; the message says what to change."""


@dataclasses.dataclass(frozen=True)
class Policy:
    """See ``image-policy.toml``."""

    keep_releases: int
    keep_commits: int
    keep_days: int


@dataclasses.dataclass(frozen=True)
class Tagged:
    """One tag of an image: what it names, and when that was made."""

    tag: str
    digest: str
    created: datetime.datetime


def to_remove(found: Iterable[Tagged], policy: Policy, in_use: Iterable[str], now: datetime.datetime) -> list[Tagged]:
    """The tags that the policy does not keep, without those that share their digest with a kept one."""
    images = list(found)
    releases = sorted((one for one in images if _RELEASE.fullmatch(one.tag)), key=_release_number, reverse=True)
    commits = sorted((one for one in images if _COMMIT.fullmatch(one.tag)), key=lambda one: one.created, reverse=True)
    young = now - datetime.timedelta(days=policy.keep_days)
    old = {
        *releases[policy.keep_releases :],
        *(one for one in commits[policy.keep_commits :] if one.created < young),
    } - {one for one in images if one.tag in set(in_use)}
    kept = {one.digest for one in images if one not in old}
    return sorted((one for one in old if one.digest not in kept), key=lambda one: one.tag)


def _release_number(image: Tagged) -> tuple[int, ...]:
    found = _RELEASE.fullmatch(image.tag)
    return tuple(map(int, found.groups())) if found is not None else ()


class Registry:
    """One registry, by the part of its interface that all registries have."""

    def __init__(self, host: str, user: str = "", password: str = "") -> None:
        is_here = host.split(":")[0] in ("localhost", "127.0.0.1")
        self._url = f"{'http' if is_here else 'https'}://{host}"
        self._login = base64.b64encode(f"{user}:{password}".encode()).decode() if user else ""
        self._tokens: dict[str, str] = {}

    def tags(self, name: str) -> list[str]:
        """All tags of an image; none when the registry does not know it."""
        found: list[str] = []
        path: str | None = f"/v2/{name}/tags/list?n=1000"
        while path is not None:
            try:
                headers, body = self._call("GET", path)
            except urllib.error.HTTPError as error:
                if error.code == 404:
                    return []
                raise
            found += json.loads(body).get("tags") or []
            link = _LINK.search(headers.get("Link", ""))
            path = link[1].removeprefix(self._url) if link is not None else None
        return found

    def look(self, name: str, tag: str) -> Tagged:
        """What a tag names."""
        headers, body = self._call("GET", f"/v2/{name}/manifests/{tag}")
        digest, manifest = headers["Docker-Content-Digest"], json.loads(body)
        if manifest.get("mediaType") in _INDEXES or "manifests" in manifest:
            _, body = self._call("GET", f"/v2/{name}/manifests/{manifest['manifests'][0]['digest']}")
            manifest = json.loads(body)
        _, body = self._call("GET", f"/v2/{name}/blobs/{manifest['config']['digest']}")
        created = json.loads(body).get("created") or "1970-01-01T00:00:00Z"
        return Tagged(tag, digest, _time(created))

    def remove(self, name: str, digest: str) -> None:
        """Remove a manifest, and with it every tag that names it."""
        self._call("DELETE", f"/v2/{name}/manifests/{digest}")

    def _call(self, method: str, path: str, scope: str = "") -> tuple[Any, bytes]:
        request = urllib.request.Request(self._url + path, method=method)  # noqa: S310 - http(s), see __init__
        request.add_header("Accept", ", ".join((*_INDEXES, *_MANIFESTS)))
        if token := self._tokens.get(scope):
            request.add_header("Authorization", token)
        try:
            return _answer(request)
        except urllib.error.HTTPError as error:
            if error.code != 401 or scope:
                raise
            asked = error.headers.get("WWW-Authenticate", "")
        self._tokens[asked] = self._authorization(asked)
        return self._call(method, path, asked)

    def _authorization(self, challenge: str) -> str:
        if not self._login:
            raise CleanupError(
                "the registry asks for a login; set TRADEWIND_REGISTRY_USER and TRADEWIND_REGISTRY_PASSWORD"
            )
        if not challenge.lower().startswith("bearer"):
            return f"Basic {self._login}"
        words = dict(_CHALLENGE.findall(challenge))
        query = urllib.parse.urlencode({key: words[key] for key in ("service", "scope") if key in words})
        request = urllib.request.Request(f"{words['realm']}?{query}")  # noqa: S310 - the registry's own word
        request.add_header("Authorization", f"Basic {self._login}")
        found = json.loads(_answer(request)[1])
        return f"Bearer {found.get('token') or found['access_token']}"


def _answer(request: urllib.request.Request) -> tuple[Any, bytes]:
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - as above
        return answer.headers, answer.read(_MOST_BYTES)


def _time(text: str) -> datetime.datetime:
    # Registries give nanoseconds, of which Python reads six digits.
    found = datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text.replace("Z", "+00:00")))
    return found if found.tzinfo is not None else found.replace(tzinfo=datetime.UTC)


def names() -> list[str]:
    """The references of our images, without tag."""
    listing = [sys.executable, str(ROOT / "docker" / "images.py"), "--names"]
    found = subprocess.run(listing, capture_output=True, text=True, check=True)  # noqa: S603 - our own file
    return [line.rpartition(":")[0] for line in found.stdout.splitlines()]


def tags_in_use() -> set[str]:
    """The versions that the committed manifests name."""
    texts = (path.read_text(encoding="utf-8") for path in (ROOT / "k8s" / "rendered").rglob("*.yaml"))
    return {tag for text in texts for tag in re.findall(r"image: \S*tradewind/[a-z0-9-]+:(\S+)", text)}


def clean(registry: Registry, images: Iterable[str], policy: Policy, *, dry_run: bool) -> int:
    """Remove what is old of these images; gives the number of manifests that were, or would be, removed."""
    now, in_use, removed = datetime.datetime.now(datetime.UTC), tags_in_use(), 0
    for name in images:
        old = to_remove((registry.look(name, tag) for tag in registry.tags(name)), policy, in_use, now)
        for digest in sorted({one.digest for one in old}):
            tags = ", ".join(one.tag for one in old if one.digest == digest)
            sys.stdout.write(f"{'would remove' if dry_run else 'removes'} {name}: {tags}\n")
            if not dry_run:
                registry.remove(name, digest)
            removed += 1
    return removed


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="image_cleanup.py", description="Removes old images of ours from a registry.")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    options = parser.parse_args()
    prefix = os.environ.get("TRADEWIND_REGISTRY", "")
    try:
        if "/" not in prefix:
            raise CleanupError("say TRADEWIND_REGISTRY=host/path/")
        policy = Policy(**tomllib.loads((ROOT / "k8s" / "image-policy.toml").read_text(encoding="utf-8")))
        host = prefix.partition("/")[0]
        login = (os.environ.get(f"TRADEWIND_REGISTRY_{word}", "") for word in ("USER", "PASSWORD"))
        images = [name.removeprefix(f"{host}/") for name in names()]
        removed = clean(Registry(host, *login), images, policy, dry_run=options.dry_run)
    except CleanupError as error:
        sys.stderr.write(f"image_cleanup.py: {error}\n")
        return 2
    except urllib.error.HTTPError as error:
        sys.stderr.write(f"image_cleanup.py: the registry answers {error.code} {error.reason} to {error.url}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"image_cleanup.py: the registry does not answer: {error}\n")
        return 1
    sys.stdout.write(f"{removed} {'would go' if options.dry_run else 'removed'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

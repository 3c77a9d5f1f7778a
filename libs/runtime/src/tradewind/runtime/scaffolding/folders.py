"""Names of new services, and their folders.

A folder is made whole or not at all: it is written beside its place and then moved there.
"""

import dataclasses
import keyword
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, Literal

from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.settings import PREFIX, PlatformSettings, service_prefix

Kind = Literal["service", "strategy"]

STRATEGY_PREFIX: Final = "strategy-"
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST_NAME: Final = 32  # with the hash of its settings it must still be a Kubernetes name
_LONGEST_STRATEGY: Final = 24  # a strategy's id is part of every client order id, which venues bound
_SAYS_NOTHING: Final = frozenset({"utils", "common", "helpers", "misc", "base", "core"})
_TAKEN: Final = frozenset(
    {"broker", "builder", "deny-all", "grafana", "kafka", "migrate", "name-service", "platform", "postgres"}
    | {"prometheus", "rabbitmq", "redis", "runtime", "service", "strategy", "tradewind"}
)
"""Names of other things in compose, in a namespace or among images."""
_ENDING: Final = ".txt"


class NewFolderRefused(StartRefused):
    """The name cannot be a service's, or is taken; the message says what may be."""


@dataclasses.dataclass(frozen=True, slots=True)
class NewService:
    """A service that is to be made."""

    kind: Kind
    name: str
    version: str
    description: str

    @property
    def module(self) -> str:
        """Its Python package below ``tradewind.services``."""
        return self.name.replace("-", "_")

    def words(self) -> Mapping[str, str]:
        """What stands in the templates between at signs."""
        short = self.name.removeprefix(STRATEGY_PREFIX)
        return {
            "@name@": self.name,
            "@module@": self.module,
            "@class@": "".join(word.capitalize() for word in short.split("-")),
            "@variable@": service_prefix(self.name),
            "@version@": self.version,
            "@description@": self.description,
        }


def checked_name(kind: Kind, text: str) -> str:
    """The folder's name for what the user typed: a strategy's begins with ``strategy-``, typed or not.

    Raises:
        NewFolderRefused: it cannot be one.
    """
    short = text.removeprefix(STRATEGY_PREFIX) if kind == "strategy" else text
    longest = _LONGEST_STRATEGY if kind == "strategy" else _LONGEST_NAME
    if not _NAME.fullmatch(short) or not 2 <= len(short) <= longest:
        raise NewFolderRefused(
            f"{text!r} cannot be a name: it takes 2 to {longest} characters, words of a-z and 0-9 with single dashes "
            "between them, the first a letter, like tide-watch"
        )
    name = STRATEGY_PREFIX + short if kind == "strategy" else short
    if kind == "service" and text.startswith(STRATEGY_PREFIX):
        raise NewFolderRefused(
            f"{text!r} would be a strategy: use tradewind new strategy {short[len(STRATEGY_PREFIX) :]}"
        )
    _check_meaning(name)
    return name


def _check_meaning(name: str) -> None:
    if name in _SAYS_NOTHING:
        raise NewFolderRefused(f"{name!r} does not say what the service does; take a word for its work")
    if name in _TAKEN:
        raise NewFolderRefused(f"{name!r} is the name of another part of the platform; take another one")
    if keyword.iskeyword(name.replace("-", "_")):
        raise NewFolderRefused(f"{name!r} is a word of Python, and would be the name of a package; take another one")
    own = service_prefix(name)
    clashing = [PREFIX + field.upper() for field in PlatformSettings.__struct_fields__]
    if found := [variable for variable in clashing if variable.startswith(own)]:
        raise NewFolderRefused(
            f"{name!r} would have {found[0]} as its own setting, which is the platform's; take another"
        )


def make_folder(root: Path, new: NewService) -> Path:
    """Write ``services/<name>``; gives the folder.

    Raises:
        NewFolderRefused: it exists, or another service's Python package has the name.
    """
    folder = root / "services" / new.name
    for other in (root / "services").iterdir():
        if other.name.replace("-", "_") == new.module:
            raise NewFolderRefused(f"services/{other.name} exists; take another name, or remove the folder first")
    words = new.words()
    with tempfile.TemporaryDirectory(dir=root / "services", prefix=".new-") as scratch:
        made = Path(scratch) / new.name
        for name, text in _templates(new.kind):
            path = made / _filled(name, words)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_filled(text, words), encoding="utf-8")
        shutil.move(made, folder)
    return folder


def _templates(kind: Kind) -> Iterator[tuple[str, str]]:
    """Path of each file below the folder, and its text."""
    root = resources.files("tradewind.runtime.scaffolding") / "templates"
    for part in ("shared", kind):
        yield from _files(root / part, "")


def _files(folder: Traversable, path: str) -> Iterator[tuple[str, str]]:
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            yield from _files(entry, f"{path}{entry.name}/")
        elif entry.name.endswith(_ENDING):
            yield path + entry.name.removesuffix(_ENDING), entry.read_text(encoding="utf-8")


def _filled(text: str, words: Mapping[str, str]) -> str:
    for mark, word in words.items():
        text = text.replace(mark, word)
    return text

"""Every metric that the sources register, read from the sources: name, kind, labels, help text, and who has it.

A registration is a call of ``counter``, ``gauge`` or ``latency`` with its name and help text as literals (or a constant
of the same module); that is also what a reader of the sources can find.
"""

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tradewind.runtime.metric_names import counter_name, gauge_name, latency_name

ROOT: Final = Path(__file__).resolve().parents[2]
KINDS: Final = {"counter": "counter", "gauge": "gauge", "latency": "histogram"}
_DEFINES_THEM: Final = "metrics.py"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Registered:
    """One metric at one place of the sources. ``owner`` is the folder of the library or service."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str
    owner: str


def registered() -> list[Registered]:
    """All of them, sorted by name; one that several register has several rows."""
    sources = [*ROOT.glob("libs/*/src/**/*.py"), *ROOT.glob("services/*/src/**/*.py")]
    return sorted({found for path in sources if path.name != _DEFINES_THEM for found in _of_file(path)})


def names() -> set[str]:
    """The names that Prometheus shows, with the parts of histograms."""
    shown = set()
    for one in registered():
        parts = ("_bucket", "_sum", "_count") if one.kind == "histogram" else ("",)
        shown |= {one.name + part for part in parts}
    return shown


def _of_file(path: Path) -> Iterator[Registered]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = _constants(tree)
    owner = path.relative_to(ROOT).parts[1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (kind := KINDS.get(_called(node))) is not None:
            texts = [_text(argument, constants) for argument in node.args[:3]]
            if len(texts) >= 2 and texts[0] is not None and texts[1] is not None:
                yield _row(node, kind, texts, constants, owner)


def _row(node: ast.Call, kind: str, texts: list[str | None], constants: dict[str, str], owner: str) -> Registered:
    named = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg is not None}
    unit = _text(named.pop("unit"), constants) if "unit" in named else (texts[2] if len(texts) == 3 else "")
    labels = _labels(node, named)
    name = str(texts[0])
    full = {"counter": counter_name(name) + "_total", "histogram": latency_name(name)}.get(kind)
    return Registered(full or gauge_name(name, unit or ""), kind, labels, str(texts[1]), owner)


def _labels(node: ast.Call, named: dict[str, ast.expr]) -> tuple[str, ...]:
    found = ["service", *named]
    for keyword in node.keywords:
        if keyword.arg is None and isinstance(keyword.value, ast.Name):
            found += _LABELS_OF_NAMES[keyword.value.id]
    return tuple(dict.fromkeys(found))


_LABELS_OF_NAMES: Final = {"labels": ("scope", "limit")}
"""Labels that come as ``**labels``: those of the limits of execution."""


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _constants(tree: ast.Module) -> dict[str, str]:
    found = {}
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            text = _text(node.value, {})
            if text is not None:
                found[node.target.id] = text
    return found


def _text(node: ast.expr, constants: dict[str, str]) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return constants.get(node.id) if isinstance(node, ast.Name) else None

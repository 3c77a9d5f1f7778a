"""YAML that people write, read strictly: what is wrong is said with the file and the line.

A key that stands twice, a key that the struct does not have, and a value of a wrong type are errors. Without this a
typo in a profile would be a setting that silently keeps its default.
"""

import dataclasses
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin

import msgspec
import yaml

from tradewind.runtime.refusals import StartRefused

S = TypeVar("S", bound=msgspec.Struct)
Place = tuple[str, ...]


class ManifestError(StartRefused):
    """A profile, a template or what came out of it is wrong; the message begins with file and line."""


@dataclasses.dataclass(frozen=True, slots=True)
class Lines:
    """Where each key of a file stands."""

    file: str
    numbers: dict[Place, int]

    def error(self, place: Place, message: str) -> ManifestError:
        """The error at a key, or at the nearest of those around it that the file has."""
        while place and place not in self.numbers:
            place = place[:-1]
        return ManifestError(f"{self.file}:{self.numbers.get(place, 1)}: {message}")


def read_struct(path: Path, shown_as: str, struct: type[S]) -> tuple[S, Lines]:
    """A file as an instance of ``struct``.

    Raises:
        ManifestError: it is no YAML, a key stands twice or is unknown, a value has a wrong type.
    """
    lines = Lines(shown_as, {(): 1})
    node = _composed(path.read_text(encoding="utf-8"), shown_as)
    value = _converted(_value(node, (), lines), struct, (), lines)
    assert isinstance(value, struct)  # noqa: S101 - what _converted promises, for the type checker
    return value, lines


def read_documents(text: str, shown_as: str) -> list[Any]:
    """All documents of a text, as plain values.

    Raises:
        ManifestError: it is no YAML, or a key stands twice.
    """
    try:
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise _not_yaml(error, shown_as) from error
    values = [_value(node, (), Lines(shown_as, {(): 1})) for node in nodes if node is not None]
    return [value for value in values if value is not None]  # between two --- that follow each other


def _composed(text: str, shown_as: str) -> yaml.Node:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise _not_yaml(error, shown_as) from error
    return node if node is not None else yaml.MappingNode("tag:yaml.org,2002:map", [])


def _not_yaml(error: yaml.YAMLError, shown_as: str) -> ManifestError:
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark is not None else 1
    return ManifestError(f"{shown_as}:{line}: this is no YAML: {getattr(error, 'problem', None) or error}")


def _value(node: yaml.Node, place: Place, lines: Lines) -> Any:
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            here = (*place, key)
            if key in found:
                raise ManifestError(f"{lines.file}:{key_node.start_mark.line + 1}: {key!r} stands twice here")
            lines.numbers[here] = key_node.start_mark.line + 1
            found[key] = _value(value_node, here, lines)
        return found
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            lines.numbers[(*place, str(number))] = item.start_mark.line + 1
        return [_value(item, (*place, str(number)), lines) for number, item in enumerate(node.value)]
    return _SCALARS.construct_document(node)


class _ScalarLoader(yaml.SafeLoader):
    """Only its constructors are used."""


_SCALARS: Final = _ScalarLoader("")


def _converted(value: Any, kind: Any, place: Place, lines: Lines) -> Any:
    kind = _without_none(kind, value)
    origin = get_origin(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _struct(value, kind, place, lines)
    if origin is dict and isinstance(value, dict):
        _, item = get_args(kind)
        return {key: _converted(one, item, (*place, key), lines) for key, one in value.items()}
    if origin is tuple and isinstance(value, list):
        item = get_args(kind)[0]
        return tuple(_converted(one, item, (*place, str(number)), lines) for number, one in enumerate(value))
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise lines.error(place, f"{place[-1] if place else 'the file'}: {error}") from error


def _struct(value: Any, kind: type[msgspec.Struct], place: Place, lines: Lines) -> msgspec.Struct:
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    if not isinstance(value, dict):
        raise lines.error(place, f"{place[-1] if place else 'the file'} takes keys: {', '.join(fields)}")
    for key in value:
        if key not in fields:
            raise lines.error((*place, key), f"there is no key {key!r} here; there are: {', '.join(fields)}")
    if missing := [name for name, field in fields.items() if field.required and name not in value]:
        raise lines.error(place, f"{place[-1] if place else 'the file'} lacks {', '.join(missing)}")
    found = {key: _converted(one, fields[key].type, (*place, key), lines) for key, one in value.items()}
    try:
        return kind(**found)
    except ValueError as error:
        raise lines.error(place, str(error)) from error


def _without_none(kind: Any, value: Any) -> Any:
    if get_origin(kind) in (Union, UnionType) and value is not None:
        [kind] = [choice for choice in get_args(kind) if choice is not NoneType]
    return kind

"""What FIX 4.2 and 4.4 define, as tables, and as the XML file that QuickFIX checks messages against.

Debian's QuickFIX brings no dictionaries, so the platform has its own. ``FIX.4.x.txt`` beside this file has one thing a
line: ``header`` and ``trailer`` with their fields; ``message MsgType admin|app Name fields…``; ``component Name
fields…``; ``field tag TYPE Name values…``. Among fields, ``55`` is a field, ``@Instrument`` a component and
``268(279 55)`` a repeating group behind its count; ``!`` says that it is required.
"""

import atexit
import functools
import re
import tempfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

BEGIN_STRINGS: Final = ("FIX.4.2", "FIX.4.4")
"""The versions that have a dictionary."""

_TOKEN: Final = re.compile(
    r"(?P<group>\d+)\(|(?P<field>\d+)(?P<required>!?)|@(?P<component>\w+)(?P<of>!?)|\)(?P<end>!?)"
)


def dictionary(begin_string: str) -> Path:
    """The dictionary of a version as a QuickFIX XML file, which is there until the process ends.

    Raises:
        ValueError: there is none for this version.
    """
    return _folder() / _written(begin_string)


def dictionary_xml(begin_string: str) -> bytes:
    """The dictionary of a version in QuickFIX's XML.

    Raises:
        ValueError: there is none for this version.
    """
    if begin_string not in BEGIN_STRINGS:
        raise ValueError(f"the FIX version is one of {', '.join(BEGIN_STRINGS)}, not {begin_string!r}")
    lines = (resources.files(__package__) / f"{begin_string}.txt").read_text("ascii").splitlines()
    rows = [line.split(" ") for line in lines]
    names = {row[1]: row[3] for row in rows if row[0] == "field"}
    _, major, minor = begin_string.split(".")
    root = ElementTree.Element("fix", type="FIX", major=major, minor=minor, servicepack="0")
    parts = {
        name: ElementTree.SubElement(root, name) for name in ("header", "messages", "trailer", "components", "fields")
    }
    for row in rows:
        _add(parts, row, names)
    return ElementTree.tostring(root)


def _add(parts: dict[str, ElementTree.Element], row: list[str], names: dict[str, str]) -> None:
    match row:
        case ["header" | "trailer" as part, *fields]:
            _fill(parts[part], fields, names)
        case ["message", kind, category, name, *fields]:
            message = ElementTree.SubElement(parts["messages"], "message", name=name, msgtype=kind, msgcat=category)
            _fill(message, fields, names)
        case ["component", name, *fields]:
            _fill(ElementTree.SubElement(parts["components"], "component", name=name), fields, names)
        case ["field", number, kind, name, *values]:
            field = ElementTree.SubElement(parts["fields"], "field", number=number, name=name, type=kind)
            for value in values:
                ElementTree.SubElement(field, "value", enum=value, description=value)


def _fill(parent: ElementTree.Element, fields: list[str], names: dict[str, str]) -> None:
    open_groups = [parent]
    for token in _tokens(" ".join(fields)):
        if token["group"]:
            group = ElementTree.SubElement(open_groups[-1], "group", name=names[token["group"]], required="N")
            open_groups.append(group)
        elif token["field"]:
            required = _yes(token["required"])
            ElementTree.SubElement(open_groups[-1], "field", name=names[token["field"]], required=required)
        elif token["component"]:
            required = _yes(token["of"])
            ElementTree.SubElement(open_groups[-1], "component", name=token["component"], required=required)
        else:
            open_groups.pop().set("required", _yes(token["end"]))


def _tokens(fields: str) -> Iterator[re.Match[str]]:
    return _TOKEN.finditer(fields)


def _yes(mark: str) -> str:
    return "Y" if mark else "N"


@functools.cache
def _folder() -> Path:
    # QuickFIX takes a path and reads it whenever an engine is made; the file is needed as long as the process lives.
    folder = tempfile.TemporaryDirectory(prefix="tradewind-fix-dictionaries-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


@functools.cache
def _written(begin_string: str) -> str:
    name = f"{begin_string}.xml"
    text = dictionary_xml(begin_string)
    (_folder() / name).write_bytes(text)
    return name

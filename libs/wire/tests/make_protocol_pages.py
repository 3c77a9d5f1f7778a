"""Writes the AsyncAPI document and the tables of docs/protocols/messages.md anew from the message types.

Run it after a change of a message, a topic or who uses it: ``python libs/wire/tests/make_protocol_pages.py``, then look
at the difference and commit it. A test fails as long as what is committed differs from what this writes.
"""

import json
import pathlib
import sys
from typing import Any, Final

from tradewind.wire.describing.asyncapi import asyncapi_document
from tradewind.wire.describing.markdown_tables import with_tables
from tradewind.wire.encoding import MESSAGE_TYPES, VERSIONS

FIXTURES: Final = pathlib.Path(__file__).parent / "fixtures"
PROTOCOLS: Final = pathlib.Path(__file__).parents[3] / "docs" / "protocols"
PAGE: Final = PROTOCOLS / "messages.md"
DOCUMENT: Final = PROTOCOLS / "asyncapi.json"


def examples() -> dict[str, dict[str, Any]]:
    """The committed fixture of each type at its present version, decoded, in readable form."""
    return {name: _fields(FIXTURES / f"{name}.v{VERSIONS[name]}.json") for name in MESSAGE_TYPES}


def _fields(path: pathlib.Path) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["fields"]
    return fields


def pages() -> dict[pathlib.Path, str]:
    """Path -> what must be in it."""
    document = json.dumps(asyncapi_document(examples()), indent=2, ensure_ascii=False) + "\n"
    return {DOCUMENT: document, PAGE: with_tables(PAGE.read_text(encoding="utf-8"))}


def main() -> int:
    """Write what differs and say what was written."""
    for path, content in pages().items():
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.write_text(content, encoding="utf-8")
            print(f"wrote docs/protocols/{path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""JSON Schema of the typed messages, from their msgspec types, with the meaning of each field."""

import inspect
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from tradewind.wire.describing.field_meanings import meaning_of

REF: Final = "#/components/schemas/"


def message_schemas(types: Iterable[type]) -> dict[str, dict[str, Any]]:
    """Name -> schema of the types and of everything that they contain.

    Raises:
        KeyError: a field has no meaning yet; add it to ``field_meanings``.
    """
    _, schemas = msgspec.json.schema_components(types, ref_template=REF + "{name}")
    return {name: _described(name, schemas[name]) for name in sorted(schemas)}


def _described(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    described = {**schema, "description": paragraphs(schema.get("description", ""))}
    if "enum" in schema:
        described["type"] = "string"
    if "properties" in schema:
        described["properties"] = {field: _property(name, field, one) for field, one in schema["properties"].items()}
    return described


def _property(name: str, field: str, schema: dict[str, Any]) -> dict[str, Any]:
    if field == "type":  # The tag: it has no field in the struct.
        return {"type": "string", "const": name, "description": "names the message's type"}
    schema = _int64(schema)
    if "$ref" in schema:
        # A reference takes no siblings, so it is wrapped.
        schema = {"allOf": [{"$ref": schema.pop("$ref")}], **schema}
    return {**schema, "description": meaning_of(name, field)}


def _int64(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") == "integer":
        return {**schema, "format": "int64"}
    if "anyOf" in schema:
        return {**schema, "anyOf": [_int64(choice) for choice in schema["anyOf"]]}
    return dict(schema)


def paragraphs(docstring: str) -> str:
    """A docstring as Markdown: without its indentation and line breaks, one line per paragraph."""
    parts = inspect.cleandoc(docstring).replace("``", "`").split("\n\n")
    return "\n\n".join(" ".join(part.split()) for part in parts)

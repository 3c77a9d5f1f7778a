"""The OpenAPI document: it is the one in the repository, its names are good, and each example is what it says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tradewind.services.api.routes.openapi_document import document, text

FILE = Path(__file__).parents[1] / "openapi.json"
TYPES = Path(__file__).parents[2] / "ui/web/src/api/schema.ts"
DOCUMENT = document()
OPERATIONS = [
    (method, path, operation) for path, methods in DOCUMENT["paths"].items() for method, operation in methods.items()
]
REGISTRY = Registry().with_resource("doc:", Resource.from_contents(DOCUMENT, default_specification=DRAFT202012))


def fields() -> list[Any]:
    return [
        pytest.param(field, id=f"{name}.{key}")
        for name, schema in DOCUMENT["components"]["schemas"].items()
        for key, field in schema.get("properties", {}).items()
    ]


def test_the_document_in_the_repository_is_what_is_served() -> None:
    assert FILE.read_text(encoding="utf-8") == text(), (
        "run: python -m tradewind.services.api.routes.openapi_document > services/api/openapi.json, then "
        "npm run api in services/ui/web"
    )


def test_the_pages_types_know_every_path_and_every_shape() -> None:
    types = TYPES.read_text(encoding="utf-8")
    missing = [path for path in DOCUMENT["paths"] if f'"{path}"' not in types]
    missing += [name for name in DOCUMENT["components"]["schemas"] if not re.search(rf"\b{name}: ", types)]
    assert missing == [], "run: npm run api in services/ui/web"


def test_operations_have_names_of_their_own_and_say_what_they_do() -> None:
    names = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(names) == len(set(names)) > 50
    for name, (method, path, operation) in zip(names, OPERATIONS, strict=True):
        assert re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", name), path
        assert operation["summary"], (method, path)
        assert operation.get("description"), f"{method} {path} says nothing"


@pytest.mark.parametrize("field", fields())
def test_every_field_has_an_example_that_is_valid(field: dict[str, Any]) -> None:
    examples = field.get("examples", [])
    is_told = {"$ref", "enum", "const", "example"} & field.keys()
    of_others = "$ref" in json.dumps(field)
    assert examples or is_told or of_others
    schema = json.loads(json.dumps(field).replace('"#/components', '"doc:#/components'))
    for example in examples:
        Draft202012Validator(schema, registry=REGISTRY).validate(example)

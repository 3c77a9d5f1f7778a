"""Settings as a form: a struct's JSON Schema with everything in one place, and checking values against it in sentences.

A schema is made where the struct is, and travels; whoever has it can say what is wrong with a value without the code.
Only what settings are made of is known: texts, numbers, decimals as texts, booleans, choices.
"""

import operator
import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

MAX_VALUES: Final = 200
_LONGEST_TEXT: Final = 1_000
_SHOWN: Final = 80
_LARGEST_BITS: Final = 128
_NUMBER: Final = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?")
_BOUNDS: Final[tuple[tuple[str, str, Callable[[Decimal, Decimal], bool]], ...]] = (
    ("minimum", "at least", operator.ge),
    ("maximum", "at most", operator.le),
    ("exclusiveMinimum", "more than", operator.gt),
    ("exclusiveMaximum", "less than", operator.lt),
)


def form_of(struct: type[msgspec.Struct], without: Collection[str] = ()) -> dict[str, Any]:
    """The JSON Schema of a settings struct: an object whose properties refer to nothing outside of it."""
    schema = msgspec.json.schema(struct)
    parts: dict[str, Any] = schema.get("$defs", {})
    form: dict[str, Any] = _inlined(schema, parts)
    form["properties"] = {
        name: _inlined(field, parts) for name, field in form["properties"].items() if name not in without
    }
    form.pop("$defs", None)
    return form


def problems(form: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    """What is wrong with values for a form, one sentence per field; empty when nothing is."""
    fields: Mapping[str, Any] = form.get("properties", {})
    if len(values) > MAX_VALUES:
        return [f"{len(values)} values, there are {len(fields)} settings"]
    found: list[str] = []
    for name, value in values.items():
        field = fields.get(name)
        if field is None:
            found.append(f"{_shown(name)}: there is no such setting")
        elif problem := _problem(field, value):
            unit = f" ({field['unit']})" if isinstance(field.get("unit"), str) else ""
            found.append(f"{name}: it takes {problem}{unit}, not {_shown(value)!r}")
    return found


def _inlined(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    inlined = dict(schema)
    if isinstance(reference := inlined.pop("$ref", None), str):
        inlined = {**parts[reference.removeprefix("#/$defs/")], **inlined}
    if "anyOf" in inlined:
        inlined["anyOf"] = [_inlined(choice, parts) for choice in inlined["anyOf"]]
    return inlined


def _problem(field: Mapping[str, Any], value: Any) -> str:
    """What the field takes instead of the value; empty when it takes the value."""
    if "anyOf" in field:
        answers = [_problem(choice, value) for choice in field["anyOf"]]
        return "" if "" in answers else " or ".join(answers)
    if "enum" in field:
        listed = [choice for choice in field["enum"] if type(choice) is type(value)]
        return "" if value in listed else "one of " + ", ".join(str(choice) for choice in field["enum"])
    kind = field.get("type")
    if kind == "boolean":
        return "" if isinstance(value, bool) else "true or false"
    if kind == "null":
        return "" if value is None else "null"
    if kind in ("integer", "number") or field.get("format") == "decimal":
        return _number_problem(field, value)
    if kind == "string":
        return _text_problem(field, value)
    return ""


def _number_problem(field: Mapping[str, Any], value: Any) -> str:
    is_decimal = field.get("format") == "decimal"
    words = {"integer": "a whole number", "number": "a number"}.get(field.get("type", ""), "a decimal number as text")
    takes = (str,) if is_decimal else (int,) if field.get("type") == "integer" else (int, float)
    if isinstance(value, bool) or not isinstance(value, takes) or not _NUMBER.fullmatch(_shown(value)):
        return words
    number = Decimal(str(value))
    for bound, phrase, holds in _BOUNDS:
        limit = field.get(bound)
        if limit is not None and not holds(number, Decimal(str(limit))):
            return f"{words}, {phrase} {limit}"
    return ""


def _text_problem(field: Mapping[str, Any], value: Any) -> str:
    longest = field.get("maxLength", _LONGEST_TEXT)
    if not isinstance(value, str) or not value.isprintable():  # nor any half of a surrogate pair
        return "a text"
    if not field.get("minLength", 0) <= len(value) <= longest:
        return f"a text of {field.get('minLength', 0)} to {longest} characters"
    pattern = field.get("pattern")
    return "" if pattern is None or re.search(pattern, value) else f"a text of the form {pattern}"


def _shown(value: Any) -> str:
    """A value for a sentence, whatever it is: short, and of characters that every encoding has."""
    if isinstance(value, int) and value.bit_length() > _LARGEST_BITS:
        return "a very large number"
    return str(value)[: 2 * _SHOWN].encode("ascii", "backslashreplace").decode()[:_SHOWN]

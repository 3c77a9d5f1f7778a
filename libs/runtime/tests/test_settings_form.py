"""What a form says of values: one sentence per field, whatever comes in."""

from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from tradewind.runtime.settings_form import form_of, problems


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    fast_s: Annotated[float, Meta(title="Fast average", gt=0, le=60, extra_json_schema={"unit": "s"})] = 0.5
    ticks: Annotated[int, Meta(ge=0)] = 0
    size: Annotated[Decimal, Meta(extra_json_schema={"exclusiveMinimum": "0", "maximum": "10"})] = Decimal("0.01")
    symbols: Annotated[str, Meta(max_length=5)] = ""
    mode: Literal["a", "b"] = "a"
    is_on: bool = False
    limit: int | None = None
    policy: str = ""


FORM = form_of(Wanted, without=("policy",))


def test_a_form_is_in_one_piece_with_titles_units_and_bounds() -> None:
    assert "policy" not in FORM["properties"]
    assert FORM["properties"]["fast_s"] == {
        "title": "Fast average",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 60,
        "unit": "s",
        "default": 0.5,
    }
    assert "$ref" not in str(FORM)


GOOD: list[tuple[str, Any]] = [
    ("fast_s", 1),
    ("fast_s", 59.5),
    ("ticks", 3),
    ("size", "0.5"),
    ("size", "1E+1"),
    ("symbols", "BTC"),
    ("mode", "b"),
    ("is_on", True),
    ("limit", None),
    ("limit", 4),
]
BAD: list[tuple[str, Any, str]] = [
    ("fast_s", 0, "a number, more than 0 (s), not '0'"),
    ("fast_s", float("nan"), "a number (s), not 'nan'"),
    ("fast_s", float("inf"), "a number (s)"),
    ("fast_s", "1", "a number (s)"),
    ("fast_s", 61, "at most 60"),
    ("ticks", True, "a whole number"),
    ("ticks", 1.5, "a whole number"),
    ("ticks", -1, "at least 0"),
    ("ticks", 2**300, "not 'a very large number'"),
    ("size", "0", "more than 0"),
    ("size", "NaN", "a decimal number as text"),
    ("size", "1_0", "a decimal number as text"),
    ("size", "\u0661", "a decimal number as text"),
    ("size", 0.5, "a decimal number as text"),
    ("size", "11", "at most 10"),
    ("symbols", "BTCUSDT", "0 to 5 characters"),
    ("symbols", "\ud800", "a text"),
    ("symbols", "\x00", "a text"),
    ("mode", "c", "one of a, b"),
    ("is_on", 1, "true or false"),
    ("limit", "4", "a whole number or null"),
    ("nothing", 4, "there is no such setting"),
    ("\ud800", 4, "there is no such setting"),
]


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_what_fits_is_taken(name: str, value: Any) -> None:
    assert problems(FORM, {name: value}) == []


@pytest.mark.parametrize(("name", "value", "words"), BAD)
def test_what_does_not_fit_is_told_in_one_sentence(name: str, value: Any, words: str) -> None:
    [sentence] = problems(FORM, {name: value})
    assert words in sentence
    sentence.encode()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(list(FORM["properties"])), anything, max_size=4))
def test_what_a_form_takes_the_struct_takes_too(values: dict[str, Any]) -> None:
    if not problems(FORM, values):
        msgspec.convert(values, Wanted, strict=False)


def test_a_number_that_has_no_text_is_refused_too() -> None:
    assert problems(FORM, {"ticks": 10**5_000}) == ["ticks: it takes a whole number, not 'a very large number'"]

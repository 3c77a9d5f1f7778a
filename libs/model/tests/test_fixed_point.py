"""Fixed-point numbers are exact or an error, and an error is quick whatever the text says."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.model.fixed_point import (
    INT64_MAX,
    MAX_PRECISION,
    FixedPointError,
    checked,
    floor_to_increment,
    format_mantissa,
    from_mantissa,
    quantize_down,
    to_mantissa,
)

MANTISSAS = st.integers(-INT64_MAX, INT64_MAX)
PRECISIONS = st.integers(0, MAX_PRECISION)


@given(MANTISSAS, PRECISIONS)
def test_every_mantissa_comes_back_from_its_text_and_its_decimal(mantissa: int, precision: int) -> None:
    text = format_mantissa(mantissa, precision)
    assert to_mantissa(text, precision) == mantissa
    assert to_mantissa(from_mantissa(mantissa, precision), precision) == mantissa
    assert "e" not in text.lower()
    assert len(text.partition(".")[2]) == precision


@given(MANTISSAS, PRECISIONS, st.integers(-30, 30))
def test_an_exponent_changes_nothing(mantissa: int, precision: int, shift: int) -> None:
    assert to_mantissa(f"{mantissa}e{-precision}", precision) == mantissa
    shifted = f"{mantissa}e{shift}"
    exact = mantissa * 10 ** (precision + shift) if precision + shift >= 0 else None
    if exact is not None and abs(exact) <= INT64_MAX:
        assert to_mantissa(shifted, precision) == exact
    elif exact is not None:
        with pytest.raises(FixedPointError, match="outside int64"):
            to_mantissa(shifted, precision)


@given(MANTISSAS, PRECISIONS, st.integers(1, 9), st.integers(1, 60))
def test_one_digit_too_fine_is_refused(mantissa: int, precision: int, digit: int, zeros: int) -> None:
    whole = format_mantissa(mantissa, precision)
    separator = "" if "." in whole else "."
    with pytest.raises(FixedPointError, match=f"more than {precision} decimals"):
        to_mantissa(f"{whole}{separator}{'0' * zeros}{digit}", precision)


@given(MANTISSAS, PRECISIONS, st.integers(1, 200))
def test_zeros_past_the_precision_are_no_digits(mantissa: int, precision: int, zeros: int) -> None:
    whole = format_mantissa(mantissa, precision)
    separator = "" if "." in whole else "."
    assert to_mantissa(f"{whole}{separator}{'0' * zeros}", precision) == mantissa


@given(st.integers(INT64_MAX + 1, 10**40), PRECISIONS, st.sampled_from([1, -1]))
def test_past_int64_is_refused(size: int, precision: int, sign: int) -> None:
    with pytest.raises(FixedPointError, match="outside int64"):
        checked(sign * size)
    with pytest.raises(FixedPointError, match="outside int64"):
        to_mantissa(format_mantissa(sign * size, precision), precision)


def test_the_bounds_themselves_fit() -> None:
    assert to_mantissa(str(INT64_MAX), 0) == INT64_MAX
    assert to_mantissa("-92233720368547758.07", 2) == -INT64_MAX
    assert to_mantissa("9.223372036854775807", 18) == INT64_MAX


@pytest.mark.parametrize(
    ("text", "precision", "mantissa"),
    [
        ("61837.63", 2, 6183763),
        ("0.00000001", 8, 1),
        ("+1", 2, 100),
        ("-0", 2, 0),
        ("0e999999999", 2, 0),
        ("-0.0e-999999999", 2, 0),
        (".5", 1, 5),
        ("5.", 0, 5),
        ("1E+3", 0, 1000),
        (7, 3, 7000),
        (Decimal("1E+3"), 0, 1000),
    ],
)
def test_forms_of_a_number(text: str | int | Decimal, precision: int, mantissa: int) -> None:
    assert to_mantissa(text, precision) == mantissa


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "abc",
        "NaN",
        "sNaN",
        "Infinity",
        "-inf",
        Decimal("NaN"),
        Decimal("-Infinity"),
        "1_000",
        " 1 ",
        "1\n",
        "1,5",
        "0x10",
        "1e",
        "e5",
        ".",
        "+",
        "--1",
        "\u0661",  # ARABIC-INDIC DIGIT ONE
        "\uff11",  # FULLWIDTH DIGIT ONE
        0.5,
        float("nan"),
        None,
        b"1",
    ],
)
def test_what_is_no_number_is_said_to_be_none(value: str) -> None:
    with pytest.raises(FixedPointError, match="not a finite decimal number"):
        to_mantissa(value, 2)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("1e999999999", "outside int64"),
        (Decimal("1e999999999"), "outside int64"),
        ("-1e999999999", "outside int64"),
        ("1e-999999999", "more than 2 decimals"),
        ("1e99999999999999999999999", "not a finite"),
        ("9" * 1_000_000, "outside int64"),
        (10**20_000, "outside int64"),
        ("0." + "0" * 1_000_000 + "1", "more than 2 decimals"),
        ("x" * 1_000_000, "not a finite"),
    ],
    ids=range(9),
)
def test_a_monstrous_number_is_a_short_error(value: str | int | Decimal, said: str) -> None:
    # The power of ten would fill the memory if it were made: the test's own time limit is the check.
    with pytest.raises(FixedPointError, match=said) as caught:
        to_mantissa(value, 2)
    assert len(str(caught.value)) < 150


@given(st.text(max_size=40), PRECISIONS)
def test_any_text_is_a_mantissa_or_a_fixed_point_error(text: str, precision: int) -> None:
    try:
        mantissa = to_mantissa(text, precision)
    except FixedPointError:
        return
    assert from_mantissa(mantissa, precision) == Decimal(text)


@given(MANTISSAS, st.integers(1, 10**12))
def test_flooring_keeps_to_the_step(mantissa: int, increment: int) -> None:
    floored = floor_to_increment(mantissa, increment)
    assert floored % increment == 0
    assert 0 <= mantissa - floored < increment


@given(st.decimals(min_value=-(10**30), max_value=10**30, places=12), st.integers(0, 12))
def test_cutting_goes_towards_zero_by_less_than_a_step(value: Decimal, precision: int) -> None:
    cut = quantize_down(value, precision)
    assert abs(cut) <= abs(value)
    assert abs(value) - abs(cut) < Decimal(1).scaleb(-precision)
    assert cut.as_tuple().exponent == -precision


@given(MANTISSAS, MANTISSAS, PRECISIONS)
def test_the_product_of_two_mantissas_is_exact(one: int, other: int, precision: int) -> None:
    sign, digits, exponent = from_mantissa(one * other, 2 * precision).as_tuple()
    assert int("".join(map(str, digits))) == abs(one * other)
    assert exponent == -2 * precision
    assert bool(sign) == (one * other < 0)

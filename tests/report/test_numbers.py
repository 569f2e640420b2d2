"""Numbers are printed with the digits that their interval bears, and never as NaN."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.report.numbers import MISSING, count, duration, interval, measured, number, percent, size, with_error


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.00249, "0.00249"),
        (1234.5, "1,234"),
        (-0.5, "-0.500"),
        (0, "0"),
        (2514, "2,514"),
        (1e-7, "1.00e-07"),
        (0.9999, "1.000"),
    ],
)
def test_three_significant_digits(value: float, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, "12", True])
def test_what_is_no_number_is_not_available(value: object) -> None:
    assert number(value) == percent(value) == count(value) == MISSING
    assert MISSING in measured(value, value, value)
    assert with_error(value, value) == MISSING


def test_value_and_interval_share_their_decimals() -> None:
    assert measured(0.002491, 0.002301, 0.002681) == "0.00249 [0.00230, 0.00268]"
    assert measured(-0.06149, -0.095, -0.027, signed=True) == "-0.061 [-0.095, -0.027]"
    assert measured(0.0, 0.0, 0.0) == "0 [0, 0]"
    assert interval(-1.0, math.nan) == f"[-1.00, {MISSING}]"


def test_no_negative_zero() -> None:
    assert number(-0.0001, decimals=2) == "0.00"
    assert measured(-0.00001, -1.0, 1.0, signed=True).startswith("0.0 ")


def test_error_sets_the_digits() -> None:
    assert with_error(0.123456, 0.0123) == "+0.123 ± 0.012"
    assert with_error(-2.0, 0.0) == "-2.000 ± 0"
    assert with_error(1.5, None) == "+1.50"


def test_sizes_and_times() -> None:
    assert size(11_264) == "11.3 KB"
    assert size(12) == "12 bytes"
    assert duration(134.2) == "2 min 14 s"
    assert duration(7300) == "2 h 1 min"
    assert count(1, "row") == "1 row"
    assert count(2514, "row") == "2,514 rows"


@given(st.floats(allow_nan=True, allow_infinity=True), st.floats(), st.floats())
def test_every_float_prints(value: float, low: float, high: float) -> None:
    for shown in (
        number(value, signed=True),
        measured(value, low, high),
        with_error(value, low),
        number(value, decimals=2),
    ):
        assert "nan" not in shown
        assert "inf" not in shown


@given(st.floats(min_value=1e-4, max_value=1e8))
def test_printed_number_is_the_number(value: float) -> None:
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=5.1e-3)

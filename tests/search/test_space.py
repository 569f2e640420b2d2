"""Dimensions: places and values are each other's inverse, bounds hold, whole numbers and choices have equal parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.core.random import stream
from pellucid.search.space import Dimension, dimensions, drawn
from pellucid.spec.loader import build_spec, setting, whole_numbers
from pellucid.spec.searching import RangeSpec

FLOAT = Dimension("train.lr", "float", 1e-4, 1e-1, log=True)
WHOLE = Dimension("network.width", "int", 3, 7)
STEEP = Dimension("network.width", "int", 1, 1024, log=True)
WORDS = Dimension("network.kind", "choice", 0, 2, choices=("a", "b", None))


@given(st.floats(0, 1))
def test_values_lie_within_their_bounds_and_places_lead_back(unit: float) -> None:
    for dim in (FLOAT, WHOLE, STEEP, WORDS):
        value = dim.at(unit)
        assert dim.holds(value)
        assert dim.at(dim.place(value)) == pytest.approx(value) if dim is FLOAT else dim.at(dim.place(value)) == value


def test_every_whole_number_and_choice_has_an_equal_part() -> None:
    units = (np.arange(30_000) + 0.5) / 30_000
    for dim, count in ((WHOLE, 5), (WORDS, 3)):
        values = [dim.at(float(u)) for u in units]
        shares = [values.count(v) / len(values) for v in dict.fromkeys(values)]
        assert len(shares) == count
        assert shares == pytest.approx([1 / count] * count, abs=1e-3)


def test_half_of_a_logarithmic_range_lies_below_its_geometric_mean() -> None:
    values = np.asarray([FLOAT.at(float(u)) for u in np.linspace(0, 1, 1001)])
    assert (values < np.sqrt(1e-4 * 1e-1)).mean() == pytest.approx(0.5, abs=0.01)


def test_what_a_dimension_does_not_hold() -> None:
    assert not WHOLE.holds(8)
    assert not WHOLE.holds(3.5)
    assert not FLOAT.holds(True)
    assert not Dimension("x", "choice", 0, 1, choices=(1, 2)).holds(True)


def test_the_order_in_a_spec_changes_nothing() -> None:
    a = {"train.lr": RangeSpec(low=0.1, high=1), "network.width": RangeSpec(low=4, high=8)}
    b = dict(reversed(a.items()))
    assert dimensions(a, ["network.width"]) == dimensions(b, ["network.width"])
    assert [dim.kind for dim in dimensions(a, ["network.width"])] == ["int", "float"]


def test_drawn_evenly() -> None:
    values = [drawn([WHOLE], stream(0, "x", i))["network.width"] for i in range(5000)]
    assert np.bincount(values, minlength=8)[3:] / 5000 == pytest.approx([0.2] * 5, abs=0.03)


def test_settings_of_a_spec_are_found_by_path() -> None:
    spec = build_spec(name="a", tasks={"p": {"kind": "control", "env": "E-v0"}})
    assert whole_numbers(spec, ["network.width", "train.lr", "tasks.p.ppo.steps"]) == [
        "network.width",
        "tasks.p.ppo.steps",
    ]
    assert setting(spec, "tasks.p.ppo.steps") == spec.tasks["p"].ppo.steps  # type: ignore[union-attr]

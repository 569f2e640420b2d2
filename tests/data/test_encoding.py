"""Encoding: fitted on the training part only, clipped, exact in reverse and through JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pellucid.core.errors import SchemaError
from pellucid.core.rows import Rows
from pellucid.core.schema import Field
from pellucid.data.encoding import CLIP, Encoding, identity

FIELDS = (
    Field("x"),
    Field("gap"),
    Field("s", "series", 3),
    Field("c", "category", categories=("bank", "oil")),
    Field("b", "boolean"),
)
NUMBERS = arrays(
    np.float64,
    st.integers(2, 30),
    elements=st.floats(-1e6, 1e6, allow_nan=False).map(lambda v: round(v, 3)),
)


def _rows(n: int = 50, seed: int = 0, shift: float = 0.0) -> Rows:
    g = np.random.default_rng(seed)
    gap = g.normal(5.0, 2.0, n)
    gap[::7] = np.nan
    fields = {
        "x": g.normal(3.0 + shift, 2.0, n),
        "gap": gap,
        "s": g.normal(shift, 0.1, (n, 3)),
        "c": g.choice(["bank", "oil"], n),
        "b": g.random(n) > 0.5,
    }
    return Rows(np.asarray([f"r{i}" for i in range(n)], dtype=np.str_), fields)


def test_the_training_part_is_standardised():
    rows = _rows()
    blocks = Encoding.fit(FIELDS, rows).encode(rows)
    assert {name: tuple(block.shape) for name, block in blocks.items()} == {
        "x": (50, 1),
        "gap": (50, 2),
        "s": (50, 3),
        "c": (50, 3),
        "b": (50, 1),
    }
    assert all(block.dtype == torch.float32 for block in blocks.values())
    for block in (blocks["x"], blocks["s"], blocks["b"]):
        assert float(block.mean()) == pytest.approx(0.0, abs=1e-6)
        assert float(block.std(unbiased=False)) == pytest.approx(1.0, abs=1e-6)
    known = torch.from_numpy(np.isfinite(rows.fields["gap"]))
    assert float(blocks["gap"][known, 0].mean()) == pytest.approx(0.0, abs=1e-6)


def test_lags_keep_their_sizes_to_each_other():
    """One scale for the whole series: a column of its own scale would hide which day was wild."""
    s = np.asarray([[1.0, 10.0], [3.0, -10.0], [-1.0, 30.0]])
    encoding = Encoding.fit((Field("s", "series", 2),), Rows(np.asarray(["a", "b", "c"]), {"s": s}))
    block = encoding.encode(Rows(np.asarray(["a", "b", "c"]), {"s": s}))["s"].numpy()
    np.testing.assert_allclose(block, (s - s.mean()) / s.std(), rtol=1e-6)


def test_only_the_training_part_counts():
    train, other = _rows(), _rows(seed=1, shift=100.0)
    encoding = Encoding.fit(FIELDS, train)
    assert encoding.to_json() == Encoding.fit(FIELDS, train).to_json()
    encoding.encode(other)
    assert encoding.to_json() == Encoding.fit(FIELDS, train).to_json()
    assert encoding.to_json() != Encoding.fit(FIELDS, other).to_json()
    assert float(encoding.encode(other)["x"].min()) > 9.0  # a hundred is far off for those who saw about three


@given(values=NUMBERS)
def test_values_are_clipped_and_finite(values):
    train = Rows(np.asarray([str(i) for i in range(len(values))]), {"x": values})
    encoding = Encoding.fit((Field("x"),), train)
    wild = np.asarray([1e300, -1e300, np.inf, -np.inf, np.nan, *values])
    block = encoding.encode(Rows(np.asarray([str(i) for i in range(len(wild))]), {"x": wild}))["x"]
    assert bool(torch.isfinite(block).all())
    assert float(block.abs().max()) <= CLIP
    assert block[:5, 0].tolist() == [CLIP, -CLIP, 0.0, 0.0, 0.0]


@given(values=NUMBERS)
def test_decode_is_the_inverse(values):
    rows = Rows(np.asarray([str(i) for i in range(len(values))]), {"x": values})
    encoding = Encoding.fit((Field("x"),), rows)
    block = encoding.encode(rows)["x"]
    again = encoding.decode("x", block)[:, 0].double().numpy()
    inside = np.abs(values - encoding.scales["x"].mean) < CLIP * encoding.scales["x"].sd
    size = encoding.scales["x"].sd + np.abs(encoding.scales["x"].mean)
    np.testing.assert_allclose(again[inside], values[inside], atol=4e-6 * size)


def test_decode_leaves_out_the_indicator():
    rows = _rows()
    encoding = Encoding.fit(FIELDS, rows)
    block = encoding.encode(rows)["gap"]
    again = encoding.decode("gap", block)
    assert again.shape == (50, 1)
    known = np.isfinite(rows.fields["gap"])
    np.testing.assert_allclose(again[:, 0].numpy()[known], rows.fields["gap"][known], rtol=1e-5)


def test_missing_values_have_an_indicator_where_training_had_some():
    encoding = Encoding.fit(FIELDS, _rows())
    n = 4
    probe = Rows(
        np.asarray(list("abcd")),
        {"gap": np.asarray([np.nan, 5.0, np.inf, 7.0]), "x": np.asarray([np.nan, 3.0, 3.0, 3.0])},
    )
    blocks = encoding.encode(probe)
    assert blocks["gap"][:, 1].tolist() == [1.0, 0.0, 1.0, 0.0]
    assert blocks["gap"][[0, 2], 0].tolist() == [0.0, 0.0]  # the mean
    assert blocks["x"].shape == (n, 1)
    assert float(blocks["x"][0]) == 0.0


def test_categories_are_one_hot_with_a_place_for_the_unseen():
    encoding = Encoding.fit(FIELDS, _rows())
    values = np.asarray(["oil", "bank", "gas", None, np.nan], dtype=object)
    block = encoding.encode(Rows(np.asarray(list("abcde")), {"c": values}))["c"]
    assert block.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1]]


@pytest.mark.parametrize("constant", [0.0, 7.0, 0.1, 1234567.891, 1e12])
def test_a_constant_column_is_no_division_by_zero(constant):
    """Nor by the rounding error of a mean."""
    rows = Rows(np.asarray([str(i) for i in range(1001)]), {"x": np.full(1001, constant)})
    encoding = Encoding.fit((Field("x"),), rows)
    assert encoding.scales["x"].sd == 1.0
    assert float(encoding.encode(rows)["x"].abs().max()) < 1e-3


def test_units_do_not_matter():
    """A column in amperes that varies by picoamperes is a column like any other."""
    x = np.random.default_rng(0).normal(size=100)
    keys = np.asarray([str(i) for i in range(100)])
    blocks = []
    for unit in (1.0, 1e-15, 1e15):
        rows = Rows(keys, {"x": unit * x})
        blocks.append(Encoding.fit((Field("x"),), rows).encode(rows)["x"])
    torch.testing.assert_close(blocks[1], blocks[0])
    torch.testing.assert_close(blocks[2], blocks[0])


def test_a_column_without_any_value_is_all_missing():
    rows = Rows(np.asarray(["a", "b"]), {"x": np.full(2, np.nan)})
    encoding = Encoding.fit((Field("x"),), rows)
    assert encoding.encode(rows)["x"].tolist() == [[0.0, 1.0], [0.0, 1.0]]


@given(values=NUMBERS)
def test_json_gives_back_every_bit(values):
    rows = Rows(np.asarray([str(i) for i in range(len(values))]), {"x": values})
    encoding = Encoding.fit((Field("x"),), rows)
    again = Encoding.from_json(json.loads(json.dumps(encoding.to_json())))
    assert again.scales == encoding.scales
    assert torch.equal(again.encode(rows)["x"], encoding.encode(rows)["x"])


def test_json_of_every_kind():
    encoding = Encoding.fit(FIELDS, _rows())
    again = Encoding.from_json(json.loads(json.dumps(encoding.to_json())))
    assert again.scales == encoding.scales
    for name, block in encoding.encode(_rows(seed=2)).items():
        assert torch.equal(block, again.encode(_rows(seed=2))[name])


def test_no_rows_keep_the_widths():
    encoding = Encoding.fit(FIELDS, _rows())
    blocks = encoding.encode(_rows().take(slice(0, 0)))
    assert {name: tuple(block.shape) for name, block in blocks.items()} == {
        name: (0, scale.columns) for name, scale in encoding.scales.items()
    }


def test_rows_may_have_fewer_or_more_fields():
    """A forecaster's rows have no position; a table may have columns that nobody asked for."""
    encoding = Encoding.fit(FIELDS, _rows())
    rows = Rows(np.asarray(["a"]), {"x": np.ones(1), "else": np.ones(1)})
    assert set(encoding.encode(rows)) == {"x"}


def test_another_window_is_refused():
    encoding = Encoding.fit(FIELDS, _rows())
    with pytest.raises(SchemaError, match="'s' has 2 values a row, the program was fitted on 3"):
        encoding.encode(Rows(np.asarray(["a"]), {"s": np.zeros((1, 2))}))


def test_identity_changes_nothing():
    encoding = Encoding(identity((Field("x"), Field("s", "series", 3))))
    assert encoding.scales["s"].columns == 3
    values = np.asarray([[0.25, -3e4, 9.5]], dtype=np.float32)  # beyond the clip: the network's normaliser sees it
    assert torch.equal(encoding.encode_fields({"s": values})["s"], torch.from_numpy(values))

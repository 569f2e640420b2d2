"""Explanation: names, order, frames, JSON, text; and the choices of `attribute`."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
from explained_programs import Mixed, rows

from pellucid.core.errors import DataError, MissingExtra, SchemaError
from pellucid.core.rows import Rows
from pellucid.explain import Explanation, attribute


@pytest.fixture(scope="module")
def explanation() -> Explanation:
    return attribute(Mixed(), rows(4), "forecast", background=rows(20, seed=1), method="permutation", seed=7)


def test_names_and_numbers(explanation):
    e = explanation
    assert e.players == ("return[t]", "return[t-1..]", "volume[t]", "volume[t-1..]", "level", "sector")
    assert (e.outputs, e.unit, e.task, e.background_n, e.seed) == (("low", "high"), "log return", "forecast", 20, 7)
    assert e.keys == ("SP500/0", "SP500/1", "SP500/2", "SP500/3")
    raw = rows(4)
    assert e.inputs[2, 1] == pytest.approx(raw.fields["return"][2, 1:].mean())
    assert e.inputs[2, 4] == pytest.approx(raw.fields["level"][2])
    assert e.inputs[2, 5] == raw.fields["sector"][2]
    assert np.abs(e.residual).max() < 1e-12
    assert "passes" in e.method


def test_grain_field_joins_the_lags(explanation):
    whole = attribute(Mixed(), rows(4), "forecast", background=rows(20, seed=1), grain="field")
    assert whole.players == ("return", "volume", "level", "sector")
    assert whole.method.startswith("exact")


def test_a_task_is_explained_by_its_own_inputs_only():
    e = attribute(Mixed(), rows(3), "risk", background=rows(10, seed=1))
    assert e.players == ("return[t]", "return[t-1..]", "level")
    expected = 2.0 * (rows(3).fields["level"] - rows(10, seed=1).fields["level"].mean())
    assert e.values[:, 2, 0] == pytest.approx(expected, abs=1e-5)


def test_encoded_background_equals_raw_background():
    program = Mixed()
    one = attribute(program, rows(2), "forecast", background=rows(9, seed=1))
    two = attribute(program, rows(2), "forecast", background=program.encode(rows(9, seed=1)))
    assert np.array_equal(one.values, two.values)


def test_a_row_is_explained_the_same_alone_and_in_company(explanation):
    program, background = Mixed(), rows(20, seed=1)
    picked = rows(4).take(np.array([2]))
    alone = attribute(program, picked, "forecast", background=background, method="permutation", seed=7)
    assert alone.values[0] == pytest.approx(explanation.values[2], abs=1e-6)


def test_top_and_outputs_by_name(explanation):
    ranked = explanation.top(3, output="high")
    sizes = np.abs(explanation.values[:, :, 1]).mean(0)
    assert [r.player for r in ranked] == [explanation.players[i] for i in np.argsort(-sizes)[:3]]
    assert ranked[0].value == pytest.approx(sizes.max())
    with pytest.raises(SchemaError, match="did you mean 'high'"):
        explanation.top(output="hihg")


def _with(values, error) -> Explanation:
    values, error = (np.asarray(a, dtype=float)[None, :, None] for a in (values, error))
    d = values.shape[1]
    return Explanation(
        values=values,
        error=error,
        base=np.zeros(1),
        prediction=values.sum(1),
        players=tuple("abcdef"[:d]),
        outputs=("y",),
        keys=("k",),
        inputs=np.full((1, d), 0.5, dtype=object),
        task="t",
        unit="EUR",
        method="exact: by hand",
        background_n=1,
        evaluations=1,
        seed=0,
    )


def test_order_stability_is_the_share_of_settled_pairs():
    assert _with([3, -2, 1], [0, 0, 0]).order_stability() == 1.0
    # 3 and -2 differ by 1 < 2 * hypot(.5, .5) = 1.41; the other two pairs are settled
    assert _with([3, -2, 0.1], [0.5, 0.5, 0]).order_stability() == pytest.approx(2 / 3)
    assert _with([3, -2, 0.1], [0.5, 0.5, 0]).order_stability(k=1) == 1.0
    assert _with([1, 1], [0, 0]).order_stability() == 0.0  # a tie has no order


def test_single_row_top_is_signed_and_text_shows_the_sum():
    e = _with([3, -2, 0.1], [0.5, 0.5, 0])
    assert [(r.player, r.value) for r in e.top(2)] == [("a", 3.0), ("b", -2.0)]
    text = e.text(k=2)
    assert "t: y (EUR), k" in text
    assert "-2 ± 0.5" in text
    assert "1 more, together +0.1" in text
    assert "prediction 1.1" in text
    assert text.index("a ") < text.index("b ")


def test_text_of_several_rows(explanation):
    text = explanation.text()
    assert "mean absolute value over 4 rows" in text
    assert "SP500/3" in explanation.text(row=3)


def test_json_round_trip_is_exact(explanation):
    raw = json.loads(json.dumps(explanation.to_json()))
    again = Explanation.from_json(raw)
    for name in ("values", "error", "base", "prediction"):
        assert np.array_equal(getattr(again, name), getattr(explanation, name))
    assert again.to_json() == explanation.to_json()
    assert again.inputs.tolist() == explanation.inputs.tolist()
    none = attribute(Mixed(), rows(0), "forecast", background=rows(5, seed=1))
    assert Explanation.from_json(json.loads(json.dumps(none.to_json()))).values.shape == (0, 6, 2)
    assert "no rows" in none.text()


def test_frame_is_long_and_complete(explanation):
    frame = explanation.to_frame()
    assert len(frame) == 4 * 6 * 2
    line = frame[(frame.key == "SP500/2") & (frame.player == "level") & (frame.output == "high")].iloc[0]
    assert line.value == explanation.values[2, 4, 1]
    assert line.error == explanation.error[2, 4, 1]
    assert line.input == explanation.inputs[2, 4]


@pytest.mark.parametrize(("method", "package"), [("to_shap", "shap"), ("plot", "matplotlib")])
def test_missing_extras_are_friendly(explanation, method, package, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == package else real(name, *a))
    with pytest.raises(MissingExtra, match=package) as caught:
        getattr(explanation, method)()
    assert "pip install 'pellucid[xai]'" in str(caught.value)


def test_unknown_names_are_named():
    with pytest.raises(SchemaError, match="did you mean 'forecast'"):
        attribute(Mixed(), rows(2), "forecst", background=rows(5))
    with pytest.raises(DataError, match="did you mean 'permutation'"):
        attribute(Mixed(), rows(2), "forecast", background=rows(5), method="permutations")
    fields = {k: v for k, v in rows(2).fields.items() if k != "level"}
    with pytest.raises(SchemaError, match="level"):
        attribute(Mixed(), Rows(rows(2).keys, fields), "forecast", background=rows(5))

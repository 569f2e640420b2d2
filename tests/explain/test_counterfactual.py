"""Counterfactuals: nearest by closed form, limits never broken, valid on the program itself, no row handed out."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from explained_programs import Mixed, rows
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier

from pellucid.core.errors import DataError, SchemaError, SpecError
from pellucid.core.rows import Rows
from pellucid.core.schema import Field, Schema
from pellucid.core.task import Task
from pellucid.explain import Limits, counterfactuals, fit_lime, permutation_importance
from pellucid.explain.columns import Columns
from pellucid.explain.space import Space
from pellucid.nn.foreign import wrap
from pellucid.testing.games import ToyProgram, network, toy_rows

NORMAL = np.random.default_rng(0).normal(size=(300, 4))


def linear(w=(1.0, 3.0, -2.0, 0.0)):
    return ToyProgram(lambda x: x @ torch.tensor(w, dtype=torch.float64)[:, None], len(w))


def deviations(x):
    return np.median(np.abs(x - np.median(x, axis=0)), axis=0)


def asked(program, x, to, reference=NORMAL, **limits):
    n = limits.pop("n", 1)
    chosen = toy_rows(np.atleast_2d(x))
    return counterfactuals(program, chosen, "toy", reference=toy_rows(reference), to=to, n=n, limits=Limits(**limits))


def test_of_a_linear_program_the_nearest_answer_is_the_closed_form() -> None:
    """The cheapest way to raise w x by c moves the one field with the largest w times deviation, by c over both."""
    scale = deviations(NORMAL)
    best = int(np.argmax(np.abs([1.0, 3.0, -2.0, 0.0]) * scale))
    answer = asked(linear(), np.zeros(4), (2.0, None))[0].answers[0]
    assert [c.name for c in answer.changes] == [f"x{best}"]
    assert answer.distance == pytest.approx(2.0 / 3.0 / scale[best], rel=0.02)
    assert answer.outputs[0] >= 2.0
    assert answer.plausible


def test_when_the_best_field_is_kept_the_next_best_moves() -> None:
    answer = asked(linear(), np.zeros(4), (2.0, None), keep=("x1",))[0].answers[0]
    assert {c.name for c in answer.changes} == {"x2"}
    assert answer.distance == pytest.approx(1.0 / deviations(NORMAL)[2], rel=0.02)


def test_directions_and_ranges_hold() -> None:
    for limits in ({"only_down": ("x1",)}, {"ranges": {"x1": (None, 0.2)}}, {"only_up": ("x2",)}):
        for found in asked(linear(), NORMAL[:5], (5.0, None), n=3, **limits):
            assert found.answers
            for answer, x1, x2 in zip(found.answers, found.rows.fields["x1"], found.rows.fields["x2"], strict=True):
                own = {c.name: c.before for c in answer.changes}
                assert answer.outputs[0] >= 5.0
                if "only_down" in limits:
                    assert x1 <= own.get("x1", x1)
                elif "ranges" in limits:
                    assert x1 <= 0.2 or "x1" not in own
                else:
                    assert x2 >= own.get("x2", x2)


def test_two_fields_are_needed_when_no_one_is_enough() -> None:
    conjunction = ToyProgram(lambda x: torch.minimum(x[:, :1], x[:, 1:2]), 3)
    answer = asked(conjunction, [-1.0, -1.0, 0.0], (1.0, None), NORMAL[:, :3])[0].answers[0]
    assert sorted(c.name for c in answer.changes) == ["x0", "x1"]
    assert [c.after for c in answer.changes] == pytest.approx([1.0, 1.0], abs=0.02)


def test_as_many_ways_as_there_are_are_found_though_one_field_is_cheap_in_all_of_them() -> None:
    """Each field alone is enough, but every one is dearer than x0 with some other one."""
    weights = (10.0, *[1.0] * 11)
    reference = np.random.default_rng(0).normal(size=(300, 12))
    for n in (6, 12, 40):
        found = asked(linear(weights), np.zeros(12), (2.2, None), reference, n=n)[0]
        assert {len(a.changes) for a in found.answers} == {1}
        assert len({a.changes[0].name for a in found.answers}) == len(found.answers) == min(n, 12)
        assert found.note == ("12 of 40: no further way was found" if n == 40 else "")


def test_a_small_region_that_no_row_no_few_values_and_no_guess_hits_is_climbed_to() -> None:
    """All six fields must be near .37 at once; the answer that the tried quantiles allow is known."""
    near = ToyProgram(lambda x: -(x - 0.37).abs().sum(1, keepdim=True), 6)
    reference = np.random.default_rng(0).normal(size=(300, 6))
    grid = np.quantile(reference, np.linspace(0, 1, 16), axis=0, method="nearest")
    best = float(np.abs(grid - 0.37).min(0).sum())
    assert best < 0.4 < float(np.abs(reference - 0.37).sum(1).min())
    answer = asked(near, np.full(6, -1.5), (-1.1 * best, None), reference)[0].answers[0]
    assert len(answer.changes) == 6
    assert answer.outputs[0] >= -1.1 * best


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_of_random_truth_tables_no_minimal_way_is_missing(seed: int) -> None:
    """No fewer answers than there are sets of fields that are enough and none of whose subsets is (by brute force)."""
    table = torch.from_numpy(np.random.default_rng(seed).random(32) < 0.3).double()
    bits = torch.tensor([1, 2, 4, 8, 16], dtype=torch.float64)
    truth = ToyProgram(lambda x: table[(x @ bits).long()][:, None], 5)
    corners = np.array([[(i >> b) & 1 for b in range(5)] for i in range(32)], dtype=float)
    minimal: list[int] = []
    for i in sorted(range(1, 32), key=lambda i: i.bit_count()):
        if table[i] and not any(m & i == m for m in minimal):
            minimal.append(i)
    found = asked(truth, np.zeros(5), (0.5, None), corners, n=6, training_rows=True)[0]
    if not table[0]:
        assert len(found.answers) >= min(6, len(minimal))
        assert len({tuple(sorted(c.name for c in a.changes)) for a in found.answers}) == len(found.answers)


def test_a_space_without_a_change_keeps_all_others() -> None:
    columns = Columns(Mixed(), "forecast", where="here")
    real, own = columns.reference(rows(60, seed=1)), columns.matrix(rows(1, seed=5))[0]
    space = Space(columns, real, Limits())
    whole = np.concatenate([space.project(real, own), *(_singly(space, own, u) for u in range(len(space.units)))])
    for unit, it in enumerate(space.units):
        ways = {"number": [1, -1], "category": [2, 3]}.get(it.kind, [1])
        for way in ways:
            other = space.without(unit, way)
            left = np.concatenate(
                [other.project(real, own), *(_singly(other, own, u) for u in range(len(space.units)))]
            )
            seen, before = other.ways(left, own), space.ways(whole, own)
            assert way not in seen[:, unit]
            assert set(seen[:, unit]) == set(before[:, unit]) - {way}
            for u in set(range(len(space.units))) - {unit}:
                assert np.array_equal(np.unique(seen[:, u]), np.unique(before[:, u]))
    assert {unit.kind for unit in space.units} == {"number", "block", "category"}


def _singly(space: Space, x: np.ndarray, unit: int) -> np.ndarray:
    values = space.choices(x)[unit]
    changed = np.repeat(x[None], len(values), axis=0)
    changed[:, space.units[unit].columns] = values
    return changed


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_on_random_networks_every_answer_is_valid_in_range_and_leaves_alone_what_is_kept(seed: int) -> None:
    g = np.random.default_rng(seed)
    function = network(g, 4, 1)
    x, reference = g.normal(size=(2, 4)), g.normal(size=(150, 4))
    now = function(torch.from_numpy(x)).numpy()[:, 0]
    limits = {"keep": ("x0",), "only_up": ("x1",), "only_down": ("x2",)}
    for i in range(2):
        to = (float(now[i]) + 0.3, float(now[i]) + 0.8)
        found = asked(ToyProgram(function, 4), x[i], to, reference, n=3, **limits)[0]
        values = np.stack([found.rows.fields[f"x{j}"] for j in range(4)], axis=1)
        again = function(torch.from_numpy(values)).numpy()[:, 0]
        assert ((again >= to[0]) & (again <= to[1])).all()
        assert (values[:, 0] == x[i, 0]).all()
        assert (values[:, 1] >= x[i, 1]).all()
        assert (values[:, 2] <= x[i, 2]).all()
        moved = values != x[i]
        inside = (values >= reference.min(0)) & (values <= reference.max(0))
        assert inside[moved].all()
        assert len({tuple(row) for row in values}) == len(values)


@pytest.fixture(scope="module")
def loans() -> tuple[object, pd.DataFrame]:
    g = np.random.default_rng(1)
    n = 400
    frame = pd.DataFrame(
        {
            "age": g.integers(18, 80, n),
            "income": g.normal(50, 15, n).round(1),
            "job": g.choice(["none", "part", "full"], n),
            "member": g.random(n) < 0.5,
        }
    )
    y = (frame["income"] + 20 * (frame["job"] == "full") - 0.2 * frame["age"] + g.normal(0, 5, n) > 45).to_numpy()
    table = pd.get_dummies(frame, columns=["job"]).reindex(columns=["age", "income", "member", "job_full", "job_none"])
    forest = RandomForestClassifier(30, random_state=0).fit(table.to_numpy(dtype=float), y)

    def answer(x: np.ndarray) -> np.ndarray:  # columns: age, income, job, member
        jobs = np.stack([x[:, 2] == "full", x[:, 2] == "none"], axis=1)
        return forest.predict_proba(np.concatenate([x[:, [0, 1, 3]].astype(float), jobs.astype(float)], axis=1))

    return wrap(answer, inputs=frame, kind="classify", outputs=["refused", "granted"]), frame


def test_whole_numbers_stay_whole_categories_stay_known_and_no_row_is_handed_out(loans) -> None:
    program, frame = loans
    given = program.rows(frame.iloc[:25])
    found = counterfactuals(program, given, "predict", reference=program.rows(frame), n=3, limits=Limits(keep=("age",)))
    real = set(frame.itertuples(index=False, name=None))
    decided = program.predict(frame.iloc[:25]).to_numpy().argmax(1)
    answered = 0
    for i, one in enumerate(found):
        table = pd.DataFrame(one.rows.fields)
        answered += len(table) > 0
        assert (program.predict(table).to_numpy().argmax(1) != decided[i]).all()
        assert (table["age"] == frame["age"].iloc[i]).all()
        assert set(table["job"]) <= {"none", "part", "full"}
        assert set(table["member"].astype(float)) <= {0.0, 1.0}
        assert np.allclose(table["income"] * 10, np.round(table["income"] * 10))  # one decimal, as in the data
        assert not real & {(int(a), b, c, bool(d)) for a, b, c, d in table.itertuples(index=False, name=None)}
    assert answered == 25


def test_a_real_row_only_when_it_is_allowed() -> None:
    """With two values per field every row that there can be is a real one."""
    corners = np.array([[a, b] for a in (0.0, 1.0) for b in (0.0, 1.0)] * 3)
    both = ToyProgram(lambda x: x[:, :1] * x[:, 1:], 2)
    refused = asked(both, [0.0, 0.0], (1.0, None), corners)[0]
    assert refused.answers == ()
    assert "nothing found" in refused.note
    allowed = asked(both, [0.0, 0.0], (1.0, None), corners, training_rows=True)[0]
    assert [c.after for c in allowed.answers[0].changes] == [1.0, 1.0]


def test_a_policy_is_asked_for_another_action() -> None:
    names = ["left", "right"]
    wrapped = wrap(lambda x: x[:, :1] * [-1, 1], inputs=["angle", "speed"], kind="control", outputs=names)
    states = wrapped.rows(pd.DataFrame(NORMAL[:, :2], columns=["angle", "speed"]))
    found = counterfactuals(wrapped, states.take(slice(0, 3)), "predict", reference=states, to="right")
    assert [c.name for f in found if f.answers for c in f.answers[0].changes] != []
    for one in found:
        assert all({c.name for c in a.changes} == {"angle"} for a in one.answers)
        assert one.answers or one.note == "the row already is as wanted"


def test_series_take_real_windows_and_missing_values_stay() -> None:
    program = Mixed()
    reference, given = rows(60, seed=1), rows(2, seed=5)
    top = float(np.quantile(program(program.encode(reference), "forecast")[:, 1], 0.8))
    found = counterfactuals(program, given, "forecast", reference=reference, to=(top, None), output="high")
    assert found[0].answers
    for one in found:
        out = program(program.encode(one.rows), "forecast")[:, 1]
        assert (out >= top - 1e-6).all()
        assert one.rows.fields["return"].shape == (len(one.answers), 4)
    gaps = NORMAL.copy()
    gaps[::7, 1] = np.nan
    blind = ToyProgram(lambda x: x[:, :1] + torch.nan_to_num(x[:, 1:2]), 4)
    found = asked(blind, [0.0, np.nan, 0.0, 0.0], (1.0, None), gaps)[0]
    assert np.isnan(found.rows.fields["x1"]).all()
    assert {c.name for c in found.answers[0].changes} == {"x0"}


def test_same_seed_same_answers_whatever_the_company() -> None:
    function = network(np.random.default_rng(4), 4, 1)
    program, three = ToyProgram(function, 4), NORMAL[:3]
    together = asked(program, three, (0.5, None), n=2)
    alone = asked(program, three[0], (0.5, None), n=2)[0]
    assert together[0].to_json() == alone.to_json() | {"evaluations": together[0].evaluations}
    assert json.loads(json.dumps(alone.to_json()))["answers"][0]["plausible"] in (True, False)
    assert list(alone.to_frame().columns) == ["answer", "field", "before", "after"]
    assert "distance" in alone.text()


def test_most_changes_and_rows_that_are_as_wanted() -> None:
    conjunction = ToyProgram(lambda x: torch.minimum(x[:, :1], x[:, 1:2]), 3)
    one = asked(conjunction, [-1.0, -1.0, 0.0], (1.0, None), NORMAL[:, :3], most_changes=1)[0]
    assert one.answers == ()
    assert "within the limits" in one.note
    assert "already" in asked(linear(), np.zeros(4), (-1.0, 1.0))[0].note
    never = asked(linear(), np.zeros(4), (1e6, None))[0]
    assert "no reference row" in never.note


@pytest.mark.parametrize(
    ("limits", "to", "error", "said"),
    [
        ({"keep": ("x9",)}, (1.0, None), SchemaError, "x9"),
        ({"only_up": ("x1",), "only_down": ("x1",)}, (1.0, None), SpecError, "use keep"),
        ({"ranges": {"x1": ("a",)}}, (1.0, None), SpecError, "must be"),
        ({}, "benign", SpecError, "range"),
        ({}, (2.0, 1.0), SpecError, "empty"),
        ({}, (None, None), SpecError, "no end"),
        ({"n": 0}, (1.0, None), DataError, "0 answers"),
        ({"keep": ("x0", "x1", "x2", "x3")}, (1.0, None), DataError, "nothing may change"),
    ],
)
def test_what_cannot_be_is_said(limits, to, error, said) -> None:
    with pytest.raises(error, match=said):
        asked(linear(), np.zeros(4), to, **limits)


def test_unknown_names_get_the_nearest(loans) -> None:
    program, frame = loans
    table = program.rows(frame)
    with pytest.raises(SchemaError) as caught:
        counterfactuals(program, table, "predict", reference=table, to="grantd")
    assert "granted" in caught.value.mend
    with pytest.raises(SpecError, match="no order"):
        counterfactuals(program, table, "predict", reference=table, limits=Limits(only_up=("job",)))
    with pytest.raises(SpecError, match="no category"):
        counterfactuals(program, table, "predict", reference=table, limits=Limits(ranges={"job": ("boss",)}))
    with pytest.raises(DataError, match="no rows"):
        counterfactuals(program, table, "predict", reference=table.take(slice(0, 0)))
    with pytest.raises(SchemaError, match="no output"):
        counterfactuals(linear(), toy_rows(NORMAL), "toy", reference=toy_rows(NORMAL), to=(1.0, None), output="z")
    assert isinstance(table, Rows)


def test_a_text_stays_and_a_wrapped_models_own_names_are_used() -> None:
    class Reads(ToyProgram):
        """x0 plus the length of a note, which no method may make up."""

        def __init__(self) -> None:
            super().__init__(lambda x: x, 2)
            self._schema = Schema((Field("x0"), Field("note", "text")), {"toy": (Field("y0"),)})
            self._tasks = {"toy": Task("toy", "regress", ("x0", "note"), ("y0",), "", "squared_error")}

        def encode(self, rows: Rows) -> dict:
            lengths = np.asarray([float(len(v)) for v in rows.column("note")])
            return {"x0": torch.from_numpy(rows.column("x0"))[:, None], "note": torch.from_numpy(lengths)[:, None]}

        def __call__(self, blocks, task):
            return blocks["x0"] + blocks["note"]

    notes = np.array(["a", "abc", "abcde"] * 50, dtype=object)
    table = Rows(np.arange(150).astype(str), {"x0": NORMAL[:150, 0], "note": notes})
    found = counterfactuals(Reads(), table.take(slice(1, 2)), "toy", reference=table, to=(4.5, None))[0]
    assert set(found.rows.fields["note"]) == {"abc"}
    assert {c.name for c in found.answers[0].changes} == {"x0"}
    for around in ("instance", "data"):
        fit = fit_lime(Reads(), table.take(slice(1, 2)), "toy", reference=table, around=around)
        assert fit.players == ("x0",)
        assert abs(fit.intercept[0, 0] - 3.0 if around == "data" else fit.fitted[0, 0] - fit.prediction[0, 0]) < 1.0
    shuffled = permutation_importance(Reads(), table, "toy", loss=lambda out: np.abs(out[:, 0]))
    assert set(shuffled.players) == {"x0", "note"}
    model = RandomForestClassifier(10, random_state=0).fit(NORMAL, NORMAL[:, 0] > 0)
    named = wrap(model, inputs=["a", "b", "c", "d"], outputs=["low", "high"])
    frame = named.rows(pd.DataFrame(NORMAL, columns=["a", "b", "c", "d"]))
    for to in ("high", "True"):
        one = counterfactuals(
            named, frame.take(np.flatnonzero(NORMAL[:, 0] < -0.5)[:1]), "predict", reference=frame, to=to
        )
        assert one[0].goal == "class high"

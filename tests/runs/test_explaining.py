"""Explanations of named rows: by key, date or number; of a policy, in the states that it is in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pellucid.assemble import problem
from pellucid.core.errors import DataError, SchemaError
from pellucid.explain import attribute
from pellucid.runs.artefact import load_program, load_rows
from pellucid.runs.explaining import data_rows, explain, pick
from pellucid.runs.policies import visited
from tiny_programs import bank_spec, leaky, market_spec


def test_by_date_for_every_task(market):
    store = market.store
    found = explain(store, "market", at=["2000-06-01", "2000-06-02"])
    assert list(found) == ["forecast", "risk", "trade"]
    assert found["risk"].keys == ("PRICES/2000-06-01", "PRICES/2000-06-02")
    for one in found.values():
        assert np.abs(one.residual).max() < 1e-4
        assert one.background_n == 16
    assert "position" in found["trade"].players
    assert "position" not in found["risk"].players


def test_by_key_and_by_number(bank):
    store = bank.store
    rows = problem(bank_spec(), leaky()).rows
    by_number = explain(store, "bank", at=["17"])["y"]
    by_key = explain(store, "bank", at=[str(rows.keys[17])])["y"]
    assert by_number.keys == by_key.keys == (str(rows.keys[17]),)
    assert np.array_equal(by_number.values, by_key.values)


def test_by_default_the_last_review_row(market, bank):
    last = max(market.store.review_keys("market"))
    assert explain(market.store, "market", tasks=["risk"])["risk"].keys == (last,)
    keys = [str(k) for k in problem(bank_spec(), leaky()).rows.keys]
    reviewed = set(bank.store.review_keys("bank"))
    assert explain(bank.store, "bank")["y"].keys == ([k for k in keys if k in reviewed][-1],)


@pytest.mark.parametrize(("asked", "message", "mend"), [
    ("2000-06-03", "there is no row for 2000-06-03", "2000-06-02"),  # a Saturday
    ("1990-01-01", "rows run from 1999-03-01", "the first row is 1999-03-01"),
    ("tomorrow", "'tomorrow' is no date and no key", "write YYYY-MM-DD"),
    ("PRICES/2000-06-04", "'PRICES/2000-06-04' is no date and no key", "write YYYY-MM-DD"),
])  # fmt: skip
def test_unknown_days_name_the_nearest(market, asked, message, mend):
    with pytest.raises(DataError, match=message) as caught:
        explain(market.store, "market", at=[asked])
    assert mend in caught.value.mend


def test_unknown_rows_of_a_table(bank):
    with pytest.raises(DataError, match="there is no row '300' among 300") as caught:
        explain(bank.store, "bank", at=["300"])
    assert "give a row number below 300" in str(caught.value)
    key = str(problem(bank_spec(), leaky()).rows.keys[0])
    with pytest.raises(DataError, match="there is no row") as caught:
        explain(bank.store, "bank", at=[key[:-1] + "x"])
    assert f"did you mean '{key}'?" in str(caught.value)
    with pytest.raises(SchemaError, match="no task 'z'"):
        explain(bank.store, "bank", tasks=["z"])


def test_a_policy_is_explained_in_the_states_that_it_visits(market):
    """Its background holds positions that it takes on training days; a row is asked in the position it has there."""
    store = market.store
    program = load_program(store, store.resolve("market"))
    rows = problem(market_spec().within(market.folder)).rows
    states = visited(program, program.tasks["trade"], rows)
    background = load_rows(store, store.resolve("market").manifest["blobs"]["background/trade"])
    trained = rows.take(np.isin(rows.keys, list(store.blobs.get_table(
        store.resolve("market").manifest["blobs"]["trained"])["key"])))  # fmt: skip
    walked = visited(program, program.tasks["trade"], trained)
    held = dict(zip(walked.keys.tolist(), walked.fields["position"][:, 0].tolist(), strict=True))
    assert [held[key] for key in background.keys.tolist()] == background.fields["position"][:, 0].tolist()
    found = explain(store, "market", at=["2000-06-01"], tasks=["trade"])["trade"]
    at = int(np.flatnonzero(rows.times == np.datetime64("2000-06-01"))[0])
    expected = attribute(program, states.take(np.array([at])), "trade", background=background, evaluations=64, seed=0)
    assert np.array_equal(found.values, expected.values)
    assert found.inputs[0, found.players.index("position")] == states.fields["position"][at, 0]


def test_given_rows(market, bank):
    store = market.store
    rows = data_rows(store, "market").take(slice(100, 103))
    assert explain(store, "market", rows=rows, tasks=["risk"])["risk"].keys == tuple(rows.keys)
    trade = explain(store, "market", rows=rows, tasks=["trade"])["trade"]
    assert trade.inputs[0, trade.players.index("position")] == 0.0  # the walk begins flat
    one = explain(store, "market", rows=rows, at=[str(rows.keys[1])], tasks=["risk"])["risk"]
    assert one.keys == (str(rows.keys[1]),)
    frame = leaky(3, seed=6)
    (bank.folder / "bank.csv").unlink()  # its own data are not needed
    assert len(explain(bank.store, "bank", rows=frame)["y"]) == 3
    with pytest.raises(SchemaError, match="1 of 4 columns are missing: 'leak'"):
        explain(bank.store, "bank", rows=frame.drop(columns="leak"))


def test_options_reach_the_explainer(bank):
    found = explain(bank.store, "bank", at=["3"], method="exact", grain="field", seed=5)["y"]
    assert found.method.startswith("exact")
    assert (found.error == 0).all()
    assert found.seed == 5
    fewer, more = (
        explain(bank.store, "bank", at=["3"], method="permutation", evaluations=n)["y"].evaluations for n in (64, 1000)
    )
    assert fewer < more


def test_a_number_among_dates_is_no_row_number(market):
    rows = data_rows(market.store, "market")
    with pytest.raises(DataError):
        pick(rows, ["17"])


def test_the_same_question_is_answered_without_asking_the_program(bank, monkeypatch):
    store = bank.store
    first = explain(store, "bank", at=["3"], method="permutation", checks=True)["y"]
    asked = []
    monkeypatch.setattr("pellucid.runs.explaining.attribute", lambda *a, **k: asked.append(k) or attribute(*a, **k))
    again = explain(store, "bank", at=["3"], method="permutation", checks=True)["y"]
    assert not asked
    assert again.to_json() == first.to_json()
    assert {"additive_fit", "insertion", "deletion"} <= first.checks.keys()
    for change in ({"seed": 5}, {"at": ["4"]}, {"checks": False}, {"evaluations": 9999}, {"value": "conditional"}):
        explain(store, "bank", **{"at": ["3"], "method": "regression", "checks": True, **change})
        assert len(asked) == 1
        asked.clear()
    explain(store, "bank", at=["3"], seconds=0.01)
    explain(store, "bank", at=["3"], seconds=0.01)
    assert len(asked) == 2  # what the clock decided is no answer to keep
    for path in (store.root / "explained").glob("*.json"):
        path.write_text("{")
    assert explain(store, "bank", at=["3"], method="permutation", checks=True)["y"].to_json() == first.to_json()


def test_after_ctrl_c_what_is_done_is_returned_and_not_kept(bank, monkeypatch):
    store = bank.store

    def stopped(program, rows, task, **options):
        one = attribute(program, rows.take(slice(0, 1)), task, **options)
        return replace(one, warnings=("interrupted: 1 of 2 rows are explained",))

    monkeypatch.setattr("pellucid.runs.explaining.attribute", stopped)
    before = sorted((store.root / "explained").glob("*"))
    assert len(explain(store, "bank", at=["5", "6"], seed=77)["y"]) == 1
    assert sorted((store.root / "explained").glob("*")) == before

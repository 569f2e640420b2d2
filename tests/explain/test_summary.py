"""Summarised backgrounds: means of equal groups, and no row of anybody's among them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pellucid
from pellucid.core.errors import DataError, SpecError
from pellucid.core.rows import Rows
from pellucid.core.schema import Field, Schema
from pellucid.explain import attribute, summarise
from pellucid.nn.foreign import wrap
from pellucid.runs.artefact import load_rows
from pellucid.spec.loader import spec_from

FIELDS = (
    Field("age"),
    Field("city", "category", categories=("oslo", "rome")),
    Field("grade", categories=("low", "high")),
)
SCHEMA = Schema(FIELDS, {})


def people(n: int, seed: int = 0) -> Rows:
    draw = np.random.default_rng(seed)
    fields = {
        "age": draw.normal(40, 10, n),
        "city": draw.choice(["oslo", "rome"], n).astype(object),
        "grade": draw.integers(0, 2, n).astype(float),
    }
    return Rows(np.arange(n).astype(str), fields)


@settings(max_examples=40, deadline=None)
@given(st.integers(5, 200), st.integers(1, 40), st.integers(2, 6), st.integers(0, 5))
def test_groups_are_equal_and_their_mean_is_that_of_all(rows: int, n: int, least: int, seed: int) -> None:
    if rows < least:
        return
    given_rows = people(rows, seed)
    found = summarise(given_rows, SCHEMA, n, least=least)
    sizes = [int(str(key).split()[2]) for key in found.keys]
    assert len(found) == min(n, rows // least)
    assert sum(sizes) == rows
    assert min(sizes) >= least
    assert max(sizes) - min(sizes) <= np.ceil(np.log2(len(sizes) + 1))  # rounding at every halving
    assert np.average(found.fields["age"], weights=sizes) == pytest.approx(given_rows.fields["age"].mean())
    assert not set(found.fields["age"].tolist()) & set(given_rows.fields["age"].tolist())


def test_words_are_the_most_frequent_and_an_order_stays_in_its_words() -> None:
    rows = people(60)
    found = summarise(rows, SCHEMA, 6)
    assert set(found.fields["city"]) == {"oslo", "rome"}
    assert set(found.fields["grade"].tolist()) <= {0.0, 1.0}
    alone = summarise(rows, SCHEMA, 1)
    words, counts = np.unique(rows.fields["city"].astype(str), return_counts=True)
    assert alone.fields["city"].tolist() == [words[counts.argmax()]]
    gaps = Rows(rows.keys, {**rows.fields, "age": np.where(np.arange(60) % 2, np.nan, rows.fields["age"])})
    assert np.isfinite(summarise(gaps, SCHEMA, 4).fields["age"]).all()


def test_of_a_linear_program_nothing_changes() -> None:
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(80, 3)), columns=list("abc"))
    program = wrap(lambda x: x @ np.array([1.0, -2.0, 0.5]), inputs=table, outputs=["score"])
    rows = program.rows(table)
    few = summarise(rows, program.schema, 8)
    full, short = (attribute(program, rows, "predict", background=b, method="exact") for b in (rows, few))
    assert np.allclose(full.values, short.values, atol=1e-6)
    assert short.background_n == 8


def test_what_has_no_mean_is_refused() -> None:
    rows = people(20)
    with pytest.raises(DataError, match="20 rows"):
        summarise(rows, SCHEMA, 4, least=21)
    with pytest.raises(DataError, match="20 rows"):
        summarise(rows, SCHEMA, 4, least=1)
    with pytest.raises(DataError, match="'note'"):
        summarise(Rows(rows.keys, {"note": rows.fields["city"]}), Schema((Field("note", "text"),), {}), 2)


def test_a_version_keeps_means_only(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    table = pd.DataFrame(draw.normal(size=(120, 2)), columns=["income", "debt"])
    table["paid"] = np.where(table["income"] > table["debt"], "yes", "no")
    overrides = ("train.updates=10", "evidence.folds=2", "explain.background=10", "explain.summarise=4")
    program = pellucid.fit(data=table, target="paid", name="loans", store=tmp_path / "s", overrides=overrides)
    kept = load_rows(program.store, program.entry.manifest["blobs"]["background/paid"])
    assert len(kept) == 10
    assert not set(np.float32(kept.fields["income"]).tolist()) & set(np.float32(table["income"]).tolist())
    assert program.explain(table[["income", "debt"]].head(1)).background_n == 10


def test_what_has_no_mean_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    notes = [f"the {i % 7} th of many notes that somebody wrote on day {i}" for i in range(60)]
    table = pd.DataFrame({"note": notes, "paid": ["yes", "no"] * 30})
    began: list[str] = []

    class Watching:
        def on_start(self, run: object) -> None:
            began.append("trained")

    with pytest.raises(DataError, match="'note' is no single number"):
        pellucid.fit(
            data=table,
            target="paid",
            name="notes",
            store=tmp_path / "s",
            overrides=("explain.summarise=5", "train.updates=5"),
            callbacks=[Watching()],
        )
    assert began == []


@pytest.mark.parametrize(
    ("data", "each", "said"),
    [
        ({"kind": "prices", "source": "planted"}, 5, "no mean"),
        ({"kind": "table", "source": "a.csv", "target": "y"}, 1, "at least 2"),
    ],
)
def test_specs_that_cannot_be(data: dict[str, str], each: int, said: str) -> None:
    tasks = {"risk": {"kind": "volatility"}} if data["kind"] == "prices" else {}
    with pytest.raises(SpecError, match=said):
        spec_from({"name": "t", "data": data, "tasks": tasks, "explain": {"summarise": each}}, where="test")

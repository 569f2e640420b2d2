"""The split that a spec of a table asks for, at the first fit and later ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pellucid.assemble import problem
from pellucid.core.errors import DataError, SpecError
from pellucid.core.rows import Rows
from pellucid.evidence.folds import Fold
from pellucid.runs.dividing import after, by_column, divide_folds, divide_review, way
from pellucid.spec.loader import build_spec
from pellucid.spec.model import Spec


def table(tmp_path: Path, n: int = 240) -> Path:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=n), "patient": [f"p{i}" for i in rng.integers(0, 30, n)]})
    frame["day"] = pd.date_range("2020-01-01", periods=n // 2).repeat(2).strftime("%Y-%m-%d").to_numpy()
    frame["part"] = np.where(np.arange(n) % 4 == 0, "test", "train")
    frame["y"] = np.where(rng.random(n) < 0.2, "rare", "usual")
    file = tmp_path / "t.csv"
    frame.sample(frac=1, random_state=0).to_csv(file, index=False)
    return file


def made(tmp_path: Path, data: dict[str, Any], **evidence: Any) -> tuple[Spec, Rows, Fold, list[Fold]]:
    source = str(table(tmp_path))
    spec = build_spec(name="t", data={"kind": "table", "source": source, "target": "y", **data}, evidence=evidence)
    prob = problem(spec)
    assert prob.rows is not None
    labels = prob.rows.targets["target"]
    review = divide_review(prob.spec, prob.rows, labels)
    return prob.spec, prob.rows, review, divide_folds(prob.spec, prob.rows.take(review.train), labels[review.train])


def test_groups_are_kept_together_and_are_no_input(tmp_path: Path) -> None:
    spec, rows, review, folds = made(tmp_path, {"group": "patient"})
    assert way(spec) == "grouped"
    assert "patient" not in rows.fields
    group = rows.extra["group"]
    assert not set(group[review.train]) & set(group[review.test])
    left = group[review.train]
    assert all(not set(left[f.train]) & set(left[f.test]) for f in folds)
    # Rows that come later to a reviewed group are not trained on.
    assert set(group[after(spec, rows, review.test[:5])]) == set(group[review.test[:5]])


def test_time_runs_forward_whatever_the_order_of_the_file(tmp_path: Path) -> None:
    spec, rows, review, folds = made(tmp_path, {"time": "day"}, purge=2, embargo=1)
    assert way(spec) == "walk_forward"
    assert "day" not in rows.fields
    days = rows.extra["time"] / 86400
    assert days[review.test].min() - days[review.train].max() == 4
    left = days[review.train]
    assert [left[f.test].min() - left[f.train].max() for f in folds] == [4, 4, 4]
    waits = after(spec, rows, review.test)
    assert waits[review.test].all()
    assert not waits[review.train].any()


def test_a_column_says_who_is_tested(tmp_path: Path) -> None:
    spec, rows, review, folds = made(tmp_path, {"split_column": "part"})
    assert way(spec) == "column"
    assert set(rows.extra["split"][review.test]) == {"test"}
    assert len(review.test) == 60
    assert len(folds) == 3


def test_validation_rows_are_the_one_fold() -> None:
    cells = np.asarray(["train"] * 6 + ["Valid"] * 2 + ["TEST"] * 2)
    review = by_column(cells)
    assert review.test.tolist() == [8, 9]
    spec = build_spec(name="t", data={"kind": "table", "source": "a.csv", "target": "y", "split_column": "part"})
    rows = Rows(np.arange(8).astype(str), {}, extra={"split": cells[:8]})
    assert [f.test.tolist() for f in divide_folds(spec, rows, None)] == [[6, 7]]


@pytest.mark.parametrize(("cells", "said"), [(["train", "tset"], "'tset'"), (["train", "train"], "on one side")])
def test_a_split_column_that_says_nothing(cells: list[str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        by_column(np.asarray(cells))


def test_every_class_in_every_fold(tmp_path: Path) -> None:
    for data in ({}, {"group": "patient"}):
        _, rows, review, folds = made(tmp_path, data)
        y = rows.targets["target"]
        assert {*y[review.test]} == {*y[review.train]} == {"rare", "usual"}
        left = y[review.train]
        assert all({*left[f.test]} == {*left[f.train]} == {"rare", "usual"} for f in folds)


@pytest.mark.parametrize(
    ("data", "evidence", "said"),
    [
        ({}, {"split": "grouped"}, "evidence.split: got grouped without data.group"),
        ({}, {"split": "walk_forward"}, "got walk_forward without data.time"),
        ({}, {"purge": 2}, "evidence.purge: got 2; allowed: 0 unless the split is walk_forward"),
        ({"group": "y"}, {}, "data.group: got 'y', the target too"),
    ],
)
def test_what_does_not_fit_is_told(data: dict[str, Any], evidence: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as error:
        build_spec(name="t", data={"kind": "table", "source": "a.csv", "target": "y", **data}, evidence=evidence)
    assert said in str(error.value)


def test_an_empty_cell_of_a_group_is_told(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("x,who,y\n1,a,2\n2,,3\n3,b,5\n")
    with pytest.raises(DataError, match="the group 'who' is empty in row 2"):
        problem(build_spec(name="t", data={"kind": "table", "source": str(file), "target": "y", "group": "who"}))

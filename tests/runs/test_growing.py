"""The learning curve over rows: nested parts, the same test rows, the whole equal to the folds, a curve that falls."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pellucid.core.errors import SpecError
from pellucid.core.random import stream
from pellucid.core.rows import Rows
from pellucid.report.html import evidence_page
from pellucid.report.words import growth_sentence, table_sentences
from pellucid.runs.fit import fit
from pellucid.runs.growing import FEWEST, SHARES, nested
from pellucid.spec.loader import build_spec
from pellucid.spec.model import Spec
from pellucid.store.store import Store

N = 480


def table(folder: Path, *, truth: bool = True) -> Path:
    """A number that follows from ten columns, so that more rows help; or from nothing."""
    g = stream(2, "tests/growing")
    frame = pd.DataFrame(g.normal(size=(N, 10)), columns=[f"x{i}" for i in range(10)])
    y = frame.sum(axis=1) + 0.5 * g.normal(size=N)
    frame["y"] = y if truth else g.permutation(y)
    frame.to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


def spec_of(file: Path, **more: object) -> Spec:
    return build_spec(
        name="grown",
        data={"kind": "table", "source": str(file), "target": "y"},
        network={"width": 16, "depth": 1},
        train={"updates": 120, "lr": 1e-2, "batch": 32},
        evidence={"folds": 2, "learning_curve": True},
        explain={"background": 8, "evaluations": 40},
    ).replace(more)


def test_more_rows_help_where_there_is_something_to_learn(tmp_path: Path) -> None:
    found = fit(spec_of(table(tmp_path)), Store(tmp_path / "store"))
    (entry,) = found.evidence["tasks"]
    curve = entry["extra"]["learning_curve"]
    assert [p["share"] for p in curve["points"]] == list(SHARES)
    assert [p["rows"] for p in curve["points"]] == [24, 48, 96, 192]
    assert curve["n"] == entry["n"] == 384
    values = [p["value"] for p in curve["points"]]
    assert values[0] > 2 * values[-1]
    assert values[-1] == pytest.approx(entry["value"])  # nothing is calibrated in a regression
    assert all(p["low"] < p["value"] < p["high"] for p in curve["points"])
    assert curve["doubling"]["verdict"] == "better"
    assert curve["doubling"]["change"] == pytest.approx(values[-1] - values[-2])
    told = table_sentences(entry)
    assert any("from 96 training rows to 192" in line and "more rows still helped" in line for line in told)
    page = evidence_page(found.evidence)
    assert "y: loss by training rows" in page
    assert "Rows in numbers" in page
    json.dumps(curve, allow_nan=False)


def test_where_nothing_is_to_be_learned_no_help_is_claimed(tmp_path: Path) -> None:
    spec = spec_of(table(tmp_path, truth=False), **{"train.updates": 20, "train.lr": 1e-4})
    (entry,) = fit(spec, Store(tmp_path / "store")).evidence["tasks"]
    curve = entry["extra"]["learning_curve"]
    assert curve["doubling"]["verdict"] != "better"
    assert "is not shown" in growth_sentence(curve) or "did harm" in growth_sentence(curve)


def rows_of(**extra: np.ndarray) -> Rows:
    keys = np.asarray([f"r{i}" for i in range(100)], dtype=np.str_)
    return Rows(keys, {"a": np.arange(100.0)}, {}, None, extra)


def test_parts_are_nested(tmp_path: Path) -> None:
    spec, rows, train = spec_of(table(tmp_path)), rows_of(), np.arange(0, 100, 2)
    parts = [nested(spec, rows, train, share, 0) for share in SHARES]
    assert [len(p) for p in parts] == [FEWEST, 12, 25, 50]
    for small, large in itertools.pairwise(parts):
        assert set(small) <= set(large) <= set(train)
    assert not np.array_equal(parts[2], nested(spec, rows, train, 0.5, 1))


def test_groups_come_whole_and_times_from_the_end(tmp_path: Path) -> None:
    spec, train = spec_of(table(tmp_path)), np.arange(100)
    groups = np.asarray([f"g{i % 10}" for i in range(100)])
    part = nested(spec.replace({"data.group": "g"}), rows_of(group=groups), train, 0.5, 0)
    assert sorted(np.unique(groups[part], return_counts=True)[1]) == [10] * 5
    times = np.random.default_rng(0).permutation(100)
    part = nested(spec.replace({"data.time": "t"}), rows_of(time=times), train, 0.25, 0)
    assert sorted(times[part]) == list(range(75, 100))


def test_it_belongs_to_tables() -> None:
    with pytest.raises(SpecError, match=r"evidence\.learning_curve"):
        build_spec(
            name="a",
            data={"kind": "prices", "source": "planted"},
            tasks={"f": {"kind": "forecast"}},
            evidence={"learning_curve": True},
        )

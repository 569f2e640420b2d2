"""Labels of a table are checked before any fit: planted errors come first."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

from pellucid.cli.main import main
from pellucid.core.errors import DataError
from pellucid.core.random import stream
from pellucid.data.tables import read_table
from pellucid.runs.labels import suspects


def _iris(share: float) -> tuple[pd.DataFrame, np.ndarray]:
    found, g = load_iris(as_frame=True), stream(0, "iris")
    frame = found.frame.drop(columns="target").assign(case=[f"r{i}" for i in range(150)])
    wrong = np.zeros(150, dtype=bool)
    wrong[g.choice(150, round(150 * share), replace=False)] = True
    codes = np.where(wrong, (found.target + g.integers(1, 3, 150)) % 3, found.target)
    return frame.assign(kind=np.asarray(found.target_names)[codes]), wrong


def test_planted_errors_come_first(tmp_path, capsys):
    frame, wrong = _iris(0.1)
    expected, rows = suspects(read_table(frame, target="kind", id="case"))
    assert wrong[[int(row.key[1:]) for row in rows[:15]]].mean() >= 0.8
    assert 8 <= expected <= 25
    frame.to_csv(tmp_path / "iris.csv", index=False)
    assert main(["check", "labels", str(tmp_path / "iris.csv"), "--target", "kind", "--id", "case", "--top", "3"]) == 0
    said = capsys.readouterr().out
    assert f"of 150 labels about {expected} are likely wrong" in said
    assert said.count("perhaps") == 3


def test_clean_labels_raise_few():
    assert suspects(read_table(_iris(0.0)[0], target="kind", id="case"))[0] <= 6


def test_what_cannot_be_checked_is_told():
    frame, _ = _iris(0.0)
    with pytest.raises(DataError, match="where the target is a class"):
        suspects(read_table(frame, target="sepal length (cm)", id="case"))
    frame.loc[:2, "kind"] = "rare"
    with pytest.raises(DataError, match="'rare' has fewer than 5 rows"):
        suspects(read_table(frame, target="kind", id="case"))

"""A table program keeps its temperature and thresholds: predict, evidence and the stored outputs all see them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pellucid
from pellucid.core.random import stream
from pellucid.report.html import evidence_page
from pellucid.report.markdown import evidence_comment
from pellucid.runs.calibrating import promised, with_interval

QUICK = (
    "train.updates=200",
    "train.early_stop.held_out=null",
    "network.kind=mlp",
    "network.width=32",
    "evidence.folds=3",
    "explain.evaluations=32",
)


def _frame(n: int = 400, seed: int = 0) -> pd.DataFrame:
    g = stream(seed, "calibrating")
    x = g.normal(size=(n, 3))
    z = 1.5 * x[:, 0] + g.logistic(size=n)
    town = g.choice(["a", "b"], n)
    return pd.DataFrame(x, columns=["x", "y", "z"]).assign(town=town, number=z, kind=np.where(z > 0, "yes", "no"))


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    store = tmp_path_factory.mktemp("classes")
    frame = _frame().drop(columns="number")
    on = pellucid.fit(data=frame, target="kind", name="on", store=store, overrides=QUICK)
    task = "tasks={kind: {kind: classify, calibrate: false}}"
    off = pellucid.fit(data=frame, target="kind", name="off", store=store, overrides=(*QUICK, task))
    return on, off


def test_the_temperature_divides_what_the_program_says(classes):
    on, off = classes
    heat = next(iter(on.program.tasks.values())).options["temperature"]
    assert 0.1 < heat < 10
    assert "temperature" not in next(iter(off.program.tasks.values())).options
    new = _frame(50, seed=1)
    assert on.predict(new)["yes"].to_numpy() * heat == pytest.approx(off.predict(new)["yes"].to_numpy(), rel=1e-5)


def test_evidence_holds_calibration_slices_and_curves(classes):
    on, off = classes
    extra = on.evidence["tasks"][0]["extra"]
    assert extra["calibration"]["error"] < 0.13  # 320 rows: by chance alone about 0.08
    assert extra["calibration"]["null_mean"] < extra["calibration"]["null_high"]
    assert extra["slices"]["looked_at"] > 10
    assert extra["slices"]["found"][0]["name"].startswith("x in [")  # where the classes meet
    assert sum(map(sum, extra["confusion"]["counts"])) == on.evidence["tasks"][0]["n"]
    assert extra["roc"]["low"] < extra["roc"]["area"] < extra["roc"]["high"]
    assert extra["conformal"]["low"] < 0.9 < extra["conformal"]["high"]
    assert on.evidence["tasks"][0]["value"] <= off.evidence["tasks"][0]["value"] + 0.01


def test_pages_show_them(classes):
    page, comment = evidence_page(classes[0].evidence), evidence_comment(classes[0].evidence)
    for word in ("Confusion.", "ROC curve of yes", "calibration error", "worst slice: x in ["):
        assert word in page
    assert "calibration error" in comment
    assert "<summary>Confusion</summary>" in comment


def test_sets_and_intervals_hold_what_they_promise(classes, tmp_path):
    new = _frame(2000, seed=2)
    said = classes[0].predict(new, interval=0.9)
    held = [y in s.split("|") for y, s in zip(new["kind"], said["set"], strict=True)]
    assert 0.84 < np.mean(held) < 0.96
    program = pellucid.fit(
        data=_frame().drop(columns="kind"), target="number", name="number", store=tmp_path, overrides=QUICK
    )
    said = program.predict(new, interval=0.8)
    assert 0.73 < ((said["low"] <= new["number"]) & (new["number"] <= said["high"])).mean() < 0.87
    bins = program.evidence["tasks"][0]["extra"]["residuals"]["bins"]
    assert sum(b["n"] for b in bins) == program.evidence["tasks"][0]["n"]
    with pytest.raises(pellucid.DataError, match=r"no intervals of 0.77"):
        program.predict(new, interval=0.77)


def test_sensitive_fields_are_judged(tmp_path):
    frame = _frame().drop(columns="number")
    more = (*QUICK, "data.sensitive=[town]")
    program = pellucid.fit(data=frame, target="kind", name="fair", store=tmp_path, overrides=more)
    (town,) = program.evidence["tasks"][0]["extra"]["fairness"]
    assert sorted(group["name"] for group in town["groups"]) == ["town = a", "town = b"]
    assert [gap["name"] for gap in town["gaps"]] == ["selection", "equalised odds", "calibration"]
    assert 0 <= town["effect"] < 0.5
    assert "Groups of town" in evidence_page(program.evidence)
    with pytest.raises(pellucid.SpecError, match="'twon' is no input"):
        pellucid.fit(data=frame, target="kind", name="x", store=tmp_path, overrides=(*QUICK, "data.sensitive=[twon]"))


def test_a_larger_threshold_gives_larger_sets(classes):
    task = next(iter(classes[0].program.tasks.values()))
    assert promised(task, 0.5) < promised(task, 0.95)
    z = np.array([[0.0], [9.0]])
    assert with_interval(task, z, 0.95)["set"] == ["no|yes", "yes"]

"""Labels, orders, quantiles and distributions end to end: fit, judge, predict, explain, diff, report."""

import numpy as np
import pandas as pd
import pytest

from pellucid.assemble import problem
from pellucid.cli.main import main
from pellucid.core.errors import DataError, SpecError
from pellucid.handle import LearnedProgram
from pellucid.report.markdown import diff_comment
from pellucid.runs.diffing import diff_versions
from pellucid.runs.fit import fit
from pellucid.runs.pages import report
from pellucid.spec.loader import spec_from
from pellucid.store.store import Store

ORDER = ["low", "mid", "high"]
FORMS = {
    "multilabel": {"kind": "multilabel"},
    "ordinal": {"kind": "ordinal", "order": ORDER},
    "quantiles": {"kind": "regress", "quantiles": [0.1, 0.5, 0.9]},
    "normal": {"kind": "regress", "distribution": "normal"},
    "student": {"kind": "regress", "distribution": "student"},
    "lognormal": {"kind": "regress", "distribution": "lognormal"},
}


def table(form: str, n: int = 240) -> pd.DataFrame:
    g = np.random.default_rng(0)
    x = g.standard_normal((n, 3))
    score = 2 * x[:, 0] + 0.5 * g.standard_normal(n)
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    if form == "multilabel":
        return frame.assign(y=[[w for w, on in zip("pq", (s > 0, s < 0.5), strict=True) if on] for s in score])
    if form == "ordinal":
        return frame.assign(y=np.asarray(ORDER)[np.digitize(score, [-1, 1])])
    return frame.assign(y=np.exp(score / 4) if form == "lognormal" else 5 + score)


def spec(form: str, **changes: object):
    raw = {
        "name": "t",
        "data": {"kind": "table", "source": "dataframe", "target": "y"},
        "tasks": {"t": FORMS[form]},
        "network": {"kind": "ensemble", "width": 16, "depth": 2, "members": 4, "pieces": 8},
        "train": {"updates": 40, "early_stop": {"held_out": 0.2}},
        "evidence": {"folds": 2},
        "explain": {"background": 8, "evaluations": 16},
    }
    return spec_from(raw, where="test").replace(changes)


QUICK = ("multilabel", "ordinal")


@pytest.mark.parametrize("form", [f if f in QUICK else pytest.param(f, marks=pytest.mark.slow) for f in FORMS])
def test_from_the_spec_to_the_diff(form, tmp_path):
    frame, store = table(form), Store(tmp_path / "store", create=True)
    handle = LearnedProgram(store, fit(spec(form), store, source=frame).ref)
    (entry,) = handle.evidence["tasks"]
    assert entry["skill"], entry["sentence"]
    assert {"naive", "model"} == {b["role"] for b in entry["baselines"]}
    assert all(c["passed"] for c in handle.evidence["sanity"]), handle.evidence["sanity"]
    extra = entry["extra"]
    assert 0.8 <= extra["conformal"]["coverage"] <= 1
    assert extra["calibration"]["error"] < extra["calibration"]["null_high"] + 0.1
    inputs = frame.drop(columns="y")
    said = handle.predict(inputs, interval=0.8)
    if form == "multilabel":
        held = [set(row) <= set(text.split("|")) for row, text in zip(frame.y, said["set"], strict=True)]
    elif form == "ordinal":
        held = [word in text.split("|") for word, text in zip(frame.y, said["set"], strict=True)]
    else:
        held = said.low.le(frame.y) & frame.y.le(said.high)
        assert (said.low < said.high).all()
    assert 0.7 <= np.mean(held) <= 0.95
    if form == "quantiles":
        assert (np.diff(said[["q10", "q50", "q90"]]) > 0).all()
    explained = handle.explain(inputs.head(2))
    np.testing.assert_allclose(explained.residual, 0, atol=1e-4)
    assert explained.outputs == handle.program.task("t").outputs
    again = fit(spec(form, **{"train.lr": 0.01}), store, source=frame)
    found = diff_versions(store, handle.ref, again.ref)
    assert found["tasks"][0]["n"] == 48
    assert "None" not in diff_comment(found)
    page = report(store, again.ref, source=frame)
    assert "Reliability" in page
    assert ("label by label" in page) == (form == "multilabel")


def test_columns_of_labels_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    frame = table("multilabel")
    frame.assign(p=[int("p" in row) for row in frame.y], q=[int("q" in row) for row in frame.y]).drop(
        columns="y"
    ).to_csv("films.csv", index=False)
    small = ["network.members=4", "network.width=16", "train.updates=20", "evidence.folds=2", "explain.evaluations=16"]
    sets = [word for pair in small for word in ("--set", pair)]
    assert main(["fit", "--data", "films.csv", "--target", "p", "--target", "q", "--quiet", *sets]) == 0
    said = capsys.readouterr().out
    assert "log loss, mean over labels" in said
    assert "Wrong labels, share" in said
    assert main(["check", "data", "films.csv", "--target", "p"]) in (0, 1)


def test_what_does_not_fit_together_is_told():
    with pytest.raises(SpecError, match="classify with 2 targets"):
        spec("ordinal", **{"data.target": ["a", "b"], "tasks.t": {"kind": "classify"}})
    with pytest.raises(SpecError, match="a distribution beside quantiles"):
        spec("normal", **{"tasks.t.quantiles": [0.5]})
    with pytest.raises(SpecError, match=r"data\.target: got"):
        spec("normal", **{"data.target": ["a"]})
    with pytest.raises(SpecError, match="a word twice"):
        spec("ordinal", **{"tasks.t.order": ["a", "a"]})


def test_a_lognormal_needs_numbers_above_zero(tmp_path):
    with pytest.raises(DataError, match="targets are not above zero"):
        fit(spec("lognormal"), Store(tmp_path / "store", create=True), source=table("normal").assign(y=lambda f: f.a))


def test_several_targets_without_a_task_are_labels():
    frame = pd.DataFrame({"a": np.arange(20.0), "p": [0, 1] * 10, "q": [1, 1, 0, 0] * 5})
    raw = {"name": "t", "data": {"kind": "table", "source": "dataframe", "target": ["p", "q"]}}
    made = problem(spec_from(raw, where="test"), frame)
    assert (made.target_kind, made.classes, list(made.spec.tasks)) == ("multilabel", ("p", "q"), ["labels"])

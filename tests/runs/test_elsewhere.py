"""Evidence on rows that a person gives: the figures of a table, with baselines or, without their rows, without."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from pellucid.cli.main import main
from pellucid.entrance import fit, wrap
from pellucid.report.markdown import evidence_comment
from pellucid.runs.judge import judge_elsewhere
from pellucid.store.store import Store
from tiny_programs import leaky

FIGURES = {"calibration", "reliability", "confusion", "roc", "precision_recall", "slices", "conformal"}


def test_new_rows_get_the_figures_of_a_table(bank: Any) -> None:
    entry = bank.store.resolve("bank")
    fresh = leaky(400, seed=7)
    found = judge_elsewhere(bank.store, entry, fresh)
    (task,) = found["tasks"]
    assert set(task["extra"]) >= FIGURES
    counts = np.asarray(task["extra"]["confusion"]["counts"])
    assert counts.sum() == task["n"] == 400
    cover = task["extra"]["conformal"]
    assert cover["level"] == 0.9
    assert cover["low"] <= cover["coverage"] <= cover["high"]
    assert cover["coverage"] > 0.8  # the sets of the version hold on rows of the same kind
    assert "| true |" in evidence_comment(found)


def test_sensitive_fields_are_compared_on_new_rows_too(bank: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pellucid.runs import judge

    spec = judge.load_spec(bank.store, bank.store.resolve("bank")).replace({"data.sensitive": ["b"]})
    monkeypatch.setattr(judge, "load_spec", lambda *args: spec)
    found = judge_elsewhere(bank.store, bank.store.resolve("bank"), leaky(200, seed=7))
    assert [one["field"] for one in found["tasks"][0]["extra"]["fairness"]] == ["b"]


def test_without_the_training_rows_there_are_no_baselines_and_no_verdict(tmp_path: Any) -> None:
    few = ["train.updates=60", "evidence.folds=2", "explain.evaluations=32", "network.width=8"]
    program = fit(data=leaky(200), target="y", name="memory", store=tmp_path / "store", overrides=few)
    fresh = leaky(150, seed=8)
    fresh.to_csv(tmp_path / "new.csv", index=False)
    found = judge_elsewhere(program.store, program.entry, str(tmp_path / "new.csv"))
    (task,) = found["tasks"]
    assert (task["n"], task["baselines"], task["verdict"], task["skill"]) == (150, [], "undecided", False)
    assert task["low"] < task["value"] < task["high"]
    assert set(task["extra"]) >= FIGURES
    assert "nothing is said of skill" in task["sentence"]
    assert any("not kept" in note for note in found["notes"])
    again = judge_elsewhere(program.store, program.entry, leaky(200))  # its own rows are known by their keys
    assert any("were touched by its training" in note for note in again["notes"])
    json.dumps(found, allow_nan=False)
    assert main(["evaluate", "memory", "--data", str(tmp_path / "new.csv"), "--store", str(tmp_path / "store")]) == 0


def test_a_lost_file_is_no_reason_not_to_judge(bank: Any) -> None:
    (bank.folder / "bank.csv").unlink()
    found = judge_elsewhere(bank.store, bank.store.resolve("bank"), leaky(100, seed=7))
    assert found["tasks"][0]["baselines"] == []
    assert any(note.startswith("no baselines") for note in found["notes"])


def test_a_wrapped_program_gets_them_as_well() -> None:
    frame = leaky(200, seed=3)
    model = wrap(
        lambda x: np.stack([1 / (1 + np.exp(x[:, 0])), 1 / (1 + np.exp(-x[:, 0]))], 1),
        inputs=["a", "b"],
        kind="classify",
        outputs=["no", "yes"],
        name="theirs",
    )
    entry = model.evaluate(frame, "y")
    assert set(entry["extra"]) >= FIGURES - {"conformal"}
    assert np.asarray(entry["extra"]["confusion"]["counts"]).sum() == 200
    numbers = wrap(lambda x: 3 * x[:, 0], inputs=["a"])
    assert "residuals" in numbers.evaluate(frame.assign(pay=3 * frame["a"] + frame["b"]), "pay")["extra"]


def test_the_card_is_written_from_what_the_store_holds(bank: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pellucid.runs.pages import card

    (bank.folder / "bank.csv").unlink()  # nothing is read anew
    first = card(bank.store, "bank@1")
    assert first == card(bank.store, "bank@1")
    evidence = bank.store.blobs.get_json(bank.store.resolve("bank@1").manifest["blobs"]["evidence"])
    assert evidence_comment({**evidence, "trials": 1, "looks": 0}).splitlines()[0] in first
    heads = [line for line in first.splitlines() if line.startswith("## ")]
    wanted = ["What it is for", "Data", "How good it is", "Limits", "Where it comes from"]
    assert heads == [f"## {head}" for head in wanted]
    assert "fairness: no sensitive field is declared" in first
    assert "Looks at what is set aside | 0" in first
    Store(bank.store.root).look("bank", "a test")
    assert "Looks at what is set aside | 1" in card(bank.store, "bank@1")
    monkeypatch.chdir(bank.folder)
    assert main(["report", "bank", "--card", "card.md", "--store", str(bank.store.root)]) == 0
    assert (bank.folder / "card.md").read_text() == card(bank.store, "bank@1")

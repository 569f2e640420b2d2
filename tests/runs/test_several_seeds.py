"""`pellucid seeds`: every seed is fitted once, counted and shown; one figure over all, whatever is interrupted."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pellucid.cli.main import main
from pellucid.core.errors import Interrupted
from pellucid.evidence.policy import aggregate
from pellucid.runs import seeds as module
from pellucid.runs.seeds import fit_seeds
from pellucid.spec.presets import env_spec
from pellucid.store.store import Store
from tiny_programs import bank_spec, leaky

FEW = (
    "evidence.episodes=15",
    "explain.evaluations=32",
    "explain.background=16",
    "tasks.policy.q_learning.steps=10000",
)


def lake():
    return env_spec("FrozenLake-v1", name="lake", algorithm="q_learning", overrides=FEW)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("seeds"))
    return store, fit_seeds(lake(), store, [0, 1, 7])


def returns_of(store: Store, ref: str) -> np.ndarray:
    table = store.blobs.get_table(store.resolve(ref).manifest["blobs"]["outputs/policy"])
    return table["out:return"].to_numpy()


def test_every_seed_is_there_and_counted(three):
    store, evidence = three
    task = evidence["tasks"][0]
    assert evidence["seeds"] == [0, 1, 7] == [one["seed"] for one in task["seeds"]]
    assert evidence["trials"] == 3 == store.trials("lake")
    assert evidence["looks"] == 1 == store.looks("lake")
    assert [one["ref"][:5] for one in task["seeds"]] == ["lake@", "lake~", "lake~"]
    assert store.resolve(task["seeds"][2]["ref"]).manifest["provenance"]["seed"] == 7


def test_the_figure_is_that_of_all_seeds_on_the_same_episodes(three):
    store, evidence = three
    task = evidence["tasks"][0]
    returns = np.stack([returns_of(store, one["ref"]) for one in task["seeds"]])
    assert len({tuple(row) for row in returns}) > 1  # the fits differ
    found = aggregate(returns)
    assert (task["value"], task["low"], task["high"]) == (-found.value, -found.high, -found.low)
    assert (task["statistic"], task["n"], task["episodes"]) == ("mean", 3, 15)
    for one, row in zip(task["seeds"], returns, strict=True):
        assert one["value"] == pytest.approx(-row.mean())
    for baseline in task["baselines"]:
        assert baseline["low"] is not None
        assert baseline["difference"] == pytest.approx(task["value"] - baseline["value"], abs=1e-12)


def test_again_trains_nothing(three, monkeypatch):
    store, evidence = three

    def refused(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(module, "fit", refused)
    again = fit_seeds(lake(), store, [0, 1, 7])
    assert {**again, "looks": 1} == evidence
    assert again["looks"] == 2
    with pytest.raises(AssertionError, match="trained again"):
        fit_seeds(lake().replace({"tasks.policy.q_learning.steps": 10001}), store, [0, 1])


def test_interrupted_it_goes_on_with_the_seed_that_is_missing(tmp_path, monkeypatch):
    store, asked, real = Store(tmp_path), [], module.fit

    def once(spec, *args, **options):
        asked.append(spec.seed)
        if asked == [0, 1]:
            raise Interrupted("interrupted", where="fit", mend="again")
        return real(spec, *args, **options)

    monkeypatch.setattr(module, "fit", once)
    with pytest.raises(Interrupted):
        fit_seeds(lake(), store, [0, 1])
    assert len(fit_seeds(lake(), store, [0, 1])["seeds"]) == 2
    assert asked == [0, 1, 1]


def test_rows_have_a_figure_a_seed(tmp_path):
    leaky().to_csv(tmp_path / "bank.csv", index=False)
    spec = bank_spec().within(tmp_path).replace({"train.updates": 20, "evidence.folds": 2})
    task = fit_seeds(spec.within(tmp_path), Store(tmp_path / "store"), [0, 1])["tasks"][0]
    assert task["value"] == pytest.approx(np.mean([one["value"] for one in task["seeds"]]))
    assert {b["name"] for b in task["baselines"]} >= {"majority", "linear"}


def test_the_command_prints_every_seed_and_writes_pages(three, tmp_path, capsys):
    store, evidence = three
    words = ["seeds", "--env", "FrozenLake-v1", "--algorithm", "q_learning", "--name", "lake", "--seeds", "0,1,7"]
    words += [f"--set={change}" for change in FEW] + ["--store", str(store.root), "--quiet"]
    page, comment = tmp_path / "page.html", tmp_path / "comment.md"
    assert main([*words, "--html", str(page), "--markdown", str(comment)]) == 0
    told = capsys.readouterr().out
    for text in (told, page.read_text(), comment.read_text()):
        assert all(one["ref"] in text for one in evidence["tasks"][0]["seeds"])
        assert "3 seeds, mean" in text
    assert "Student" in told
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tasks"] == evidence["tasks"]


@pytest.mark.parametrize("wrong", ["0", "0,0", "3-1", "a-b", "", "0-2,1"])
def test_seeds_that_are_none_are_refused(wrong, capsys):
    assert main(["seeds", "--env", "FrozenLake-v1", "--seeds", wrong]) == 2
    assert "at least two seeds" in capsys.readouterr().err

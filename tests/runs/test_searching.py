"""A search on tables where the truth is planted: it finds what is there, says when nothing is, and counts its tries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pellucid.cli.main import main
from pellucid.core.errors import DataError, Interrupted, SpecError
from pellucid.runs import searching
from pellucid.runs.progress import Silent
from pellucid.runs.searching import fit_chosen, journal_file, run_search, write_spec
from pellucid.runs.splitting import split
from pellucid.runs.trying import Bench, Parts, parts_of
from pellucid.search import Trial
from pellucid.spec.loader import build_spec, load_spec
from pellucid.spec.model import Spec
from pellucid.store.store import Store
from planted_table import pressed_after, table

SPACE: dict[str, Any] = {"train.lr": {"low": 1e-5, "high": 1e-1, "log": True}, "train.batch": {"choices": [32, 64]}}


def spec_of(file: Path, *, lr: float = 1e-5, **search: Any) -> Spec:
    return build_spec(
        name="found",
        data={"kind": "table", "source": str(file), "target": "y"},
        network={"width": 8, "depth": 1},
        train={"updates": 40, "lr": lr, "batch": 64},
        evidence={"folds": 2},
        explain={"background": 8, "evaluations": 40},
        search={"space": SPACE, "trials": 8, **search},
    )


def run(spec: Spec, folder: Path, **rest: Any) -> searching.Searched:
    return run_search(spec, Store(folder), reporter=Silent(), **rest)


def test_on_a_planted_table_it_beats_a_bad_default(tmp_path: Path) -> None:
    done = run(spec_of(table(tmp_path)), tmp_path / "store")
    found = done.found
    assert found["confirm"]["verdict"] == "better"
    assert found["confirm"]["high"] < 0
    assert found["taken"] == found["best"] > 0
    assert done.spec.train.lr == found["trials"][found["best"]]["params"]["train.lr"] > 1e-3
    assert done.spec.search is None
    assert "is better than the spec as it stands" in found["sentence"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_where_nothing_is_to_be_found_nothing_is_claimed(seed: int, tmp_path: Path) -> None:
    done = run(spec_of(table(tmp_path, truth=False)).replace({"seed": seed}), tmp_path / "store")
    confirmed = done.found["confirm"]
    assert confirmed is None or confirmed["verdict"] != "better"
    assert "is better than" not in done.found["sentence"]
    assert (done.found["taken"] > 0) == bool(confirmed and confirmed["change"] < 0)


def test_a_constant_objective_finds_nothing_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bench, "losses", lambda *args: np.ones(50))
    spec = spec_of(table(tmp_path))
    done = run(spec, tmp_path / "store")
    assert (done.found["best"], done.found["taken"], done.found["confirm"]) == (0, 0, None)
    assert "nothing found" in done.found["sentence"]
    assert done.spec.sha() == spec.replace({"search": None}).replace({"tasks.y": {"kind": "classify"}}).sha()


def test_a_good_default_is_kept_or_beaten_by_rows_that_no_choice_had_seen(tmp_path: Path) -> None:
    done = run(spec_of(table(tmp_path), lr=0.05), tmp_path / "store")
    confirmed = done.found["confirm"]
    if confirmed is None or confirmed["change"] >= 0:
        assert done.spec.train.lr == 0.05
    else:
        assert done.spec.train.lr != 0.05


def test_the_same_seed_gives_the_same_search_and_another_seed_another(tmp_path: Path) -> None:
    spec = spec_of(table(tmp_path))
    first, again = (run(spec, tmp_path / name).found for name in ("a", "b"))
    assert json.dumps(first) == json.dumps(again)
    other = run(spec.replace({"seed": 1}), tmp_path / "c").found
    assert [t["params"] for t in other["trials"][1:]] != [t["params"] for t in first["trials"][1:]]


def test_resumed_equals_uninterrupted_and_every_trial_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(table(tmp_path), pruner="hyperband")
    whole = run(spec, tmp_path / "a").found
    for asked in (30, 100, 60):  # the interruptions come in different trials
        with monkeypatch.context() as patch:
            patch.setattr(searching, "interruptible", lambda asked=asked: pressed_after(asked))
            with pytest.raises(Interrupted, match=r"given up|interrupted"):
                run(spec, tmp_path / "b", resume=True)
    done = run(spec, tmp_path / "b", resume=True)
    assert json.dumps(done.found) == json.dumps(whole)
    assert Store(tmp_path / "b").trials("found") == Store(tmp_path / "a").trials("found") == 8
    with pytest.raises(DataError, match="another spec"):
        run(spec.replace({"train.updates": 41}), tmp_path / "b", resume=True)


def test_more_trials_go_on_where_fewer_ended(tmp_path: Path) -> None:
    spec = spec_of(table(tmp_path), trials=4)
    few = run(spec, tmp_path / "a").found["trials"]
    more = run(spec.replace({"search.trials": 6}), tmp_path / "a", resume=True).found["trials"]
    assert more[:4] == few
    assert len(more) == 6


def test_the_review_rows_take_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is trained on, chosen by and confirmed on is disjoint, and none of it is set aside for reviews."""
    spec = spec_of(table(tmp_path), trials=2)
    seen: list[Parts] = []
    monkeypatch.setattr(searching, "parts_of", lambda *args: seen.append(parts_of(*args)) or seen[-1])
    store = Store(tmp_path / "store")
    done = run_search(spec, store, reporter=Silent())
    fitted = fit_chosen(done, store, reporter=Silent())
    prob, _ = searching._problem(spec, None, store, Silent())
    assert prob.rows is not None
    parts = seen[0]
    assert parts.train is not None
    assert parts.choose is not None
    assert parts.confirm is not None
    groups = [set(prob.rows.keys[parts.train]), set(parts.choose.keys), set(parts.confirm.keys)]
    review = set(store.review_keys("found") or ())
    assert len(review) == 100
    groups.append(review)
    assert sum(map(len, groups)) == len(set().union(*groups)) == 500
    assert set(prob.rows.keys[split(prob, store).train]) == set().union(*groups[:3])
    assert fitted.accepted


def test_by_group_and_by_time_the_parts_are_divided_as_the_spec_divides(tmp_path: Path) -> None:
    frame = pd.read_csv(table(tmp_path))
    frame["who"], frame["day"] = np.arange(500) % 25, pd.date_range("2020-01-01", periods=500).astype(str)
    frame.to_csv(tmp_path / "table.csv", index=False)
    for key, column in (("group", "who"), ("time", "day")):
        spec = spec_of(tmp_path / "table.csv", trials=1).replace({f"data.{key}": column})
        store = Store(tmp_path / key)
        prob, asked = searching._problem(spec, None, store, Silent())
        parts = parts_of(prob, asked, store)
        assert prob.rows is not None
        assert parts.choose is not None
        assert parts.confirm is not None
        train = prob.rows.take(parts.train)  # type: ignore[arg-type]
        values = [set(rows.extra[key].tolist()) for rows in (train, parts.choose, parts.confirm)]
        assert sum(map(len, values)) == len(set().union(*values))
        if key == "time":
            assert max(values[0]) < min(values[1])
            assert max(values[1]) < min(values[2])


def test_the_best_is_fitted_as_any_other_and_the_evidence_tells_of_the_search(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    done = run_search(spec_of(table(tmp_path)), store, reporter=Silent())
    fitted = fit_chosen(done, store, reporter=Silent())
    assert fitted.ref == "found@1"
    assert store.trials("found") == 9  # eight settings, and the fit
    kept = store.blobs.get_json(store.resolve("found@1").manifest["blobs"]["evidence"])
    assert kept["search"] == json.loads(json.dumps(done.found))
    assert any("settings were chosen by rows" in note for note in kept["notes"])
    assert not journal_file(store, "found").exists()
    write_spec(done.spec, tmp_path / "best.yaml")
    assert (
        load_spec(tmp_path / "best.yaml").within(done.spec.folder).replace({"data.source": done.spec.data.source}).sha()
        == done.spec.sha()
    )  # type: ignore[union-attr]


def test_all_trials_that_fail_are_an_error(tmp_path: Path) -> None:
    spec = spec_of(table(tmp_path), trials=2, space={"train.lr": {"low": 1e30, "high": 1e35, "log": True}}, lr=1e30)
    with pytest.raises(DataError, match="none of 2 trials ended well"):
        run(spec.replace({"train.optimiser": "sgd", "train.clip": None}), tmp_path / "store")


def test_settings_that_do_not_go_together_are_a_failed_trial(tmp_path: Path) -> None:
    spec = build_spec(
        name="found",
        tasks={"p": {"kind": "control", "env": "CartPole-v1", "ppo": {"num_envs": 4, "steps": 8, "minibatch": 16}}},
        network={"width": 8, "depth": 1},
        train={"updates": 6},
        evidence={"episodes": 10},
        search={
            "space": {"tasks.p.ppo.minibatch": {"choices": [16, 64]}, "train.lr": {"low": 1e-4, "high": 1e-2}},
            "trials": 6,
            "sampler": "random",
        },
    )
    found = run(spec, tmp_path / "store").found
    states = {t["params"]["tasks.p.ppo.minibatch"]: t for t in found["trials"]}
    assert states[64]["state"] == "failed"
    assert "at most num_envs * steps" in states[64]["why"]
    assert states[16]["state"] == "done"
    assert found["rows"] == {"train": 0, "choose": 10, "confirm": 10}


def test_a_spec_without_ranges_and_a_solved_table_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="nothing of what to search"):
        run(spec_of(table(tmp_path)).replace({"search": None}), tmp_path / "store")
    lake = build_spec(
        name="lake",
        tasks={"p": {"kind": "control", "env": "FrozenLake-v1", "algorithm": "value_iteration"}},
        search={"space": {"train.lr": {"low": 1e-4, "high": 1e-2}}},
    )
    with pytest.raises(SpecError, match="solved"):
        run(lake, tmp_path / "store")


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    table(tmp_path)
    write_spec(spec_of(Path("table.csv")).within(tmp_path), tmp_path / "s.yaml")
    assert main(["search", "s.yaml", "--no-fit", "--quiet", "--set", "search.trials=3", "--out", "b.yaml"]) == 0
    out = capsys.readouterr().out
    assert "search for y: 3 settings" in out
    assert "Next: pellucid fit b.yaml" in out
    assert load_spec("b.yaml").search is None
    assert main(["search", "s.yaml", "--json", "--quiet"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ref"] == "found@1"
    assert told["evidence"]["trials"] == 9
    assert main(["report", "found", "--html", "r.html", "--quiet"]) == 0
    page = Path("r.html").read_text()
    assert 'id="search"' in page
    assert "the least loss is" in page
    assert main(["fit", "s.yaml", "--name", "plain"]) == 0
    assert "ranges are not searched" in capsys.readouterr().err


def test_a_trial_is_json_and_back() -> None:
    trial = Trial(3, {"train.lr": 0.1}, "pruned", (0.5, 0.4), "why", 1.5, {"completed_rung_0": 0.4})
    assert Trial.from_json(json.loads(json.dumps(trial.to_json()))) == trial

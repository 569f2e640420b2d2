"""Diffs of stored versions: reviewed once, the same bytes for ever, and what the command line says of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pandas as pd
import pytest

from pellucid.cli.main import main
from pellucid.core.errors import SpecError, UnknownVersion
from pellucid.review.sides import side
from pellucid.runs.artefact import load_program
from pellucid.runs.diffing import diff_versions
from pellucid.runs.fit import fit
from pellucid.store.store import Store
from tiny_programs import bank_spec, leaky


@pytest.fixture
def pair(bank):
    """bank@1 and a candidate of another seed."""
    done = fit(bank_spec(seed=1).within(bank.folder), bank.store)
    return bank, done.ref


def dumped(home, *words, seed=None):
    env = {**os.environ, "PYTHONHASHSEED": str(seed), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pellucid.cli.main", "diff", *words, "--json", *home.flag]
    return subprocess.run(command, capture_output=True, env=env, check=False, cwd=home.folder).stdout


def test_the_same_bytes_on_repetition_and_in_another_process(pair):
    home, candidate = pair
    first = json.dumps(diff_versions(home.store, "bank@1", candidate), sort_keys=True)
    assert json.dumps(diff_versions(home.store, "bank@1", candidate), sort_keys=True) == first
    elsewhere = dumped(home, "bank@1", candidate, seed=1)  # this process has another seed of its own
    assert json.dumps(json.loads(elsewhere), sort_keys=True) == first
    assert home.store.looks("bank") == 3


def test_the_reviewed_diff_is_recorded(pair):
    home, candidate = pair
    store = home.store
    assert store.resolve(candidate).diff is None
    diff_versions(store, "bank@1", candidate, record=False)
    assert store.resolve(candidate).diff is None
    found = diff_versions(store, "bank@1", candidate)
    recorded = store.blobs.get_json(store.resolve(candidate).diff)
    assert json.dumps(recorded, sort_keys=True) == json.dumps(found, sort_keys=True)
    sha = store.resolve(candidate).diff
    diff_versions(store, candidate, "bank@1")  # the other way round is nobody's review
    assert store.resolve(candidate).diff == sha
    assert store.looks("bank") == 3
    assert [event.kind for event in store.log("bank")].count("looked") == 3


def test_a_diff_against_another_version_is_no_review(pair):
    """Its claim is about its parent."""
    home, candidate = pair
    store = home.store
    table = store.blobs.get_table(store.resolve("bank@1").manifest["blobs"]["outputs/y"])
    other = propose(store, outputs=table.assign(loss=table["loss"] * 0.5))
    store.accept(other, because="another one")
    diff_versions(store, "bank@2", candidate)
    assert store.resolve(candidate).diff is None
    diff_versions(store, "bank@1", candidate)
    assert store.resolve(candidate).diff is not None


def test_a_side_reads_what_the_version_kept(bank):
    store = bank.store
    entry = store.resolve("bank@1")
    found = side(store, entry)
    assert (found.ref, found.sha) == ("bank@1", entry.sha)
    assert len(found.touched) == 240
    assert not found.touched & set(store.review_keys("bank"))
    assert found.parameters["share"] == 1.0
    assert found.provenance["seed"] == 0
    assert set(found.attribution["y"]["players"]) == {"a", "b", "leak", "city"}
    assert load_program(store, entry).tasks["y"] == found.tasks["y"]


def propose(store, *, outputs=None, touched=None, parent="bank@1"):
    """A candidate like bank@1 with other outputs or other touched rows."""
    manifest = json.loads(json.dumps(store.resolve("bank@1").manifest))
    blobs = manifest["blobs"]
    if outputs is not None:
        blobs["outputs/y"] = store.blobs.put_table(outputs)
    if touched is not None:
        blobs["touched"] = store.blobs.put_table(pd.DataFrame({"key": sorted(touched)}))
    return store.propose("bank", manifest, parent=parent, kind="fit", because="made by hand", claim={})


def test_an_overlapping_training_window_is_contaminated(bank):
    """A version that was trained on review rows elsewhere: they do not count, whatever it says there."""
    store = bank.store
    table = store.blobs.get_table(store.resolve("bank@1").manifest["blobs"]["outputs/y"])
    better = table.assign(loss=table["loss"] * 0.5)
    keys = set(store.review_keys("bank"))
    some = set(sorted(keys)[:20])
    found = diff_versions(store, "bank@1", propose(store, outputs=better, touched=some))
    assert found["contaminated"] == 20
    assert found["tasks"][0]["n"] == 40
    assert any(note.startswith("contaminated: 20 review rows") for note in found["notes"])
    candidate = propose(store, outputs=better.assign(loss=0.0), touched=keys)
    found = diff_versions(store, "bank@1", candidate)
    assert (found["contaminated"], found["verdict"]) == (60, "undecided")
    assert main(["diff", "bank@1", candidate, *bank.flag]) == 3


@pytest.mark.parametrize(("factor", "verdict", "code"), [
    (0.5, "better", 0),
    (1.0001, "equivalent", 0),
    (2.0, "worse", 1),
])  # fmt: skip
def test_exit_codes(bank, capsys, factor, verdict, code):
    store = bank.store
    table = store.blobs.get_table(store.resolve("bank@1").manifest["blobs"]["outputs/y"])
    candidate = propose(store, outputs=table.assign(loss=table["loss"] * factor))
    assert main(["diff", "bank@1", candidate, *bank.flag]) == code
    assert main(["diff", "bank@1", candidate, "--json", *bank.flag]) == code
    assert f'"verdict": "{verdict}"' in capsys.readouterr().out


def test_usage_and_data_errors_are_2(bank, capsys):
    store = bank.store
    assert main(["diff", "bank@1", "bank@1", *bank.flag]) == 0
    assert main(["diff", "bank@1", "bank@7", *bank.flag]) == 2
    assert "no version bank@7" in capsys.readouterr().err
    table = store.blobs.get_table(store.resolve("bank@1").manifest["blobs"]["outputs/y"])
    flipped = table["y"].map({"yes": "no", "no": "yes"})
    changed = propose(store, outputs=table.assign(y=table["y"].where(table.index != 3, flipped)))
    assert main(["diff", "bank@1", changed, *bank.flag]) == 2
    assert "another target" in capsys.readouterr().err
    twice = propose(store, outputs=pd.concat([table, table[:1]]))
    assert main(["diff", "bank@1", twice, *bank.flag]) == 2
    assert f"hold the key '{table['key'][0]}' more than once" in capsys.readouterr().err
    with pytest.raises(UnknownVersion):
        diff_versions(store, "bank@1", "nothing@1")


def test_shuffled_and_appended_data_give_the_identical_tasks(bank):
    """The same rows in another order, with others beside them, and the same weights: nothing differs."""
    store = bank.store
    leaky().sample(frac=1.0, random_state=3).to_csv(bank.folder / "bank.csv", index=False)
    done = fit(bank_spec(**{"train.updates": 1}).within(bank.folder), store)
    leaky().to_csv(bank.folder / "bank.csv", index=False)
    straight = fit(bank_spec(**{"train.updates": 1}).within(bank.folder), store)
    a, b = (
        store.blobs.get_table(store.resolve(ref).manifest["blobs"]["outputs/y"]) for ref in (done.ref, straight.ref)
    )
    assert a["key"].tolist() != b["key"].tolist()
    assert sorted(a["key"]) == sorted(b["key"])
    twin = propose(store, outputs=b.sample(frac=1.0, random_state=4))
    one, other = diff_versions(store, "bank@1", straight.ref), diff_versions(store, "bank@1", twin)
    assert json.dumps(one["tasks"][0]["flips"]) == json.dumps(other["tasks"][0]["flips"])
    assert one["tasks"][0]["low"] == other["tasks"][0]["low"]


def test_a_new_class_on_one_side(bank):
    store = bank.store
    more = leaky(60, seed=8).assign(y="late")
    pd.concat([leaky(), more]).to_csv(bank.folder / "bank.csv", index=False)
    done = fit(bank_spec().within(bank.folder), store)
    found = diff_versions(store, "bank@1", done.ref)
    assert found["notes"] == [f"task 'y': class 'late' in {done.ref} only"]
    entry = found["tasks"][0]
    assert entry["n"] == 60
    assert entry["flips"]["mcnemar_p"] is not None


def test_a_renamed_task_is_refused_before_it_is_learned(bank):
    renamed = bank_spec(tasks={"settled": {"kind": "classify"}})
    with pytest.raises(SpecError, match="'bank' learns y; this spec learns settled"):
        fit(renamed.within(bank.folder), bank.store)
    assert len(bank.store.candidates("bank")) == 0


def test_a_renamed_column_is_told(bank, tmp_path):
    """With an id the rows stay the same rows; what the explanations are about does not."""
    frame, store = leaky(120).assign(no=range(120)), Store(tmp_path / ".pellucid")
    spec = bank_spec(**{"data.id": "no"}).within(tmp_path)
    frame.to_csv(tmp_path / "bank.csv", index=False)
    fit(spec, store)
    frame.rename(columns={"b": "income"}).to_csv(tmp_path / "bank.csv", index=False)
    done = fit(spec, store)
    found = diff_versions(store, "bank@1", done.ref)
    assert found["notes"] == ["task 'y': input 'b' in bank@1 only", f"task 'y': input 'income' in {done.ref} only"]
    assert found["tasks"][0]["n"] == 24
    assert found["tasks"][0]["attribution"] == []

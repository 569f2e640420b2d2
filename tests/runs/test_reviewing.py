"""Accepting: with the diff that was reviewed, on the head it was reviewed against, past a failed gate only aloud."""

from __future__ import annotations

import json

import pytest

from pellucid.cli.main import main
from pellucid.core.errors import ReviewError, StaleRevision
from pellucid.runs.diffing import diff_versions
from pellucid.runs.reviewing import accept


def propose(store, factor, *, noise=0.0, claim=None, measured=None):
    """A candidate like bank@1 whose losses are `factor` times its own, give or take."""
    manifest = json.loads(json.dumps(store.resolve("bank@1").manifest))
    table = store.blobs.get_table(manifest["blobs"]["outputs/y"])
    sign = [1.0 if i % 2 else -1.0 for i in range(len(table))]
    losses = table["loss"] * factor + [noise * s for s in sign]
    manifest["blobs"]["outputs/y"] = store.blobs.put_table(table.assign(loss=losses))
    if measured is not None:
        manifest["blobs"]["measured"] = store.blobs.put_json(measured)
    return store.propose("bank", manifest, parent="bank@1", kind="fit", because="by hand", claim=claim or {})


def last(store):
    return store.log("bank")[-1]


def test_a_better_one_needs_no_reason(bank):
    store = bank.store
    ref, verdict = accept(store, propose(store, 0.5))
    assert (ref, verdict) == ("bank@2", "better")
    assert store.resolve("bank").ref == "bank@2"
    assert (last(store).kind, last(store).why) == ("accepted", "reviewed: better")
    assert store.looks("bank") == 1  # it was diffed on the way


def test_what_was_reviewed_is_what_is_accepted(bank):
    store = bank.store
    candidate = propose(store, 0.5)
    diff_versions(store, "bank@1", candidate)
    sha = store.resolve(candidate).diff
    accept(store, candidate, because="fine", reviewer="Ada")
    assert store.looks("bank") == 1
    assert sha in last(store).evidence
    assert (last(store).who, last(store).why) == ("Ada", "fine")


def test_an_undecided_one_needs_a_reason(bank):
    store = bank.store
    candidate = propose(store, 1.0, noise=0.5)
    assert diff_versions(store, "bank@1", candidate)["verdict"] == "undecided"
    with pytest.raises(ReviewError, match="needs a reason"):
        accept(store, candidate)
    assert store.resolve(candidate).state == "proposed"
    assert accept(store, candidate, because="worth a try") == ("bank@2", "undecided")
    assert last(store).why == "worth a try"


def test_a_worse_one_is_refused_unless_overridden(bank):
    store = bank.store
    candidate = propose(store, 2.0)
    with pytest.raises(ReviewError, match="does not pass its review: the candidate is worse") as caught:
        accept(store, candidate, because="I like it")
    assert "--override-gates" in str(caught.value)
    assert store.resolve("bank").ref == "bank@1"
    with pytest.raises(ReviewError, match="needs a reason"):
        accept(store, candidate, override=True)
    assert accept(store, candidate, because="I like it", override=True) == ("bank@2", "worse")
    assert last(store).why == "I like it (overridden: worse)"


def test_a_failed_gate_on_the_command_line(bank, capsys):
    store = bank.store
    effect = {"task": "y", "field": "leak", "present": True, "base": 0.5, "candidate": 0.4, "reduction": 0.2}
    claim = {"changes": [{"task": "y", "field": "leak", "reduce": 0.8}]}
    candidate = propose(store, 0.5, claim=claim, measured={"effects": {"y/leak": effect}})
    words = ["accept", candidate, "--because", "in a hurry", *bank.flag]
    assert main(words) == 1
    error = capsys.readouterr().err
    assert "failed: y: effect of do(leak)" in error
    assert "mend:" in error
    assert main([*words, "--override-gates"]) == 0
    assert f"{candidate} is bank@2 now" in capsys.readouterr().out
    assert last(store).why.startswith("in a hurry (overridden: y: effect of do(leak)")


def test_a_stale_parent(bank):
    store = bank.store
    first, second = propose(store, 0.5), propose(store, 0.4)
    diff_versions(store, "bank@1", second)
    accept(store, first)
    with pytest.raises(StaleRevision, match="changes bank@1, but the head is bank@2"):
        accept(store, second, because="too late")
    assert store.resolve(second).state == "proposed"
    store.rollback("bank", 1, because="the other one instead")
    ref, _ = accept(store, second, because="now")
    assert ref == "bank@3"


def test_a_rejected_one_keeps_its_record(bank, capsys):
    store = bank.store
    candidate = propose(store, 2.0)
    assert main(["reject", candidate, "--because", "costs too much", *bank.flag]) == 0
    entry = store.resolve(candidate)
    assert (entry.state, entry.number) == ("rejected", None)
    assert store.blobs.get_table(entry.manifest["blobs"]["outputs/y"])["loss"].mean() > 0
    with pytest.raises(ReviewError, match="rejected already"):
        accept(store, candidate, because="on second thoughts")
    assert accept(store, propose(store, 0.5))[0] == "bank@2"  # no number was used
    assert [e.ref for e in store.candidates("bank", rejected=True)] == [candidate]

"""Candidates, versions, history, feedback and the review set."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from pellucid.core.errors import DataError, ReviewError, SpecError, StaleRevision, StoreError, UnknownVersion
from pellucid.store import Store
from pellucid.store.canonical import encode_json


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / ".pellucid")


def propose(store: Store, content: Any, parent: str | None = None, name: str = "stocks", **more: Any) -> str:
    claim = more.pop("claim", {"keeps": []})
    return store.propose(
        name, {"content": content}, parent=parent, kind="fit", author="ada", because="a try", claim=claim, **more
    )


def grow(store: Store, versions: int) -> None:
    for number in range(1, versions + 1):
        parent = f"stocks@{number - 1}" if number > 1 else None
        assert store.accept(propose(store, number, parent), reviewer="bo", because="fine") == f"stocks@{number}"


def test_a_candidate_becomes_a_version(store: Store) -> None:
    ref = propose(store, 1, claim={"budget": 0.1})
    assert re.fullmatch(r"stocks~[0-9a-f]{4}", ref)
    candidate = store.resolve(ref)
    assert (candidate.state, candidate.number, candidate.parent) == ("proposed", None, None)
    assert candidate.sha.startswith(ref.partition("~")[2])
    assert candidate.manifest == {"content": 1}
    assert store.head("stocks") is None
    with pytest.raises(UnknownVersion, match="no accepted version"):
        store.resolve("stocks")

    assert store.accept(ref, reviewer="bo", because="good") == "stocks@1"
    version = store.resolve("stocks")
    assert version == store.resolve("stocks@1") == store.resolve(ref) == store.resolve("Stocks") == store.head("stocks")
    assert (version.ref, version.state, version.number, version.claim) == ("stocks@1", "accepted", 1, {"budget": 0.1})
    second = propose(store, 2, "stocks@1")
    assert store.resolve(second).parent == "stocks@1"
    assert [entry.ref for entry in store.candidates("stocks")] == [second]
    assert store.accept(second, because="good") == "stocks@2"
    assert [entry.ref for entry in store.versions("stocks")] == ["stocks@1", "stocks@2"]
    assert store.candidates("stocks") == []


def test_a_moved_head_makes_a_candidate_stale(store: Store) -> None:
    grow(store, 1)
    first, second = propose(store, "a", "stocks@1"), propose(store, "b", "stocks@1")
    store.accept(first, because="good")
    with pytest.raises(StaleRevision, match=r"changes stocks@1, but the head is stocks@2"):
        store.accept(second, because="good")
    late = propose(store, "first fit again")
    with pytest.raises(StaleRevision, match="stale: review again"):
        store.accept(late, because="good")
    assert store.resolve(second).state == "proposed"
    assert [entry.ref for entry in store.versions("stocks")] == ["stocks@1", "stocks@2"]


def test_the_diff_that_was_reviewed_must_be_the_one_on_record(store: Store) -> None:
    ref = propose(store, 1)
    shown, newer = store.blobs.put_json({"diff": 1}), store.blobs.put_json({"diff": 2})
    with pytest.raises(StaleRevision):
        store.accept(ref, because="good", diff=shown)
    store.record_diff(ref, shown)
    store.record_diff(ref, newer)
    for wrong in (shown, None):
        with pytest.raises(StaleRevision, match="The diff on record"):
            store.accept(ref, because="good", diff=wrong)
    assert store.resolve(ref).diff == newer
    assert store.accept(ref, because="good", diff=newer) == "stocks@1"
    assert newer in store.log("stocks")[-1].evidence
    with pytest.raises(StoreError):
        store.record_diff(ref, "0" * 64)
    with pytest.raises(ReviewError):
        store.record_diff(ref, shown)


def test_a_decision_is_made_once(store: Store) -> None:
    accepted, rejected = propose(store, 1), propose(store, 2)
    store.accept(accepted, because="good")
    store.reject(rejected, reviewer="bo", because="bad")
    for ref in (accepted, rejected, "stocks@1"):
        with pytest.raises(ReviewError, match="already"):
            store.accept(ref, because="again")
        with pytest.raises(ReviewError, match="already"):
            store.reject(ref, because="again")
    assert store.resolve(rejected).state == "rejected"
    assert [entry.ref for entry in store.candidates("stocks", rejected=True)] == [rejected]
    assert store.accept(propose(store, 3, "stocks@1"), because="good") == "stocks@2"  # a rejection uses no number


def test_rollback_moves_the_head_and_numbers_go_on(store: Store) -> None:
    grow(store, 3)
    before = [store.resolve(f"stocks@{n}") for n in (1, 2, 3)]
    assert store.rollback("stocks", 1, reviewer="bo", because="3 was bad") == "stocks@1"
    assert store.resolve("stocks").ref == "stocks@1"
    assert store.versions("stocks") == before
    with pytest.raises(StaleRevision):
        store.accept(propose(store, "on 3", "stocks@3"), because="good")
    assert store.accept(propose(store, "on 1", "stocks@1"), because="good") == "stocks@4"
    assert store.resolve("stocks@4").parent == "stocks@1"
    assert store.rollback("stocks", 3, because="forward again") == "stocks@3"
    with pytest.raises(UnknownVersion, match="no version stocks@9"):
        store.rollback("stocks", 9, because="x")


def test_the_same_proposal_again(store: Store) -> None:
    ref = propose(store, 1)
    assert propose(store, 1) == ref
    assert len(store.candidates("stocks")) == 1
    assert propose(store, 1, claim={"keeps": ["risk"]}) == ref  # replaces the undecided one
    assert [entry.claim for entry in store.candidates("stocks")] == [{"keeps": ["risk"]}]
    store.reject(ref, because="bad")
    assert propose(store, 1) == ref  # once more, after all
    assert store.resolve(ref).state == "proposed"
    assert len(store.candidates("stocks", rejected=True)) == 3
    store.accept(ref, because="good")
    with pytest.raises(ReviewError, match=r"nothing changed: this is stocks@1"):
        propose(store, 1, "stocks@1")


def test_parents_are_versions_of_the_same_program(store: Store) -> None:
    grow(store, 1)
    candidate = propose(store, "x", "stocks@1")
    for parent in (candidate, "other@1"):
        with pytest.raises(ReviewError, match="cannot be the parent"):
            propose(store, "y", parent)
    with pytest.raises(UnknownVersion):
        propose(store, "y", "stocks@7")
    with pytest.raises(ReviewError):
        propose(store, "y", "stocks@1", name="fresh")
    assert store.names() == ["stocks"]


def _same_prefix(digits: int) -> tuple[Any, Any]:
    import hashlib

    seen: dict[str, int] = {}
    for i in range(10**6):
        prefix = hashlib.sha256(encode_json({"content": i})).hexdigest()[:digits]
        if prefix in seen:
            return seen[prefix], i
        seen[prefix] = i
    raise AssertionError


def test_prefixes_are_unique_or_an_error_and_printed_ones_keep_their_meaning(store: Store) -> None:
    a, b = _same_prefix(4)
    first, second = propose(store, a), propose(store, b)
    assert (len(first), len(second)) == (len("stocks~") + 4, len("stocks~") + 5)
    assert store.resolve(first).manifest == {"content": a}
    assert store.resolve(second).manifest == {"content": b}
    assert store.resolve(f"stocks~{store.resolve(first).sha[:9]}").manifest == {"content": a}
    assert store.resolve(f"stocks~{store.resolve(second).sha.upper()}").manifest == {"content": b}
    with pytest.raises(UnknownVersion, match="ambiguous") as caught:
        store.resolve(first[:-1])
    assert first in caught.value.what
    assert second in caught.value.what


def test_unknown_versions_say_what_there_is(store: Store) -> None:
    grow(store, 2)
    with pytest.raises(UnknownVersion, match=r"holds stocks") as caught:
        store.resolve("stokcs@1")
    assert "'stocks'" in caught.value.mend
    with pytest.raises(UnknownVersion, match=r"there is stocks@1, stocks@2"):
        store.resolve("stocks@22")
    with pytest.raises(UnknownVersion, match="no revision"):
        store.resolve("stocks~0000000")
    for nonsense in ("stocks@", "stocks@x", "@1", "", "stocks~zz", "stocks@1@2", "stocks@" + "9" * 30):
        with pytest.raises(UnknownVersion):
            store.resolve(nonsense)
    for call in (store.versions, store.candidates, store.log, store.feedback):
        with pytest.raises(UnknownVersion):
            call("nothing")
    assert store.head("nothing") is None


@pytest.mark.parametrize("name", ["", "a b", "ä", "a/b", "../x", "a@1", "a\n"])
def test_names_are_plain(name: str, store: Store) -> None:
    with pytest.raises(SpecError, match="not a program's name") as caught:
        propose(store, 1, name=name)
    assert re.fullmatch(r"use '[a-z0-9_-]+'", caught.value.mend)
    assert propose(store, 1, name="My_Program-2").startswith("my_program-2~")


def test_decisions_need_a_reason(store: Store) -> None:
    ref = propose(store, 1)
    for call in (store.accept, store.reject):
        with pytest.raises(ReviewError, match="needs a reason"):
            call(ref, because="  ")
    assert store.resolve(ref).state == "proposed"
    assert store.head("stocks") is None


def test_the_history_tells_everything_in_order(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PELLUCID_USER", "cleo")
    grow(store, 2)
    store.rollback("stocks", 1, because="hm")
    store.reject(propose(store, 9, "stocks@1"), because="no")
    store.add_trial("stocks", "search", {"lr": 0.1})
    log = store.log("stocks")
    assert [(e.n, e.kind, e.about.partition("~")[0], e.who, e.why) for e in log] == [
        (1, "proposed", "stocks", "ada", "a try"),
        (2, "accepted", "stocks@1", "bo", "fine"),
        (3, "proposed", "stocks", "ada", "a try"),
        (4, "accepted", "stocks@2", "bo", "fine"),
        (5, "rolled back", "stocks@1", "cleo", "hm"),
        (6, "proposed", "stocks", "ada", "a try"),
        (7, "rejected", "stocks", "cleo", "no"),
    ]
    assert log[4].info == {"from": 2}
    assert log[1].evidence == (store.resolve("stocks@1").sha,)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", e.when) for e in log)
    assert store.log("stocks", trials=True)[-1].info == {"lr": 0.1}


@pytest.mark.parametrize("table", ["event", "feedback", "feedback_use", "review_set"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET seal = 'x'", "DELETE FROM {}"])
def test_the_database_refuses_to_rewrite_history(table: str, statement: str, store: Store) -> None:
    grow(store, 1)
    store.freeze_review("stocks", ["a"], {})
    used = store.add_feedback("stocks", "stocks@1", "ignore", {}, because="b")
    store.use_feedback([used], propose(store, 2, "stocks@1"))
    connection = sqlite3.connect(store.database.path)
    with pytest.raises(sqlite3.DatabaseError, match="append-only"):
        connection.execute(statement.format(table))
    connection.close()


def test_feedback_is_superseded_and_used(store: Store) -> None:
    grow(store, 1)
    first = store.add_feedback("stocks", "stocks@1", "ignore", {"field": "volume"}, "ada", "a decoy")
    other = store.add_feedback("stocks", "stocks", "ignore", {"field": "range"}, "ada", "a decoy")
    better = store.add_feedback("stocks", "stocks@1", "ignore", {"field": "volum"}, "bo", "typo", supersedes=first)
    with pytest.raises(ReviewError, match="superseded by"):
        store.add_feedback("stocks", "stocks@1", "ignore", {}, "bo", "again", supersedes=first)
    with pytest.raises(UnknownVersion, match="no feedback 99"):
        store.add_feedback("stocks", "stocks@1", "ignore", {}, "bo", "again", supersedes=99)
    assert [r.id for r in store.feedback("stocks", open_only=True)] == [other, better]
    candidate = propose(store, 2, "stocks@1")
    store.use_feedback([better, better], candidate)
    store.use_feedback([better], candidate)
    assert [r.id for r in store.feedback("stocks", open_only=True)] == [other, better]  # until it is accepted
    store.accept(candidate, because="good")
    assert [r.id for r in store.feedback("stocks", open_only=True)] == [other]
    records = {r.id: r for r in store.feedback("stocks")}
    assert records[better].used_by == ("stocks@2",)
    assert records[first].superseded_by == better
    assert (records[first].payload, records[first].version) == ({"field": "volume"}, "stocks@1")
    with pytest.raises(UnknownVersion, match="no feedback 77"):
        store.use_feedback([other, 77], candidate)
    with pytest.raises(DataError, match="no version of 'other'"):
        store.add_feedback("other", "stocks@1", "ignore", {}, "bo", "b")
    with pytest.raises(ReviewError, match="reason"):
        store.add_feedback("stocks", "stocks@1", "ignore", {}, "bo", " ")


def test_more_feedback_than_a_query_may_list(store: Store) -> None:
    grow(store, 1)
    ids = [store.add_feedback("stocks", "stocks@1", "label", {"n": n}, "ada", "b") for n in range(3)]
    candidate = propose(store, 2, "stocks@1")
    with pytest.raises(UnknownVersion, match=r"no feedback 4, 5, 6, 7, 8 \.\.\."):
        store.use_feedback(range(1, 1400), candidate)
    assert all(record.used_by == () for record in store.feedback("stocks"))
    store.use_feedback(ids, candidate)
    assert {record.used_by for record in store.feedback("stocks")} == {(candidate,)}


def test_the_review_set_is_frozen_once_and_looks_are_counted(store: Store) -> None:
    assert store.review_keys("stocks") is None
    sha = store.freeze_review("stocks", ["SP500/2018-02-05", "SP500/2018-02-06"], {"from": "2018"})
    assert store.freeze_review("stocks", ["SP500/2018-02-06", "SP500/2018-02-05"], {}) == sha
    with pytest.raises(ReviewError, match="frozen"):
        store.freeze_review("stocks", ["SP500/2018-02-05"], {})
    assert store.review_keys("stocks") == ("SP500/2018-02-05", "SP500/2018-02-06")
    for keys in ([], ["a", "a"]):
        with pytest.raises(DataError):
            store.freeze_review("other", keys, {})
    assert [store.look("stocks", "diff") for _ in range(3)] == [1, 2, 3]
    assert (store.looks("stocks"), store.looks("other")) == (3, 0)
    with pytest.raises(UnknownVersion):
        store.look("stokcs", "diff")
    assert [store.add_trial("fresh", "fit", {}) for _ in range(2)] == [1, 2]
    assert (store.trials("fresh"), store.trials("stocks")) == (2, 0)


def test_the_author_by_default(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.delenv("PELLUCID_USER", raising=False)
    monkeypatch.setattr("getpass.getuser", nobody)
    ref = store.propose("p", {}, parent=None, kind="fit", because="b", claim={})
    assert store.resolve(ref).author == "unknown"
    monkeypatch.setenv("PELLUCID_USER", "ada")
    assert store.accept(ref, because="b") == "p@1"
    assert store.log("p")[-1].who == "ada"


def test_a_manifest_that_names_a_missing_blob_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="names the blob 'weights'"):
        store.propose("p", {"blobs": {"weights": "0" * 64}}, parent=None, kind="fit", because="b", claim={})
    assert store.names() == []

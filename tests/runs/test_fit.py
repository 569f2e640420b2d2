"""Fit: the review rows are frozen at the first fit and no later fit trains on them, whatever becomes of the data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from pellucid.assemble import problem
from pellucid.core.errors import DataError
from pellucid.nn.network import Network
from pellucid.runs.artefact import load_program
from pellucid.runs.diffing import diff_versions
from pellucid.runs.fit import fit
from pellucid.runs.splitting import alike, split
from pellucid.store.store import Store
from tiny_programs import bank_spec, leaky, market_spec, prices


def keys_of(store, ref, role):
    return set(store.blobs.get_table(store.resolve(ref).manifest["blobs"][role])["key"])


def contents(keys):
    return {key.partition("#")[0] for key in keys}


def same_weights(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.network.state_dict().values(), b.network.state_dict().values(),
                                                 strict=True))  # fmt: skip


def test_the_first_fit_freezes_its_review_rows_and_is_accepted(bank):
    store, entry = bank.store, bank.store.resolve("bank")
    review = set(store.review_keys("bank"))
    assert (entry.ref, entry.state, entry.parent) == ("bank@1", "accepted", None)
    assert len(review) == 60
    assert keys_of(store, "bank@1", "outputs/y") == review
    assert not review & (keys_of(store, "bank@1", "trained") | keys_of(store, "bank@1", "touched"))
    assert len(keys_of(store, "bank@1", "trained")) == 240
    assert [event.kind for event in store.log("bank")].index("review frozen") == 0
    assert (store.trials("bank"), store.looks("bank")) == (1, 0)


def test_a_second_fit_is_a_candidate_and_counts_as_a_trial(bank):
    store = bank.store
    done = fit(bank_spec(seed=1).within(bank.folder), store, because="another seed")
    assert not done.accepted
    candidate = store.resolve(done.ref)
    assert (candidate.state, candidate.parent, candidate.because) == ("proposed", "bank@1", "another seed")
    assert store.resolve("bank").ref == "bank@1"
    assert store.trials("bank") == 2
    assert keys_of(store, done.ref, "outputs/y") == set(store.review_keys("bank"))
    diff_versions(store, "bank@1", done.ref)
    diff_versions(store, "bank@1", "bank@1")  # nothing is looked at
    assert store.looks("bank") == 1


def test_the_same_fit_again_is_the_same_version(bank, market):
    for home, spec in ((bank, bank_spec()), (market, market_spec())):
        name = spec.name
        done = fit(spec.within(home.folder), home.store)
        assert (done.ref, done.accepted) == (f"{name}@1", True)
        assert home.store.candidates(name) == []
        assert home.store.trials(name) == 1


def test_two_fits_in_two_stores_are_equal_to_the_last_byte(market, tmp_path):
    other = Store(tmp_path / "other" / ".pellucid")
    for column in ("prices.csv",):
        (tmp_path / "other" / column).write_bytes((market.folder / column).read_bytes())
    fit(market_spec().within(tmp_path / "other"), other)
    assert other.resolve("market").manifest == market.store.resolve("market").manifest


# Tables: later data


def later_tables():
    frame = leaky()
    more = leaky(80, seed=5)
    return {
        "the same": frame,
        "shuffled": frame.sample(frac=1.0, random_state=0),
        "appended": pd.concat([frame, more]),
        "prepended": pd.concat([more, frame]),
        "doubled": pd.concat([frame, frame]),
        "some rows twice, shuffled": pd.concat([frame, frame[::3], more]).sample(frac=1.0, random_state=1),
        "half of it": frame[::2],
        "columns in another order": frame[["y", "city", "leak", "b", "a"]],
        "numbers as text": frame.astype(str),
    }


@pytest.mark.parametrize("data", later_tables())
def test_review_rows_and_their_copies_stay_out_of_training(bank, data):
    frame, store = later_tables()[data], bank.store
    prob = problem(bank_spec(), frame.reset_index(drop=True))
    parts = split(prob, store)
    review = contents(store.review_keys("bank"))
    trained = {str(key) for key in prob.rows.keys[parts.train]}
    assert trained
    assert not contents(trained) & review
    assert contents(map(str, prob.rows.keys[parts.review])) <= review
    assert len(parts.train) == sum(key.partition("#")[0] not in review for key in prob.rows.keys)
    for fold in parts.folds:
        assert set(fold.train) | set(fold.test) == set(parts.train)
        assert not set(fold.train) & set(fold.test)
    if data == "doubled":
        assert parts.notes == ("60 copies of review rows are kept out of training",)


def test_copies_stay_out_at_the_first_fit_too(tmp_path):
    frame = leaky(100)
    prob = problem(bank_spec(), pd.concat([frame, frame]))
    parts = split(prob, Store(tmp_path))
    assert len(parts.review) == 40
    review = contents(map(str, prob.rows.keys[parts.review]))
    trained = prob.rows.keys[parts.train]
    assert not contents(map(str, trained)) & review
    assert len(trained) == 200 - 2 * len(review)


def test_in_a_table_of_few_distinct_rows_equal_rows_are_different_cases(tmp_path):
    """Else all that is frequent would be left out of training."""
    g = np.random.default_rng(0)
    frame = pd.DataFrame({"sex": g.choice(["f", "m"], 400), "class": g.choice(["1", "2", "3"], 400)})
    frame["y"] = np.where((frame["sex"] == "f") ^ (g.random(400) < 0.2), "yes", "no")
    parts = split(problem(bank_spec(), frame), Store(tmp_path))
    assert (len(parts.train), len(parts.review), parts.notes) == (320, 80, ())
    assert not set(parts.train) & set(parts.review)
    assert alike(np.array(["x", "x#1", "y"]), ["x#4", "z#3", "z#7"]).tolist() == [False] * 3
    assert alike(np.array(["x", "x#1", "y"]), ["x#2", "z", "z#7"]).tolist() == [True, True, False]


def test_with_an_id_the_id_is_the_identity(tmp_path):
    """`7#1` and `7#2` are no copies of each other; corrected cells do not make another row of one."""
    frame = leaky(100).assign(no=[f"{i // 3}#{i % 3}" for i in range(100)])
    spec, store = bank_spec(**{"data.id": "no"}).within(tmp_path), Store(tmp_path / ".pellucid")
    frame.to_csv(tmp_path / "bank.csv", index=False)
    fit(spec, store)
    review = set(store.review_keys("bank"))
    assert len(keys_of(store, "bank@1", "trained")) == 80
    changed = frame.assign(a=frame["a"] + 1.0)
    prob = problem(spec, changed)
    parts = split(prob, store)
    assert {str(key) for key in prob.rows.keys[parts.review]} == review
    assert len(parts.train) == 80


def test_data_without_a_review_row_are_refused(bank):
    renamed = leaky().rename(columns={"leak": "note"})  # every content key changes
    with pytest.raises(DataError, match="none of the 60 review rows of 'bank' is in these data"):
        fit(bank_spec(), bank.store, source=renamed)
    review = set(bank.store.review_keys("bank"))
    keys = problem(bank_spec(), leaky()).rows.keys
    with pytest.raises(DataError, match="no row is left to train on beside the 60 review rows"):
        fit(bank_spec(), bank.store, source=leaky()[np.isin(keys, list(review))])


def test_nothing_of_the_review_rows_enters_the_weights(tmp_path):
    """Their inputs are replaced by nonsense: scales, weights and folds stay what they are."""
    frame = leaky(120).assign(no=range(120))
    spec = bank_spec(**{"data.id": "no"}).within(tmp_path)
    programs, evidence = [], []
    for name in ("plain", "spoilt"):
        store = Store(tmp_path / name)
        frame.to_csv(tmp_path / "bank.csv", index=False)
        done = fit(spec, store)
        programs.append(load_program(store, store.resolve("bank")))
        evidence.append(done.evidence["tasks"])
        at = frame["no"].astype(str).isin(store.review_keys("bank"))
        frame.loc[at, ["a", "b", "leak"]] = [1e6, -1e6, 1e5]
    assert same_weights(*programs)
    assert programs[0].encoding.to_json() == programs[1].encoding.to_json()
    assert evidence[0] == evidence[1]


# Prices: later data


def test_appended_days_are_not_trained_on_and_that_is_told(market):
    store = market.store
    prices(700).to_csv(market.folder / "prices.csv", index=False)
    done = fit(market_spec().within(market.folder), store)
    assert done.evidence["notes"] == ["100 rows after the frozen review rows are not used; under another name they are"]
    first, second = (load_program(store, store.resolve(ref)) for ref in ("market@1", done.ref))
    assert same_weights(first, second)
    for role in ("trained", "touched"):
        assert keys_of(store, done.ref, role) == keys_of(store, "market@1", role)
    found = diff_versions(store, "market@1", done.ref)
    assert not found["empty"]  # other data, the same behaviour
    assert found["verdict"] == "equivalent"
    assert all(task["change"] == 0.0 and task["flips"]["changed"] == 0 for task in found["tasks"])


def test_cutting_the_days_after_the_last_review_day_changes_nothing(market):
    """Its labels are not there then, so that its last rows do not count in the diff."""
    store = market.store
    last = max(key.partition("/")[2] for key in store.review_keys("market"))
    frame = prices()
    frame[frame["date"] <= last].to_csv(market.folder / "prices.csv", index=False)
    done = fit(market_spec().within(market.folder), store)
    first, second = (load_program(store, store.resolve(ref)) for ref in ("market@1", done.ref))
    assert same_weights(first, second)
    found = diff_versions(store, "market@1", done.ref)
    assert found["verdict"] == "equivalent"
    assert [task["n"] for task in found["tasks"]] == [79, 77, 79]


def test_earlier_days_may_come_in_and_go(market):
    store = market.store
    prob = problem(market_spec(**{"data.start": "2000-01-03"}).within(market.folder))
    parts = split(prob, store)
    review = set(store.review_keys("market"))
    assert {str(k) for k in prob.rows.keys[parts.review]} == review
    whole = split(problem(market_spec().within(market.folder)), store)
    assert len(parts.train) < len(whole.train)


@pytest.mark.parametrize("horizon", [1, 3, 8])
@pytest.mark.parametrize("again", [False, True])
def test_no_training_label_reaches_into_test_or_review_rows(tmp_path, horizon, again):
    """All prices from the first tested day on are changed: no input, label or reward of a training row moves."""
    spec = market_spec(**{"tasks.risk.horizon": horizon, "evidence.folds": 3})
    frame, store = prices(), Store(tmp_path / ".pellucid")
    prob = with_prices(spec, frame, tmp_path)
    if again:
        store.freeze_review("market", [str(k) for k in prob.rows.keys[split(prob, store).review]], {})
    parts = split(prob, store)
    tested = [(fold.train, fold.test) for fold in parts.folds] + [(parts.train, parts.review)]
    assert len(tested) == 4
    for train, test in tested:
        assert train[-1] < test[0]
        changed = frame.copy()
        later = changed["date"] >= pd.Timestamp(prob.rows.times[test[0]])
        changed.loc[later, ["open", "high", "low", "close"]] *= np.linspace(1.5, 3.0, later.sum())[:, None]
        other = with_prices(spec, changed, tmp_path)
        for group in ("fields", "targets", "extra"):
            for name, values in getattr(prob.rows, group).items():
                assert np.array_equal(values[train], getattr(other.rows, group)[name][train], equal_nan=True), name
        assert not np.array_equal(
            prob.rows.targets["risk"][test[0] - 1 :], other.rows.targets["risk"][test[0] - 1 :], equal_nan=True
        )


def with_prices(spec, frame, folder):
    frame.to_csv(folder / "prices.csv", index=False)
    return problem(spec.within(folder))


# What a version keeps


def test_a_diff_reads_what_was_kept_and_runs_no_model(market, monkeypatch):
    store = market.store
    done = fit(market_spec(seed=1).within(market.folder), store)

    def explode(*_: object, **__: object) -> None:
        raise AssertionError("a model was run")

    monkeypatch.setattr(Network, "forward", explode)
    monkeypatch.setattr("pellucid.runs.outputs.outputs_table", explode)
    found = diff_versions(store, "market@1", done.ref)
    assert [task["task"] for task in found["tasks"]] == ["forecast", "risk", "trade"]
    assert all(task["n"] == 80 for task in found["tasks"])
    assert all(len(task["attribution"]) >= 4 for task in found["tasks"])


def test_outputs_are_kept_as_parquet(bank):
    store = bank.store
    sha = store.resolve("bank").manifest["blobs"]["outputs/y"]
    assert store.blobs.get_bytes(sha)[:4] == b"PAR1"
    table = store.blobs.get_table(sha)
    assert list(table.columns) == ["key", "y", "loss", "decision", "out:yes"]


def test_an_environment_keeps_held_out_episodes(tmp_path):
    from pellucid.spec.presets import env_spec

    overrides = ("train.updates=4", "network.width=8", "tasks.policy.ppo.num_envs=4", "tasks.policy.ppo.steps=8",
                 "tasks.policy.ppo.minibatch=32", "evidence.episodes=5", "explain.evaluations=16")  # fmt: skip
    spec, store = env_spec("CartPole-v1", name="pole", overrides=overrides), Store(tmp_path)
    done = fit(spec, store)
    keys = store.review_keys("pole")
    assert len(keys) == 5
    assert all(key.startswith("CartPole-v1/seed=10000") for key in keys)
    assert [b["name"] for b in done.evidence["tasks"][0]["baselines"]] == ["random", "best_constant_action"]
    again = fit(spec.replace({"seed": 1}), store)
    found = diff_versions(store, "pole@1", again.ref)
    assert found["tasks"][0]["n"] == 5
    assert found["tasks"][0]["episodes"]["n"] == 5  # the same seeds on both sides
    assert all("/step=" in one["key"] for one in found["tasks"][0]["flips"]["examples"])  # decisions, state by state

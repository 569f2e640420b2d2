"""Evidence: every baseline has its row, a constant shows no skill, a planted signal does, a random walk does not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pellucid.assemble import assemble, problem
from pellucid.core.errors import DataError
from pellucid.evidence.folds import stratified_folds, walk_forward
from pellucid.evidence.paired import compare
from pellucid.nn.foreign import wrap
from pellucid.runs.artefact import load_program
from pellucid.runs.fit import fit
from pellucid.runs.judge import FoldResult, judge_elsewhere, judge_folds, judge_table
from pellucid.runs.judge_policy import judge_policy
from pellucid.runs.live import live_rows
from pellucid.store.store import Store
from tiny_programs import bank_spec, leaky, market_spec, prices

BASELINES = {
    "forecast": ["mean", "persistence", "ar1", "garch"],
    "risk": ["mean", "persistence", "garch"],
    "trade": ["cash", "buy_and_hold", "momentum"],
}


def test_every_task_has_all_its_baselines_with_intervals(fitted_market):
    store = fitted_market.store
    evidence = store.blobs.get_json(store.resolve("market").manifest["blobs"]["evidence"])
    assert [entry["task"] for entry in evidence["tasks"]] == list(BASELINES)
    for entry in evidence["tasks"]:
        assert [row["name"] for row in entry["baselines"]] == BASELINES[entry["task"]]
        assert entry["low"] < entry["value"] < entry["high"]
        assert len(entry["folds"]) == 2
        assert sum(fold["n"] for fold in entry["folds"]) == entry["n"]
        assert entry["sentence"].startswith(f"{entry['task']}: ")
        for row in entry["baselines"]:
            if row["note"]:  # arch may be missing
                assert row["name"] == "garch"
                continue
            assert row["low"] <= row["value"] <= row["high"]
            assert row["difference_low"] <= row["difference"] <= row["difference_high"]
            assert entry["value"] - row["value"] == pytest.approx(row["difference"], abs=1e-12)
    assert set(evidence["tasks"][2]["extra"]) >= {"sharpe", "max_drawdown"}
    assert evidence["wealth"][0]["series"][0]["name"] == "this program"


def test_folds_are_judged_where_their_baselines_are(fitted_market):
    """Program and baselines are scored on the same days: the mean's loss, computed here from the prices."""
    store = fitted_market.store
    entry = store.blobs.get_json(store.resolve("market").manifest["blobs"]["evidence"])["tasks"][0]
    rows = problem(market_spec().within(fitted_market.folder)).rows
    day = {str(d): i for i, d in enumerate(rows.times)}
    levels = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    for fold in entry["folds"]:
        (_, last), (first, end) = (span.split("..") for span in (fold["train"], fold["test"]))
        y = rows.targets["forecast"]
        quantiles = np.quantile(y[: day[last]], levels)  # the last training day's label is not known on that day
        miss = y[day[first] : day[end] + 1, None] - quantiles
        loss = np.maximum(levels * miss, (levels - 1) * miss).mean()
        assert fold["baselines"]["mean"] == pytest.approx(loss)
        assert fold["n"] == len(miss)


class Constant:
    """A program's answers on one of its rows, for every row."""

    def __init__(self, program):
        self.program, self.schema, self.tasks, self.encode = program, program.schema, program.tasks, program.encode

    def __call__(self, blocks, task):
        first = self.program({name: block[:1] for name, block in blocks.items()}, task)
        return first.expand(len(next(iter(blocks.values()))), -1)


def test_a_constant_program_shows_no_skill(tmp_path):
    prices().to_csv(tmp_path / "prices.csv", index=False)
    for prob in (problem(bank_spec(), leaky()), problem(market_spec().within(tmp_path))):
        fold = walk_forward(len(prob.rows) - prob.purge, folds=1, purge=prob.purge)[0]
        program = Constant(assemble(prob, fold.train, seed=0).finish())
        entries, _ = judge_folds(prob, [FoldResult(fold, program)])
        for entry in entries:
            assert not entry["skill"]
            assert entry["verdict"] in ("no skill shown", "worse")
            if entry["verdict"] == "no skill shown":
                assert entry["sentence"].endswith("the answer never changes.")


def skills(source, seed, folder):
    """Skill per task of a small program on two folds of a simulated market of 5,031 days."""
    changes = {
        "name": f"{source}{seed}".replace("_", "-"),
        "seed": seed,
        "data.source": f"{source}:{seed}",
        "data.window": 10,
        "data.scale_days": 120,
        "tasks.risk.horizon": 5,
        "tasks.trade.ppo.discount": 0.9,
        "tasks.trade.ppo.num_envs": 32,
        "network.width": 64,
        "train.updates": 300,
        "train.lr": 3e-3,
        "train.noise": 0.5,
    }
    done = fit(market_spec(**changes), Store(folder))
    return {entry["task"]: entry["skill"] for entry in done.evidence["tasks"]}


@pytest.mark.slow
def test_a_planted_signal_shows_skill(tmp_path):
    """Seeds 0-2, three tasks, n = 2,410 days each: 9 of 9 showed skill when this was written; 8 are asked for."""
    found = [skills("planted", seed, tmp_path) for seed in range(3)]
    assert sum(sum(skill.values()) for skill in found) >= 8, found


@pytest.mark.slow
def test_a_random_walk_shows_none(tmp_path):
    """Seeds 0-2, three tasks: at most 1 of 9 (one-sided 2.5 % tests: 0.2 are expected at most)."""
    found = [skills("random_walk", seed, tmp_path) for seed in range(3)]
    assert sum(sum(skill.values()) for skill in found) <= 1, found


def test_a_policy_is_judged_beside_policies_that_do_not_look():
    def lean(x):
        return np.stack([-x[:, 2] - x[:, 3], x[:, 2] + x[:, 3]], 1)

    policy = wrap(lean, inputs=["x", "v", "angle", "spin"], kind="control", outputs=["left", "right"])
    entry = judge_policy(policy, policy.tasks["predict"], "CartPole-v1", episodes=20, seed=0, margin=0.01)
    assert [row["name"] for row in entry["baselines"]] == ["random", "best_constant_action"]
    random, constant = (row["value"] for row in entry["baselines"])
    assert -40 < random < -15
    assert -12 < constant < -8
    assert entry["value"] < -200
    assert (entry["verdict"], entry["skill"], entry["n"]) == ("better", True, 20)
    assert entry["extra"]["mean_return"] == -entry["value"]
    blind = wrap(lambda x: np.stack([0 * x[:, 0], 1 + 0 * x[:, 0]], 1), inputs=list("abcd"), kind="control",
                 outputs=["left", "right"])  # fmt: skip
    entry = judge_policy(blind, blind.tasks["predict"], "CartPole-v1", episodes=20, seed=0, margin=0.01)
    assert not entry["skill"]


def test_a_table_program_is_judged_on_the_very_rows(fitted_bank):
    program = load_program(fitted_bank.store, fitted_bank.store.resolve("bank"))
    rows = problem(bank_spec(), leaky(150, seed=9)).rows
    entry = judge_table(program, program.tasks["y"], rows, seed=0, margin=0.01)
    z = program(program.encode(rows), "y").double().numpy()[:, 0]
    sign = np.where(rows.targets["target"] == "yes", 1.0, -1.0)
    assert entry["value"] == pytest.approx(np.log1p(np.exp(-sign * z)).mean())
    assert [row["name"] for row in entry["baselines"]][:3] == ["majority", "linear", "hist_gradient_boosting"]
    assert entry["n"] == 150
    assert entry["skill"]
    with pytest.raises(DataError, match="a control program cannot be judged on a table"):
        judge_table(program, wrap(lambda x: x, inputs=["a"], kind="control").tasks["predict"], rows, seed=0, margin=0.0)


def test_cross_fitted_baselines_are_paired_with_the_program_row_by_row():
    frame = leaky(80).assign(pay=lambda f: 3 * f["a"] + f["b"] ** 2)
    program = wrap(lambda x: 3 * x[:, 0], inputs=["a"])
    rows = live_rows(program, frame, "pay")
    entry = judge_table(program, program.tasks["predict"], rows, seed=0, margin=0.01)
    y, folds = frame["pay"].to_numpy(), stratified_folds(np.zeros(80), 5, 0)
    mean = np.concatenate([(y[f.test] - y[f.train].mean()) ** 2 for f in folds])
    own = np.concatenate([(y[f.test] - 3 * frame["a"].to_numpy()[f.test]) ** 2 for f in folds])
    expected, found = compare(mean, own, seed=0, name="predict/mean"), entry["baselines"][0]
    assert found["name"] == "mean"
    assert (found["difference_low"], found["difference_high"]) == pytest.approx((expected.low, expected.high))


# Other rows


def test_other_rows_are_judged_without_those_that_were_touched(bank):
    store, entry = bank.store, bank.store.resolve("bank")
    fresh = leaky(100, seed=7)
    fresh.to_csv(bank.folder / "new.csv", index=False)
    plain = judge_elsewhere(store, entry, str(bank.folder / "new.csv"))
    assert plain["notes"] == []
    assert (plain["program"], plain["tasks"][0]["n"]) == ("bank@1", 100)
    assert [row["name"] for row in plain["tasks"][0]["baselines"]][:3] == [
        "majority",
        "linear",
        "hist_gradient_boosting",
    ]
    both = pd.concat([fresh, leaky()])
    mixed = judge_elsewhere(store, entry, both)
    assert mixed["notes"] == ["240 rows were touched by its training and are left out"]
    assert mixed["tasks"][0]["n"] == 160
    touched = set(store.blobs.get_table(entry.manifest["blobs"]["touched"])["key"])
    seen = [str(k) in touched for k in problem(bank_spec(), leaky()).rows.keys]
    with pytest.raises(DataError, match="every one of these rows was touched"):
        judge_elsewhere(store, entry, leaky()[seen])


def test_later_days_are_judged_with_baselines_of_the_training_days(market):
    store, entry = market.store, market.store.resolve("market")
    later, n = prices(800), len(store.blobs.get_table(entry.manifest["blobs"]["touched"]))
    later.to_csv(market.folder / "later.csv", index=False)
    found = judge_elsewhere(store, entry, market.folder / "later.csv")
    assert [task["task"] for task in found["tasks"]] == ["forecast", "risk", "trade"]
    assert found["notes"] == [f"{n} rows were touched by its training and are left out"]  # whatever the file is called
    assert [task["n"] for task in found["tasks"]] == [760 - n - 1, 760 - n - 3, 760 - n - 1]
    assert [row["name"] for row in found["tasks"][1]["baselines"]] == BASELINES["risk"]

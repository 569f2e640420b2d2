"""The outputs table: what a program says, loses and decides on every row."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.assemble import problem
from pellucid.core.rows import Rows
from pellucid.core.task import Task
from pellucid.envs.vectorise import make
from pellucid.evidence.metrics import row_losses
from pellucid.nn.foreign import wrap
from pellucid.runs.artefact import load_program
from pellucid.runs.fit import fit
from pellucid.runs.outputs import HELD_OUT, decisions, outputs_table
from pellucid.runs.policies import greedy
from pellucid.store.store import Store
from tiny_programs import bank_spec, leaky, market_spec, prices


@pytest.fixture(scope="module")
def rows(fitted_market):
    return problem(market_spec().within(fitted_market.folder)).rows


@pytest.fixture(scope="module")
def program(fitted_market):
    return load_program(fitted_market.store, fitted_market.store.resolve("market"))


def test_a_classifier(fitted_bank):
    store = fitted_bank.store
    program, prob = load_program(store, store.resolve("bank")), problem(bank_spec(), leaky())
    table = outputs_table(program, program.tasks["y"], prob.rows)
    z = program(program.encode(prob.rows), "y").double().numpy()[:, 0]
    assert list(table.columns) == ["key", "y", "loss", "decision", "out:yes"]
    assert np.array_equal(table["out:yes"], z)
    assert table["decision"].tolist() == np.where(z > 0, "yes", "no").tolist()
    sign = np.where(table["y"] == "yes", 1.0, -1.0)
    assert table["loss"].to_numpy() == pytest.approx(np.log1p(np.exp(-sign * z)))
    kept = store.blobs.get_table(store.resolve("bank").manifest["blobs"]["outputs/y"])
    here = table.set_index("key").loc[kept["key"]].reset_index()
    assert here["out:yes"].to_numpy() == pytest.approx(kept["out:yes"].to_numpy(), abs=1e-6)
    assert here["y"].tolist() == kept["y"].tolist()


@pytest.mark.parametrize("name", ["forecast", "risk"])
def test_prices(program, rows, name):
    task = program.tasks[name]
    table = outputs_table(program, task, rows)
    outputs = table[[f"out:{o}" for o in task.outputs]].to_numpy()
    y = rows.targets[name]
    known = np.isfinite(y)
    assert known.sum() == len(rows) - (1 if name == "forecast" else 3)
    assert table["loss"].isna().tolist() == (~known).tolist()
    assert table["loss"][known].to_numpy() == pytest.approx(row_losses(task, y[known], outputs[known]))
    assert np.array_equal(table["y"], y, equal_nan=True)
    assert (table["time"].to_numpy().astype("datetime64[D]") == rows.times).all()
    words = {"forecast": ("up", "down"), "risk": ("rising", "falling")}[name]
    over = outputs[:, 2] > 0 if name == "forecast" else outputs[:, 0] > 2 * np.log(rows.extra["sigma"])
    assert table["decision"].tolist() == np.where(over, *words).tolist()


def test_trading(program, rows):
    table = outputs_table(program, program.tasks["trade"], rows)
    position = table["decision"].map({"short": -1.0, "flat": 0.0, "long": 1.0})
    assert position.tolist() == table["position"].tolist()
    held = np.concatenate([[0.0], position[:-1]])
    net = held * rows.extra["next_return"] - 5e-4 * np.abs(position - held)
    assert table["loss"].to_numpy() == pytest.approx(-net, nan_ok=True)


def test_a_policy_that_forecasts_is_scored_as_its_environment_pays(tmp_path):
    """A row is a whole step of StockPrice; the review rows are the program's own, not the environment's default."""
    prices().to_csv(tmp_path / "prices.csv", index=False)
    task = {"kind": "control", "env": "StockPrice-v0", "episode_days": 50,
            "ppo": {"num_envs": 4, "steps": 8, "minibatch": 32, "epochs": 1}}  # fmt: skip
    spec, store = market_spec(tasks={"price": task}).within(tmp_path), Store(tmp_path / ".pellucid")
    done = fit(spec, store)
    assert [row["name"] for row in done.evidence["tasks"][0]["baselines"]] == ["mean", "persistence", "ar1", "garch"]
    program = load_program(store, store.resolve("market"))
    rows = problem(spec).rows
    review = rows.take(np.isin(rows.keys, store.review_keys("market")))
    table = outputs_table(program, program.tasks["price"], review)
    assert set(table["key"]) == set(store.review_keys("market"))
    env = make("StockPrice-v0", 1, 0, {"rows": review})
    choose, obs = greedy(program, program.tasks["price"]), env.reset()
    for t in range(len(review) - 1):
        step = env.step(choose(obs, t))
        assert step.reward[0] == pytest.approx(-table["loss"][t], rel=1e-5)
        obs = step.obs
    mean = next(row for row in done.evidence["tasks"][0]["baselines"] if row["name"] == "mean")
    assert mean["value"] == pytest.approx((100 * rows.targets["forecast"][240:-83]).var(), rel=0.15)


def test_rows_without_targets_have_answers_but_no_losses(program, rows):
    bare = Rows(rows.keys, rows.fields, {}, rows.times, rows.extra)
    table = outputs_table(program, program.tasks["risk"], bare)
    assert table["loss"].isna().all()
    assert "y" not in table
    assert table["out:log_variance"].notna().all()


def test_episodes_of_an_environment():
    policy = wrap(lambda x: np.stack([-x[:, 2] - x[:, 3], x[:, 2] + x[:, 3]], 1), inputs=list("abcd"), kind="control",
                  outputs=["left", "right"])  # fmt: skip
    task = policy.tasks["predict"]
    task = Task(**{**task.__dict__, "options": {**task.options, "env": "CartPole-v1"}})
    table = outputs_table(policy, task, None, episodes=4)
    assert table["key"].tolist() == [f"CartPole-v1/seed={HELD_OUT + i}" for i in range(4)]
    assert (table["loss"] == -table["out:return"]).all()
    assert table["decision"].tolist() == [f"{r:.0f} steps" for r in table["out:return"]]


def test_decisions_name_every_action():
    """A bare policy may have no value among its outputs: its last action is still one."""
    options = {"space": "discrete", "actions": 3}
    task = Task("t", "control", ("x",), ("left", "stay", "right"), "logit", "negative_reward", (), options)
    rows = Rows(np.array(["a", "b"]), {"x": np.zeros(2)})
    assert decisions(task, np.array([[0.0, 1.0, 2.0], [3.0, 1.0, 2.0]]), rows).tolist() == ["right", "left"]
    valued = Task("t", "control", ("x",), ("left", "right", "value"), "logit", "negative_reward", (),
                  {**options, "actions": 2})  # fmt: skip
    assert decisions(valued, np.array([[0.0, 1.0, 9.0], [3.0, 1.0, 9.0]]), rows).tolist() == ["right", "left"]
    regress = Task("t", "regress", ("x",), ("p",), "", "squared_error")
    assert decisions(regress, np.zeros((2, 1)), rows).tolist() == ["", ""]

"""The handle: the words of the vision, on a table, on prices, on an environment and on models from elsewhere."""

from __future__ import annotations

import importlib
import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression

import pellucid
from pellucid.handle import Diff, LearnedProgram, Revision
from tiny_programs import bank_spec, leaky, market_spec

QUICK = ("train.updates=60", "train.lr=1e-2", "network.width=64", "network.depth=2", "evidence.folds=2",
         "explain.background=16", "explain.evaluations=64")  # fmt: skip
POLE = ("train.updates=4", "network.width=8", "tasks.policy.ppo.num_envs=4", "tasks.policy.ppo.steps=8",
        "tasks.policy.ppo.minibatch=32", "evidence.episodes=5", "explain.evaluations=16",
        "explain.background=16")  # fmt: skip


def test_the_vision(market):
    """The example of the vision, line by line, on prices."""
    program = pellucid.load("market", market.folder / ".pellucid")
    assert isinstance(program, LearnedProgram)
    assert program.evidence["tasks"][1]["task"] == "risk"
    assert (program.evidence["trials"], program.evidence["looks"]) == (1, 0)
    rows = program.rows().take(slice(200, 203))
    why = program.explain(rows, task="risk")
    assert why.values.shape == why.error.shape == (3, len(why.players), 1)
    program.feedback.forbid("volume", because="revised after the close")
    revision = program.revise(method="lora", updates=150, share=0.9, budget=5.0)
    assert isinstance(revision, Revision)
    assert revision.diff.verdict in ("better", "worse", "undecided")
    assert revision.diff is revision.diff  # looked at once
    assert program.evidence["looks"] == 1
    assert [record.because for record in program.feedback] == ["revised after the close"]
    accepted = revision.accept(because="volume is out", override_gates=True)
    assert accepted.ref == "market@2"
    assert pellucid.load("market", program.store).ref == "market@2"
    back = accepted.rollback(1, because="to look")
    assert back.ref == "market@1"
    assert [event.kind for event in back.log()][-2:] == ["accepted", "rolled back"]


def test_a_table_in_memory(tmp_path):
    """Fitted on a DataFrame: explained on rows, corrected and fitted again with the frame, compared."""
    frame = leaky()
    program = pellucid.fit(data=frame, target="y", store=tmp_path, overrides=QUICK)
    assert program.ref == "table@1"
    assert len(program.explain(frame[:4])) == 4
    assert len(program.explain(at="17", source=frame)) == 1
    predicted = program.predict(frame)
    assert predicted.index.equals(frame.index)
    assert ((predicted["yes"] > 0) == (frame["y"] == "yes")).mean() > 0.8
    for call in (program.explain, program.rows):
        with pytest.raises(pellucid.DataError, match="fitted on a table in memory") as caught:
            call()
        assert "source=frame" in str(caught.value)
    program.feedback.forbid("leak", because="filled in afterwards")
    with pytest.raises(pellucid.DataError, match="fitted on a table in memory"):
        program.revise()
    revision = program.revise(source=frame, updates=150, budget=20.0)
    assert revision.diff.verdict == "better"
    assert revision.diff.exit_code == 0
    assert revision.notes[0].startswith("y: effect of do(leak)")
    second = revision.accept()
    assert second.ref == "table@2"
    assert second.log()[-1].why.startswith("reviewed: ")
    again = pellucid.fit(data=frame, target="y", store=tmp_path, overrides=(*QUICK, "seed=1"))
    assert isinstance(again, Revision)
    assert again.entry.parent == "table@2"
    assert again.diff["tasks"][0]["n"] == 60
    assert pellucid.diff(program, second)["tasks"][0]["n"] == 60
    assert pellucid.diff(program, program)["empty"]


def test_a_frame_beside_a_spec_is_in_memory_too(bank):
    """Its own source is not what it was fitted on, so that it must not be read in its place."""
    other = pellucid.fit(bank_spec().within(bank.folder), data=leaky(200, seed=4), name="other", store=bank.store)
    with pytest.raises(pellucid.DataError, match="fitted on a table in memory"):
        other.explain(at="3")


def test_an_environment(tmp_path):
    program = pellucid.fit(env="CartPole-v1", name="pole", store=tmp_path, overrides=POLE)
    why = program.explain()
    assert set(why.players) == {"cart_position", "cart_velocity", "pole_angle", "pole_velocity"}
    assert why.keys[0].startswith("CartPole-v1/seed=")
    with pytest.raises(pellucid.DataError, match="learned from an environment"):
        program.rows()
    assert program.evidence["tasks"][0]["n"] == 5


def test_an_environment_made_of_prices_is_reviewed_on_days_that_it_was_not_trained_on():
    """Without data of its own, it walks along the planted market; its last days are set aside."""
    from pellucid.spec.presets import env_spec

    for env in ("pellucid/StockTrading-v0", "StockPrice-v0"):
        assert env_spec(env).data.source == "planted"
    assert env_spec("CartPole-v1").data is None


def test_nothing_to_learn_or_to_forbid(bank, tmp_path):
    with pytest.raises(pellucid.SpecError, match="nothing to learn"):
        pellucid.fit(store=tmp_path)
    program = pellucid.load("bank", bank.store)
    with pytest.raises(pellucid.SchemaError, match="no field 'leek'") as caught:
        program.feedback.forbid("leek", because="x")
    assert "did you mean 'leak'?" in str(caught.value)
    with pytest.raises(pellucid.ReviewError, match="needs a reason"):
        program.feedback.forbid("leak", because=" ")


def test_a_revision_may_be_rejected_and_its_diff_drawn(bank, tmp_path):
    candidate = pellucid.fit(bank_spec(seed=1).within(bank.folder), store=bank.store)
    page = candidate.diff.to_html(tmp_path / "diff.html")
    assert page.read_text().startswith("<!doctype html>")
    assert "bank@1" in str(candidate.diff)
    assert json.loads(json.dumps(candidate.diff)) == dict(candidate.diff)
    candidate.reject(because="no better")
    assert pellucid.load(candidate.ref, bank.store).entry.state == "rejected"
    with pytest.raises(pellucid.ReviewError, match="rejected already"):
        candidate.accept(because="after all", override_gates=True)
    first = pellucid.load("bank@1", bank.store)
    assert not hasattr(first, "diff")
    with pytest.raises(pellucid.UnknownVersion):
        pellucid.load("bank@9", bank.store)


# Two live programs


def test_two_versions_on_other_rows(bank):
    """Rows that a training has seen do not count; others do."""
    a = pellucid.load("bank@1", bank.store)
    b = pellucid.fit(bank_spec(seed=1).within(bank.folder), store=bank.store)
    found = pellucid.diff(a, b, leaky(), "y")
    assert found["contaminated"] == 240
    assert found["tasks"][0]["n"] == 60
    stored = pellucid.diff(a, b)
    assert found["tasks"][0]["change"] == pytest.approx(stored["tasks"][0]["change"])
    assert found["tasks"][0]["flips"]["changed"] == stored["tasks"][0]["flips"]["changed"]
    fresh = pellucid.diff(a, b, leaky(150, seed=6), "y")
    assert (fresh["contaminated"], fresh["tasks"][0]["n"]) == (0, 150)
    plain = pellucid.diff(a, b, leaky(150, seed=6))
    assert plain["tasks"][0]["change"] is None
    assert plain["tasks"][0]["flips"] == {**fresh["tasks"][0]["flips"], **{
        k: plain["tasks"][0]["flips"][k] for k in ("to_better", "to_worse", "mcnemar_p", "examples")}}  # fmt: skip


def test_the_same_rows_in_another_order_give_the_same_bytes(bank):
    a = pellucid.load("bank@1", bank.store)
    b = pellucid.wrap(LogisticRegression().fit(leaky()[["a", "b"]], leaky()["y"]), inputs=["a", "b"])
    frame = pd.concat([leaky(80, seed=6), leaky(10, seed=6)])  # ten rows twice
    one = pellucid.diff(a, b, frame, "y")
    other = pellucid.diff(a, b, frame.sample(frac=1.0, random_state=1), "y")
    assert one["tasks"][0]["n"] == 90
    assert json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert pellucid.diff(a, a, frame, "y")["empty"]


def forest(seed, **options):
    frame = leaky()
    return RandomForestClassifier(10, random_state=seed, **options).fit(frame[["a", "b", "leak"]], frame["y"])


def test_two_wrapped_classifiers():
    inputs = ["a", "b", "leak"]
    a, b = (pellucid.wrap(forest(seed), inputs=inputs, name=f"forest {seed}") for seed in (0, 1))
    frame = leaky(200, seed=5)
    found = pellucid.diff(a, b, frame, "y")
    assert isinstance(found, Diff)
    assert (found["base"], found["candidate"]) == ("forest 0", "forest 1")
    assert found["tasks"][0]["n"] == 200
    assert found["tasks"][0]["flips"]["mcnemar_p"] is not None
    assert found.verdict == found["tasks"][0]["verdict"]
    truth = frame["y"] == "yes"
    losses = [
        -np.log(np.clip(np.where(truth, p["yes"], p["no"]), 1e-7, 1)) for p in (a.predict(frame), b.predict(frame))
    ]
    assert found["tasks"][0]["change"] == pytest.approx((losses[1] - losses[0]).mean())
    assert pellucid.diff(a, pellucid.wrap(forest(0), inputs=inputs), frame, "y")["empty"]
    bare = pellucid.diff(a, b, frame)
    assert bare.verdict == "undecided"
    assert bare["tasks"][0]["flips"]["changed"] == found["tasks"][0]["flips"]["changed"]


def test_a_learned_and_a_wrapped_program(bank):
    """Logits against probabilities: losses and decisions are compared, outputs are not; tasks' names do not matter."""
    a = pellucid.load("bank", bank.store)
    b = pellucid.wrap(forest(0), inputs=["a", "b", "leak"])
    found = pellucid.diff(a, b, leaky(120, seed=5), "y")
    entry = found["tasks"][0]
    assert (entry["task"], entry["n"], entry["outputs"]) == ("y", 120, [])
    assert "unit 'logit' and 'probability'" in " ".join(found["notes"])
    back = pellucid.diff(b, a, leaky(120, seed=5), "y")
    assert back["tasks"][0]["change"] == pytest.approx(-entry["change"])


def test_two_wrapped_regressors_and_a_callable():
    frame = leaky().assign(pay=lambda f: 3 * f["a"] - f["b"])
    line = pellucid.wrap(LinearRegression().fit(frame[["a", "b"]], frame["pay"]), inputs=["a", "b"], name="line")
    tree = pellucid.wrap(RandomForestRegressor(5, random_state=0).fit(frame[["a", "b"]], frame["pay"]),
                         inputs=["a", "b"], name="forest")  # fmt: skip
    rule = pellucid.wrap(lambda x: 3 * x[:, 0] - x[:, 1], inputs=["a", "b"], name="rule")
    fresh = leaky(100, seed=3).assign(pay=lambda f: 3 * f["a"] - f["b"])
    assert pellucid.diff(tree, line, fresh, "pay").verdict == "better"
    assert pellucid.diff(line, tree, fresh, "pay").verdict == "worse"
    found = pellucid.diff(rule, line, fresh, "pay")["tasks"][0]
    assert found["outputs"][0]["correlation"] == pytest.approx(1.0)
    assert found["candidate"] < 1e-20
    evidence = line.evaluate(fresh, "pay")
    assert [row["name"] for row in evidence["baselines"]][:3] == ["mean", "linear", "hist_gradient_boosting"]
    assert evidence["skill"]
    why = rule.explain(fresh[:3], background=fresh)
    shift = fresh[["a", "b"]][:3] - fresh[["a", "b"]].mean()
    assert why.values[:, :, 0] == pytest.approx(np.stack([3 * shift["a"], -shift["b"]], 1), abs=0.2)


def test_what_a_diff_cannot_do(bank, tmp_path):
    learned, rule = pellucid.load("bank", bank.store), pellucid.wrap(lambda x: x[:, 0], inputs=["a", "b"])
    for pair in ((learned, rule), (rule, learned), (rule, rule)):
        with pytest.raises(pellucid.SpecError, match="only stored versions") as caught:
            pellucid.diff(*pair)
        assert "pellucid.diff(a, b, frame, target)" in str(caught.value)
    other = pellucid.load("bank", bank.copy(tmp_path / "elsewhere").store)
    with pytest.raises(pellucid.SpecError, match="lie in two stores"):
        pellucid.diff(learned, other)
    assert pellucid.diff(learned, other, leaky(20, seed=9), "y")["empty"]
    with pytest.raises(pellucid.SchemaError, match="lacks 1 of 2 inputs: b"):
        pellucid.diff(rule, rule, leaky().drop(columns="b"))
    number, label = rule, pellucid.wrap(forest(0), inputs=["a", "b", "leak"])
    found = pellucid.diff(number, label, leaky(30, seed=2))
    assert found["tasks"][0]["change"] is None
    assert any("metric" in note for note in found["notes"])


# Wrapped models alone


def test_a_wrapped_classifier_is_judged():
    program = pellucid.wrap(forest(0), inputs=["a", "b", "leak"])
    entry = program.evaluate(leaky(150, seed=5), "y")
    assert [row["name"] for row in entry["baselines"]][:3] == ["majority", "linear", "hist_gradient_boosting"]
    assert entry["n"] == 150
    flags = leaky(150, seed=5).assign(y=lambda f: f["y"] == "yes")
    boolean = pellucid.wrap(LogisticRegression().fit(flags[["a", "b"]], flags["y"]), inputs=["a", "b"])
    assert boolean.evaluate(flags, "y")["skill"]
    why = program.explain(leaky(4, seed=5), background=leaky(30, seed=6), method="exact", grain="field")
    assert why.values.shape == (4, 3, 2)
    with pytest.raises(pellucid.SpecError, match="nothing to evaluate on"):
        program.evaluate(leaky())
    with pytest.raises(pellucid.DataError, match="no column 'yy'"):
        program.evaluate(leaky(), "yy")
    with pytest.raises(pellucid.DataError, match="the program knows no, yes"):
        program.evaluate(leaky(), "city")


def test_a_bare_policy():
    def lean(x):
        return np.stack([-x[:, 2] - x[:, 3], x[:, 2] + x[:, 3]], 1)

    policy = pellucid.wrap(lean, inputs=["x", "v", "angle", "spin"], kind="control", outputs=["left", "right"])
    entry = policy.evaluate(env="CartPole-v1", episodes=5)
    assert entry["n"] == 5
    assert entry["value"] < -150
    with pytest.raises(pellucid.SchemaError, match=r"the policy reads 4 values .* the environment gives 3"):
        policy.evaluate(env="Pendulum-v1", episodes=2)
    with pytest.raises(pellucid.DataError, match="a control program cannot be judged on a table"):
        policy.evaluate(pd.DataFrame({n: [0.0] for n in ["x", "v", "angle", "spin"]}).assign(y=1.0), "y")
    with pytest.raises(pellucid.SpecError, match="CartPole-v7"):
        policy.evaluate(env="CartPole-v7")


@pytest.mark.slow
def test_a_policy_of_stable_baselines():
    """PPO on CartPole, 512 steps: wrapped under names of its own, explained, judged, compared with itself later."""
    stable_baselines3 = importlib.import_module("stable_baselines3")
    torch.manual_seed(0)
    model = stable_baselines3.PPO("MlpPolicy", "CartPole-v1", n_steps=256, batch_size=64, seed=0, device="cpu")
    model.learn(512)
    names = ["x", "v", "angle", "spin"]
    early = pellucid.wrap(model, inputs=names, name="early")
    states = pd.DataFrame(np.random.default_rng(0).normal(0, 0.1, (60, 4)), columns=names)
    before = early.predict(states)
    assert list(before.columns) == ["action_0", "action_1", "value"]
    entry = early.evaluate(env="CartPole-v1", episodes=10)
    assert entry["n"] == 10
    assert [row["name"] for row in entry["baselines"]][:3] == ["random", "best_constant_action"]
    picked, _ = model.predict(states.to_numpy(dtype=np.float32), deterministic=True)
    assert (before[["action_0", "action_1"]].to_numpy().argmax(1) == picked).all()
    why = early.explain(states[:3], background=states, evaluations=128)
    assert why.players == tuple(names)
    saved = {k: v.clone() for k, v in model.policy.state_dict().items()}
    model.learn(4096)
    late = pellucid.wrap(model, inputs=names, name="late")
    after = late.predict(states)
    frozen = stable_baselines3.PPO("MlpPolicy", "CartPole-v1", n_steps=256, batch_size=64, seed=0, device="cpu")
    frozen.policy.load_state_dict(saved)
    found = pellucid.diff(pellucid.wrap(frozen, inputs=names, name="early"), late, states)
    changed = before[["action_0", "action_1"]].to_numpy().argmax(1) != after[
        ["action_0", "action_1"]
    ].to_numpy().argmax(1)
    assert found["tasks"][0]["flips"]["changed"] == changed.sum()
    assert found.verdict == "undecided"  # no rewards on bare states
    continuous = stable_baselines3.PPO("MlpPolicy", "Pendulum-v1", n_steps=64, batch_size=64, seed=0, device="cpu")
    entry = pellucid.wrap(continuous, inputs=["c", "s", "w"]).evaluate(env="Pendulum-v1", episodes=3)
    assert entry["n"] == 3


def test_prices_as_a_frame(market, tmp_path):
    """A DataFrame of prices in place of a file."""
    from tiny_programs import prices

    program = pellucid.fit(market_spec(**{"train.updates": 2}), data=prices(), store=tmp_path)
    assert program.ref == "market@1"
    found = program.explain(at="2000-06-01", task="risk", source=prices().set_index("date"))
    assert found.keys == ("PRICES/2000-06-01",)

"""Behaviour cloning and DAgger: closed forms, the learner's contract, and fifty corrections."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from pellucid.assemble import assemble, problem
from pellucid.core.errors import DataError
from pellucid.core.task import Task
from pellucid.data.shown import Shown, correction, shown_from_feedback
from pellucid.envs.vectorise import make
from pellucid.rl.imitation import BehaviourCloning, DAgger, DAggerConfig, imitate, imitation_loss
from pellucid.runs.policies import greedy, rollout
from pellucid.spec.loader import spec_from
from pellucid.testing import check_learner
from pellucid.train.loop import Hooks

pytestmark = pytest.mark.slow  # many seconds in all: `make fast` leaves them out

HELD_OUT = range(1_000_003, 1_000_103)
FIELDS = ("cart_position", "cart_velocity", "pole_angle", "pole_velocity")


def expert(obs):
    """A linear rule that balances for ever."""
    weights = {"cart_position": 0.05, "cart_velocity": 0.1, "pole_angle": 1.0, "pole_velocity": 0.4}
    return (sum(w * obs[name][:, 0] for name, w in weights.items()) > 0).astype(np.int64)


def assembly(env: str, seed: int, updates: int = 12, width: int = 64, **task):
    raw = {
        "name": "x",
        "tasks": {"p": {"kind": "control", "env": env, **task}},
        "network": {"width": width, "depth": 2, "activation": "tanh"},
        "train": {"updates": updates, "lr": 3e-3, "weight_decay": 0.0},
    }
    return assemble(problem(spec_from(raw, where="test")), None, seed=seed)


def states(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    g = np.random.default_rng(seed)
    return {name: g.normal(size=(n, 1)).astype(np.float32) * 0.2 for name in FIELDS}


def score(program) -> float:
    return float(rollout("CartPole-v1", greedy(program, program.tasks["p"]), HELD_OUT).returns.mean())


# Losses


def test_the_loss_of_discrete_actions():
    task = Task("p", "control", (), (), "", "", (), {"space": "discrete"})
    policy = torch.tensor([[0.0, np.log(3.0)], [2.0, 2.0]], dtype=torch.float32)
    loss = imitation_loss(task, policy, torch.tensor([1, 0]))
    assert torch.allclose(loss, torch.tensor([-np.log(0.75), np.log(2.0)], dtype=torch.float32))


def test_the_loss_of_continuous_actions_is_in_half_ranges():
    bounds = {"low": [-2.0, -np.inf], "high": [2.0, np.inf]}
    task = Task("p", "control", (), (), "", "", (), {"space": "box", **bounds})
    loss = imitation_loss(task, torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 0.0]]))
    assert torch.allclose(loss, torch.tensor([(0.5**2 + 3.0**2) / 2]))


# The learners' contract


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_cloning_conforms(env):
    def learner(seed):
        built = assembly(env, 0, width=8)
        fields = {
            f.name: np.random.default_rng(1).normal(size=(40, 1)).astype(np.float32)
            for f in built.program.schema.inputs
        }
        some = np.random.default_rng(2)
        action = some.integers(0, 2, size=40) if env == "CartPole-v1" else some.normal(size=(40, 1)).astype(np.float32)
        encode = built.program.encoding.encode_fields
        return BehaviourCloning(built.learners[0].task, Shown(fields, action), encode, batch=16, seed=seed)

    check_learner(learner, lambda: assembly(env, 0, width=8).program.network)


@pytest.mark.parametrize("algorithm", ["ppo", "dqn"])
def test_dagger_conforms(algorithm):
    def learner(seed):
        built = assembly("CartPole-v1", 0, width=8, algorithm=algorithm)
        config = DAggerConfig(rounds=3, labels=8, updates=4, batch=6, beta=0.5)
        env = make("CartPole-v1", 3, 0)
        return DAgger(built.learners[0].task, env, built.program.encoding.encode_fields, expert, config, seed=seed)

    check_learner(learner, lambda: assembly("CartPole-v1", 0, width=8, algorithm=algorithm).program.network)


def test_nothing_shown_is_told():
    built = assembly("CartPole-v1", 0, width=8)
    with pytest.raises(DataError, match="no shown action"):
        BehaviourCloning(
            built.learners[0].task,
            Shown(states(0), np.zeros(0, dtype=int)),
            built.program.encoding.encode_fields,
            batch=4,
            seed=0,
        )


# What they learn


def test_cloning_agrees_with_what_was_shown(tmp_path):
    """Through a spec with a file beside it; wrong actions in the file are learned as faithfully."""
    shown = states(300)
    frame = pd.DataFrame({name: values[:, 0] for name, values in shown.items()})
    for flip in (False, True):
        frame.assign(action=(1 - expert(shown)) if flip else expert(shown)).to_csv(tmp_path / "shown.csv", index=False)
        raw = {
            "name": "x",
            "tasks": {
                "p": {"kind": "control", "env": "CartPole-v1", "algorithm": "bc", "bc": {"demonstrations": "shown.csv"}}
            },
            "network": {"width": 32, "depth": 2, "activation": "tanh"},
            "train": {"updates": 200, "lr": 3e-3, "weight_decay": 0.0},
        }
        prob = problem(spec_from(raw, where="test").within(tmp_path))
        assert len(prob.data_sha) == 64
        built = assemble(prob, None, seed=0)
        built.trainer.run(built.config, Hooks(built.schedule))
        program = built.finish()
        fresh = states(200, seed=9)
        out = program({name: torch.from_numpy(values) for name, values in fresh.items()}, "p")
        agreement = float((out[:, :2].argmax(1).numpy() == expert(fresh)).mean())
        assert agreement < 0.1 if flip else agreement > 0.9
        assert torch.equal(out[:, 2], torch.zeros(200))


def test_dagger_asks_as_often_as_it_may_and_about_the_learners_own_states():
    built = assembly("CartPole-v1", 0, width=8)
    asked = []

    def watched(obs):
        asked.append({name: values.copy() for name, values in obs.items()})
        return expert(obs)

    config = DAggerConfig(rounds=3, labels=7, updates=2, own_first=True)
    learner = DAgger(
        built.learners[0].task, make("CartPole-v1", 2, 0), built.program.encoding.encode_fields, watched, config, seed=0
    )
    for _ in range(10):
        learner.next_batch(built.program.network)
    assert [len(obs["pole_angle"]) for obs in asked] == [7, 7, 7]  # the expert was never asked to act
    assert learner.asked == len(learner.shown) == 21
    # Untrained, the pole falls within a few dozen steps: its own states reach far beyond those of the expert.
    assert max(float(np.abs(obs["pole_angle"]).max()) for obs in asked) > 0.15


def test_in_the_first_round_the_expert_acts():
    built = assembly("CartPole-v1", 0, width=8)
    config = DAggerConfig(rounds=1, labels=50, updates=1, limit=200)
    learner = DAgger(
        built.learners[0].task, make("CartPole-v1", 2, 0), built.program.encoding.encode_fields, expert, config, seed=0
    )
    learner.next_batch(built.program.network)
    assert float(np.abs(learner.shown.fields["pole_angle"]).max()) < 0.15  # balanced, all 200 steps


def base(seed: int):
    """A PPO that was stopped early."""
    built = assembly("CartPole-v1", seed, updates=40, ppo={"normalise_observations": False})
    built.trainer.run(built.config)
    return built.finish()


def corrected(seed: int):
    """(before, after, corrections): fifty answers in states that the learner visits."""
    program = base(seed)
    task, encode = program.tasks["p"], program.encoding.encode_fields
    config = DAggerConfig(rounds=10, labels=5, updates=150, own_first=True, limit=500)
    learner = DAgger(task, make("CartPole-v1", 4, 0), encode, expert, config, seed=seed)
    before = score(program)
    after = imitate(program, learner, updates=1500, seed=seed)
    assert score(program) == before  # the base is left as it is
    return before, score(after), learner


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_fifty_corrections_mend_a_policy(seed):
    before, after, learner = corrected(seed)
    assert learner.asked <= 50
    assert before <= 300
    assert after >= 475


@pytest.mark.slow
def test_the_same_corrections_as_feedback():
    """Stored as JSON and learned at once, they do nearly as well."""
    before, _, learner = corrected(1)
    program = base(1)
    shown = learner.shown
    payloads = [
        correction({name: values[i] for name, values in shown.fields.items()}, shown.action[i])
        for i in range(len(shown))
    ]
    again = shown_from_feedback(payloads, program.schema.inputs, program.tasks["p"])
    assert np.array_equal(again.action, shown.action)
    cloned = BehaviourCloning(program.tasks["p"], again, program.encoding.encode_fields, batch=64, seed=1)
    assert score(imitate(program, cloned, updates=600, seed=1)) > before + 100

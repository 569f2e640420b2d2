"""Greedy and sampled returns, the seeds they are played on, and baselines for every kind of action."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.assemble import assemble, problem
from pellucid.core.errors import DataError
from pellucid.core.random import derive
from pellucid.evidence.baselines import RolloutContext, answer
from pellucid.report.markdown import evidence_comment
from pellucid.report.words import extra_facts
from pellucid.runs import judge_policy as module
from pellucid.runs.judge_policy import judge_episodes
from pellucid.runs.outputs import HELD_OUT
from pellucid.runs.sampling import sampled, why_greedy_only
from pellucid.spec.presets import env_spec

SMALL = ("network.width=8", "train.updates=2", "evidence.episodes=12")


def small(env: str, algorithm: str, *more: str):
    """(problem, program) before any learning to speak of."""
    prob = problem(env_spec(env, name="small", algorithm=algorithm, overrides=(*SMALL, *more)))
    return prob, assemble(prob, None, seed=prob.spec.seed).finish()


PPO = ("tasks.policy.ppo.num_envs=4", "tasks.policy.ppo.steps=8", "tasks.policy.ppo.minibatch=16")


def test_greedy_and_sampled_returns_stand_side_by_side():
    prob, program = small("CartPole-v1", "ppo", *PPO)
    entry = judge_episodes(prob, program, program.task("policy"))
    extra, sampled_return = entry["extra"], entry["extra"]["stochastic_return"]
    assert sampled_return["low"] < sampled_return["value"] < sampled_return["high"]
    assert extra["mean_return"] == -entry["value"] != sampled_return["value"]
    assert extra["held_out_seeds"] == f"{HELD_OUT}..{HELD_OUT + 11}"
    first = derive(prob.spec.seed, "env/policy")
    assert extra["training_seeds"] == f"{first}..{first + 3}"
    assert [b["name"] for b in entry["baselines"]] == ["random", "best_constant_action"]
    assert all(b["low"] < b["high"] for b in entry["baselines"])
    told = dict(extra_facts(entry))["Return with actions drawn as in training"]
    assert told.startswith(f"{sampled_return['value']:.0f}"[0])
    assert "Return with actions drawn as in training" in evidence_comment({"tasks": [entry]})


def test_a_held_out_seed_is_never_a_training_seed(monkeypatch):
    prob, program = small("CartPole-v1", "ppo", *PPO)
    monkeypatch.setattr(module, "derive", lambda *_: HELD_OUT - 3)
    with pytest.raises(DataError, match="trains on the very seeds"):
        judge_episodes(prob, program, program.task("policy"))


def test_values_are_no_chances():
    _, program = small("CartPole-v1", "dqn")
    assert "values of actions" in why_greedy_only(program, program.task("policy"))
    prob, program = small("CartPole-v1", "es")
    assert judge_episodes(prob, program, program.task("policy"))["extra"]["stochastic_return"].startswith("none: ")


def drawn(env: str, algorithm: str, heads: dict[str, list[float]], n: int = 20_000, more=()) -> np.ndarray:
    """Actions in one state of a policy whose heads say the same everywhere."""
    _, program = small(env, algorithm, *more)
    task = program.task("policy")
    with torch.no_grad():
        for name, bias in heads.items():
            head = dict(program.network.named_modules())[f"heads._policy.{name}"]
            head.weight.zero_()
            head.bias.copy_(torch.tensor(bias))
    obs = {field.name: np.zeros((n, field.width), dtype=np.float32) for field in program.schema.inputs}
    return sampled(program, task, 0)(obs, 0)


def test_discrete_actions_are_drawn_by_their_probabilities():
    actions = drawn("CartPole-v1", "ppo", {"policy": [0.0, np.log(3.0)]}, more=PPO)
    assert abs(actions.mean() - 0.75) < 4 * np.sqrt(0.75 * 0.25 / 20_000)


def test_gaussian_actions_have_their_spread():
    actions = drawn("Pendulum-v1", "ppo", {"policy": [0.5], "log_std": [np.log(0.25)]}, more=PPO)
    assert actions.shape == (20_000, 1)
    assert abs(actions.mean() - 0.5) < 4 * 0.25 / np.sqrt(20_000)
    assert abs(actions.std() - 0.25) < 0.01


def test_squashed_actions_are_in_the_environments_units():
    actions = drawn("Pendulum-v1", "sac", {"policy": [0.0], "log_std": [-5.0]})
    assert abs(actions).max() < 0.1
    wide = drawn("Pendulum-v1", "sac", {"policy": [0.5], "log_std": [0.0]})
    assert abs(wide).max() <= 2.0
    assert np.median(wide) == pytest.approx(2.0 * np.tanh(0.5), abs=0.05)  # tanh keeps the median


@pytest.mark.parametrize(("low", "high", "best"), [([-2.0], [2.0], [0.5]), ([-1.0, 0.0], [1.0, 4.0], [0.5, 3.0])])
def test_the_best_constant_of_a_box_is_found_on_a_grid(low, high, best):
    played = []

    def play(policy, seeds):
        action = policy(len(seeds), 0)
        played.append((action[0], seeds[0]))
        return -((action - np.asarray(best)) ** 2).sum(1)

    _, program = small("Pendulum-v1", "ppo", *PPO)
    context = RolloutContext.box(play, low, high, range(5), range(100, 120), 0)
    found = answer(program.task("policy"), "best_constant_action", context)
    assert found.losses is not None
    assert np.allclose(played[-1][0], best)
    assert played[-1][1] == 100  # chosen on other seeds than it is judged on
    assert {first for _, first in played[:-1]} == {0}


def test_a_wide_box_and_one_without_bounds_have_constants_too():
    many = RolloutContext.box(None, [-1.0] * 6, [1.0] * 6, range(1), range(1), 0)
    assert len(many.constants) == 16
    free = RolloutContext.box(None, [-np.inf], [np.inf], range(1), range(1), 0)
    assert np.isfinite(free.constants).all()
    assert np.isfinite(free.sample(np.random.default_rng(0), 5)).all()

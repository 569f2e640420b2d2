"""Deep learners beside the exact optimum: on small processes their greedy policy is worth what value iteration gives.

The worth of a policy is solved for, not sampled, so the check has no noise of its own. A network that has not learned
fails it.
"""

from __future__ import annotations

import itertools
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import pytest
import torch

from pellucid.assemble import assemble, problem
from pellucid.envs.finite import MDP, MDPEnv, from_arrays, from_env
from pellucid.nn.program import NetworkProgram
from pellucid.rl.tabular import expected_return, policy_value, value_iteration
from pellucid.runs.progress import one_thread
from pellucid.spec.loader import spec_from
from pellucid.train.loop import Hooks

pytestmark = pytest.mark.slow

DISCOUNT, STEPS = 0.9, 25  # steps: of an episode of ES, which does not discount


def random_process() -> MDP:
    """Five states, three actions, transitions and rewards drawn at random."""
    g = np.random.default_rng(5)
    return from_arrays(g.dirichlet(np.full(5, 0.4), size=(5, 3)), g.normal(size=(5, 3)), name="random")


def chain() -> MDP:
    """Five links (Strens 2000): back to the first for 0.2 at once, or on for nothing, and 1 a step at the end. One
    action in five does the other."""
    P, R = np.zeros((5, 2, 5)), np.zeros((5, 2, 5))
    for s, action, slip in itertools.product(range(5), range(2), range(2)):
        back = action != slip
        following = 0 if back else min(s + 1, 4)
        P[s, action, following] += 0.2 if slip else 0.8
        R[s, action, following] = 0.2 if back else 1.0 * (s == 4)
    return from_arrays(P, R, name="chain")


PROCESSES: dict[str, MDP] = {
    "Random5-v0": random_process(),
    "Chain5-v0": chain(),
    "FrozenLake-v1": from_env("FrozenLake-v1", is_slippery=False),
}
for name in ("Random5-v0", "Chain5-v0"):
    if name not in gymnasium.registry:
        gymnasium.register(name, MDPEnv, kwargs={"mdp": PROCESSES[name]}, max_episode_steps=STEPS)

SECTIONS: dict[str, dict[str, Any]] = {
    "ppo": {"num_envs": 16, "steps": 32, "minibatch": 128, "discount": DISCOUNT, "entropy": 0.05,
            "normalise_observations": False},
    "dqn": {"num_envs": 16, "steps": 8, "updates": 8, "discount": DISCOUNT, "explore": {"start": 1.0, "end": 1.0},
            "target": {"every": 25}, "replay": {"warmup": 8000}},
    "es": {"population": 16, "episodes": 32, "normalise_observations": False},
}  # fmt: skip
TRAIN: dict[str, dict[str, Any]] = {
    "ppo": {"updates": 800, "lr": 1e-2, "clip": 0.5},
    "dqn": {"updates": 1200, "lr": 3e-3, "clip": 10.0},
    "es": {"updates": 20, "lr": 0.1, "clip": None},
}


def learned(env: str, algorithm: str, seed: int, *, untrained: bool = False) -> NetworkProgram:
    options = {"is_slippery": False} if env == "FrozenLake-v1" else {}
    section = {algorithm: SECTIONS[algorithm], "env_options": options}
    task = {"kind": "control", "env": env, "algorithm": algorithm, **section}
    train = {"optimiser": "adam", "weight_decay": 0.0, "schedule": "linear", **TRAIN[algorithm]}
    network = {"width": 32, "depth": 1, "activation": "tanh"}
    spec = spec_from({"name": "it", "tasks": {"p": task}, "network": network, "train": train}, where="test")
    assembly = assemble(problem(spec), None, seed=seed)
    if not untrained:
        with one_thread():
            assembly.trainer.run(assembly.config, Hooks(schedule=assembly.schedule))
    return assembly.finish()


def policy_of(program: NetworkProgram, mdp: MDP) -> npt.NDArray[np.int64]:
    """The greedy action in every state."""
    scores = program({"state": torch.eye(mdp.states)}, "p")[:, : mdp.actions]
    return scores.numpy().argmax(1)


def share_of_optimum(program: NetworkProgram, mdp: MDP) -> float:
    """Discounted worth of the greedy policy from the first states, as a share of the optimum."""
    mine = policy_value(mdp, policy_of(program, mdp), DISCOUNT)
    return float(mdp.start @ mine / (mdp.start @ value_iteration(mdp, DISCOUNT).V))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("env", PROCESSES)
@pytest.mark.parametrize("algorithm", ["ppo", "dqn"])
def test_the_greedy_policy_is_worth_the_optimum(algorithm: str, env: str, seed: int) -> None:
    assert share_of_optimum(learned(env, algorithm, seed), PROCESSES[env]) > 0.99


@pytest.mark.parametrize("env", PROCESSES)
@pytest.mark.parametrize("algorithm", ["ppo", "dqn"])
def test_a_network_that_has_not_learned_is_found_out(algorithm: str, env: str) -> None:
    for seed in (0, 1, 2):
        assert share_of_optimum(learned(env, algorithm, seed, untrained=True), PROCESSES[env]) < 0.99


def test_evolution_finds_the_best_of_all_policies() -> None:
    """ES does not discount: what it can reach is the best of all choices of an action per state, and all are tried."""
    mdp = PROCESSES["Chain5-v0"]

    def worth(policy: Any) -> float:
        return expected_return(mdp, np.asarray(policy), STEPS)

    best = max(worth(policy) for policy in itertools.product(range(mdp.actions), repeat=mdp.states))
    for seed in (0, 1, 2):
        assert worth(policy_of(learned("Chain5-v0", "es", seed, untrained=True), mdp)) < 0.99 * best
        assert worth(policy_of(learned("Chain5-v0", "es", seed), mdp)) > 0.99 * best

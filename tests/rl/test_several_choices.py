"""Actions that are several choices at once (MultiDiscrete, MultiBinary), from the distribution to the diff."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Categorical

import pellucid
import small_worlds  # noqa: F401 - registers them
from pellucid.assemble import assemble, problem
from pellucid.cli.main import main
from pellucid.core.errors import DataError, SpecError
from pellucid.core.rows import Rows
from pellucid.core.task import Task
from pellucid.data.shown import read_shown
from pellucid.envs.vectorise import make
from pellucid.evidence.baselines.context import RolloutContext
from pellucid.nn.network import Network
from pellucid.nn.outputs import ALL as OUTPUTS
from pellucid.nn.plain import plain_view
from pellucid.rl.distributions import act, log_prob_and_entropy
from pellucid.rl.imitation import imitation_loss
from pellucid.rl.ppo import PPO, PPOBatch, PPOConfig
from pellucid.runs.outputs import decisions
from pellucid.spec.loader import spec_from

PARTS = (3, 4, 2)


def task_of(parts: tuple[int, ...] = PARTS) -> Task:
    names = tuple(f"action_{i}={j}" for i, n in enumerate(parts) for j in range(n))
    options = {"space": "multi_discrete", "actions": sum(parts), "nvec": list(parts), "action_names": list(names)}
    return Task("act", "control", ("a",), (*names, "value"), "logit", "negative_reward", (), options)


def test_independent_choices_agree_with_torch() -> None:
    raw = {"policy": 3.0 * torch.randn(50, sum(PARTS))}
    action = torch.stack([torch.randint(n, (50,)) for n in PARTS], 1)
    log_p, entropy = log_prob_and_entropy(raw, action, PARTS)
    theirs = [Categorical(logits=z) for z in raw["policy"].split(PARTS, 1)]
    torch.testing.assert_close(
        log_p, torch.stack([d.log_prob(a) for d, a in zip(theirs, action.T, strict=True)]).sum(0)
    )
    torch.testing.assert_close(entropy, torch.stack([d.entropy() for d in theirs]).sum(0))


def test_draws_have_the_joint_frequencies() -> None:
    """Each choice by its softmax, and independent of the others."""
    n, parts = 100_000, (2, 3)
    logits = torch.tensor([1.0, 0.0, 0.0, 2.0, -1.0])
    drawn = act({"policy": logits.expand(n, 5)}, np.random.default_rng(0), parts).numpy()
    assert drawn.shape == (n, 2)
    assert drawn.dtype.kind == "i"
    first, second = (torch.softmax(z, 0).numpy() for z in logits.split(parts))
    joint = np.bincount(3 * drawn[:, 0] + drawn[:, 1], minlength=6) / n
    p = np.outer(first, second).ravel()
    assert (np.abs(joint - p) < 4.5 * np.sqrt(p * (1 - p) / n)).all()


def test_the_mode_is_taken_choice_by_choice() -> None:
    raw = {"policy": torch.tensor([[0.0, 1.0, 0.5, 9.0, 2.0, 3.0, 4.0, -1.0, -2.0]])}
    assert act(raw, None, PARTS).tolist() == [[1, 0, 0]]


def learner() -> tuple[PPO, Network]:
    network = Network({"a": 5}, {"act": ("a",)}, {"act": {"policy": 9, "value": 1}}, width=8, activation="tanh")
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.7 * torch.randn(parameter.shape, generator=generator))
    return PPO(task_of(), make("Dials-v0", 2, 0), lambda obs: obs, PPOConfig(entropy=0.03), seed=0), network


def test_gradient_by_hand_equals_autograd() -> None:
    ppo, network = learner()
    g = torch.Generator().manual_seed(2)
    blocks = {"a": torch.randn(64, 5, generator=g)}
    action = torch.stack([torch.randint(n, (64,), generator=g) for n in PARTS], 1)
    with torch.no_grad():
        now = log_prob_and_entropy(network(blocks, "act"), action, PARTS)[0]
    old = now + 0.3 * torch.randn(64, generator=g)
    batch = PPOBatch(blocks, action, old, torch.randn(64, generator=g), torch.randn(64, generator=g))
    ppo._view = plain_view(network, "act")
    found = ppo.gradients(network, batch)
    assert found is not None
    loss = ppo.loss(network, batch)
    assert found.value == pytest.approx(float(loss.value.detach()), rel=1e-5)
    for name, value in loss.metrics.items():
        assert found.metrics[name] == pytest.approx(float(value), rel=1e-4, abs=1e-5), name
    assert 0.1 < found.metrics["clip_fraction"] < 0.9
    wanted = torch.autograd.grad(loss.value, found.parameters)
    assert max(float(g.abs().max()) for g in wanted) > 0.1
    for mine, theirs in zip(found.gradients, wanted, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), atol=1e-6, rtol=1e-5)


def test_logits_are_centred_choice_by_choice() -> None:
    raw = {"policy": torch.randn(6, 9), "value": torch.randn(6, 1)}
    z = OUTPUTS["control"].training(task_of(), raw)
    for mine, theirs in zip(z[:, :-1].split(PARTS, 1), raw["policy"].split(PARTS, 1), strict=True):
        torch.testing.assert_close(mine.sum(1), torch.zeros(6), atol=1e-6, rtol=0)
        torch.testing.assert_close(torch.softmax(mine, 1), torch.softmax(theirs, 1))


def test_decisions_name_every_choice() -> None:
    outputs = np.array([[0, 1, 0, 0, 0, 3, 0, 0, 1, 7.0], [5, 1, 0, 4, 0, 3, 0, 2, 1, -7.0]])
    rows = Rows(np.array(["x", "y"]), {})
    assert decisions(task_of(), outputs, rows).tolist() == [
        "action_0=1, action_1=2, action_2=1",
        "action_0=0, action_1=0, action_2=0",
    ]


def test_shown_choices_are_read_and_learned_from() -> None:
    task = task_of()
    fields = pellucid.core.schema.Field("a")
    columns: dict[str, Any] = {"a": [0.5, 1.5], "action_0": [2, 0], "action_1": [3, 1], "action_2": [0, 1]}
    shown = read_shown(columns, [fields], task)
    assert shown.action.tolist() == [[2, 3, 0], [0, 1, 1]]
    policy = torch.randn(2, 9)
    wanted = -log_prob_and_entropy({"policy": policy}, torch.from_numpy(shown.action), PARTS)[0]
    torch.testing.assert_close(imitation_loss(task, policy, torch.from_numpy(shown.action)), wanted)
    with pytest.raises(DataError, match="'action_1' is 4 in row 2, which is no choice of it"):
        read_shown({**columns, "action_1": [3, 4]}, [fields], task)


@pytest.mark.parametrize("algorithm", ["dqn", "sac"])
def test_who_cannot_take_them_says_so(algorithm: str) -> None:
    task = {"kind": "control", "env": "Dials-v0", "algorithm": algorithm}
    spec = spec_from({"name": "dials", "tasks": {"act": task}, "network": {"width": 8}}, where="test")
    with pytest.raises(SpecError, match=f"{algorithm} cannot act in 'Dials-v0', whose actions are several") as caught:
        assemble(problem(spec), None, seed=0)
    assert "ppo or es" in str(caught.value.mend)


SMALL = ("network.width=32", "train.lr=0.01", "evidence.episodes=20", "explain.background=24")
PPO_SMALL = tuple(
    f"tasks.policy.ppo.{s}" for s in ("num_envs=16", "steps=16", "minibatch=64", "discount=0.0", "gae_lambda=0.0")
)


def learned(env: str, store: Path, updates: int, *more: str, seed: int = 0) -> Any:
    overrides = (*SMALL, *(more or PPO_SMALL), f"train.updates={updates}", f"seed={seed}")
    return pellucid.fit(env=env, algorithm="es" if more else "ppo", store=store, overrides=overrides)


def test_the_optimum_is_learned_judged_explained_and_compared(tmp_path: Path) -> None:
    """60 is the optimum of 20 steps, about 33 the best constant, 22 chance."""
    program = learned("Dials-v0", tmp_path / "store", 160)
    entry = program.evidence["tasks"][0]
    assert entry["extra"]["mean_return"] == pytest.approx(60.0, abs=0.5)
    random, constant = (-baseline["value"] for baseline in entry["baselines"])
    assert random == pytest.approx(20 * (1 / 3 + 1 / 4 + 1 / 2), abs=2.5)
    assert constant == pytest.approx(20 * 5 / 3, abs=2.5)
    task = program.program.tasks["policy"]
    assert task.outputs == (*(f"action_{i}={j}" for i, n in enumerate(PARTS) for j in range(n)), "value")
    explanation = program.explain(task="policy")
    np.testing.assert_allclose(explanation.residual, 0.0, atol=1e-4)
    assert "action_1=2" in explanation.text(output="action_1=2")


@pytest.mark.parametrize(("nvec", "tried"), [((3, 4, 2), 24), ((10, 10, 10), 64)])
def test_constants_are_all_combinations_or_some_of_many(nvec: tuple[int, ...], tried: int) -> None:
    context = RolloutContext.multi_discrete(lambda policy, seeds: np.zeros(len(seeds)), nvec, [0], [1])
    found = {tuple(int(x) for x in action) for action in context.constants}
    assert len(found) == len(context.constants)
    assert (len(found) == tried) if tried < 64 else (48 < len(found) <= tried)
    drawn = context.sample(np.random.default_rng(0), 500)
    for actions in (np.asarray(context.constants), drawn):
        assert (actions >= 0).all()
        assert (actions.max(0) == np.asarray(nvec) - 1).all()  # every choice comes up
    assert drawn.shape == (500, len(nvec))


def test_the_command_line_takes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    env, store = "small_worlds:Dials-v0", ["--store", str(tmp_path / "store")]
    assert main(["check", "env", env]) == 0
    sets = [word for setting in (*SMALL, *PPO_SMALL) for word in ("--set", setting)]
    fit = ["fit", "--env", env, "--algorithm", "ppo", *sets, *store]
    assert main([*fit, "--set", "train.updates=4"]) == 0
    assert main(["evaluate", "small_worlds-dials-v0", *store]) in (0, 1)
    capsys.readouterr()
    assert main(["explain", "small_worlds-dials-v0", "--task", "policy", *store]) == 0
    assert "action_2=1" in capsys.readouterr().out
    assert main([*fit, "--set", "train.updates=60"]) == 0  # proposed beside the first


def test_two_binary_switches_by_evolution(tmp_path: Path) -> None:
    """40 is the optimum; 2/3 + 2/3 a step is what never looks."""
    small = tuple(f"tasks.policy.es.{s}" for s in ("population=16", "normalise_observations=false"))
    program = learned("Switches-v0", tmp_path / "store", 25, *small, "train.lr=0.1")
    assert program.program.tasks["policy"].options["nvec"] == [2, 2]
    assert program.evidence["tasks"][0]["extra"]["mean_return"] > 39.0

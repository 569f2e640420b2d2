"""Every learner keeps the contract of the training loop; learners that do not are caught."""

from __future__ import annotations

import importlib
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from pellucid import testing
from pellucid.assemble import assemble, problem
from pellucid.core.rows import Rows
from pellucid.core.task import Task
from pellucid.feedback.ignore import Ignore, IgnoreConfig
from pellucid.spec.loader import spec_from
from pellucid.supervised.learner import Supervised
from pellucid.testing import check_learner
from pellucid.train.learner import Loss

PPO = {"num_envs": 4, "steps": 12, "minibatch": 16, "epochs": 2}  # a rollout is 6 updates
SMALL = {"network": {"width": 16}, "train": {"batch": 32, "noise": 0.1, "updates": 12}}
PRICES = {"kind": "prices", "source": "planted", "window": 5, "start": "2001-01-01", "end": "2004-12-31"}
TRADING = {"kind": "control", "env": "pellucid/StockTrading-v0", "episode_days": 20, "ppo": PPO}
REPLAY = {"size": 60, "warmup": 40, "n_step": 3}  # the ring wraps around
DQN = {"num_envs": 4, "steps": 3, "updates": 3, "batch": 16, "replay": REPLAY, "explore": {"steps": 60}}
DQN_ALL = {**DQN, "duelling": True, "priority": {"exponent": 0.6, "updates": 20}, "target": {"every": 2, "rate": 0.1}}
DQN_NORMAL = {**DQN, "normalise_observations": True, "double": False}
SAC = {"num_envs": 2, "steps": 3, "updates": 2, "batch": 16, "replay": REPLAY}
DIRECT = {"paths": 16, "steps": 6}
PLANTED = {"kind": "control", "env": "pellucid/PlantedTrading-v0", "algorithm": "direct", "direct": DIRECT}
IRIS = ["setosa", "versicolor", "virginica"]
# name of the case -> (data, tasks); the learner under test is that of the last task
CASES = {
    "classify 2": ({"kind": "table", "source": "breast_cancer", "target": "target"}, {"y": {"kind": "classify"}}),
    "classify 3": ({"kind": "table", "source": "iris", "target": "target"}, {"y": {"kind": "classify"}}),
    "regress": ({"kind": "table", "source": "diabetes", "target": "target"}, {"y": {"kind": "regress"}}),
    "multilabel": ({"kind": "table", "source": "memory.csv", "target": ["a", "b", "c"]}, {"y": {"kind": "multilabel"}}),
    "ordinal": ({"kind": "table", "source": "iris", "target": "target"}, {"y": {"kind": "ordinal", "order": IRIS}}),
    "quantiles": (
        {"kind": "table", "source": "diabetes", "target": "target"},
        {"y": {"kind": "regress", "quantiles": [0.1, 0.5, 0.8]}},
    ),
    "one quantile": (
        {"kind": "table", "source": "diabetes", "target": "target"},
        {"y": {"kind": "regress", "quantiles": [0.8]}},
    ),
    **{
        family: (
            {"kind": "table", "source": "diabetes", "target": "target"},
            {"y": {"kind": "regress", "distribution": family}},
        )
        for family in ("normal", "student", "lognormal")
    },
    "forecast": (PRICES, {"f": {"kind": "forecast"}}),
    "volatility": (PRICES, {"v": {"kind": "volatility"}}),
    "PPO CartPole": (None, {"p": {"kind": "control", "env": "CartPole-v1", "ppo": PPO}}),
    "PPO trading": (PRICES, {"f": {"kind": "forecast"}, "p": TRADING}),
    "PPO box": (
        None,
        {"p": {"kind": "control", "env": "pellucid/StockPrice-v0", "env_options": {"episode_days": 9}, "ppo": PPO}},
    ),
    "PPO Pendulum": (None, {"p": {"kind": "control", "env": "Pendulum-v1", "ppo": {**PPO, "target_kl": 1e-4}}}),
    "DQN CartPole": (None, {"p": {"kind": "control", "env": "CartPole-v1", "algorithm": "dqn", "dqn": DQN_ALL}}),
    "DQN Acrobot": (
        None,
        {
            "p": {
                "kind": "control",
                "env": "Acrobot-v1",
                "algorithm": "dqn",
                "dqn": {**DQN, "normalise_observations": True},
            }
        },
    ),
    "DQN trading": (PRICES, {"f": {"kind": "forecast"}, "p": {**TRADING, "algorithm": "dqn", "dqn": DQN}}),
    "direct box": (None, {"p": {**PLANTED, "env_options": {"actions": "box"}}}),
    "direct discrete": (None, {"p": {**PLANTED, "direct": {**DIRECT, "normalise_observations": True}}}),
    "direct trading": (PRICES, {"f": {"kind": "forecast"}, "p": {**TRADING, "algorithm": "direct", "direct": DIRECT}}),
    "SAC Pendulum": (None, {"p": {"kind": "control", "env": "Pendulum-v1", "algorithm": "sac", "sac": SAC}}),
    "SAC fixed temperature": (
        None,
        {
            "p": {
                "kind": "control",
                "env": "Pendulum-v1",
                "algorithm": "sac",
                "sac": {**SAC, "temperature": 0.2, "normalise_observations": True},
            }
        },
    ),
}


@lru_cache
def _problem(case: str):
    data, tasks = CASES[case]
    raw = {"name": "case", "tasks": tasks, **SMALL} | ({} if data is None else {"data": data})
    x = np.random.default_rng(0).standard_normal((200, 3))
    frame = pd.DataFrame({"x": x[:, 0], "z": x[:, 1], **{n: (x[:, j] > 0.3).astype(int) for j, n in enumerate("abc")}})
    return problem(spec_from(raw, where="test"), frame if case == "multilabel" else None)


def _assembly(case: str, seed: int):
    prob = _problem(case)
    train = None if prob.rows is None else np.arange(min(len(prob.rows), 200))
    return assemble(prob, train, seed=seed)


@pytest.mark.parametrize("case", CASES)
def test_conforms(case):
    check_learner(lambda seed: _assembly(case, seed).learners[-1], lambda: _assembly(case, 0).program.network)


@pytest.mark.parametrize("case", ["forecast", "PPO trading"])
@pytest.mark.parametrize("resample", [True, False])
def test_ignore_conforms(case, resample):
    """With the task's own loss beside the anchor, and without."""
    assembly = _assembly(case, 0)
    prob, learner = _problem(case), assembly.learners[-1]
    rows: Rows = prob.rows.take(np.arange(200))
    blocks = assembly.program.encode(rows)
    if isinstance(learner, Supervised):
        blocks, target = learner.blocks, learner.target
    else:
        blocks, target = {**blocks, "position": torch.zeros(200, 1)}, None
    config = IgnoreConfig(resample=resample, draws=4, batch=32)

    def make(seed: int) -> Ignore:
        network = _assembly(case, 0).program.network
        return Ignore(learner.task, network, blocks, target, ("volume",), config, seed=seed)

    check_learner(make, lambda: _with_other_weights(case))


def _with_other_weights(case: str) -> nn.Module:
    """Under the base's own weights the control's loss is zero, and so is its gradient."""
    network = _assembly(case, 0).program.network
    with torch.no_grad():
        for p in network.parameters():
            p.mul_(1.5)
    return network


def test_the_suites_are_public_and_lazy():
    assert testing.__all__ == ["check_delta", "check_env", "check_explainer", "check_learner", "check_program"]
    for name in testing.__all__:
        assert callable(getattr(testing, name))
    with pytest.raises(AttributeError, match="check_learner"):
        testing.check_learners  # noqa: B018
    assert testing.check_env is importlib.import_module("pellucid.envs.check").check_env


# Learners that break one promise each

TASK = Task("y", "regress", ("x",), ("y",), "", "squared_error", options={"mean": 0.0, "sd": 1.0})


class Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)
        with torch.no_grad():
            self.layer.weight.fill_(0.3)
            self.layer.bias.fill_(0.1)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, blocks, task):
        return {"out": self.layer(blocks["x"])}


class Base(Supervised):
    """Linear regression on 40 rows."""

    def __init__(self, seed: int) -> None:
        g = torch.Generator().manual_seed(0)
        x = torch.randn(40, 3, generator=g)
        super().__init__(TASK, {"x": x}, x.sum(1), batch=10, seed=seed, noise=0.1)


def _replace_loss(change):
    class Broken(Base):
        def loss(self, network, batch):
            return change(self, network, batch, super().loss(network, batch))

    return Broken


def _scale(value, metrics=None):
    return Loss(value, metrics or {})


class SumsUp(Base):
    def loss(self, network, batch):
        return Loss(super().loss(network, batch).value * len(batch.target), {})


class Normalises(Base):
    def loss(self, network, batch):
        return super().loss(network, batch._replace(target=batch.target - batch.target.mean()))


class Forgets(Base):
    def set_state(self, state):
        return None


class OnlyForward(Base):
    """Right in a new learner; one that went on is not taken back."""

    def set_state(self, state):
        self._drawn = max(self._drawn, int(state["drawn"]))


class RunsAway(Base):
    def get_state(self):
        self._drawn += 1
        return super().get_state()


class Unseeded(Base):
    def __init__(self, seed):
        super().__init__(7)


class DrawsAnew(Base):
    def next_batch(self, network):
        batch = super().next_batch(network)
        return batch._replace(target=batch.target + torch.rand(len(batch.target)))


class MovesWeights(Base):
    def next_batch(self, network):
        with torch.no_grad():
            network.layer.weight += 1e-6
        return super().next_batch(network)


class Counts(Base):
    def loss(self, network, batch):
        network.seen += 1
        return super().loss(network, batch)


class WritesBatch(Base):
    def loss(self, network, batch):
        found = super().loss(network, batch)
        batch.target.mul_(0.5)
        return found


class WrongByHand(Base):
    def gradients(self, network, batch):
        from pellucid.train.learner import Gradients

        named = dict(network.named_parameters())
        value = super().loss(network, batch).value
        grads = [g * 1.01 for g in torch.autograd.grad(value, list(named.values()))]
        return Gradients(float(value.detach()), {}, list(named.values()), grads)


class SitsOut(Base):
    def next_batch(self, network):
        return None


class Undeclared(Base):
    def __init__(self, seed):
        super().__init__(seed)
        self.task = "y"


class OddBatch(Base):
    def next_batch(self, network):
        return super().next_batch(network)._replace(target=object())


def test_the_base_is_right():
    check_learner(Base, Line)


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (SumsUp, "not row-wise"),
        (Normalises, "not row-wise"),
        (_replace_loss(lambda s, n, b, x: _scale(x.value * torch.rand(()))), "not pure"),
        (_replace_loss(lambda s, n, b, x: _scale(x.value.detach())), "no gradient"),
        (_replace_loss(lambda s, n, b, x: _scale(x.value * float("inf"))), "the loss is inf"),
        (_replace_loss(lambda s, n, b, x: _scale((x.value - x.value.detach()).abs().sqrt())), "gradient is not finite"),
        (_replace_loss(lambda s, n, b, x: _scale(x.value * 0.0)), "zero everywhere"),
        (_replace_loss(lambda s, n, b, x: _scale(x.value[None])), "single number"),
        (_replace_loss(lambda s, n, b, x: _scale(x.value, {"again": x.value})), "not detached"),
        (_replace_loss(lambda s, n, b, x: _scale(x.value, {"again": 1.0})), "not a tensor"),
        (Forgets, "resumed after update 1"),
        (OnlyForward, "went on"),
        (RunsAway, "get_state disturbs"),
        (Unseeded, "another seed"),
        (DrawsAnew, "same seed"),
        (MovesWeights, "changed the network's parameters"),
        (Counts, "loss changed the network: seen"),
        (WritesBatch, "loss changed its batch|not pure"),
        (WrongByHand, "off by"),
        (SitsOut, "None 100 times"),
        (Undeclared, "not a declared Task"),
        (OddBatch, "JSON values only"),
    ],
)
def test_broken_learners_are_caught(broken, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_learner(broken, Line)


def test_a_learner_that_is_not_row_wise_may_say_so():
    class Whole(Normalises):
        rowwise = False

    check_learner(Whole, Line)


def test_something_else_is_no_learner():
    with pytest.raises(AssertionError, match="a learner needs"):
        check_learner(lambda seed: object(), Line)

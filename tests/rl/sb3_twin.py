"""Stable-Baselines3's on-policy learners on a batch of ours, with the weights of a network of ours."""

from __future__ import annotations

import importlib
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from small_off_policy import copy_trunk, shake
from torch import nn

from pellucid.core.task import Task
from pellucid.nn.network import Network
from pellucid.nn.outputs import ALL as OUTPUTS
from pellucid.nn.outputs import choices
from pellucid.rl.distributions import log_prob_and_entropy
from pellucid.rl.ppo import PPOBatch

WIDTH, INPUTS, ROWS = 16, 4, 48
SPACES: dict[str, spaces.Space[Any]] = {
    "discrete": spaces.Discrete(3),
    "multi_discrete": spaces.MultiDiscrete([3, 2]),
    "box": spaces.Box(-1.0, 1.0, (2,), np.float32),
}
ACTIONS = {"discrete": 3, "multi_discrete": 5, "box": 2}
LOG_STD = (-0.4, 0.3)  # of the box policy; Stable-Baselines3's does not depend on the state


def task_of(space: str) -> Task:
    count = ACTIONS[space]
    options = {"space": space, "actions": count, "nvec": [3, 2], "low": [-1.0] * count, "high": [1.0] * count}
    return Task("act", "control", ("a",), (*map(str, range(count)), "value"), "", "negative_reward", (), options)


def twins(algorithm: str, space: str, **settings: Any) -> tuple[Any, Network]:
    """(their learner, our network): the same trunk and heads, and plain gradient descent of rate 1, so that what their
    update changes is the gradient."""
    sb3 = importlib.import_module("stable_baselines3")
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

    class Trunk(BaseFeaturesExtractor):
        def __init__(self, space: Any) -> None:
            super().__init__(space, WIDTH)
            self.layers = nn.Sequential(nn.Linear(INPUTS, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH), nn.Tanh())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layers(x)

    class Still(gymnasium.Env):
        observation_space = spaces.Box(-9.0, 9.0, (INPUTS,), np.float32)
        action_space = SPACES[space]

        def reset(
            self, *, seed: int | None = None, options: dict[str, Any] | None = None
        ) -> tuple[Any, dict[str, Any]]:
            return np.zeros(INPUTS, dtype=np.float32), {}

    policy = {"net_arch": [], "features_extractor_class": Trunk, "optimizer_class": torch.optim.SGD}
    common = {"learning_rate": 1.0, "policy_kwargs": policy, "max_grad_norm": 1e9, "device": "cpu", "seed": 0}
    theirs = getattr(sb3, algorithm)("MlpPolicy", Still(), **common, **settings)
    theirs._setup_learn(1)
    shake(theirs.policy)
    task = task_of(space)
    network = Network({"a": INPUTS}, {"act": ("a",)}, {"act": OUTPUTS["control"].head_widths(task)}, width=WIDTH,
                      activation="tanh")  # fmt: skip
    copy_trunk(network, [m for m in theirs.policy.features_extractor.layers if isinstance(m, nn.Linear)])
    heads: Any = network.heads["_act"]
    heads["policy"].load_state_dict(theirs.policy.action_net.state_dict())
    heads["value"].load_state_dict(theirs.policy.value_net.state_dict())
    if space == "box":
        with torch.no_grad():
            theirs.policy.log_std.copy_(torch.tensor(LOG_STD))
            heads["log_std"].weight.zero_()
            heads["log_std"].bias.copy_(torch.tensor(LOG_STD))
    return theirs, network


def batch_of(network: Network, space: str, moved: float, seed: int = 0) -> PPOBatch:
    """Random rows; old log-probabilities lie about `moved` from the present ones."""
    g = torch.Generator().manual_seed(seed)
    blocks, n = {"a": torch.randn(ROWS, INPUTS, generator=g)}, ROWS
    with torch.no_grad():
        raw = network(blocks, "act")
        if space == "box":
            action = raw["policy"] + raw["log_std"].exp() * torch.randn(n, 2, generator=g)
        elif space == "discrete":
            action = torch.randint(3, (n,), generator=g)
        else:
            action = torch.stack([torch.randint(k, (n,), generator=g) for k in (3, 2)], 1)
        now = log_prob_and_entropy(raw, action, choices(task_of(space)))[0]
    old = now + moved * torch.randn(n, generator=g)
    return PPOBatch(blocks, action, old, torch.randn(n, generator=g), 2.0 * torch.randn(n, generator=g))


def descend(theirs: Any, batch: PPOBatch) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """(their gradient by our parameters' names, what they log) of one update on the batch."""
    from stable_baselines3.common.buffers import RolloutBufferSamples

    n = len(batch.returns)
    action = batch.action.float().reshape(n, -1)
    sample = RolloutBufferSamples(
        batch.blocks["a"], action, torch.zeros(n), batch.log_prob, batch.advantage, batch.returns
    )
    theirs.rollout_buffer.get = lambda *_, **__: iter([sample])
    before = {name: p.detach().clone() for name, p in theirs.policy.named_parameters()}
    theirs.train()
    change = {name: before[name] - p.detach() for name, p in theirs.policy.named_parameters()}
    names = {
        "features_extractor.layers.0.weight": "encoders._a.project.weight",
        "features_extractor.layers.0.bias": "bias",
        "features_extractor.layers.2.weight": "trunk.1.weight",
        "features_extractor.layers.2.bias": "trunk.1.bias",
        **{f"{theirs_}.{p}": f"heads._act.{mine}.{p}" for theirs_, mine in
           (("action_net", "policy"), ("value_net", "value")) for p in ("weight", "bias")},
        "log_std": "heads._act.log_std.bias",
    }  # fmt: skip
    logged = {k.removeprefix("train/"): float(v) for k, v in theirs.logger.name_to_value.items()}
    return {names[name]: change[name] for name in change}, logged

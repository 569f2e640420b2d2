"""Small DQN and SAC learners for the tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from pellucid.assemble import Assembly, assemble, problem
from pellucid.nn.network import Network
from pellucid.spec.loader import spec_from

REPLAY = {"size": 60, "warmup": 40}
DQN = {"num_envs": 4, "steps": 3, "updates": 3, "batch": 16, "target": {"every": 4}, "explore": {"steps": 60}}
SAC = {"num_envs": 2, "steps": 3, "updates": 2, "batch": 16}
ENVS = {"dqn": "CartPole-v1", "sac": "Pendulum-v1"}
SMALL = {"dqn": {**DQN, "replay": REPLAY}, "sac": {**SAC, "replay": REPLAY}}


def build(algorithm: str, *, seed: int = 0, env: str = "", activation: str = "relu", **section: Any) -> Assembly:
    """An assembly of one control task called `act`."""
    settings = {**SMALL[algorithm], **section}
    task = {"kind": "control", "env": env or ENVS[algorithm], "algorithm": algorithm, algorithm: settings}
    network = {"width": 16, "activation": activation}
    train = {"updates": 12, "optimiser": "adam", "weight_decay": 0.0, "lr": 1e-2}
    spec = spec_from({"name": "small", "tasks": {"act": task}, "network": network, "train": train}, where="test")
    return assemble(problem(spec), None, seed=seed)


@torch.no_grad()
def copy_trunk(network: Network, layers: list[nn.Linear]) -> None:
    """Give encoders and trunk the weights of a plain stack of linear layers."""
    first, *rest = layers
    encoders = [m for m in network.encoders.modules() if isinstance(m, nn.Linear)]
    for encoder, part in zip(encoders, first.weight.split([e.in_features for e in encoders], 1), strict=True):
        encoder.weight.copy_(part)
    network.bias.copy_(first.bias)
    for mine, theirs in zip([m for m in network.trunk if isinstance(m, nn.Linear)], rest, strict=True):
        mine.load_state_dict(theirs.state_dict())


def shake(module: nn.Module, size: float = 0.3, seed: int = 0) -> None:
    """Move weights away from their initial values."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(size * torch.randn(p.shape, generator=g))


def transitions(n: int, width: int, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """Random ones, a fifth of them terminal."""
    rng = np.random.default_rng(seed)
    obs, following = rng.normal(size=(2, n, width)).astype(np.float32)
    return {
        "obs": obs,
        "following_obs": following,
        "reward": rng.normal(size=n).astype(np.float32),
        "terminated": rng.random(n) < 0.2,
    }


def fill(learner: Any, action: np.ndarray[Any, Any], rows: dict[str, np.ndarray[Any, Any]]) -> None:
    """Put transitions, each an episode of its own, into a learner's memory instead of experience."""
    memory, n = learner.collector.memory, learner.env.num_envs
    for i in range(0, len(action), n):
        part = slice(i, i + n)
        ended, yes = ~rows["terminated"][part], np.ones(n, dtype=bool)
        args = (rows[k][part] for k in ("reward", "following_obs", "terminated"))
        memory.add(rows["obs"][part], action[part], *args, ended, yes)
    learner.collector._due = 10**6  # no experience is asked for

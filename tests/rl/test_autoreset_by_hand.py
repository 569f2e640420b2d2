"""Every way in which a batch resets, against advantages worked out on paper; an end is worth nothing, a cut is."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from pellucid.core.task import Task
from pellucid.data.encoding import Encoding, identity
from pellucid.envs.making import Stepping
from pellucid.envs.vectorise import VectorAdapter, make
from pellucid.nn.network import Network
from pellucid.rl.ppo import PPO, PPOConfig, RewardScale


class Two(gymnasium.Env[Any, Any]):
    """Episodes of two steps, observed as (0, steps so far), rewarded by 1 and 2; they end by the rules, or are cut."""

    observation_space = spaces.Box(0, 9, (2,), np.float32)
    action_space = spaces.Discrete(2)
    made = 0

    def __init__(self, cut: bool) -> None:
        self.cut, self.t = cut, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.t = 0
        return np.array([0, 0], np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.t += 1
        over = self.t == 2
        return np.array([0, self.t], np.float32), float(self.t), over and not self.cut, over and self.cut, {}


def batches() -> dict[str, VectorAdapter]:
    """The first environment terminates, the second is truncated."""
    found = {
        mode.name: VectorAdapter(SyncVectorEnv([lambda: Two(False), lambda: Two(True)], autoreset_mode=mode))
        for mode in AutoresetMode
    }
    for name, workers in (("ours", 0), ("a worker", 1)):
        kinds = iter([False, True])
        found[name] = make(lambda kinds=kinds: Two(next(kinds)), 2, stepping=Stepping(workers))
    return found


# gamma = lambda = 1/2, V(steps) = 1 + 2 steps, so V = 1, 3 and, at the end, 5.
#   first step:   delta = 1 + 3/2 - 1 = 3/2
#   second step:  delta = 2 + 0   - 3 = -1   where the episode ended
#                 delta = 2 + 5/2 - 3 = 3/2  where it was cut
# A(second) = its delta; A(first) = 3/2 + A(second)/4 = 5/4 or 15/8. The rollout ends after a third first step, which
# is bootstrapped from V(1 step) = 3: A = 3/2. Dummy steps are in none of it.
ADVANTAGE = {"ended": [1.25, -1.0, 1.25, -1.0, 1.5], "cut": [1.875, 1.5, 1.875, 1.5, 1.5]}
VALUE = [1.0, 3.0, 1.0, 3.0, 1.0]


@pytest.mark.parametrize("name", [*(mode.name for mode in AutoresetMode), "ours", "a worker"])
def test_advantages_and_returns_by_hand(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = batches()[name]
    steps = 7 if name == "NEXT_STEP" else 5  # two of the seven are dummies
    monkeypatch.setattr(RewardScale, "sd", 1.0)
    inputs = tuple(field.name for field in adapter.fields)
    task = Task(
        "p", "control", inputs, ("a", "b", "value"), "logit", "negative_reward", (), {"space": "discrete", "actions": 2}
    )
    network = Network(dict.fromkeys(inputs, 1), {"p": inputs}, {"p": {"policy": 2, "value": 1}}, width=1, depth=1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        named = dict(network.named_parameters())
        named["encoders._obs__1.project.weight"][:] = 1.0
        named["heads._p.value.weight"][:] = 2.0
        named["heads._p.value.bias"][:] = 1.0
    config = PPOConfig(steps=steps, epochs=1, minibatch=16, discount=0.5, gae_lambda=0.5)
    ppo = PPO(task, adapter, Encoding(identity(adapter.fields)).encode_fields, config, seed=0)
    rollout = ppo.next_batch(network)
    adapter.close()
    rollout = ppo._rollout
    assert rollout is not None
    raw = np.stack([ADVANTAGE["ended"], ADVANTAGE["cut"]], axis=1)
    np.testing.assert_allclose(np.asarray(rollout.returns).reshape(5, 2), raw + np.array(VALUE)[:, None], rtol=1e-6)
    wanted = (raw - raw.mean()) / raw.std()
    np.testing.assert_allclose(np.asarray(rollout.advantage).reshape(5, 2), wanted, rtol=1e-5)

"""The tanh-squashed Gaussian of SAC, and the gradient of SAC's loss by hand; equal to autograd of `SAC.loss`.

With noise ε, u = μ + σ ε and a = tanh u, the log-density is

    log π(a) = Σ  -ε²/2 - log σ - log(2π)/2 - log(1 - a²),     log(1 - a²) = 2 (log 2 - u - softplus(-2u))

so that ∂log π/∂u = 2a and, at fixed u, ∂log π/∂log σ = -1. The form with softplus holds where a rounds to 1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import softplus

from pellucid.nn.plain_critic import PlainCritic

Array = npt.NDArray[np.float32]
LOG_STD = (-20.0, 2.0)  # range of the log standard deviation


def squashed(policy: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Actions in [-1, 1], shape (n, k), and their log-density (n,), from raw heads and standard normal noise."""
    log_std = log_std.clamp(*LOG_STD)
    u = policy + log_std.exp() * noise
    density = -0.5 * noise.square() - log_std - 0.5 * math.log(2.0 * math.pi)
    return torch.tanh(u), (density - 2.0 * (math.log(2.0) - u - softplus(-2.0 * u))).sum(1)


def squashed_by_hand(raw: dict[str, Array], noise: Array) -> tuple[Array, Array]:
    """`squashed` on arrays."""
    log_std = np.clip(raw["log_std"], *LOG_STD)
    u = raw["policy"] + np.exp(log_std) * noise
    density = -0.5 * noise * noise - log_std - np.float32(0.5 * math.log(2.0 * math.pi))
    log_prob: Array = (density - 2.0 * (np.float32(math.log(2.0)) - u - np.logaddexp(np.float32(0.0), -2.0 * u))).sum(1)
    return np.tanh(u), log_prob


class Actor(NamedTuple):
    """The actor's part: its loss, the mean log-density, and gradients of the heads' outputs, each (n, k)."""

    loss: float
    log_prob: float
    heads: dict[str, Array]


def actor_gradient(raw: dict[str, Array], noise: Array, state: Array, critic: PlainCritic, temperature: float) -> Actor:
    """Of mean(α log π(a|s) - min Q(s, a)) by the outputs of the heads `policy` and `log_std`."""
    n, k = noise.shape
    action, log_prob = squashed_by_hand(raw, noise)
    q = critic.forward(np.concatenate([state, action], axis=1))
    by_u = (2.0 * temperature * action - critic.slope_of_least(q, k) * (1.0 - action * action)) / np.float32(n)
    log_std = np.clip(raw["log_std"], *LOG_STD)
    free = raw["log_std"] == log_std  # the clamp passes no gradient outside
    by_log_std = np.where(free, by_u * np.exp(log_std) * noise - np.float32(temperature / n), np.float32(0.0))
    loss = float((temperature * log_prob - q.min(0)).mean())
    return Actor(loss, float(log_prob.mean()), {"policy": by_u.astype(np.float32), "log_std": by_log_std})


def critic_gradient(q: Array, target: Array) -> tuple[float, Array]:
    """½ Σ_i mean (Q_i - y)², and its gradient by both values (2, n)."""
    error = q - target
    return 0.5 * float((error * error).mean(1).sum()), error / np.float32(q.shape[1])

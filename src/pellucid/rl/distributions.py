"""What a policy's raw outputs mean as a distribution of actions: how likely, how uncertain, sampled, the likeliest.

    log_std given     a diagonal Gaussian: `policy` (n, k) are means
    parts given       several independent choices (MultiDiscrete): `policy` holds their logits side by side
    neither           one choice: `policy` (n, k) are logits

Log-probability and entropy of independent choices are sums over them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pellucid.nn.outputs import likeliest
from pellucid.rl.ppo_gradient import LOG_STD

Array = npt.NDArray[np.float32]


def log_prob_and_entropy(raw: dict[str, Tensor], action: Tensor, parts: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
    """Of actions (n,) or (n, k) under the policy's raw outputs, each (n,).

    Args:
        parts: choices of each component of a multi-discrete action; they add up to the logits.
    """
    if "log_std" in raw:
        log_std = raw["log_std"].clamp(*LOG_STD)
        z = (action - raw["policy"]) * torch.exp(-log_std)
        log_p = (-0.5 * z.square() - log_std - 0.5 * math.log(2.0 * math.pi)).sum(1)
        return log_p, (log_std + 0.5 * math.log(2.0 * math.pi * math.e)).sum(1)
    if not parts:
        return _of_one(raw["policy"], action)
    each = [
        _of_one(z, a) for z, a in zip(torch.split(raw["policy"], list(parts), dim=1), action.unbind(1), strict=True)
    ]
    return torch.stack([log_p for log_p, _ in each]).sum(0), torch.stack([entropy for _, entropy in each]).sum(0)


def _of_one(logits: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
    log_p = torch.log_softmax(logits, dim=1)
    return log_p.gather(1, action.long()[:, None])[:, 0], -(log_p.exp() * log_p).sum(1)


def act(raw: dict[str, Tensor], generator: np.random.Generator | None, parts: tuple[int, ...] = ()) -> Tensor:
    """Actions: sampled, or the mode when `generator` is None."""
    if generator is None and "log_std" in raw:
        return raw["policy"]
    policy = {name: value.cpu().numpy() for name, value in raw.items()}
    if generator is None:
        return torch.from_numpy(likeliest(policy["policy"], parts)).to(raw["policy"].device)
    noise = draw_noise(generator, tuple(raw["policy"].shape), gaussian="log_std" in raw)
    return torch.from_numpy(choose(policy, noise, parts)).to(raw["policy"].device)


def draw_noise(generator: np.random.Generator, shape: tuple[int, ...], *, gaussian: bool) -> Array:
    """What decides sampled actions: Gumbel variables per discrete action, or standard normal ones per dimension."""
    if gaussian:
        return generator.standard_normal(shape, dtype=np.float32)
    return generator.gumbel(size=shape).astype(np.float32)


def choose(raw: dict[str, Array], noise: Array, parts: tuple[int, ...] = ()) -> npt.NDArray[Any]:
    """Actions from the policy's outputs (n, k) and noise: the Gumbel trick, or mean + deviation * noise."""
    if "log_std" in raw:
        deviation: Array = np.exp(np.clip(raw["log_std"], *LOG_STD))
        return raw["policy"] + deviation * noise
    return likeliest(raw["policy"] + noise, parts)

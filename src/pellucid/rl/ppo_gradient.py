"""The gradient of PPO's loss by hand, for plain networks on a CPU; equal to autograd of `PPO.loss`.

With r = exp(log_prob - old), A the advantage and c the clip, the surrogate -min(rA, clip(r)A) has the gradient -rA with
respect to log_prob wherever the unclipped term is the smaller one or r lies within the clip, and zero elsewhere.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
LOG_STD = (-5.0, 2.0)  # range of a Gaussian policy's log standard deviation


class Surrogate(NamedTuple):
    """Settings of the loss."""

    clip: float
    entropy: float
    value_weight: float


class Result(NamedTuple):
    """The loss, what is logged, and the gradients of the heads' outputs, each (n, k)."""

    value: float
    metrics: dict[str, float]
    heads: dict[str, Array]


def gradient(
    raw: dict[str, Array],
    action: npt.NDArray[Any],
    old: Array,
    advantage: Array,
    returns: Array,
    s: Surrogate,
    parts: tuple[int, ...] = (),
) -> Result:
    """Loss and gradients of a minibatch.

    Args:
        raw: outputs of the heads `policy` (n, k), `value` (n, 1) and, for continuous actions, `log_std` (n, k).
        action: (n,) integers, or (n, k).
        old, advantage, returns: (n,).
        parts: choices of each component of a multi-discrete action.
    """
    n = len(old)
    now, entropy, by_log_prob, by_entropy = _policy(raw, action, parts)
    log_ratio = now - old
    ratio = np.exp(log_ratio)
    clipped = np.minimum(np.maximum(ratio, 1.0 - s.clip), 1.0 + s.clip)
    within = ratio == clipped
    plain, bounded = ratio * advantage, clipped * advantage
    slope: Array = np.where((plain <= bounded) | within, plain * np.float32(-1.0 / n), np.float32(0.0))
    error = raw["value"][:, 0] - returns
    heads = {"value": (2.0 * s.value_weight / n * error)[:, None]}
    for name, change in by_log_prob.items():
        heads[name] = slope[:, None] * change
        if s.entropy and name in by_entropy:
            heads[name] -= np.float32(s.entropy / n) * by_entropy[name]
    policy, value = -_mean(np.minimum(plain, bounded)), _mean(error * error)
    mean_entropy = _mean(entropy)
    metrics = {
        "policy_loss": policy,
        "value_loss": value,
        "entropy": mean_entropy,
        "approx_kl": _mean(ratio - 1.0 - log_ratio),
        "clip_fraction": 1.0 - np.count_nonzero(within) / n,
    }
    return Result(policy + s.value_weight * value - s.entropy * mean_entropy, metrics, heads)


def log_prob(raw: dict[str, Array], action: npt.NDArray[Any], parts: tuple[int, ...] = ()) -> Array:
    """Of actions, (n,), as in `gradient`."""
    found: Array = _policy(raw, action, parts)[0]
    return found


def _policy(raw: dict[str, Array], action: npt.NDArray[Any], parts: tuple[int, ...]) -> tuple[Array, Array, Any, Any]:
    """Log-probability and entropy (n,), and the gradients of both by the outputs of the heads."""
    if parts:
        return _several(raw, action, parts)
    return (_gaussian if "log_std" in raw else _categorical)(raw, action)


def _mean(values: Array) -> float:
    return float(np.add.reduce(values)) / len(values)


def _categorical(raw: dict[str, Array], action: npt.NDArray[Any]) -> tuple[Array, Array, Any, Any]:
    z = raw["policy"].T  # (k, n): sums over few choices are fast along the first axis
    z = z - z.max(0)
    e = np.exp(z)
    total = e.sum(0)
    log_p, p = z - np.log(total), e / total
    chosen = np.arange(len(z))[:, None] == action
    entropy = -(p * log_p).sum(0)
    by_entropy = -p * (log_p + entropy)
    return (log_p * chosen).sum(0), entropy, {"policy": (chosen - p).T}, {"policy": by_entropy.T}


def _several(raw: dict[str, Array], action: npt.NDArray[Any], parts: tuple[int, ...]) -> tuple[Array, Array, Any, Any]:
    """Independent choices: log-probabilities and entropies add up, gradients stand side by side."""
    logits = np.split(raw["policy"], np.cumsum(parts)[:-1], axis=1)
    each = [_categorical({"policy": z}, a) for z, a in zip(logits, action.T, strict=True)]
    log_prob, entropy, by_log_prob, by_entropy = zip(*each, strict=True)
    beside = [{"policy": np.concatenate([one["policy"] for one in by], axis=1)} for by in (by_log_prob, by_entropy)]
    return np.sum(log_prob, axis=0), np.sum(entropy, axis=0), *beside


def _gaussian(raw: dict[str, Array], action: npt.NDArray[Any]) -> tuple[Array, Array, Any, Any]:
    log_std = np.clip(raw["log_std"], *LOG_STD)
    free = (raw["log_std"] == log_std).astype(np.float32)  # the clamp passes no gradient outside
    inverse = np.exp(-log_std)
    z = (action - raw["policy"]) * inverse
    log_prob = (-0.5 * z * z - log_std - 0.5 * math.log(2.0 * math.pi)).sum(1)
    entropy = (log_std + 0.5 * math.log(2.0 * math.pi * math.e)).sum(1)
    return log_prob, entropy, {"policy": z * inverse, "log_std": (z * z - 1.0) * free}, {"log_std": free}

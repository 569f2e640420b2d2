"""Generalised advantage estimation (Schulman et al. 2016), with truncation and masked rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def gae(
    reward: Floats,
    value: Floats,
    next_value: Floats,
    terminated: npt.NDArray[np.bool_],
    ended: npt.NDArray[np.bool_],
    *,
    discount: float,
    gae_lambda: float,
) -> tuple[Floats, Floats]:
    """Advantages and returns, each (T, N).

    Args:
        reward, value: of step t, shape (T, N).
        next_value: value of the state that step t led to, the *final* state where an episode ended, shape (T, N).
        terminated: the episode ended by its own rules: nothing follows, so nothing is bootstrapped.
        ended: terminated or truncated: the sum stops here (a truncated step still bootstraps from `next_value`).
    """
    delta = reward + discount * np.where(terminated, 0.0, next_value) - value
    advantage = np.zeros_like(delta)
    decay = np.where(ended, 0.0, discount * gae_lambda)
    running: Any = np.zeros(reward.shape[1])
    for now, gain, kept in zip(advantage[::-1], delta[::-1], decay[::-1], strict=True):
        np.multiply(running, kept, out=now)
        now += gain
        running = now
    return advantage, advantage + value

"""Baselines for an environment: the returns of policies that do not look, shape (episodes, 1)."""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.core.random import stream
from pellucid.core.task import Task
from pellucid.evidence.baselines.context import Baseline, Blind, RolloutContext
from pellucid.evidence.intervals import Floats

__all__ = ["ALL"]


def random(task: Task, context: RolloutContext) -> Floats:
    """Actions drawn at random."""

    def policy(count: int, step: int) -> Any:
        return context.sample(stream(context.seed, "evidence/random_policy", step), count)

    return np.asarray(context.rollout(policy, context.test_seeds), dtype=np.float64)[:, None]


def best_constant_action(task: Task, context: RolloutContext) -> Floats:
    """The one action that did best on the training episodes, always."""
    scores = [float(np.mean(context.rollout(_always(action), context.train_seeds))) for action in context.constants]
    best = context.constants[int(np.argmax(scores))]
    return np.asarray(context.rollout(_always(best), context.test_seeds), dtype=np.float64)[:, None]


def _always(action: Any) -> Blind:
    def policy(count: int, step: int) -> Any:
        return np.stack([np.asarray(action)] * count)

    return policy


ALL: dict[str, Baseline] = {
    "random": Baseline("random", "naive", "random actions", random),
    "best_constant_action": Baseline("best_constant_action", "naive", "the best single action", best_constant_action),
}

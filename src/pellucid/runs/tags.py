"""What is logged, under the tags that users of Stable-Baselines3 know: one table from our metrics to them.

A metric that is not in the table is logged as `train/<its name>`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from pellucid.core.task import Task

Means = Mapping[str, float]  # metric -> mean over the updates since the last row

# algorithm -> metric -> tag
TAGS: dict[str, dict[str, str]] = {
    "ppo": {"policy_loss": "train/policy_gradient_loss"},
    "a2c": {},  # train/policy_loss is its name there too
    "dqn": {"q": "train/q_value", "exploration": "rollout/exploration_rate"},
    "sac": {"temperature": "train/ent_coef", "q": "train/q_value"},
}
NOT_A_LOSS = ("episode_return",)  # the environments tell it better: rollout/ep_rew_mean


def _gaussian_std(entropy: float, dimensions: int) -> float:
    """Standard deviation of a diagonal Gaussian of that entropy (the geometric mean over its dimensions)."""
    return math.exp(entropy / dimensions - 0.5 * math.log(2.0 * math.pi * math.e))


# tag -> from (means, task): what SB3 logs and we have only in another form
DERIVED: dict[str, dict[str, Callable[[Means, Task], float | None]]] = {
    "ppo": {
        "train/entropy_loss": lambda m, _: -m["entropy"],
        "train/std": lambda m, t: (
            _gaussian_std(m["entropy"], int(t.options["actions"])) if t.options["space"] == "box" else None
        ),
    },
    # The three objectives are one sum here, so the third is what the other two leave.
    "sac": {"train/ent_coef_loss": lambda m, _: m["loss"] - m["critic_loss"] - m["actor_loss"]},
}
DERIVED["a2c"] = DERIVED["ppo"]


def tagged(task: Task, means: Means) -> dict[str, float]:
    """tag -> value of everything that was logged about one task."""
    algorithm = str(task.options.get("algorithm", "")) if task.kind == "control" else ""
    table = TAGS.get(algorithm, {})
    row = {table.get(name, f"train/{name}"): value for name, value in means.items() if name not in NOT_A_LOSS}
    if means:
        for tag, derive in DERIVED.get(algorithm, {}).items():
            value = derive(means, task)
            if value is not None:
                row[tag] = value
    return row


def settings(learner: Any, learning_rate: float) -> dict[str, float]:
    """What the next updates are made with, as SB3 logs it."""
    row = {"train/learning_rate": learning_rate}
    config = getattr(learner, "config", None)
    if learner.task.options.get("algorithm") == "ppo" and config is not None:
        row["train/clip_range"] = float(config.clip)
    return row

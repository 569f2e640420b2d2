"""Learners of control tasks. `ALL` maps an algorithm's name in the spec to what builds its learner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from pellucid.core.task import Task
from pellucid.envs.vectorise import VectorAdapter
from pellucid.rl.ppo import PPO, PPOConfig
from pellucid.spec.model import ControlTask
from pellucid.train.learner import Learner

__all__ = ["ALL", "Encode", "build"]

Encode = Callable[[dict[str, Any]], dict[str, Tensor]]  # observations -> blocks
Builder = Callable[[ControlTask, Task, VectorAdapter, Encode, int], Learner]


def _ppo(spec: ControlTask, task: Task, env: VectorAdapter, encode: Encode, seed: int) -> Learner:
    s = spec.ppo
    config = PPOConfig(
        steps=s.steps,
        epochs=s.epochs,
        minibatch=s.minibatch,
        discount=s.discount,
        gae_lambda=s.gae_lambda,
        clip=s.clip,
        entropy=s.entropy,
        value_weight=s.value_weight,
        target_kl=s.target_kl,
    )
    return PPO(task, env, encode, config, seed=seed)


ALL: dict[str, Builder] = {"ppo": _ppo}


def build(spec: ControlTask, task: Task, env: VectorAdapter, encode: Encode, seed: int) -> Learner:
    """The learner that a control task asks for."""
    return ALL[spec.algorithm](spec, task, env, encode, seed)

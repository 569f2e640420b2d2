"""Learners of control tasks. `ALL` maps an algorithm's name in the spec to what builds its learner."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from pellucid.core.errors import SpecError
from pellucid.core.task import Task
from pellucid.data.shown import read_shown
from pellucid.envs.vectorise import VectorAdapter
from pellucid.rl.collector import Pace
from pellucid.rl.direct import Direct, DirectConfig
from pellucid.rl.dqn import DQN, DQNConfig
from pellucid.rl.es import ES, ESConfig
from pellucid.rl.imitation import BehaviourCloning
from pellucid.rl.ppo import PPO, PPOConfig
from pellucid.rl.sac import SAC, SACConfig
from pellucid.spec.model import ControlTask
from pellucid.train.learner import Learner

__all__ = ["ALL", "Encode", "build"]

Encode = Callable[[dict[str, Any]], Mapping[str, Tensor]]  # observations -> blocks
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


def _a2c(spec: ControlTask, task: Task, env: VectorAdapter, encode: Encode, seed: int) -> Learner:
    s = spec.a2c
    config = PPOConfig(
        steps=s.steps,
        epochs=1,
        minibatch=s.steps * env.num_envs,  # the whole rollout
        discount=s.discount,
        gae_lambda=s.gae_lambda,
        entropy=s.entropy,
        value_weight=s.value_weight,
        normalise_advantages=s.normalise_advantages,
    )
    return PPO(task, env, encode, config, seed=seed)


def _dqn(spec: ControlTask, task: Task, env: VectorAdapter, encode: Encode, seed: int) -> Learner:
    s = spec.dqn
    if task.options["space"] != "discrete":
        raise _unsuitable("dqn", env, *_other(task))
    config = DQNConfig(
        Pace(s.replay.warmup, s.steps, s.updates),
        memory=s.replay.size,
        batch=s.batch,
        discount=s.discount,
        explore_start=s.explore.start,
        explore_end=s.explore.end,
        explore_steps=s.explore.steps,
        target_every=s.target.every,
        target_rate=s.target.rate,
        double=s.double,
        huber=s.huber,
        n_step=s.replay.n_step,
        priority=s.priority.exponent,
        correction=s.priority.correction,
        correction_updates=s.priority.updates,
    )
    return DQN(task, env, encode, config, seed=seed)


def _sac(spec: ControlTask, task: Task, env: VectorAdapter, encode: Encode, seed: int) -> Learner:
    s = spec.sac
    if task.options["space"] != "box":
        raise _unsuitable("sac", env, *_other(task))
    if not all(math.isfinite(x) for x in (*task.options["low"], *task.options["high"])):
        raise _unsuitable("sac", env, "unbounded", "ppo")
    if any(field.kind == "image" for field in env.fields):
        raise SpecError(
            f"sac cannot look at the images of '{env.env_id}': its critics read numbers.",
            where="algorithm",
            mend="use algorithm: ppo",
        )
    config = SACConfig(
        Pace(s.replay.warmup, s.steps, s.updates),
        memory=s.replay.size,
        batch=s.batch,
        discount=s.discount,
        target_rate=s.target_rate,
        n_step=s.replay.n_step,
        temperature=s.temperature,
        target_entropy=s.target_entropy,
    )
    return SAC(task, env, encode, config, seed=seed)


def _es(spec: ControlTask, task: Task, env: VectorAdapter, encode: Encode, seed: int) -> Learner:
    s = spec.es
    return ES(task, env, encode, ESConfig(s.population, s.sigma, s.episodes, s.limit), seed=seed)


def _bc(spec: ControlTask, task: Task, env: VectorAdapter, encode: Encode, seed: int) -> Learner:
    shown = read_shown(spec.bc.demonstrations, env.fields, task, spec.bc.action)
    return BehaviourCloning(task, shown, encode, batch=spec.bc.batch, seed=seed)


def _direct(spec: ControlTask, task: Task, env: VectorAdapter, encode: Encode, seed: int) -> Learner:
    s = spec.direct
    return Direct(task, env, encode, DirectConfig(s.paths, s.steps, s.discount, s.value_weight), seed=seed)


def _other(task: Task) -> tuple[str, str]:
    """(what an environment's actions are, which algorithms take them)."""
    suited = {"discrete": "dqn or ppo", "box": "sac or ppo", "multi_discrete": "ppo or es"}
    words = {"discrete": "discrete", "box": "continuous", "multi_discrete": "several discrete choices at once"}
    return words[task.options["space"]], suited[task.options["space"]]


def _unsuitable(algorithm: str, env: VectorAdapter, actions: str, instead: str) -> SpecError:
    return SpecError(
        f"{algorithm} cannot act in '{env.env_id}', whose actions are {actions}.",
        where="algorithm",
        mend=f"use algorithm: {instead}",
    )


ALL: dict[str, Builder] = {"ppo": _ppo, "a2c": _a2c, "dqn": _dqn, "sac": _sac, "es": _es, "bc": _bc, "direct": _direct}


def build(spec: ControlTask, task: Task, env: VectorAdapter, encode: Encode, seed: int) -> Learner:
    """The learner that a control task asks for."""
    return ALL[spec.algorithm](spec, task, env, encode, seed)

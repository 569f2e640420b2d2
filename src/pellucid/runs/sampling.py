"""A policy as it explored: actions drawn from its distribution, beside the greedy one that is judged."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pellucid.core.program import Program
from pellucid.core.random import stream
from pellucid.core.rows import Rows
from pellucid.core.task import Task
from pellucid.nn.outputs import choices
from pellucid.nn.program import NetworkProgram
from pellucid.rl.distributions import choose, draw_noise
from pellucid.rl.sac_gradient import squashed
from pellucid.runs.policies import action_dimension, read_as

GAUSSIAN = ("ppo", "a2c")  # their head `log_std` was trained


def why_greedy_only(program: Program, task: Task) -> str:
    """Why a policy has no distribution to draw from; empty when it has one."""
    algorithm = str(task.options.get("algorithm", ""))
    if task.options["space"] != "box":
        return "" if task.unit == "logit" and algorithm != "es" else "its outputs are values of actions, not chances"
    if algorithm == "sac" or (algorithm in GAUSSIAN and isinstance(program, NetworkProgram)):
        return ""
    return "it has one action in every state"


def sampled(program: Program, task: Task, seed: int) -> Any:
    """The program as a `choose` of `rollout`: an action drawn in every step. See `why_greedy_only`.

    Args:
        seed: with the step, keys the random stream.
    """
    named, actions, parts = read_as(program, task), action_dimension(task), choices(task)
    box = task.options["space"] == "box"

    def act(obs: dict[str, Any], step: int) -> Any:
        n = len(next(iter(obs.values())))
        blocks = program.encode(Rows(np.full(n, ""), named(obs)))
        noise = draw_noise(stream(seed, "evidence/stochastic", step), (n, actions), gaussian=box)
        with torch.no_grad():
            if not box:
                return choose({"policy": program(blocks, task.name)[:, :actions].cpu().numpy()}, noise, parts)
            assert isinstance(program, NetworkProgram)
            device = program.network.bias.device
            raw = program.network({name: blocks[name].to(device) for name in task.inputs}, task.name)
        low, high = (np.asarray(task.options[end], dtype=np.float32) for end in ("low", "high"))
        if task.options["algorithm"] == "sac":
            unit = squashed(raw["policy"].cpu(), raw["log_std"].cpu(), torch.from_numpy(noise))[0].numpy()
            return low + (unit + 1.0) * (high - low) / 2.0
        drawn = choose({name: raw[name].cpu().numpy() for name in ("policy", "log_std")}, noise)
        return np.clip(drawn, low, high)

    return act

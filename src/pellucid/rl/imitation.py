"""Learning from shown actions: behaviour cloning (Pomerleau 1991) and DAgger (Ross, Gordon & Bagnell 2011).

Cloning learns the shown action of each shown state: cross-entropy for discrete actions, squared error for others. It
knows nothing of the states that its own mistakes lead to; DAgger lets the learner act, has the expert say what should
have been done in the states that *it* visits, and learns from all that was said so far.

Differs from the paper: of the states that a round visits, only `labels` are put to the expert, evenly spread over time:
an expert may be a person, and a person's patience is what is scarce. (Asking where the policy is least sure was tried
and did worse: those states are neighbours of each other.)
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pellucid.core.errors import DataError
from pellucid.core.random import derive, stream
from pellucid.core.task import Task
from pellucid.data.encoding import Encoding
from pellucid.data.shown import Shown
from pellucid.envs.vectorise import VectorAdapter
from pellucid.nn.network import Network
from pellucid.nn.outputs import ALL as OUTPUTS
from pellucid.nn.outputs import choices, likeliest, trained_space
from pellucid.nn.program import NetworkProgram
from pellucid.optim import build as build_optimiser
from pellucid.rl.distributions import act, log_prob_and_entropy
from pellucid.train.learner import Learner, Loss, State
from pellucid.train.loop import Hooks, LoopConfig, Trainer

Blocks = Mapping[str, Tensor]
Observations = dict[str, npt.NDArray[Any]]
Encode = Callable[[Observations], Blocks]
Expert = Callable[[Observations], npt.NDArray[Any]]  # observations (n, w) -> actions (n,) or (n, k)


class ShownBatch(NamedTuple):
    """Rows: blocks (n, w), action (n,) or (n, k)."""

    blocks: Blocks
    action: Tensor


def imitation_loss(task: Task, policy: Tensor, action: Tensor) -> Tensor:
    """Loss of each row, (n,): -log p(action), or the squared error in units of the action's half range."""
    if task.options["space"] != "box":
        return -log_prob_and_entropy({"policy": policy}, action, choices(task))[0]
    low, high = (np.asarray(task.options[end], dtype=np.float64) for end in ("low", "high"))
    half = np.where(np.isfinite(high - low), (high - low) / 2.0, 1.0)
    unit = torch.as_tensor(half, dtype=policy.dtype, device=policy.device)
    return ((policy - action) / unit).square().mean(1)


class BehaviourCloning:
    """The Learner of shown actions.

    Args:
        task: a `control` task. Its value is not learned: the program gives zero.
        shown: states with actions, at least one.
        encode: observations to blocks.
        batch: rows per update (all rows when fewer).
        seed: of the shuffles.
    """

    rowwise = True
    value_scale = 0.0

    def __init__(self, task: Task, shown: Shown, encode: Encode, *, batch: int, seed: int) -> None:
        if len(shown) == 0:
            raise DataError(
                f"task '{task.name}' has no shown action.", where="BehaviourCloning", mend="show at least one"
            )
        self.task, self.seed = task, seed
        self._blocks, self._action = encode(shown.fields), torch.from_numpy(shown.action)
        self.batch = min(batch, len(shown))
        self._drawn = 0

    def next_batch(self, network: nn.Module) -> ShownBatch:
        assert isinstance(network, Network)
        if self._drawn == 0:
            network.observe({name: block.to(network.bias.device) for name, block in self._blocks.items()})
        epoch, part = divmod(self._drawn, len(self._action) // self.batch)
        order = stream(self.seed, f"bc/{self.task.name}", epoch).permutation(len(self._action))
        self._drawn += 1
        return _taken(self._blocks, self._action, order[part * self.batch : (part + 1) * self.batch], network)

    def loss(self, network: nn.Module, batch: ShownBatch) -> Loss:
        return _loss(self.task, network, batch)

    def after_step(self, network: nn.Module, metrics: dict[str, float]) -> None:
        return None

    def get_state(self) -> State:
        return {"drawn": self._drawn}

    def set_state(self, state: State) -> None:
        self._drawn = int(state["drawn"])


@dataclass(frozen=True)
class DAggerConfig:
    """Settings of DAgger.

    Args:
        rounds: of acting and asking.
        labels: states put to the expert in a round.
        updates: after each round, on everything said so far.
        batch: rows per update.
        beta: in round i (from 0) the expert acts itself with probability beta^i in each step; 0: in round 0 only,
            the paper's parameter-free choice. See `own_first`.
        own_first: the learner acts from round 0 on, because it has learned something already.
        limit: steps of an episode that are looked at.
    """

    rounds: int = 10
    labels: int = 5
    updates: int = 150
    batch: int = 64
    beta: float = 0.0
    own_first: bool = False
    limit: int = 1000


class DAgger:
    """The Learner that asks.

    Args:
        task: a `control` task. Its value is not learned: the program gives zero.
        env: where the learner acts; each environment plays an episode a round.
        encode: observations to blocks.
        expert: says what should be done.
        config: see `DAggerConfig`.
        seed: of episodes, mixtures and batches.
        shown: what was shown before; kept, and learned from beside the answers.
    """

    rowwise = True
    value_scale = 0.0
    anew = True  # every round begins its episodes anew

    def __init__(
        self,
        task: Task,
        env: VectorAdapter,
        encode: Encode,
        expert: Expert,
        config: DAggerConfig,
        *,
        seed: int,
        shown: Shown | None = None,
    ) -> None:
        self.task, self.env, self.encode, self.expert, self.config, self.seed = task, env, encode, expert, config, seed
        self.fields: Observations = {} if shown is None else dict(shown.fields)
        self.action: npt.NDArray[Any] | None = None if shown is None else shown.action
        self.asked = 0  # answers of the expert so far
        self._drawn = 0

    @property
    def shown(self) -> Shown:
        """Everything that was shown or said so far."""
        assert self.action is not None
        return Shown(self.fields, self.action)

    def next_batch(self, network: nn.Module) -> ShownBatch:
        assert isinstance(network, Network)
        turn, into = divmod(self._drawn, self.config.updates)
        if into == 0 and turn < self.config.rounds:
            self._ask(network, turn)
        assert self.action is not None
        n = len(self.action)
        generator = stream(self.seed, f"dagger/{self.task.name}/batch", self._drawn)
        index = generator.choice(n, size=min(self.config.batch, n), replace=False)
        self._drawn += 1
        return _taken(self.encode(self.fields), torch.from_numpy(self.action), index, network)

    def _ask(self, network: Network, turn: int) -> None:
        """One round: act, choose states, ask, remember."""
        visited = self._visit(network, turn)
        n = len(next(iter(visited.values())))
        chosen = np.unique(np.linspace(0, n - 1, min(n, self.config.labels)).astype(np.int64))
        states = {name: values[chosen] for name, values in visited.items()}
        said = np.asarray(self.expert(states))
        self.asked += len(said)
        self.fields = {k: np.concatenate([self.fields[k], v]) if self.fields else v for k, v in states.items()}
        self.action = said if self.action is None else np.concatenate([self.action, said])
        blocks = self.encode(states)
        network.observe({name: block.to(network.bias.device) for name, block in blocks.items()})

    @torch.no_grad()
    def _visit(self, network: Network, turn: int) -> Observations:
        """States of a round, in order of time."""
        config, env = self.config, self.env
        env.seed = derive(self.seed, f"dagger/{self.task.name}/episodes", turn)
        generator = stream(self.seed, f"dagger/{self.task.name}/mixture", turn)
        share = 0.0 if config.own_first and turn == 0 else config.beta**turn
        obs = env.reset()
        running = np.ones(env.num_envs, dtype=np.bool_)
        visited: list[Observations] = []
        for _ in range(config.limit):
            blocks = {k: v.to(network.bias.device) for k, v in self.encode(obs).items()}
            policy = action_scores(self.task, network, blocks).cpu().numpy()
            visited.append({name: values[running] for name, values in obs.items()})
            step = env.step(self._mixed(policy, obs, generator.random(env.num_envs) < share))
            running &= ~(step.valid & (step.terminated | step.truncated))
            obs = step.obs
            if not running.any():
                break
        env.finished.clear()
        return {k: np.concatenate([v[k] for v in visited]) for k in visited[0]}

    def _mixed(
        self, policy: npt.NDArray[np.float32], obs: Observations, by_expert: npt.NDArray[np.bool_]
    ) -> npt.NDArray[Any]:
        if self.task.options["space"] != "box":
            action: npt.NDArray[Any] = likeliest(policy, choices(self.task))
        else:
            action = np.clip(policy, self.task.options["low"], self.task.options["high"]).astype(np.float32)
        if by_expert.any():
            action[by_expert] = np.asarray(self.expert({k: v[by_expert] for k, v in obs.items()}))
        return action

    def loss(self, network: nn.Module, batch: ShownBatch) -> Loss:
        return _loss(self.task, network, batch)

    def after_step(self, network: nn.Module, metrics: dict[str, float]) -> None:
        return None

    def get_state(self) -> State:
        """What was said, and two counters: each round begins its episodes anew."""
        return {"drawn": self._drawn, "asked": self.asked, "fields": self.fields, "action": self.action}

    def set_state(self, state: State) -> None:
        self._drawn, self.asked = int(state["drawn"]), int(state["asked"])
        self.fields = {name: np.asarray(values) for name, values in state["fields"].items()}
        self.action = None if state["action"] is None else np.asarray(state["action"])


def imitate(
    program: NetworkProgram, learner: Learner, *, updates: int, lr: float = 3e-3, seed: int = 0
) -> NetworkProgram:
    """A copy of a program that has learned from a learner; the program itself is left as it is.

    Args:
        learner: `BehaviourCloning` or `DAgger` of one of its tasks.
        updates, lr: of AdamW; the learning rate falls to zero linearly.
    """
    network = copy.deepcopy(program.network)
    named = {name: p for name, p in network.named_parameters() if p.requires_grad}
    optimiser = build_optimiser("adamw", named, lr=lr, weight_decay=0.0)
    trainer = Trainer(network, [learner], optimiser, named)
    trainer.run(LoopConfig(updates, seed=seed), Hooks(schedule=lambda update: 1.0 - update / updates))
    return NetworkProgram(network, program.schema, program.tasks, program.encoding)


def _loss(task: Task, network: nn.Module, batch: ShownBatch) -> Loss:
    policy = action_scores(task, network, batch.blocks)
    each = imitation_loss(task, policy, batch.action)
    metrics = {}
    if task.options["space"] != "box":
        metrics["agreement"] = (act({"policy": policy.detach()}, None, choices(task)) == batch.action).float().mean()
    return Loss(each.mean(), metrics)


def action_scores(task: Task, network: nn.Module, blocks: Blocks) -> Tensor:
    """What the program says of the actions, (n, k): scores, or the mean action; whatever algorithm it came from."""
    z = trained_space(task, network, blocks)
    return OUTPUTS[task.kind].units(task, z, blocks, Encoding({}))[:, :-1]


def _taken(blocks: Blocks, action: Tensor, index: npt.NDArray[Any], network: Network) -> ShownBatch:
    rows, device = torch.from_numpy(index), network.bias.device
    return ShownBatch({name: block[rows].to(device) for name, block in blocks.items()}, action[rows].to(device))

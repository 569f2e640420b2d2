"""DQN: Q-learning with a network, a replay memory and a target network (Mnih et al. 2015).

Read from top to bottom: act ε-greedily, remember, draw rows, and move Q(s, a) towards

    y = R + γ^n Q'(s_n, argmax_a Q(s_n, a))

where Q' is the target network. Options: `double` chooses the action by Q as above, else by Q' (van Hasselt et al.
2016); `duelling` Q = V + A - mean A (Wang et al. 2016, see `nn.outputs`); n-step returns and prioritised draws (see
`rl.replay`); hard copies of the target every so often (τ = 1) or soft ones.

Differs from the paper: no frame stacking, any optimiser, and truncated episodes bootstrap from their last observation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import huber_loss

from pellucid.core.random import stream
from pellucid.core.task import Task
from pellucid.envs.vectorise import VectorAdapter
from pellucid.nn.network import Network
from pellucid.nn.outputs import action_values
from pellucid.nn.plain import PlainView, plain_view
from pellucid.rl.collector import Collector, Pace
from pellucid.rl.replay import Replay
from pellucid.train.learner import Gradients, Loss, State

Blocks = Mapping[str, Tensor]
Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class DQNConfig:
    """Settings of DQN.

    Args:
        pace: how experience and updates alternate.
        memory: transitions kept.
        batch: rows per update.
        discount: γ.
        explore_start, explore_end, explore_steps: ε falls linearly over so many environment steps.
        target_every, target_rate: every so many updates, Q' moves this share (τ) of the way to Q.
        double: choose the next action by Q, value it by Q'.
        huber: errors beyond this size count linearly; None: every error counts squared.
        n_step: rewards before the bootstrap.
        priority: α of prioritised draws; 0: uniform.
        correction, correction_updates: β of the importance weights rises linearly from here to 1 over so many updates.
    """

    pace: Pace
    memory: int = 100_000
    batch: int = 64
    discount: float = 0.99
    explore_start: float = 1.0
    explore_end: float = 0.05
    explore_steps: int = 10_000
    target_every: int = 250
    target_rate: float = 1.0
    double: bool = True
    huber: float | None = 1.0
    n_step: int = 1
    priority: float = 0.0
    correction: float = 0.4
    correction_updates: int = 50_000


class DQNBatch(NamedTuple):
    """Rows of the memory: blocks (n, w); action, target y and importance weight (n,)."""

    blocks: Blocks
    action: Tensor
    target: Tensor
    weight: Tensor


class DQN:
    """The Learner.

    Args:
        task: a `control` task with discrete actions.
        env: the vectorised environment.
        encode: observations to blocks.
        config: see `DQNConfig`.
        seed: of actions and draws.
    """

    rowwise = True

    def __init__(
        self,
        task: Task,
        env: VectorAdapter,
        encode: Callable[[dict[str, Any]], Mapping[str, Tensor]],
        config: DQNConfig,
        *,
        seed: int,
    ) -> None:
        self.task, self.env, self.config, self.seed = task, env, config, seed
        self.actions = int(task.options["actions"])

        def memory(width: int) -> Replay:
            n, alpha = env.num_envs, config.priority
            return Replay(config.memory, width, 0, n, discount=config.discount, steps=config.n_step, exponent=alpha)

        name = f"dqn/{task.name}/act"
        self.collector = Collector(env, encode, task.inputs, config.pace, name=name, seed=seed, memory=memory)
        self.target: dict[str, Tensor] | None = None  # the weights of Q'
        self._updates = 0
        self._index = np.empty(0, dtype=np.int64)  # rows of the latest batch, and their errors
        self._error: Array = np.empty(0, dtype=np.float32)
        self._view: PlainView | None = None  # Q and Q' of a plain network: the same numbers, faster
        self._target_view: PlainView | None = None
        self._viewed = False
        self._moved = True  # Q' since it was last read

    @property
    def exploration(self) -> float:
        """ε now."""
        config = self.config
        share = min(1.0, self.collector.env_steps / max(1, config.explore_steps))
        return config.explore_start + share * (config.explore_end - config.explore_start)

    # Experience

    def next_batch(self, network: nn.Module) -> DQNBatch:
        assert isinstance(network, Network)
        self._prepare(network)
        self.collector.before_update(network, self._behaviour(network), self._random, lambda action: action)
        config = self.config
        generator = stream(self.seed, f"dqn/{self.task.name}/draw", self._updates)
        risen = min(1.0, self._updates / max(1, config.correction_updates))
        drawn = self.collector.memory.draw(
            config.batch, generator, config.correction + risen * (1.0 - config.correction)
        )
        self._index = drawn.rows
        target = drawn.reward + drawn.discount * self._bootstrap(network, drawn.following_obs)
        device = network.bias.device
        blocks = self.collector.split(drawn.obs, device)
        rest = (torch.from_numpy(x).to(device) for x in (drawn.action, target, drawn.weight))
        return DQNBatch(blocks, *rest)

    def _prepare(self, network: Network) -> None:
        if self.target is None:
            self.target = {name: p.detach().clone() for name, p in network.named_parameters()}
        if not self._viewed:
            self._viewed = True
            self.target = {name: x.to(network.bias.device) for name, x in self.target.items()}  # a restored one
            self._view = plain_view(network, self.task.name)
            self._target_view = None if self._view is None else PlainView(network, self.task.name, self.target)

    @torch.no_grad()
    def _bootstrap(self, network: Network, obs: Array) -> Array:
        """Q'(s, a) of the greedy action, shape (n,)."""
        assert self.target is not None
        name, blocks = self.task.name, self.collector.split(obs, network.bias.device)
        if self._view is not None and self._target_view is not None:
            values = values_by_hand(self._target_view.forward(blocks, changed=self._moved))
            self._moved = False
            chosen = values_by_hand(self._view.forward(blocks)) if self.config.double else values
        else:
            frozen = action_values(functional_call(network, self.target, (blocks, name)))
            online = action_values(network(blocks, name)) if self.config.double else frozen
            values, chosen = frozen.cpu().numpy(), online.cpu().numpy()
        best: Array = values[np.arange(len(values)), chosen.argmax(1)]
        return best

    def _behaviour(self, network: Network) -> Callable[[Blocks, np.random.Generator], npt.NDArray[np.int64]]:
        @torch.no_grad()
        def act(blocks: Blocks, generator: np.random.Generator) -> npt.NDArray[np.int64]:
            action = self._random(blocks, generator)
            greedy = np.flatnonzero(generator.random(len(action)) >= self.exploration)
            if len(greedy):
                if self._view is None:
                    blocks = {k: v.to(network.bias.device) for k, v in blocks.items()}
                raw = (self._view or network)(blocks, self.task.name)
                action[greedy] = action_values(raw).argmax(1).cpu().numpy()[greedy]
            return action

        return act

    def _random(self, blocks: Blocks, generator: np.random.Generator) -> npt.NDArray[np.int64]:
        return generator.integers(self.actions, size=len(blocks[self.task.inputs[0]]))

    # The update

    def loss(self, network: nn.Module, batch: DQNBatch) -> Loss:
        """Huber's loss of the temporal-difference error (the clipped error of the paper), or half its square."""
        q = action_values(network(batch.blocks, self.task.name)).gather(1, batch.action[:, None])[:, 0]
        error = q - batch.target
        if self.config.huber is None:
            each = 0.5 * error.square()
        else:
            each = huber_loss(q, batch.target, reduction="none", delta=self.config.huber)
        value = (batch.weight * each).mean()
        with torch.no_grad():
            self._error = error.detach().cpu().numpy()
            metrics = {"q": q.mean(), "td_error": error.abs().mean()} | {
                name: torch.tensor(number) for name, number in self._logged().items()
            }
        return Loss(value, metrics)

    def gradients(self, network: nn.Module, batch: DQNBatch) -> Gradients | None:
        """What autograd would give, by hand, when the network is plain."""
        if self._view is None:
            return None
        raw = self._view.forward(batch.blocks)
        action, target, weight = (x.numpy() for x in batch[1:])
        values, rows = values_by_hand(raw), np.arange(len(action))
        q = values[rows, action]
        error = q - target
        most = self.config.huber or np.inf
        slope = np.clip(error, -most, most)
        each = slope * (error - 0.5 * slope)
        by_values = np.zeros_like(values)
        by_values[rows, action] = weight * slope / len(action)
        heads = {"q": by_values}
        if "advantage" in raw:
            total = by_values.sum(1, keepdims=True)
            heads = {"value": total, "advantage": by_values - total / values.shape[1]}
        self._view.backward(heads)
        self._error = error
        metrics = {"q": float(q.mean()), "td_error": float(np.abs(error).mean()), **self._logged()}
        return Gradients(
            float((weight * each).mean()), metrics, self._view.parameters, self._view.gradients, self._view.vector
        )

    def _logged(self) -> dict[str, float]:
        return {"exploration": self.exploration, **self.collector.metrics()}

    @torch.no_grad()
    def after_step(self, network: nn.Module, metrics: dict[str, float]) -> None:
        if self.config.priority > 0.0:
            self.collector.memory.reprioritise(self._index, self._error)
        self._updates += 1
        if self._updates % self.config.target_every == 0 and self.target is not None:
            online: dict[str, Tensor] = dict(network.named_parameters())
            ours, theirs = list(self.target.values()), [online[name] for name in self.target]
            torch._foreach_lerp_(ours, theirs, self.config.target_rate)
            self._moved = True

    def get_state(self) -> State:
        return {"collector": self.collector.get_state(), "target": self.target, "updates": self._updates}

    def set_state(self, state: State) -> None:
        self.collector.set_state(state["collector"])
        self._updates, self._viewed, self._moved = int(state["updates"]), False, True
        self.target = None if state["target"] is None else dict(state["target"])


def values_by_hand(raw: dict[str, Array]) -> Array:
    """`action_values` on arrays."""
    if "advantage" not in raw:
        return raw["q"]
    values: Array = raw["value"] + raw["advantage"] - raw["advantage"].mean(1, keepdims=True)
    return values

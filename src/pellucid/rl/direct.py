"""Direct: backpropagation through the reward of a market that does not answer (Moody & Saffell 2001).

Read from top to bottom: draw paths of what is observed and earned, walk along them with positions that are a smooth
function of the network, and differentiate the reward itself:

    p_t = f(x_t, p_{t-1}),      loss = -mean over paths and steps of  p_t r_{t+1} - cost |p_t - p_{t-1}|

No sampling of actions and no critic in the policy's gradient: prices are the same whatever is held, so the path
derivative is exact. It needs an environment that can `draw` paths (PlantedTrading, StockTrading).

Continuous positions are the tanh of the head and act as they were trained; among short, out and long the trained
position is the mean under a softmax, and the program acts by the likeliest. The value is fitted beside to the
discounted rewards of the same walk; the policy does not read it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pellucid.core.errors import SpecError
from pellucid.core.random import stream
from pellucid.core.task import Task
from pellucid.envs.vectorise import VectorAdapter
from pellucid.nn.network import Network
from pellucid.nn.outputs import mean_position
from pellucid.train.learner import Loss, State

PROBE = 4096  # returns by which their scale is measured


@runtime_checkable
class Exogenous(Protocol):
    """A market game that does not answer to positions."""

    cost: float

    def draw(
        self, rng: np.random.Generator, n: int, steps: int
    ) -> tuple[dict[str, npt.NDArray[np.float32]], npt.NDArray[np.float64]]:
        """Observed fields but for the position (n, steps, width), and what each step's position earns (n, steps)."""
        ...


@dataclass(frozen=True)
class DirectConfig:
    """Settings.

    Args:
        paths, steps: paths of an update, and their length: credit for a position reaches that far.
        discount: of the value beside; the policy's objective is the plain mean.
        value_weight: of the value's squared error.
    """

    paths: int = 256
    steps: int = 64
    discount: float = 0.99
    value_weight: float = 0.5


class DirectBatch(NamedTuple):
    """blocks (n, steps + 1, w) without the position; following (n, steps), in units of its deviation; start (n, 1)."""

    blocks: dict[str, Tensor]
    following: Tensor
    start: Tensor


class Direct:
    """The Learner.

    Args:
        task: a `control` task with the input `position`.
        env: whose game is `Exogenous`; it is never stepped.
        encode: observations to blocks.
        config: see `DirectConfig`.
        seed: of the paths.
    """

    rowwise = True
    anew = True  # every update draws new paths: nothing of the environment has to be kept

    def __init__(
        self,
        task: Task,
        env: VectorAdapter,
        encode: Callable[[dict[str, Any]], dict[str, Tensor]],
        config: DirectConfig,
        *,
        seed: int,
    ) -> None:
        game = getattr(env.env.unwrapped, "game", None)
        if not isinstance(game, Exogenous) or "position" not in task.inputs:
            raise SpecError(
                f"direct cannot learn in '{env.env_id}': it differentiates through a market's own reward.",
                where="algorithm",
                mend="use pellucid/PlantedTrading-v0 or pellucid/StockTrading-v0, or algorithm: ppo",
            )
        self.task, self.env, self.encode, self.config, self.seed = task, env, encode, config, seed
        self._game: Exogenous = game
        self._drawn = 0
        probe = game.draw(stream(seed, f"direct/{task.name}/probe"), max(1, PROBE // config.steps), config.steps)[1]
        self.unit = float(probe.std()) or 1.0

    @property
    def value_scale(self) -> float:
        """Rewards per unit of the value head."""
        return self.unit / max(1.0 - self.config.discount, 1e-3)

    def next_batch(self, network: nn.Module) -> DirectBatch:
        assert isinstance(network, Network)
        n, steps = self.config.paths, self.config.steps
        rng = stream(self.seed, f"direct/{self.task.name}/paths", self._drawn)
        fields, following = self._game.draw(rng, n, steps + 1)
        self._drawn += 1
        device = network.bias.device
        flat = self.encode({name: values.reshape(n * (steps + 1), -1) for name, values in fields.items()})
        network.observe({name: block.to(device) for name, block in flat.items()})
        start = rng.uniform(-1.0, 1.0, (n, 1)).astype(np.float32)
        return DirectBatch(
            {name: block.to(device).reshape(n, steps + 1, -1) for name, block in flat.items()},
            torch.from_numpy((following[:, :-1] / self.unit).astype(np.float32)).to(device),
            torch.from_numpy(start).to(device),
        )

    def loss(self, network: nn.Module, batch: DirectBatch) -> Loss:
        cost, steps = self._game.cost / self.unit, batch.following.shape[1]
        held, rewards, values, trades = batch.start, [], [], []
        for t in range(steps + 1):
            now = {name: block[:, t] for name, block in batch.blocks.items()}
            raw = network({**now, "position": held}, self.task.name)
            values.append(raw["value"][:, 0])
            if t == steps:
                break  # the last value is only looked at
            position = mean_position(self.task, raw)
            trades.append((position - held).abs()[:, 0])
            rewards.append(position[:, 0] * batch.following[:, t] - cost * trades[-1])
            held = position
        reward, traded = torch.stack(rewards, 1), torch.stack(trades, 1)
        value = torch.stack(values[:-1], 1)
        error = (value - self._to_go(reward.detach(), values[-1].detach())).square().mean()
        total = -reward.mean() + self.config.value_weight * error
        metrics = {
            "reward": reward.detach().mean() * self.unit,
            "turnover": traded.detach().mean(),
            "value_loss": error.detach(),
        }
        return Loss(total, metrics)

    def _to_go(self, reward: Tensor, last: Tensor) -> Tensor:
        """Discounted rewards to go (n, steps) in the value head's units, bootstrapped from the value at the end."""
        discount, found = self.config.discount, torch.empty_like(reward)
        running = last
        for t in range(reward.shape[1] - 1, -1, -1):
            running = reward[:, t] * (self.unit / self.value_scale) + discount * running
            found[:, t] = running
        return found

    def after_step(self, network: nn.Module, metrics: dict[str, float]) -> None:
        return None

    def get_state(self) -> State:
        return {"drawn": self._drawn}

    def set_state(self, state: State) -> None:
        self._drawn = int(state["drawn"])

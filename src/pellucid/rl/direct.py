"""Direct: backpropagation through the reward of a market that does not answer (Moody & Saffell 2001).

Read from top to bottom: draw paths of what is observed and earned, walk along them with positions that are a function
of the network, and differentiate the reward itself:

    p_t = f(x_t, p_{t-1}),      loss = -mean over paths and steps of  p_t r_{t+1} - cost |p_t - p_{t-1}|

No sampling of actions and no critic in the policy's gradient: prices are the same whatever is held, so the path
derivative is exact. It needs an environment that can `draw` paths (PlantedTrading, StockTrading).

Continuous positions: the network draws a band, and what is held is moved into it, no further than needed,

    p_t = clip(p_{t-1}, lower(x_t), upper(x_t)),

the form that the best policy under proportional costs has (Davis & Norman 1990; de Lataillade et al. 2012). The
program acts as it was trained. A level u of the position (is p above u?) is itself a policy that holds between two
edges, and the reward is the mean over the levels: so a band with soft edges costs only in the square of their width,
where a smooth function of the held position pays for its smoothness at every step.

Among short, out and long the trained position is the mean under a softmax, and the program acts by the likeliest.

The value is fitted beside to the discounted rewards of the same walk; the policy does not read it. In a band it is
linear in the position.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from pellucid.nn.outputs import band, holds_in_band, mean_position, within
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
        encode: Callable[[dict[str, Any]], Mapping[str, Tensor]],
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
        cost = self._game.cost / self.unit
        held, values = (self._banded if holds_in_band(self.task) else self._soft)(network, batch)
        traded = held.diff(dim=1).abs()
        reward = held[:, 1:] * batch.following - cost * traded
        error = (values[:, :-1] - self._to_go(reward.detach(), values[:, -1].detach())).square().mean()
        total = -reward.mean() + self.config.value_weight * error
        metrics = {
            "reward": reward.detach().mean() * self.unit,
            "turnover": traded.detach().mean(),
            "value_loss": error.detach(),
        }
        return Loss(total, metrics)

    def _banded(self, network: nn.Module, batch: DirectBatch) -> tuple[Tensor, Tensor]:
        """Positions held before and after every step, and values, (n, steps + 1) each.

        The band does not depend on what is held: all steps in one pass of the network.
        """
        shape = (len(batch.following), batch.following.shape[1] + 1)
        raw = network({name: block.flatten(0, 1) for name, block in batch.blocks.items()}, self.task.name)
        lower, upper = (edge.view(shape).unbind(1) for edge in band(raw["policy"]))
        held = [batch.start[:, 0]]
        for low, high in zip(lower[:-1], upper[:-1], strict=True):
            held.append(within(held[-1], low, high))
        positions = torch.stack(held, 1)
        intercept, slope = raw["value"].view(*shape, 2).unbind(2)
        return positions, intercept + slope * positions.detach()

    def _soft(self, network: nn.Module, batch: DirectBatch) -> tuple[Tensor, Tensor]:
        """The same for a policy that reads the position: step by step."""
        n, steps = batch.following.shape
        held = [batch.start]
        for t in range(steps):
            now = {name: block[:, t] for name, block in batch.blocks.items()}
            held.append(mean_position(network({**now, "position": held[-1]}, self.task.name)))
        positions = torch.cat(held, 1)
        seen = {name: block.flatten(0, 1) for name, block in batch.blocks.items()}
        # Looked at again, so that the value's error does not pull at the positions.
        raw = network({**seen, "position": positions.detach().reshape(-1, 1)}, self.task.name)
        return positions, raw["value"].view(n, steps + 1)

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

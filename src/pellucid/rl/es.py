"""ES: evolution strategies for policies (Salimans et al. 2017).

Read from top to bottom: perturb the weights by mirrored Gaussian noise, let every member play whole episodes, weigh the
noise by the rank of what it earned. No backward pass, no value, no discount: only returns are looked at, so a reward
that comes at the very end costs nothing, and the policy acts by its mode while it learns.

    g = 1 / (n sigma) * sum_i F_i eps_i        estimates the gradient of E[F(theta + sigma eps)], eps ~ N(0, I)

Differs from the paper: equal returns share their mean rank (so a generation in which all fail alike moves nothing);
the running normaliser of the network stands where the paper has virtual batch normalisation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pellucid.core.random import derive, stream
from pellucid.core.task import Task
from pellucid.envs.vectorise import VectorAdapter
from pellucid.nn.network import Network
from pellucid.nn.outputs import choices, likeliest
from pellucid.nn.stacked import Stacked
from pellucid.train.learner import Gradients, Loss, State

Array = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
SEEN = 2048  # observations a generation shows to the normaliser


@dataclass(frozen=True)
class ESConfig:
    """Settings of ES.

    Args:
        population: members of a generation, even: each perturbation is tried with both signs.
        sigma: standard deviation of the noise on the weights.
        episodes: per member and generation; the batch of environments holds population * episodes.
        limit: steps after which an episode is not followed any further.
    """

    population: int = 64
    sigma: float = 0.1
    episodes: int = 1
    limit: int = 100_000


class ESBatch(NamedTuple):
    """gradient, centre: by parameter, the estimated gradient of minus the returns, and the weights it was taken at;
    metrics: what is logged."""

    gradient: dict[str, Tensor]
    centre: dict[str, Tensor]
    metrics: dict[str, Tensor]


def centred_ranks(fitness: npt.ArrayLike) -> Floats:
    """Ranks scaled to [-1/2, 1/2], ties sharing their mean; invariant to any increasing change of the fitness."""
    values = np.asarray(fitness, dtype=np.float64)
    if len(values) < 2:
        return np.zeros_like(values)
    from scipy.stats import rankdata  # heavy, and other algorithms do without

    ranks: Floats = (rankdata(values) - 1.0) / (len(values) - 1.0) - 0.5
    return ranks


def mirrored(centre: Array, noise: Array, sigma: float) -> Array:
    """Members 2i and 2i + 1 at centre plus and minus sigma times noise i: (2 * pairs, D) of noise (pairs, D)."""
    signs = np.array([1.0, -1.0], dtype=np.float32)[None, :, None]
    members: Array = centre + np.float32(sigma) * signs * noise[:, None, :]
    return members.reshape(-1, noise.shape[1])


def ascent(shaped: npt.ArrayLike, noise: Array, sigma: float) -> Floats:
    """Estimated gradient (D,) of the smoothed fitness, from that of `mirrored` members (2 * pairs,)."""
    pairs = np.asarray(shaped, dtype=np.float64).reshape(-1, 2)
    estimate: Floats = (pairs[:, 0] - pairs[:, 1]) @ noise.astype(np.float64) / (2 * len(pairs) * sigma)
    return estimate


class ES:
    """The Learner.

    Args:
        task: a `control` task.
        env: population * episodes environments; members act greedily.
        encode: observations to blocks.
        config: see `ESConfig`.
        seed: of noise and episodes.
    """

    rowwise = False
    value_scale = 0.0  # no value is learned: the program gives zero
    anew = True  # every generation begins its episodes anew

    def __init__(
        self,
        task: Task,
        env: VectorAdapter,
        encode: Callable[[dict[str, Any]], Mapping[str, Tensor]],
        config: ESConfig,
        *,
        seed: int,
    ) -> None:
        assert env.num_envs == config.population * config.episodes
        self.task, self.env, self.encode, self.config, self.seed = task, env, encode, config, seed
        self.discrete, self.parts = task.options["space"] != "box", choices(task)
        self.generation = 0
        self.steps = 0  # of environments, all generations

    def next_batch(self, network: nn.Module) -> ESBatch:
        assert isinstance(network, Network)
        stacked = Stacked(network, self.task.name, "policy")
        centre = stacked.centre()
        generator = stream(self.seed, f"es/{self.task.name}/noise", self.generation)
        noise = generator.standard_normal((self.config.population // 2, len(centre)), dtype=np.float32)
        returns, lengths = self._play(network, stacked, stacked.split(mirrored(centre, noise, self.config.sigma)))
        gradient = -ascent(centred_ranks(returns), noise, self.config.sigma).astype(np.float32)
        self.generation += 1
        self.steps += int(lengths.sum())
        metrics = {
            "episode_return": returns.mean(),
            "best_return": returns.max(),
            "return_sd": returns.std(),
            "episode_length": lengths.mean(),
            "steps": float(self.steps),
        }
        device = network.bias.device
        return ESBatch(
            {name: torch.from_numpy(g).to(device) for name, g in stacked.split(gradient).items()},
            {name: torch.from_numpy(w).to(device) for name, w in stacked.split(centre).items()},
            {name: torch.tensor(float(value)) for name, value in metrics.items()},
        )

    @torch.no_grad()
    def _play(self, network: Network, stacked: Stacked, members: dict[str, Array]) -> tuple[Floats, Floats]:
        """(mean return, mean length) of every member, (population,). Episodes begin from seeds of this generation."""
        env, config = self.env, self.config
        env.seed = derive(self.seed, f"es/{self.task.name}/episodes", self.generation)
        obs = env.reset()
        returns, lengths = np.zeros(env.num_envs), np.zeros(env.num_envs)
        running = np.ones(env.num_envs, dtype=np.bool_)
        seen: list[dict[str, Tensor]] = []
        for _ in range(config.limit):
            blocks = self.encode(obs)
            if len(seen) * env.num_envs < SEEN:
                seen.append({name: block[torch.from_numpy(running)] for name, block in blocks.items()})
            step = env.step(self._act(stacked.forward(members, blocks)))
            live = running & step.valid
            returns += np.where(live, step.reward, 0.0)
            lengths += live
            running &= ~(live & (step.terminated | step.truncated))
            obs = step.obs
            if not running.any():
                break
        env.finished.clear()
        device = network.bias.device  # the normaliser moves between generations only
        network.observe({name: torch.cat([s[name] for s in seen]).to(device) for name in seen[0]})
        shape = (config.population, config.episodes)
        return returns.reshape(shape).mean(1), lengths.reshape(shape).mean(1)

    def _act(self, policy: Array) -> npt.NDArray[Any]:
        if self.discrete:
            return likeliest(policy, self.parts)
        return np.clip(policy, self.task.options["low"], self.task.options["high"]).astype(np.float32)

    def loss(self, network: nn.Module, batch: ESBatch) -> Loss:
        """Minus the mean return, to first order around the weights of the batch (slope in units of ranks)."""
        named = dict(network.named_parameters())
        value = -batch.metrics["episode_return"].to(next(iter(batch.centre.values())).device)
        for name, gradient in batch.gradient.items():
            value = value + (gradient * (named[name] - batch.centre[name])).sum()
        return Loss(value, batch.metrics)

    @torch.no_grad()
    def gradients(self, network: nn.Module, batch: ESBatch) -> Gradients:
        """The estimate itself: nothing is differentiated."""
        named = dict(network.named_parameters())
        return Gradients(
            float(self.loss(network, batch).value),
            {name: float(value) for name, value in batch.metrics.items()},
            [named[name] for name in batch.gradient],
            list(batch.gradient.values()),
        )

    def after_step(self, network: nn.Module, metrics: dict[str, float]) -> None:
        return None

    def get_state(self) -> State:
        """Two counters: every generation begins its episodes anew, so no environment has to be written down."""
        return {"generation": self.generation, "steps": self.steps}

    def set_state(self, state: State) -> None:
        self.generation, self.steps = int(state["generation"]), int(state["steps"])

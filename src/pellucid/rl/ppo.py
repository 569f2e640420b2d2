"""PPO: proximal policy optimisation with a clipped surrogate (Schulman et al. 2017).

Read from top to bottom: collect a rollout with the current policy, estimate advantages, then give minibatches of it
for a few epochs. Discrete actions are sampled by the Gumbel trick, continuous ones from a diagonal Gaussian
(`rl.distributions`).

Differs from the paper: advantages are normalised once per rollout (so that the loss of a minibatch is a mean of
independent rows), rewards are divided by the running standard deviation of their discounted sum, truncated episodes
bootstrap from the value of their true last observation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pellucid.core.random import stream
from pellucid.core.task import Task
from pellucid.data.blocks import SideBySide
from pellucid.envs.vectorise import VectorAdapter
from pellucid.nn.network import Network
from pellucid.nn.outputs import choices
from pellucid.nn.plain import PlainView, plain_view
from pellucid.rl.advantages import gae
from pellucid.rl.distributions import choose, draw_noise, log_prob_and_entropy
from pellucid.rl.ppo_gradient import Surrogate, gradient, log_prob
from pellucid.train.learner import Gradients, Loss, State

Blocks = Mapping[str, Tensor]
Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PPOConfig:
    """Settings of PPO.

    Args:
        steps: environment steps per environment and rollout.
        epochs, minibatch: passes over a rollout, rows per update.
        discount, gae_lambda: of generalised advantage estimation.
        clip: of the probability ratio.
        entropy, value_weight: weights of the entropy bonus and of the value's squared error.
        target_kl: drop the rest of a rollout once the approximate KL passes 1.5 times this; None: never.
        normalise_advantages: to mean 0 and deviation 1 over each rollout.
    """

    steps: int = 32
    epochs: int = 4
    minibatch: int = 256
    discount: float = 0.99
    gae_lambda: float = 0.95
    clip: float = 0.2
    entropy: float = 0.01
    value_weight: float = 0.5
    target_kl: float | None = None
    normalise_advantages: bool = True


class PPOBatch(NamedTuple):
    """Rows of a rollout: blocks (n, w); action (n,) or (n, k); the rest (n,). Arrays, or tensors with their numbers."""

    blocks: Blocks
    action: Any
    log_prob: Any
    advantage: Any
    returns: Any

    def rows(self, index: Any) -> PPOBatch:
        """Some rows, by a slice, positions or a mask."""
        blocks = self.blocks
        taken = blocks.rows(index) if isinstance(blocks, SideBySide) else {k: v[index] for k, v in blocks.items()}
        return PPOBatch(taken, *[x[index] for x in self[1:]])

    def to(self, device: torch.device) -> PPOBatch:
        """As tensors."""
        blocks = {k: v.to(device) for k, v in self.blocks.items()}
        return PPOBatch(blocks, *[torch.as_tensor(x, device=device) for x in self[1:]])


class PPO:
    """The Learner.

    Args:
        task: a `control` task.
        env: the vectorised environment.
        encode: observations to blocks.
        config: see `PPOConfig`.
        seed: of actions and shuffles.
    """

    rowwise = True

    def __init__(
        self,
        task: Task,
        env: VectorAdapter,
        encode: Callable[[dict[str, Any]], Blocks],
        config: PPOConfig,
        *,
        seed: int,
    ) -> None:
        self.task, self.env, self.encode, self.config, self.seed = task, env, encode, config, seed
        self.discrete, self.parts = task.options["space"] != "box", choices(task)
        self._obs: dict[str, Any] | None = None
        self._rollout: PPOBatch | None = None
        self._rollouts = 0  # collected so far
        self._next = 0  # position of the next minibatch in this rollout
        self._scale = RewardScale(env.num_envs, config.discount)
        self._view: PlainView | None = None  # of a plain network: the same numbers, faster
        self._shuffled: tuple[int, PPOBatch] | None = None  # the epoch and the rollout in its order
        self._orders: list[npt.NDArray[np.int64]] = []  # of this rollout, by epoch
        self._mean_return = math.nan
        self._viewed = False  # looked for since the rollout was collected or restored
        self._returns: list[float] = []  # of the last 100 finished episodes
        self.rollout_metrics: dict[str, float] = {}  # of the latest rollout, for the log

    @property
    def value_scale(self) -> float:
        """Rewards per unit of the value head."""
        return self._scale.sd

    # The rollout

    @torch.no_grad()
    def _collect(self, network: Network) -> PPOBatch:
        if self._rollout is not None:
            # The normaliser moves only between rollouts: old and new log-probabilities see the same inputs.
            network.observe({k: v.to(network.bias.device) for k, v in self._rollout.blocks.items()})
        config, env, T, N = self.config, self.env, self.config.steps, self.env.num_envs
        obs = env.reset() if self._obs is None else self._obs
        generator = stream(self.seed, f"ppo/{self.task.name}/act", self._rollouts)
        noise = draw_noise(generator, (T, N, int(self.task.options["actions"])), gaussian=not self.discrete)
        seen: SideBySide | None = None
        outputs: list[dict[str, Array]] = []
        actions: list[npt.NDArray[Any]] = []
        value, final_value = np.zeros((T + 1, N)), np.zeros((T, N))
        reward = np.zeros((T, N))
        terminated, truncated, valid = (np.zeros((T, N), dtype=np.bool_) for _ in range(3))
        for t in range(T):
            blocks = self.encode(obs)
            if seen is None:
                seen = SideBySide.empty(T * N, {name: blocks[name].shape[1] for name in self.task.inputs})
            seen.write(t * N, blocks)
            raw = self._forward(network, seen.rows(slice(t * N, (t + 1) * N)), changed=t == 0)
            action = choose(raw, noise[t], self.parts)
            step = env.step(self._legal(action))
            outputs.append(raw)
            actions.append(action)
            value[t] = raw["value"][:, 0]
            reward[t], terminated[t], truncated[t], valid[t] = step.reward, step.terminated, step.truncated, step.valid
            if step.truncated.any():
                cut = step.truncated & ~step.terminated & step.valid
                final = {k: v[cut] for k, v in step.final_obs.items()}
                final_value[t, cut] = self._forward(network, self.encode(final), changed=False)["value"][:, 0]
            obs = step.obs
        assert seen is not None
        value[T] = self._forward(network, self.encode(obs), changed=False)["value"][:, 0]
        ended = terminated | truncated | ~valid
        next_value, value = np.where(ended, final_value, value[1:]), value[:-1]
        self._obs = obs
        self._note_returns((self._returns + [float(r) for r, _ in env.finished])[-100:])
        env.finished.clear()
        scaled = self._scale(reward, ended)
        advantage, returns = gae(
            scaled, value, next_value, terminated, ended, discount=config.discount, gae_lambda=config.gae_lambda
        )
        spread = float(returns[valid].var())
        unexplained = float((returns - value)[valid].var())
        self.rollout_metrics = {"explained_variance": 1.0 - unexplained / spread if spread > 0.0 else math.nan}
        if config.normalise_advantages:
            kept = advantage[valid]
            advantage = (advantage - kept.mean()) / (kept.std() + 1e-8)
        self._rollouts += 1
        joined = {name: np.concatenate([raw[name].T for raw in outputs], axis=1).T for name in outputs[0]}
        action_rows = np.concatenate(actions)
        rows = PPOBatch(
            seen,
            action_rows,
            log_prob(joined, action_rows, self.parts),
            advantage.astype(np.float32).reshape(-1),
            returns.astype(np.float32).reshape(-1),
        )
        return rows if valid.all() else rows.rows(valid.reshape(-1))

    def _forward(self, network: Network, blocks: Blocks, *, changed: bool) -> dict[str, Array]:
        """Outputs of the heads, by hand when the network is plain; `changed`: its weights may have, since the last."""
        if self._view is not None:
            return self._view.forward(blocks, changed=changed)
        device = network.bias.device
        raw = network({k: v.to(device) for k, v in blocks.items()}, self.task.name)
        return {name: value.cpu().numpy() for name, value in raw.items()}

    def _legal(self, action: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Continuous actions are clipped to their box for the environment only; learning sees what was sampled."""
        if self.discrete:
            return action
        legal: Array = np.clip(action, self.task.options["low"], self.task.options["high"]).astype(np.float32)
        return legal

    # The update

    def next_batch(self, network: nn.Module) -> PPOBatch:
        assert isinstance(network, Network)
        rollout = self._rollout
        if rollout is not None and self._next >= self.config.epochs * self._per_epoch(rollout):
            rollout = None
        if rollout is None or not self._viewed:
            self._view, self._viewed = plain_view(network, self.task.name), True
        if rollout is None:
            rollout = self._rollout = self._collect(network)
            self._next, self._shuffled = 0, None
        per_epoch = self._per_epoch(rollout)
        epoch, part = divmod(self._next, per_epoch)
        n = len(rollout.advantage)
        if self._shuffled is None:
            generator = stream(self.seed, f"ppo/{self.task.name}/shuffle", self._rollouts)
            self._orders = [generator.permutation(n) for _ in range(self.config.epochs)]
        if self._shuffled is None or self._shuffled[0] != epoch:
            # The rollout is put in the epoch's order once; its minibatches are slices of that.
            self._shuffled = (epoch, rollout.rows(self._orders[epoch]))
        self._next += 1
        batch = self._shuffled[1].rows(slice(part * n // per_epoch, (part + 1) * n // per_epoch))
        return batch if self._view is not None else batch.to(network.bias.device)

    def _per_epoch(self, rollout: PPOBatch) -> int:
        return max(1, round(len(rollout.advantage) / self.config.minibatch))

    def loss(self, network: nn.Module, batch: PPOBatch) -> Loss:
        config, batch = self.config, PPOBatch(batch.blocks, *[torch.as_tensor(x) for x in batch[1:]])
        raw = network(batch.blocks, self.task.name)
        now, entropy = log_prob_and_entropy(raw, batch.action, self.parts)
        log_ratio = now - batch.log_prob
        ratio = log_ratio.exp()
        clipped = ratio.clamp(1.0 - config.clip, 1.0 + config.clip)
        policy = -torch.minimum(ratio * batch.advantage, clipped * batch.advantage).mean()
        value = (raw["value"][:, 0] - batch.returns).square().mean()
        total = policy + config.value_weight * value - config.entropy * entropy.mean()
        with torch.no_grad():
            metrics = {
                "policy_loss": policy.detach(),
                "value_loss": value.detach(),
                "entropy": entropy.mean(),
                "approx_kl": (ratio - 1.0 - log_ratio).mean(),
                "clip_fraction": ((ratio - 1.0).abs() > config.clip).float().mean(),
            }
        if self._returns:
            metrics["episode_return"] = torch.tensor(self._mean_return)
        return Loss(total, metrics)

    def gradients(self, network: nn.Module, batch: PPOBatch) -> Gradients | None:
        """What autograd would give, by hand, when the network is plain."""
        if self._view is None:
            return None
        config = self.config
        raw = self._view.forward(batch.blocks)
        action, old, advantage, returns = [np.asarray(x) for x in batch[1:]]
        settings = Surrogate(config.clip, config.entropy, config.value_weight)
        found = gradient(raw, action, old, advantage, returns, settings, self.parts)
        if self._returns:
            found.metrics["episode_return"] = self._mean_return
        self._view.backward(found.heads)
        return Gradients(found.value, found.metrics, self._view.parameters, self._view.gradients, self._view.vector)

    def after_step(self, network: nn.Module, metrics: dict[str, float]) -> None:
        limit = self.config.target_kl
        if limit is not None and metrics["approx_kl"] > 1.5 * limit and self._rollout is not None:
            self._next = self.config.epochs * self._per_epoch(self._rollout)

    def _note_returns(self, returns: list[float]) -> None:
        self._returns = returns
        self._mean_return = float(np.mean(returns)) if returns else math.nan

    def get_state(self) -> State:
        rollout = self._rollout
        return {
            "env": self.env.get_state() if self.env.resumable and self._obs is not None else None,
            "obs": self._obs,
            "rollout": None if rollout is None else {**rollout._asdict(), "blocks": dict(rollout.blocks)},
            "rollouts": self._rollouts,
            "next": self._next,
            "scale": self._scale.get_state(),
            "returns": self._returns,
        }

    def set_state(self, state: State) -> None:
        self._rollouts, self._next, self._viewed = int(state["rollouts"]), int(state["next"]), False
        self._note_returns(list(state["returns"]))
        self._shuffled = None
        self._scale.set_state(state["scale"])
        self._rollout = None if state["rollout"] is None else _restored(state["rollout"])
        if state["env"] is not None:
            self._obs = state["obs"]
            self.env.set_state(state["env"])
        else:  # not resumable exactly: a fresh episode, and the caller says so
            self._obs = None


def _restored(saved: dict[str, Any]) -> PPOBatch:
    """A saved rollout, its blocks side by side again."""
    blocks = saved["blocks"]
    widths = {name: block.shape[1] for name, block in blocks.items()}
    joined = SideBySide.empty(len(saved["advantage"]), widths)
    joined.write(0, blocks)
    return PPOBatch(**{**saved, "blocks": joined})


class RewardScale:
    """Divide rewards by the running standard deviation of their discounted sum (never shifts them)."""

    def __init__(self, num_envs: int, discount: float) -> None:
        self.discount, self.sums = discount, np.zeros(num_envs)
        self.count, self.mean, self.m2 = 0.0, 0.0, 0.0

    @property
    def sd(self) -> float:
        return math.sqrt(self.m2 / self.count) if self.count > 1 and self.m2 > 1e-16 else 1.0

    def __call__(self, reward: np.ndarray[Any, Any], ended: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        seen, sums = reward.copy(), self.sums
        for now, kept in zip(seen, np.where(ended, 0.0, self.discount), strict=True):
            now += sums
            sums = now * kept
        self.sums = sums  # discounted already
        n, mean = float(seen.size), float(seen.mean())
        total, delta = self.count + n, mean - self.mean
        self.m2 += float(((seen - mean) ** 2).sum()) + delta**2 * self.count * n / total
        self.mean += delta * n / total
        self.count = total
        return reward / self.sd

    def get_state(self) -> State:
        return {"sums": self.sums, "count": self.count, "mean": self.mean, "m2": self.m2}

    def set_state(self, state: State) -> None:
        self.sums = np.asarray(state["sums"])
        self.count, self.mean, self.m2 = float(state["count"]), float(state["mean"]), float(state["m2"])

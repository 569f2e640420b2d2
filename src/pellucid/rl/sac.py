"""SAC: an actor that maximises return plus entropy, twin critics, a temperature that adapts (Haarnoja et al. 2018).

Read from top to bottom: act by the current policy, remember, draw rows, and descend the sum of three objectives

    J_Q = ½ Σ_i E[(Q_i(s, a) - y)²],   y = R + γ^n (min_i Q'_i(s_n, a') - α log π(a'|s_n)),   a' ~ π(.|s_n)
    J_π = E[α log π(ã|s) - min_i Q_i(s, ã)],                                                  ã ~ π(.|s)
    J_α = -log α · E[log π(ã|s) + H]

each of which sees the parameters of the others as constants, so that one backward pass and one optimiser serve all
three. The targets Q' follow the critics at rate τ. Noise is part of the batch, so the loss is a pure function.

Differs from the papers: the three steps are taken at once (the actor sees the critics before their step), log α is
learned instead of α, and truncated episodes bootstrap from their last observation.
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

from pellucid.core.random import stream
from pellucid.core.task import Task
from pellucid.envs.vectorise import VectorAdapter
from pellucid.nn.network import Network
from pellucid.nn.plain import Layout, PlainView, lay_out, plain_view
from pellucid.nn.plain_critic import PlainCritic
from pellucid.rl.collector import Collector, Pace
from pellucid.rl.replay import Replay
from pellucid.rl.sac_gradient import actor_gradient, critic_gradient, squashed, squashed_by_hand
from pellucid.train.learner import Gradients, Loss, State

Blocks = Mapping[str, Tensor]
Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SACConfig:
    """Settings of SAC.

    Args:
        pace: how experience and updates alternate.
        memory: transitions kept.
        batch: rows per update.
        discount: γ.
        target_rate: τ, the share of the way that the target critics move with every update.
        n_step: rewards before the bootstrap.
        temperature: α, or None to learn it.
        target_entropy: H of the learned temperature; None: minus the number of action dimensions.
    """

    pace: Pace
    memory: int = 100_000
    batch: int = 256
    discount: float = 0.99
    target_rate: float = 0.005
    n_step: int = 1
    temperature: float | None = None
    target_entropy: float | None = None


class SACBatch(NamedTuple):
    """Rows of the memory: blocks (n, w); action in [-1, 1] and the noise of a new one (n, k); target y (n,)."""

    blocks: Blocks
    action: Tensor
    noise: Tensor
    target: Tensor


class Views(NamedTuple):
    """A plain network by hand: the same numbers, faster."""

    actor: PlainView
    critic: PlainCritic
    target: PlainCritic
    layout: Layout  # of the gradients of all that is trained


class SAC:
    """The Learner.

    Args:
        task: a `control` task with a bounded box of actions.
        env: the vectorised environment.
        encode: observations to blocks.
        config: see `SACConfig`.
        seed: of actions and draws.
    """

    rowwise = True

    def __init__(
        self,
        task: Task,
        env: VectorAdapter,
        encode: Callable[[dict[str, Any]], Mapping[str, Tensor]],
        config: SACConfig,
        *,
        seed: int,
    ) -> None:
        self.task, self.env, self.config, self.seed = task, env, config, seed
        self.actions = int(task.options["actions"])
        self.low = np.asarray(task.options["low"], dtype=np.float32)
        self.half = (np.asarray(task.options["high"], dtype=np.float32) - self.low) / 2.0
        self.entropy = float(-self.actions if config.target_entropy is None else config.target_entropy)

        def memory(width: int) -> Replay:
            return Replay(
                config.memory, width, self.actions, env.num_envs, discount=config.discount, steps=config.n_step
            )

        name = f"sac/{task.name}/act"
        self.collector = Collector(env, encode, task.inputs, config.pace, name=name, seed=seed, memory=memory)
        self.target: dict[str, Tensor] | None = None  # the weights of Q'
        self._updates = 0
        self._views: Views | None = None
        self._viewed = False

    # Experience

    @torch.no_grad()
    def next_batch(self, network: nn.Module) -> SACBatch:
        assert isinstance(network, Network)
        self._prepare(network)
        self.collector.before_update(network, self._behaviour(network), self._random, self._legal)
        n, generator = self.config.batch, stream(self.seed, f"sac/{self.task.name}/draw", self._updates)
        drawn = self.collector.memory.draw(n, generator)
        noise = generator.standard_normal((2, n, self.actions), dtype=np.float32)
        target = drawn.reward + drawn.discount * self._soft_value(network, drawn.following_obs, noise[1])
        device = network.bias.device
        blocks = self.collector.split(drawn.obs, device)
        return SACBatch(blocks, *(torch.from_numpy(x).to(device) for x in (drawn.action, noise[0], target)))

    def _prepare(self, network: Network) -> None:
        critic, device = network.critic(self.task.name), network.bias.device
        if self.target is None:
            self.target = {name: p.detach().clone() for name, p in critic.values().items()}
        if not self._viewed:
            self._viewed = True
            self.target = {name: x.to(device) for name, x in self.target.items()}  # a restored one
            actor = plain_view(network, self.task.name)
            self._views = None if actor is None else self._look(network, actor, self.target)

    def _look(self, network: Network, actor: PlainView, target: dict[str, Tensor]) -> Views:
        critic = network.critic(self.task.name)
        by_hand = PlainCritic(critic)
        learned = [critic.log_temperature] if self.config.temperature is None else []
        layout = lay_out(network, [*actor.parameters, *by_hand.parameters, *learned])
        actor.write_to(layout.place)
        by_hand.write_to(layout.place)
        return Views(actor, by_hand, PlainCritic(critic, target), layout)

    def _soft_value(self, network: Network, obs: Array, noise: Array) -> Array:
        """min Q'(s, a') - α log π(a'|s), shape (n,)."""
        assert self.target is not None
        name, blocks = self.task.name, self.collector.split(obs, network.bias.device)
        if self._views is not None:
            action, log_prob = squashed_by_hand(self._views.actor.forward(blocks), noise)
            q = self._views.target.forward(np.concatenate([self._views.actor.joined(blocks), action], axis=1))
            soft: Array = q.min(0) - np.float32(self._temperature(network)) * log_prob
            return soft
        raw = network.actor(blocks, name)
        new, density = squashed(raw["policy"], raw["log_std"], torch.from_numpy(noise).to(network.bias.device))
        both = functional_call(network.critic(name), self.target, (network.state(blocks, name), new))
        values: Array = (both.min(0).values - self._temperature(network) * density).cpu().numpy()
        return values

    def _temperature(self, network: Network) -> float:
        fixed = self.config.temperature
        return float(network.critic(self.task.name).log_temperature.detach().exp()) if fixed is None else fixed

    def _behaviour(self, network: Network) -> Callable[[Blocks, np.random.Generator], Array]:
        def act(blocks: Blocks, generator: np.random.Generator) -> Array:
            n = len(blocks[self.task.inputs[0]])
            noise = generator.standard_normal((n, self.actions), dtype=np.float32)
            if self._views is not None:
                return squashed_by_hand(self._views.actor.forward(blocks), noise)[0]
            device = network.bias.device
            raw = network.actor({k: v.to(device) for k, v in blocks.items()}, self.task.name)
            action: Array = squashed(raw["policy"], raw["log_std"], torch.from_numpy(noise).to(device))[0].cpu().numpy()
            return action

        return act

    def _random(self, blocks: Blocks, generator: np.random.Generator) -> Array:
        shape = (len(blocks[self.task.inputs[0]]), self.actions)
        return generator.uniform(-1.0, 1.0, shape).astype(np.float32)

    def _legal(self, action: Array) -> Array:
        """From [-1, 1] to the environment's own box."""
        return self.low + (action + np.float32(1.0)) * self.half

    # The update

    def loss(self, network: nn.Module, batch: SACBatch) -> Loss:
        assert isinstance(network, Network)
        critic, learned = network.critic(self.task.name), self.config.temperature is None
        state = network.state(batch.blocks, self.task.name)
        # J_Q: only the critics
        q = critic(state, batch.action)
        critic_loss = 0.5 * (q - batch.target).square().mean(1).sum()
        # J_π: the critics and the temperature are constants
        raw = network.actor(batch.blocks, self.task.name)
        action, log_prob = squashed(raw["policy"], raw["log_std"], batch.noise)
        constants = {name: p.detach() for name, p in critic.named_parameters()}
        least = functional_call(critic, constants, (state, action)).min(0).values
        temperature = self._temperature(network)
        actor_loss = (temperature * log_prob - least).mean()
        # J_α: the policy is a constant
        surprise = log_prob.detach().mean() + self.entropy
        value = critic_loss + actor_loss - (critic.log_temperature[0] * surprise if learned else 0.0)
        metrics = {
            "critic_loss": critic_loss.detach(),
            "actor_loss": actor_loss.detach(),
            "temperature": torch.tensor(temperature),
            "entropy": -log_prob.detach().mean(),
            "q": q.detach().mean(),
        }
        return Loss(value, metrics | {k: torch.tensor(v) for k, v in self.collector.metrics().items()})

    def gradients(self, network: nn.Module, batch: SACBatch) -> Gradients | None:
        """What autograd would give, by hand, when the network is plain."""
        if self._views is None:
            return None
        assert isinstance(network, Network)
        view, critic, _, layout = self._views
        action, noise, target = (x.numpy() for x in batch[1:])
        state, temperature = view.joined(batch.blocks), self._temperature(network)
        q = critic.forward(np.concatenate([state, action], axis=1))
        critic_loss, by_q = critic_gradient(q, target)
        critic.backward(by_q)
        actor = actor_gradient(view.forward(batch.blocks), noise, state, critic, temperature)
        view.backward(actor.heads)
        value = critic_loss + actor.loss
        if self.config.temperature is None:
            log_temperature = network.critic(self.task.name).log_temperature
            surprise = actor.log_prob + self.entropy
            value -= float(log_temperature.detach()) * surprise
            layout.place[id(log_temperature)][0] = -surprise
        metrics = {
            "critic_loss": critic_loss,
            "actor_loss": actor.loss,
            "temperature": temperature,
            "entropy": -actor.log_prob,
            "q": float(q.mean()),
            **self.collector.metrics(),
        }
        return Gradients(value, metrics, layout.parameters, layout.gradients, layout.vector)

    @torch.no_grad()
    def after_step(self, network: nn.Module, metrics: dict[str, float]) -> None:
        assert isinstance(network, Network)
        self._updates += 1
        if self.target is not None:
            online: dict[str, Tensor] = dict(network.critic(self.task.name).values())
            ours, theirs = list(self.target.values()), [online[name] for name in self.target]
            torch._foreach_lerp_(ours, theirs, self.config.target_rate)

    def get_state(self) -> State:
        return {"collector": self.collector.get_state(), "target": self.target, "updates": self._updates}

    def set_state(self, state: State) -> None:
        self.collector.set_state(state["collector"])
        self._updates, self._viewed = int(state["updates"]), False
        self.target = None if state["target"] is None else dict(state["target"])

"""Policies of Stable-Baselines3 as weights of our `Network`: read from the model's modules, copied, never wrapped.

Its actor and critic are separate nets, ours share a trunk. Side by side they are one net all the same: the hidden
layers become blocks on the diagonal of wider ones, the weights between the blocks are zero, and every head reads its
own block. Zeros add nothing, so the answers are the same up to the order of the sums. Narrower layers are filled up
with units that are always zero. From then on the program is like any other: stored without pickle, explained, revised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pellucid.core.errors import DataError, SchemaError
from pellucid.nn.critic import SoftCritic
from pellucid.nn.field import FieldEncoder
from pellucid.nn.network import ACTIVATIONS, Network, safe

Floats = npt.NDArray[np.float64]
CLIP, EPSILON = 10.0, 1e-8  # of our own normaliser (`FieldEncoder`)
MEND = "wrap it instead: pellucid.wrap(model, inputs=...), which explains and compares it but does not store it"


class Layer(NamedTuple):
    """weight (out, in) and bias (out,)."""

    weight: Tensor
    bias: Tensor


class Head(NamedTuple):
    """An output that reads one body."""

    body: str
    layer: Layer


@dataclass(frozen=True)
class Copied:
    """A policy, taken apart.

    Args:
        algorithm: whose convention for the heads it follows: "ppo" (A2C too), "dqn", "sac".
        activation: a name of `nn.network.ACTIVATIONS`.
        bodies: name -> hidden layers, all of one depth.
        heads: our head's name -> what it reads.
        critics: of SAC, the layers of each twin; their input is the state, then the action.
        log_temperature: of SAC.
        mean, var: of the observations, when they were normalised; shape (columns,).
        value_scale: rewards per unit of the value.
    """

    algorithm: str
    activation: str
    bodies: dict[str, list[Layer]]
    heads: dict[str, Head]
    critics: list[list[Layer]]
    log_temperature: float
    mean: Floats | None
    var: Floats | None
    value_scale: float

    @property
    def depth(self) -> int:
        return len(next(iter(self.bodies.values())))

    @property
    def columns(self) -> int:
        """Values of an observation."""
        return int(next(iter(self.bodies.values()))[0].weight.shape[1])

    @property
    def width(self) -> int:
        """Units that the widest layer needs."""
        rows = [sum(len(body[i].bias) for body in self.bodies.values()) for i in range(self.depth)]
        return max(rows + [len(layer.bias) for critic in self.critics for layer in critic[:-1]])


def read_policy(model: Any, vec_normalize: Any = None) -> Copied:
    """The weights of a trained PPO, A2C, DQN or SAC with an MLP policy.

    Args:
        model: the algorithm, as its `load` returns it.
        vec_normalize: the `VecNormalize` that its observations and rewards went through.
    Raises:
        DataError: a policy that cannot be written as our network.
    """
    policy = model.policy
    if getattr(model, "use_sde", False):
        raise _unlike("explores by gSDE, whose noise depends on the features")
    if getattr(policy, "squash_output", False) and not hasattr(policy, "actor"):
        raise _unlike("squashes its actions")
    if hasattr(policy, "mlp_extractor"):
        found = _actor_critic(policy)
    elif hasattr(policy, "q_net"):
        found = _dqn(policy)
    elif hasattr(policy, "actor") and hasattr(policy.actor, "latent_pi"):
        found = _sac(model)
    else:
        raise _unlike(f"is a {type(policy).__name__}; PPO, A2C, DQN and SAC can be imported")
    return _with_normaliser(found, vec_normalize)


def fill(network: Network, task: str, policy: Copied, columns: Mapping[str, slice]) -> None:
    """Write a policy's weights into a network of `policy.width` and `policy.depth`.

    Args:
        columns: field -> where its values lie in the policy's observation.
    """
    width, spans = network.bias.numel(), _spans(policy)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        first = torch.zeros(width, policy.columns)
        for name, body in policy.bodies.items():
            first[spans[name][0]] = body[0].weight
            network.bias[spans[name][0]] = body[0].bias
        for field, where in columns.items():
            encoder = network.encoders[safe(field)]
            assert isinstance(encoder, FieldEncoder)
            encoder.project.weight.copy_(first[:, where])
            if policy.mean is not None and policy.var is not None:
                encoder.mean.copy_(torch.from_numpy(policy.mean[where]))
                encoder.var.copy_(torch.from_numpy(policy.var[where]))
                encoder.count.fill_(1.0)
        trunk = [module for module in network.trunk if isinstance(module, nn.Linear)]
        for i, module in enumerate(trunk, start=1):
            for name, body in policy.bodies.items():
                rows, before = spans[name][i], spans[name][i - 1]
                module.weight[rows, before] = body[i].weight
                module.bias[rows] = body[i].bias
        heads = network.heads[safe(task)]
        assert isinstance(heads, nn.ModuleDict)
        for name, head in policy.heads.items():
            output = heads[name]
            assert isinstance(output, nn.Linear)
            output.weight[:, spans[head.body][-1]] = head.layer.weight
            output.bias.copy_(head.layer.bias)
        if policy.critics:
            _fill_critic(network.critic(task), policy)


def _fill_critic(critic: SoftCritic, policy: Copied) -> None:
    for i in range(policy.depth + 1):
        weight, bias = getattr(critic, f"weight{i}"), getattr(critic, f"bias{i}").view(len(policy.critics), -1)
        for twin, layers in enumerate(policy.critics):
            out, columns = layers[i].weight.shape
            weight[twin, :out, :columns] = layers[i].weight
            bias[twin, :out] = layers[i].bias
    critic.log_temperature.fill_(policy.log_temperature)


def _spans(policy: Copied) -> dict[str, list[slice]]:
    """Body -> the units that it takes in every layer."""
    spans: dict[str, list[slice]] = {name: [] for name in policy.bodies}
    for i in range(policy.depth):
        start = 0
        for name, body in policy.bodies.items():
            spans[name].append(slice(start, start + len(body[i].bias)))
            start += len(body[i].bias)
    return spans


def _actor_critic(policy: Any) -> Copied:
    _require_flat(policy.features_extractor)
    extractor = policy.mlp_extractor
    bodies = {"policy": _layers(extractor.policy_net), "value": _layers(extractor.value_net)}
    action = _layer(policy.action_net)
    heads = {"policy": Head("policy", action), "value": Head("value", _layer(policy.value_net))}
    log_std = getattr(policy, "log_std", None)
    if log_std is not None:  # the same in every state: a head of no weights
        heads["log_std"] = Head("policy", Layer(torch.zeros_like(action.weight), log_std.detach().cpu()))
    return _copied("ppo", [extractor.policy_net, extractor.value_net], bodies, heads)


def _dqn(policy: Any) -> Copied:
    _require_flat(policy.q_net.features_extractor)
    *hidden, last = _layers(policy.q_net.q_net)
    return _copied("dqn", [policy.q_net.q_net], {"q": hidden}, {"q": Head("q", last)})


def _sac(model: Any) -> Copied:
    actor, critic = model.policy.actor, model.policy.critic
    _require_flat(actor.features_extractor)
    _require_flat(critic.features_extractor)
    if critic.n_critics != 2:
        raise _unlike(f"has {critic.n_critics} critics instead of 2")
    heads = {"policy": Head("policy", _layer(actor.mu)), "log_std": Head("policy", _layer(actor.log_std))}
    twins = [_layers(net) for net in critic.q_networks]
    learned = getattr(model, "log_ent_coef", None)
    log_temperature = torch.log(model.ent_coef_tensor) if learned is None else learned.detach()
    nets = [actor.latent_pi, *critic.q_networks]
    return _copied("sac", nets, {"policy": _layers(actor.latent_pi)}, heads, twins, float(log_temperature))


def _copied(
    algorithm: str,
    nets: Sequence[nn.Module],
    bodies: dict[str, list[Layer]],
    heads: dict[str, Head],
    critics: Sequence[list[Layer]] = (),
    log_temperature: float = 0.0,
) -> Copied:
    depths = {len(body) for body in bodies.values()} | {len(critic) - 1 for critic in critics}
    if len(depths) > 1 or 0 in depths:
        shown = " and ".join(map(str, sorted(depths)))
        raise _unlike(f"has nets of {shown} hidden layers; all must have as many, and at least one")
    used = {type(module) for net in nets for module in net.modules() if not list(module.children())} - {nn.Linear}
    names = [name for name, kind in ACTIVATIONS.items() if {kind} == used]
    if not names:
        kinds = ", ".join(sorted(kind.__name__ for kind in used)) or "no activation"
        raise _unlike(f"has {kinds} between its layers; {', '.join(ACTIVATIONS)} can be imported, one for all")
    return Copied(algorithm, names[0], bodies, heads, list(critics), log_temperature, None, None, 1.0)


def _with_normaliser(policy: Copied, vec: Any) -> Copied:
    if vec is None:
        return policy
    mean = var = None
    if vec.norm_obs:
        if vec.clip_obs != CLIP:
            raise _unlike(f"had its observations clipped at {vec.clip_obs:g} deviations instead of {CLIP:g}")
        rms = vec.obs_rms.values() if isinstance(vec.obs_rms, dict) else [vec.obs_rms]
        mean = np.concatenate([np.ravel(one.mean) for one in rms]).astype(np.float64)
        var = np.concatenate([np.ravel(one.var) for one in rms]) + vec.epsilon - EPSILON
        if len(mean) != policy.columns:
            raise SchemaError(
                f"the normaliser knows {len(mean)} values, the policy reads {policy.columns}.",
                where="vec_normalize",
                mend="give the VecNormalize that was saved with this model, with all of its keys normalised",
            )
    scale = float(np.sqrt(vec.ret_rms.var + vec.epsilon)) if vec.norm_reward else 1.0
    return Copied(**{**policy.__dict__, "mean": mean, "var": var, "value_scale": scale})


def _layers(net: Any) -> list[Layer]:
    return [_layer(module) for module in net if isinstance(module, nn.Linear)]


def _layer(module: Any) -> Layer:
    if not isinstance(module, nn.Linear):
        raise _unlike(f"ends in a {type(module).__name__}")
    return Layer(module.weight.detach().cpu(), module.bias.detach().cpu())


def _require_flat(extractor: Any) -> None:
    """Observations reach the first layer as they are, side by side."""
    parts = list(getattr(extractor, "extractors", nn.ModuleDict()).values()) or list(extractor.children())
    if not parts or any(not isinstance(part, nn.Flatten) for part in parts):
        raise _unlike(f"reads its observations through a {type(extractor).__name__}")


def _unlike(what: str) -> DataError:
    return DataError(f"this policy {what}.", where="importing a policy of Stable-Baselines3", mend=MEND)

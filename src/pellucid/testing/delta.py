"""What every delta promises, checked on three small networks: for authors of new deltas."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from pellucid.core.errors import DeltaError
from pellucid.nn.delta import Delta, parameters_sha
from pellucid.train.state import flatten, restore

Factory = Callable[[int, tuple[str, ...]], Delta]  # (seed, targets) -> a new delta; () are its default targets


class ConformanceError(AssertionError):
    """A delta breaks a promise."""


def networks() -> dict[str, tuple[nn.Module, Tensor]]:
    """Name -> (network in train mode, inputs). The convolution's batch statistics move when nobody stops them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        mlp = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 2))
        norm = nn.Sequential(nn.Linear(6, 32), nn.LayerNorm(32), nn.ReLU(), nn.Linear(32, 32), nn.Linear(32, 2))
        features = nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.BatchNorm1d(4), nn.ReLU(), nn.Flatten())
        conv = nn.Sequential(*features, nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 2))
        return {
            "mlp": (mlp, torch.randn(32, 6)),
            "layer norm": (norm, torch.randn(32, 6)),
            "batch norm": (conv, torch.randn(32, 2, 6)),
        }


def check_delta(factory: Factory, *, steps: int = 30) -> None:
    """Check every promise of `nn.delta.Delta`.

    Args:
        factory: (seed, targets) -> a new delta whose schedule, if it has one, covers `steps` updates.
        steps: updates of each small training run.
    Raises:
        ConformanceError: the first promise that is broken, and on which network.
    """
    for name, (network, x) in networks().items():
        _check_life(factory, name, network, x, steps)
        _check_refusals(factory, name, network)
        for stop in (1, steps // 2, steps):
            _check_budget(factory, name, network, x, stop)


def train(delta: Delta, network: nn.Module, x: Tensor, updates: int, lr: float = 2e-2) -> list[float]:
    """Fit an attached delta to a shifted copy of the network's outputs; the losses, first to last."""
    target = network(x).detach().roll(1, 1) + 1.0
    optimiser = torch.optim.Adam(delta.parameters().values(), lr=lr)
    losses = []
    for update in range(updates):
        optimiser.zero_grad()
        loss = (network(x) - target).square().mean()
        losses.append(float(loss.detach()))
        penalty = delta.penalty()
        (loss if penalty is None else loss + penalty).backward()
        optimiser.step()
        delta.after_step(update)
    losses.append(float((network(x) - target).square().mean().detach()))
    return losses


def _require(holds: bool, promise: str, name: str) -> None:
    if not holds:
        raise ConformanceError(f"{name}: {promise}")


def _outputs(network: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        out: Tensor = network(x)
    return out


def _bits(network: nn.Module) -> dict[str, Tensor]:
    named = [*network.named_parameters(), *network.named_buffers()]
    return {name: tensor.detach().clone() for name, tensor in named}


def _same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def _check_life(factory: Factory, name: str, network: nn.Module, x: Tensor, steps: int) -> None:
    """Identity, training, saving, merging, dropping."""
    network.eval()
    before, bits, flags = _outputs(network, x), _bits(network), [p.requires_grad for p in network.parameters()]
    network.train()
    keys = list(network.state_dict())
    delta = factory(1, ())
    delta.attach(network)
    _require(torch.equal(_outputs(network, x), before), "the identity at the start", name)
    _require(list(network.state_dict()) == keys, "names of the base's state_dict unchanged", name)
    _require(not any(p.requires_grad for p in network.parameters()), "the base frozen", name)
    penalty = delta.penalty()
    _require(penalty is None or penalty.requires_grad, "a differentiable penalty", name)
    losses = train(delta, network, x, steps)
    _require(losses[-1] < 0.9 * losses[0], f"training lowers the loss ({losses[0]:.3g} -> {losses[-1]:.3g})", name)
    _require(_same(_bits(network), bits), "bits of the base unchanged by training", name)
    delta.finish()
    after = _outputs(network, x)
    merged = delta.merged(network)
    _require(merged.training == network.training, "a merged copy in the mode of the original", name)
    _require(float((_outputs(merged.eval(), x) - after).abs().max()) <= 1e-5, "a merged copy within 1e-5", name)
    _require([p.requires_grad for p in merged.parameters()] == flags, "a merged copy trainable as the base was", name)
    _require(_same(_bits(network), bits), "bits of the base unchanged by merging", name)
    _within_budget(delta, steps, name)
    saved = load(save({key: p.detach() for key, p in delta.parameters().items()}))
    count = sum(tensor.numel() for tensor in saved.values())
    _require(delta.count() == count == delta.manifest()["count"], "count() equal to the numbers saved", name)
    delta.detach()
    _require(_same(_bits(network), bits), "bits of the base after detaching", name)
    _require([p.requires_grad for p in network.parameters()] == flags, "requires_grad given back", name)
    _require(torch.equal(_outputs(network.eval(), x), before), "outputs of the base after detaching", name)
    again = factory(1, ())
    again.set_state(_through_bytes(delta.get_state()))
    again.attach(network)
    _require(torch.equal(_outputs(network, x), after), "a bit-exact round trip", name)
    _require(again.manifest() == delta.manifest(), "the manifest kept by a round trip", name)
    again.detach()


def _check_refusals(factory: Factory, name: str, network: nn.Module) -> None:
    """Another base and misspelt targets are errors of three lines."""
    delta = factory(2, ())
    delta.attach(network)
    delta.detach()
    other = copy.deepcopy(network)
    with torch.no_grad():
        next(other.parameters()).view(-1)[0] += 1e-3
    _require(parameters_sha(other) != parameters_sha(network), "a hash that sees one changed number", name)
    _refused(lambda: delta.attach(other), "another base refused", name)
    linear = [n for n, module in network.named_modules() if isinstance(module, nn.Linear)]
    misspelt = factory(2, (linear[0], "trunkk", "encodr"))
    message = _refused(lambda: misspelt.attach(network), "a misspelt target refused", name)
    _require("trunkk" in message and "encodr" in message, "every misspelt target named", name)


def _refused(act: Callable[[], Any], promise: str, name: str) -> str:
    try:
        act()
    except DeltaError as error:
        _require(len(str(error).splitlines()) == 3, f"{promise} by an error of three lines", name)
        return str(error)
    raise ConformanceError(f"{name}: {promise}")


def _check_budget(factory: Factory, name: str, network: nn.Module, x: Tensor, stop: int) -> None:
    """The ranks' sum within the budget, however early the run stops; resuming continues bit by bit."""
    delta = factory(3, ())
    delta.attach(network)
    train(delta, network, x, stop)
    state, before = delta.get_state(), _outputs(network, x)
    delta.detach()
    resumed = factory(3, ())
    resumed.attach(network)
    resumed.set_state(state)
    _require(torch.equal(_outputs(network, x), before), f"a state restored after {stop} updates", name)
    resumed.finish()
    _within_budget(resumed, stop, name)
    resumed.detach()


def _within_budget(delta: Delta, updates: int, name: str) -> None:
    manifest = delta.manifest()
    ranks, budget = sum(manifest["ranks"].values()), manifest["budget"]
    _require(ranks <= budget, f"the budget kept ({ranks} of {budget} after {updates} updates)", name)


def _through_bytes(state: Any) -> Any:
    arrays, tree = flatten(state)
    return restore(load(save(arrays)), json.loads(json.dumps(tree)))

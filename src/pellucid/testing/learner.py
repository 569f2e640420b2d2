"""`check_learner`: what the training loop, resuming and private or sharded training rely on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from pellucid.core.random import stream
from pellucid.core.task import Task
from pellucid.train.learner import Batch, Learner, Loss
from pellucid.train.loop import Hooks, LoopConfig, Trainer
from pellucid.train.state import flatten, restore

MakeLearner = Callable[[int], Learner]  # seed -> a new learner
MakeNetwork = Callable[[], nn.Module]  # a new network, each time with the same weights
DRAWS = 100  # a learner that sits out this often in a row never learns


def check_learner(
    make_learner: MakeLearner, network_factory: MakeNetwork, *, updates: int = 12, tolerance: float = 1e-5
) -> None:
    """Check the contract of `train.learner.Learner`.

    Args:
        make_learner: seed -> a new learner. Its batches are nested tuples and dicts of tensors (and JSON values); of a
            row-wise learner every tensor has one entry per row along its first dimension.
        network_factory: a new network that the learner can be called with, each time with the same weights.
        updates: of each small training run; the suite resumes in the middle, so let it span two rollouts or epochs.
        tolerance: largest relative difference allowed where sums are taken in another order.
    Raises:
        AssertionError: says which promise is broken, and how.
    """
    _check_declarations(make_learner(0))
    _check_loss(make_learner, network_factory, tolerance)
    _check_seeds(make_learner, network_factory, updates)
    _check_resuming(make_learner, network_factory, updates)


def _check_declarations(learner: Learner) -> None:
    assert isinstance(learner, Learner), (
        "a learner needs `task`, `rowwise`, `next_batch`, `loss`, `after_step`, `get_state` and `set_state`."
    )
    assert isinstance(learner.task, Task), f"`task` is a {type(learner.task).__name__}, not a declared Task."
    assert isinstance(learner.rowwise, bool), f"`rowwise` is {learner.rowwise!r}, not True or False."
    again = Task.from_json(json.loads(json.dumps(learner.task.to_json())))
    assert again == learner.task, f"task '{learner.task.name}' does not survive JSON."


# The loss of one batch


def _check_loss(make_learner: MakeLearner, network_factory: MakeNetwork, tolerance: float) -> None:
    learner, network = make_learner(1), network_factory()
    weights = _copies(dict(network.named_parameters()))
    batch = _draw(learner, network)
    assert _equal(weights, dict(network.named_parameters())), "next_batch changed the network's parameters."
    drawn = _arrays(batch)
    bits = _copies(_bits(network))
    first = learner.loss(network, batch)
    _check_value(first)
    gradients = _gradients(first, network)
    _check_gradients(gradients)
    torch.rand(3)  # a loss that draws from torch's generator finds it elsewhere
    second = learner.loss(network, batch)
    assert torch.equal(first.value, second.value), (
        f"the loss is not pure: the same batch and weights give {first.value.item()} and {second.value.item()}."
    )
    again = _gradients(second, network)
    assert _equal(gradients, again), "the loss is not pure: the same batch and weights give other gradients."
    changed = [name for name, tensor in _bits(network).items() if not torch.equal(tensor, bits[name])]
    assert not changed, f"loss changed the network: {', '.join(changed)}."
    assert _equal(drawn, _arrays(batch)), "loss changed its batch."
    _check_by_hand(learner, network, batch, first, gradients)
    if learner.rowwise:
        _check_rowwise(learner, network, batch, tolerance)


def _check_value(loss: Loss) -> None:
    value, metrics = loss
    assert value.ndim == 0, f"the loss has shape {tuple(value.shape)}, not that of a single number."
    assert value.requires_grad, "the loss has no gradient."
    assert bool(torch.isfinite(value)), f"the loss is {float(value.detach())}."
    for name, metric in metrics.items():
        assert isinstance(metric, Tensor), f"metric '{name}' is a {type(metric).__name__}, not a tensor."
        assert metric.ndim == 0, f"metric '{name}' has shape {tuple(metric.shape)}, not that of a single number."
        assert not metric.requires_grad, f"metric '{name}' is not detached: logging it would keep the whole graph."
        assert bool(torch.isfinite(metric)), f"metric '{name}' is {metric.item()}."


def _gradients(loss: Loss, network: nn.Module) -> dict[str, Tensor]:
    named = {name: p for name, p in network.named_parameters() if p.requires_grad}
    grads = torch.autograd.grad(loss.value, list(named.values()), allow_unused=True)
    return {name: g for name, g in zip(named, grads, strict=True) if g is not None}


def _check_gradients(gradients: dict[str, Tensor]) -> None:
    assert gradients, "the loss does not depend on any parameter."
    bad = [name for name, g in gradients.items() if not bool(torch.isfinite(g).all())]
    assert not bad, f"the gradient is not finite in {', '.join(bad)}."
    assert any(bool(g.abs().max() > 0) for g in gradients.values()), "the gradient is zero everywhere."


def _check_by_hand(
    learner: Learner, network: nn.Module, batch: Batch, loss: Loss, gradients: dict[str, Tensor]
) -> None:
    """Gradients that a learner works out itself are those of autograd."""
    by_hand = getattr(learner, "gradients", None)
    found = by_hand(network, batch) if by_hand is not None else None
    if found is None:
        return
    names = {id(p): name for name, p in network.named_parameters()}
    own = {names[id(p)]: g for p, g in zip(found.parameters, found.gradients, strict=True)}
    assert own.keys() == gradients.keys(), f"gradients() gives {sorted(own)}, autograd {sorted(gradients)}."
    for name, g in gradients.items():
        off = float((own[name] - g).abs().max()) / max(float(g.abs().max()), 1e-6)
        assert off <= 1e-3, f"gradients() of '{name}' is off by {off:.2g} of autograd's largest entry."
    off = abs(found.value - float(loss.value.detach())) / max(abs(found.value), 1e-6)
    assert off <= 1e-3, f"gradients() gives the loss {found.value}, loss() {float(loss.value.detach())}."
    assert found.metrics.keys() == loss.metrics.keys(), (
        f"gradients() logs {sorted(found.metrics)}, loss() {sorted(loss.metrics)}."
    )


def _check_rowwise(learner: Learner, network: nn.Module, batch: Batch, tolerance: float) -> None:
    """The mean over rows: of parts of any size, and whatever the order."""
    sizes = {path: len(tensor) if tensor.ndim else 0 for path, tensor in _arrays(batch).items()}
    assert len(set(sizes.values())) == 1, f"a row-wise batch with first dimensions {sizes}."
    n = next(iter(sizes.values()))
    assert n >= 2, f"a batch of {n} row cannot be split: check the learner on larger batches."
    cut = max(1, n // 3)
    parts = [(cut, _part(batch, slice(0, cut))), (n - cut, _part(batch, slice(cut, n)))]
    whole = float(learner.loss(network, batch).value.detach())
    joined = sum(size * float(learner.loss(network, part).value.detach()) for size, part in parts) / n
    off = abs(whole - joined) / max(abs(whole), 1e-3)
    assert off <= tolerance, f"not row-wise: the loss of a batch is {whole}, the mean over its parts {joined}."
    order = torch.from_numpy(stream(0, "check_learner/order").permutation(n))
    mixed = float(learner.loss(network, _part(batch, order)).value.detach())
    off = abs(whole - mixed) / max(abs(whole), 1e-3)
    assert off <= tolerance, f"not row-wise: the loss of a batch is {whole}, of its rows reordered {mixed}."


# Many updates


def _check_seeds(make_learner: MakeLearner, network_factory: MakeNetwork, updates: int) -> None:
    runs = [_recorded(make_learner(seed), network_factory(), updates) for seed in (3, 3, 4)]
    once, twice, other = runs
    assert [_same(a, b) for a, b in zip(once, twice, strict=True)] == [True] * updates, (
        "the same seed draws other batches."
    )
    assert not all(_same(a, b) for a, b in zip(once, other, strict=True)), "another seed draws the same batches."


def _recorded(learner: Learner, network: nn.Module, updates: int) -> list[tuple[dict[str, Tensor], Any]]:
    """The batches of a training run."""
    found: list[tuple[dict[str, Tensor], Any]] = []

    class Recorder:
        task, rowwise = learner.task, learner.rowwise
        loss, after_step, get_state, set_state = (
            learner.loss,
            learner.after_step,
            learner.get_state,
            learner.set_state,
        )

        def next_batch(self, network: nn.Module) -> Batch | None:
            batch = learner.next_batch(network)
            found.append(flatten(batch))
            return batch

    _trainer(Recorder(), network).run(LoopConfig(updates))
    return found


def _check_resuming(make_learner: MakeLearner, network_factory: MakeNetwork, updates: int) -> None:
    """From every update boundary on, in a new learner and in one that went on meanwhile."""
    plain = network_factory()
    _trainer(make_learner(5), plain).run(LoopConfig(updates))
    saved: list[tuple[dict[str, Tensor], Any]] = []
    network = network_factory()
    learner = make_learner(5)
    trainer = _trainer(learner, network)
    trainer.run(LoopConfig(updates, checkpoint_every=1), Hooks(save=lambda state: saved.append(_through_bytes(state))))
    assert _equal(_bits(plain), _bits(network)), "get_state disturbs the learner: a run that was saved goes elsewhere."
    for done, state in enumerate(saved[:-1], start=1):
        fresh = network_factory()
        again = _trainer(make_learner(5), fresh)
        again.set_state(restore(*state))
        again.run(LoopConfig(updates))
        assert _equal(_bits(plain), _bits(fresh)), (
            f"resumed after update {done} of {updates}, the weights are not those of the uninterrupted run."
        )
    trainer.set_state(restore(*saved[0]))
    trainer.run(LoopConfig(updates))
    assert _equal(_bits(plain), _bits(network)), "set_state on a learner that went on does not take it back entirely."


def _trainer(learner: Learner, network: nn.Module) -> Trainer:
    named = {name: p for name, p in network.named_parameters() if p.requires_grad}
    optimiser = torch.optim.SGD(list(named.items()), lr=1e-2, momentum=0.9)
    return Trainer(network, [learner], optimiser, named)


# Helpers


def _draw(learner: Learner, network: nn.Module) -> Batch:
    for _ in range(DRAWS):
        batch = learner.next_batch(network)
        if batch is not None:
            return batch
    raise AssertionError(f"next_batch returned None {DRAWS} times in a row.")


def _arrays(batch: Batch) -> dict[str, Tensor]:
    try:
        return flatten(batch)[0]
    except TypeError as error:
        raise AssertionError(f"a batch holds nested tensors and JSON values only: {error}.") from error


def _part(batch: Batch, index: Any) -> Batch:
    """Some rows of a batch."""
    if isinstance(batch, (Tensor, np.ndarray)):
        return batch[index]
    if isinstance(batch, Mapping):
        return {name: _part(value, index) for name, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(_part(value, index) for value in batch))
    if isinstance(batch, (list, tuple)):
        return type(batch)(_part(value, index) for value in batch)
    return batch


def _same(a: tuple[dict[str, Tensor], Any], b: tuple[dict[str, Tensor], Any]) -> bool:
    return a[1] == b[1] and _equal(a[0], b[0])


def _bits(network: nn.Module) -> dict[str, Tensor]:
    return dict(network.named_parameters()) | dict(network.named_buffers())


def _copies(named: dict[str, Any]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in named.items()}


def _equal(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def _through_bytes(state: Any) -> tuple[dict[str, Tensor], Any]:
    """As a checkpoint is written: numbers as safetensors, the rest as JSON."""
    arrays, tree = flatten(state)
    return load(save(arrays)), json.loads(json.dumps(tree))

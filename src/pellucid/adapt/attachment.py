"""Hooks that let a delta act on a frozen network, and their exact removal.

Nothing is added to the module tree: names and bits of the base's `state_dict` stay as they were.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from pellucid.adapt.low_rank import Factors, add_term, weight_change
from pellucid.adapt.targets import Layer
from pellucid.core.errors import DeltaError
from pellucid.nn.delta import Delta, parameters_sha, tensors_sha


class Hook:
    """Adds one delta's term to one layer's output."""

    def __init__(self, attachment: Attachment, name: str) -> None:
        self.attachment, self.name = attachment, name

    def factors(self) -> Factors | None:
        return self.attachment.factors(self.name)

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> Tensor:
        factors = self.factors()
        if factors is None:
            return output
        return add_term(module, args[0] if args else kwargs["input"], output, factors)

    def __deepcopy__(self, memo: dict[int, Any]) -> Hook:
        return self  # a copied module keeps reading the live delta; `merge` makes a copy that does not


class Guard:
    """Runs a module that owns buffers (BatchNorm, a normaliser) as in evaluation, whatever `train()` says."""

    def __init__(self) -> None:
        self.training = False

    def before(self, module: nn.Module, args: Any) -> None:
        self.training, module.training = module.training, False

    def after(self, module: nn.Module, args: Any, output: Any) -> None:
        module.training = self.training


class Attachment:
    """One delta on one network: frozen parameters remembered, hooks registered.

    Args:
        delta: the owner; found again by `attached(network)`.
        network: the base, possibly with earlier deltas on it.
        layers: name -> layer that gets a term.
        factors: the current factors of a name, None for no change.
        expected: the SHA-256 that the base must have, None for a delta that has not met its base yet.
    Raises:
        DeltaError: the base is another one, or the delta is attached already.
    """

    def __init__(
        self,
        delta: Delta,
        network: nn.Module,
        layers: dict[str, Layer],
        factors: Callable[[str], Factors | None],
        expected: str | None,
    ) -> None:
        self.delta, self.network, self.factors = delta, network, factors
        self.sha = base_sha(network)
        if expected is not None and expected != self.sha:
            raise DeltaError(
                f"this {delta.kind} delta fits the base {expected[:12]}, this base is {self.sha[:12]}.",
                where=f"attach(...) on {type(network).__name__}",
                mend="attach it to the version that it was trained on, or train a new delta on this one",
            )
        earlier = [p for other in attached(network) for p in other.parameters().values()]
        self.frozen = [(p, p.requires_grad) for p in [*network.parameters(), *earlier]]
        for parameter, _ in self.frozen:
            parameter.requires_grad_(False)
        self.handles: list[RemovableHandle] = []
        for module in network.modules():
            if any(True for _ in module.buffers(recurse=False)) and not _guarded(module):
                guard = Guard()
                self.handles.append(module.register_forward_pre_hook(guard.before))
                self.handles.append(module.register_forward_hook(guard.after, always_call=True))
        for name, layer in layers.items():
            self.handles.append(layer.register_forward_hook(Hook(self, name), with_kwargs=True))

    def remove(self) -> None:
        """Take the hooks off and give the parameters their `requires_grad` back.

        Raises:
            DeltaError: a later delta is still attached, or the base changed meanwhile.
        """
        if attached(self.network)[-1] is not self.delta:
            raise DeltaError(
                f"a later delta is attached on top of this {self.delta.kind} delta.",
                where="detach()",
                mend="detach the latest delta first",
            )
        for handle in self.handles:
            handle.remove()
        for parameter, flag in self.frozen:
            parameter.requires_grad_(flag)
        if base_sha(self.network) != self.sha:
            raise DeltaError(
                "the base's parameters or buffers changed while the delta was attached.",
                where=f"detach() from {type(self.network).__name__}",
                mend="find what writes to the base (an optimiser, a buffer updated in forward) and load the base again",
            )


def _guarded(module: nn.Module) -> bool:
    return any(isinstance(getattr(hook, "__self__", None), Guard) for hook in module._forward_pre_hooks.values())


def _hooks(module: nn.Module) -> dict[int, Hook]:
    return {key: hook for key, hook in module._forward_hooks.items() if isinstance(hook, Hook)}


def _attachments(network: nn.Module) -> list[Attachment]:
    """In the order of attaching: torch numbers hooks by one counter, so keys follow the time of registration."""
    hooks = {key: hook for module in network.modules() for key, hook in _hooks(module).items()}
    return list(dict.fromkeys(hooks[key].attachment for key in sorted(hooks)))


def attached(network: nn.Module) -> list[Delta]:
    """The deltas that act on a network, in the order in which they were attached."""
    return [attachment.delta for attachment in _attachments(network)]


def base_sha(network: nn.Module) -> str:
    """SHA-256 of what a further delta would be put on: the network and the deltas that act on it."""
    digest = parameters_sha(network)
    for delta in attached(network):
        config = json.dumps(asdict(delta.config), sort_keys=True)
        link = f"{digest}\0{delta.kind}\0{config}\0{tensors_sha(delta.parameters().items())}"
        digest = hashlib.sha256(link.encode()).hexdigest()
    return digest


def merge(network: nn.Module) -> nn.Module:
    """A copy with every attached delta folded into its weights, without hooks and trainable as the base was.

    Weights that were tied come apart where a delta changed one of them, so outputs stay those of the original.
    """
    duplicate = copy.deepcopy(network)
    with torch.no_grad():
        for source, target in zip(network.modules(), duplicate.modules(), strict=True):
            for hook in _hooks(source).values():
                layer, factors = cast(Layer, target), hook.factors()
                if factors is not None:
                    layer.weight = nn.Parameter(layer.weight + weight_change(layer, factors))
            _strip(target)
    trainable: dict[int, bool] = {}
    for attachment in reversed(_attachments(network)):
        trainable.update({id(parameter): flag for parameter, flag in attachment.frozen})
    named = dict(duplicate.named_parameters(remove_duplicate=False))
    for name, parameter in network.named_parameters(remove_duplicate=False):
        named[name].requires_grad_(trainable.get(id(parameter), parameter.requires_grad))
    return duplicate


def _strip(module: nn.Module) -> None:
    """Remove the hooks of deltas from a copied module (its handles belong to the original)."""
    for hooks in (module._forward_hooks, module._forward_pre_hooks):
        for key, hook in list(hooks.items()):
            if isinstance(hook, Hook) or isinstance(getattr(hook, "__self__", None), Guard):
                del hooks[key]
                module._forward_hooks_with_kwargs.pop(key, None)
                module._forward_hooks_always_called.pop(key, None)

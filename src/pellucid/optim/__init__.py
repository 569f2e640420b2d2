"""Optimisers built from named parameters, schedules as functions of the update counter, exact saved state."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import nn
from torch.optim import Optimizer

from pellucid.core.errors import SpecError, nearest
from pellucid.optim.flat import ELEMENTWISE, Flat
from pellucid.optim.lion import Lion
from pellucid.optim.muon import muon
from pellucid.optim.sam import SAM
from pellucid.optim.schedule_free import ScheduleFree
from pellucid.optim.state import get_state, set_state
from pellucid.optim.torch_own import adagrad, adam, adamw, momentum, nesterov, rmsprop, sgd

__all__ = ["ALL", "ELEMENTWISE", "Flat", "Group", "build", "get_state", "set_state"]

# name -> maker(groups, *, lr, **its own options)
ALL: dict[str, Callable[..., Optimizer]] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adam": adam,
    "adamw": adamw,
    "rmsprop": rmsprop,
    "adagrad": adagrad,
    "lion": Lion,
    "muon": muon,
    "schedule_free": ScheduleFree,
    "sam": SAM,
}


class Group(NamedTuple):
    """Parameters with settings of their own; None takes the settings given to `build`."""

    parameters: Mapping[str, nn.Parameter]
    lr: float | None = None
    weight_decay: float | None = None


def build(
    name: str,
    parameters: Mapping[str, nn.Parameter] | Sequence[Group],
    *,
    lr: float,
    weight_decay: float = 0.0,
    **options: float | tuple[float, float],
) -> Optimizer:
    """An optimiser over named parameters.

    Args:
        name: one of `ALL`.
        parameters: name -> parameter, or groups of them.
        lr: learning rate; a schedule multiplies it.
        weight_decay: acts on parameters of two or more dimensions only (not on biases and gains). Decoupled from
            the gradient for adamw, lion and muon; added to the gradient for the others, as published.
        options: what the chosen optimiser takes besides, e.g. betas, eps; anything else is refused.
    Raises:
        SpecError: no such optimiser, an option it does not have, no parameters, or a name given twice.
    """
    where = f"optim.build('{name}', ...)"
    if name not in ALL:
        raise SpecError(
            f"no optimiser '{name}'; there are {', '.join(ALL)}.",
            where=where,
            mend=nearest(name, ALL) or "use one of the names above",
        )
    allowed = [p for p in inspect.signature(ALL[name]).parameters if p not in ("groups", "lr")]
    unknown = [option for option in options if option not in allowed]
    if unknown:
        raise SpecError(
            f"{name} has no option {', '.join(map(repr, unknown))}; it takes {', '.join(allowed) or 'none'}.",
            where=where,
            mend=" ".join(filter(None, (nearest(o, allowed) for o in unknown))) or "leave it out",
        )
    groups = [Group(parameters)] if isinstance(parameters, Mapping) else list(parameters)
    names = [key for group in groups for key in group.parameters]
    twice = sorted({key for key in names if names.count(key) > 1})
    if twice or not names:
        raise SpecError(
            f"parameters given twice: {', '.join(twice)}." if twice else "there are no parameters to train.",
            where=where,
            mend="give every parameter to one group",
        )
    return ALL[name](_split(groups, lr, weight_decay), lr=lr, **options)


def _split(groups: Sequence[Group], lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """torch's groups: matrices with weight decay, the rest without; empty ones left out."""
    made: list[dict[str, Any]] = []
    for group in groups:
        decay = weight_decay if group.weight_decay is None else group.weight_decay
        for matrices in (True, False):
            members = [(name, p) for name, p in group.parameters.items() if (p.ndim >= 2) == matrices]
            if members:
                own = {"lr": lr if group.lr is None else group.lr, "weight_decay": decay if matrices else 0.0}
                made.append({"params": members, **own})
    return made

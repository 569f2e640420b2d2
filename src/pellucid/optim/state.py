"""An optimiser's state by parameter name: tensors and JSON, enough to continue bit by bit.

Torch keys state by position, which another grouping or order would scramble without a word.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pellucid.core.errors import DataError


def get_state(optimiser: Optimizer) -> dict[str, Any]:
    """{"tensors": {"<parameter>/<key>": Tensor}, "scalars": {"<parameter>/<key>": number}, "groups": [settings]}.

    Tensors are copies.
    """
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, Any] = {}
    for name, parameter in _named(optimiser):
        for key, value in optimiser.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"{name}/{key}"] = value.detach().clone()
            else:
                scalars[f"{name}/{key}"] = value
    groups = [{k: v for k, v in group.items() if k != "params"} for group in optimiser.param_groups]
    return {"tensors": tensors, "scalars": scalars, "groups": groups}


@torch.no_grad()
def set_state(optimiser: Optimizer, state: dict[str, Any]) -> None:
    """The inverse of `get_state`, on an optimiser built in the same way over parameters of the same names.

    Raises:
        DataError: the parameters' names or shapes are not those of the state; all differences are named.
    """
    named, saved = dict(_named(optimiser)), [list(group["param_names"]) for group in state["groups"]]
    mine = [list(group["param_names"]) for group in optimiser.param_groups]
    held: dict[str, dict[str, Any]] = {}
    for path, value in [*state["tensors"].items(), *state["scalars"].items()]:
        name, _, key = path.rpartition("/")
        held.setdefault(name, {})[key] = value
    wrong = sorted({n for g in saved for n in g} ^ {n for g in mine for n in g})
    wrong += [
        f"{name} {tuple(value.shape)} for {tuple(named[name].shape)}"
        for name, values in held.items()
        for value in values.values()
        if name in named and isinstance(value, Tensor) and value.ndim and value.shape != named[name].shape
    ]
    if wrong or mine != saved:
        raise DataError(
            f"the optimiser's state is of other parameters: {', '.join(wrong) or 'they are grouped differently'}.",
            where="optim.set_state(...)",
            mend="build network and optimiser from the spec that the checkpoint was made with",
        )
    for group, settings in zip(optimiser.param_groups, state["groups"], strict=True):
        group.update({k: tuple(v) if isinstance(v, list) and k == "betas" else v for k, v in settings.items()})
    optimiser.state.clear()
    for name, values in held.items():
        optimiser.state[named[name]] = {
            key: _placed(value, named[name].device) if isinstance(value, Tensor) else value
            for key, value in values.items()
        }


def _placed(value: Tensor, device: torch.device) -> Tensor:
    """A copy on the parameter's device; torch's `step` stays where it was saved."""
    return value.clone().to(device if value.ndim else value.device)


def _named(optimiser: Optimizer) -> list[tuple[str, Tensor]]:
    return [
        (name, parameter)
        for group in optimiser.param_groups
        for name, parameter in zip(group["param_names"], group["params"], strict=True)
    ]

"""What a task's heads mean: raw numbers of the network to outputs in the program's units, and back for targets.

One small class per form of task. `head_widths` sizes the heads; `training` maps raw head outputs to the space in
which the loss is computed (well scaled); `units` maps that space to the program's own units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import softplus

from pellucid.core.task import Task
from pellucid.data.encoding import Encoding
from pellucid.nn.apart import apart
from pellucid.nn.densities import ALL as DENSITIES
from pellucid.nn.horizons import Horizons

Blocks = Mapping[str, Tensor]


class Outputs(Protocol):
    def head_widths(self, task: Task) -> dict[str, int]: ...

    def training(self, task: Task, raw: Mapping[str, Tensor]) -> Tensor: ...

    def units(self, task: Task, z: Tensor, blocks: Blocks, encoding: Encoding) -> Tensor: ...


class Classify:
    """One log-odds for two classes, else one centred logit per class; divided by the task's temperature, if it has one
    (see `evidence.calibration`): so that everybody who asks the program hears calibrated probabilities.
    """

    def head_widths(self, task: Task) -> dict[str, int]:
        k = len(task.options["classes"])
        return {"out": 1 if k == 2 else k}

    def training(self, task: Task, raw: Mapping[str, Tensor]) -> Tensor:
        z = raw["out"]
        return z if z.shape[1] == 1 else z - z.mean(1, keepdim=True)

    def units(self, task: Task, z: Tensor, blocks: Blocks, encoding: Encoding) -> Tensor:
        return tempered(task, z)


class Regress:
    """Standardised target; mean and sd of the training part are the task's options."""

    def head_widths(self, task: Task) -> dict[str, int]:
        return {"out": 1}

    def training(self, task: Task, raw: Mapping[str, Tensor]) -> Tensor:
        return raw["out"]

    def units(self, task: Task, z: Tensor, blocks: Blocks, encoding: Encoding) -> Tensor:
        return z * float(task.options["sd"]) + float(task.options["mean"])


class Multilabel:
    """The log-odds of every label; divided by the task's temperature, if it has one."""

    def head_widths(self, task: Task) -> dict[str, int]:
        return {"out": len(task.options["classes"])}

    def training(self, task: Task, raw: Mapping[str, Tensor]) -> Tensor:
        return raw["out"]

    def units(self, task: Task, z: Tensor, blocks: Blocks, encoding: Encoding) -> Tensor:
        return tempered(task, z)


class Ordinal:
    """The log-odds of more than each class but the last, decreasing (McCullagh 1980: a cumulative link).

    What one score and K - 1 cutpoints are there, are cutpoints of each row here: a linear network with equal steps
    is the proportional odds model, and a penalty on weights draws towards it. At zero all classes are equally likely.
    """

    def head_widths(self, task: Task) -> dict[str, int]:
        return {"out": len(task.options["classes"]) - 1}

    def training(self, task: Task, raw: Mapping[str, Tensor]) -> Tensor:
        k = len(task.options["classes"])
        return -apart(-raw["out"], torch.logit(torch.arange(1, k, dtype=torch.float64) / k))

    def units(self, task: Task, z: Tensor, blocks: Blocks, encoding: Encoding) -> Tensor:
        return tempered(task, z)


def tempered(task: Task, z: Tensor) -> Tensor:
    """Logits, divided by the task's temperature, if it has one."""
    temperature = task.options.get("temperature")
    return z if temperature is None else z / float(temperature)


class Quantiles:
    """Quantiles of a number that cannot cross; at zero those of the standard normal, whose units the target has."""

    def head_widths(self, task: Task) -> dict[str, int]:
        return {"out": len(task.options["quantiles"])}

    def training(self, task: Task, raw: Mapping[str, Tensor]) -> Tensor:
        return apart(raw["out"], torch.special.ndtri(torch.tensor(task.options["quantiles"], dtype=torch.float64)))

    def units(self, task: Task, z: Tensor, blocks: Blocks, encoding: Encoding) -> Tensor:
        return z * float(task.options["sd"]) + float(task.options["mean"])


class Distribution:
    """The parameters of a family of `nn.densities`; the scale times the task's temperature, if it has one."""

    def head_widths(self, task: Task) -> dict[str, int]:
        return {"out": len(DENSITIES[task.options["distribution"]].outputs)}

    def training(self, task: Task, raw: Mapping[str, Tensor]) -> Tensor:
        return DENSITIES[task.options["distribution"]].parameters(raw["out"])

    def units(self, task: Task, z: Tensor, blocks: Blocks, encoding: Encoding) -> Tensor:
        options = task.options
        found = DENSITIES[options["distribution"]].units(z, float(options["mean"]), float(options["sd"]))
        widened = float(options.get("temperature", 1.0))
        return torch.cat([found[:, :1], widened * found[:, 1:2], found[:, 2:]], dim=1) if widened != 1.0 else found


class Forecast:
    """Quantiles of the next log-return that cannot cross: the middle one and positive steps away from it.

    Trained in units of the trailing volatility sigma_t (whose log is the field `level`), so that calm and wild
    years weigh alike; returned in log-return units.
    """

    def head_widths(self, task: Task) -> dict[str, int]:
        return {"out": len(task.options["quantiles"])}

    def training(self, task: Task, raw: Mapping[str, Tensor]) -> Tensor:
        z = raw["out"]
        middle = z.shape[1] // 2
        centre = z[:, middle : middle + 1]
        up = centre + torch.cumsum(softplus(z[:, middle + 1 :]), dim=1)
        down = centre - torch.cumsum(softplus(z[:, :middle].flip(1)), dim=1).flip(1)
        return torch.cat([down, centre, up], dim=1)

    def units(self, task: Task, z: Tensor, blocks: Blocks, encoding: Encoding) -> Tensor:
        return z * torch.exp(encoding.decode("level", blocks["level"]))


class Volatility:
    """Log-variance of the next days, trained relative to the trailing variance sigma_t squared."""

    def head_widths(self, task: Task) -> dict[str, int]:
        return {"out": 1}

    def training(self, task: Task, raw: Mapping[str, Tensor]) -> Tensor:
        return raw["out"]

    def units(self, task: Task, z: Tensor, blocks: Blocks, encoding: Encoding) -> Tensor:
        return z + 2.0 * encoding.decode("level", blocks["level"])


def action_values(raw: Mapping[str, Tensor]) -> Tensor:
    """Q(s, a) of every discrete action, shape (n, actions); a duelling pair of heads adds up to it."""
    if "advantage" not in raw:
        return raw["q"]
    advantage = raw["advantage"]
    return raw["value"] + advantage - advantage.mean(1, keepdim=True)


def choices(task: Task) -> tuple[int, ...]:
    """Choices of each component of a multi-discrete action, whose scores lie side by side; empty for other actions."""
    return tuple(int(n) for n in task.options["nvec"]) if task.options.get("space") == "multi_discrete" else ()


def likeliest(scores: npt.NDArray[Any], parts: tuple[int, ...] = ()) -> npt.NDArray[np.int64]:
    """Actions of the highest scores (n, k): (n,), or (n, components) when `parts` says how many choices each has."""
    if not parts:
        best: npt.NDArray[np.int64] = scores.argmax(1)
        return best
    return np.stack([part.argmax(1) for part in np.split(scores, np.cumsum(parts)[:-1], axis=1)], axis=1)


def centred(logits: Tensor, parts: tuple[int, ...] = ()) -> Tensor:
    """Logits (n, k) less their mean, component by component: a constant added to all of them means nothing."""
    if parts:
        return torch.cat([part - part.mean(1, keepdim=True) for part in torch.split(logits, list(parts), dim=1)], dim=1)
    return logits - logits.mean(1, keepdim=True)


SHARPNESS = 4.0  # of positions that are trained through a reward: they start wide and end near the whole ones
HALF_BAND = 0.25  # so much that a band begins narrow, and every path trades


def mean_position(raw: Mapping[str, Tensor]) -> Tensor:
    """What `rl.direct` trains among discrete positions, (n, 1): their mean, equally spaced from -1 to 1."""
    z = SHARPNESS * raw["policy"]
    return torch.softmax(z, dim=1) @ torch.linspace(-1.0, 1.0, z.shape[1], dtype=z.dtype, device=z.device)[:, None]


def holds_in_band(task: Task) -> bool:
    """The policy is a band that is laid around the position held, which the network itself does not read."""
    return task.options.get("algorithm") == "direct" and task.options["space"] == "box"


def band(policy: Tensor) -> tuple[Tensor, Tensor]:
    """Lowest and highest position (..., 1) that are kept, from the head's middle and width (..., 2)."""
    middle, half = policy[..., :1], HALF_BAND * softplus(policy[..., 1:])
    return torch.tanh(SHARPNESS * (middle - half)), torch.tanh(SHARPNESS * (middle + half))


def within(held: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """The least move into the band: inside it, a position is held."""
    return torch.minimum(torch.maximum(held, lower), upper)


def network_inputs(task: Task) -> tuple[str, ...]:
    """The fields of a task that its network reads."""
    unread: tuple[str, ...] = ()
    if task.kind == "control" and holds_in_band(task):
        unread = ("position",)
    elif task.kind == "horizons":  # these place and stretch its outputs
        unread = (task.options["level"], task.options["scale"])
    return tuple(name for name in task.inputs if name not in unread)


class Control:
    """A policy and a value. Discrete: one centred logit per action, or per choice of each component of a multi-discrete
    one, side by side; continuous: the mean action per dimension.

    By algorithm: of DQN, every action's Q and their maximum; of SAC, the action behind tanh, in the environment's
    units, and the lesser critic's value of it; of direct in a box, the held position moved into the band that the
    network draws, and a value that is linear in the position. The value of PPO and direct is learned in units of the
    returns (`value_scale`: their running deviation, or a multiple of one step's) and returned in rewards.
    """

    def head_widths(self, task: Task) -> dict[str, int]:
        actions, algorithm = int(task.options["actions"]), task.options.get("algorithm")
        if algorithm == "dqn":
            return {"value": 1, "advantage": actions} if task.options.get("duelling") else {"q": actions}
        if algorithm == "sac":
            return {"policy": actions, "log_std": actions}
        if holds_in_band(task):
            return {"policy": 2, "value": 2}
        widths = {"policy": actions, "value": 1}
        return {**widths, "log_std": actions} if task.options["space"] == "box" else widths

    def training(self, task: Task, raw: Mapping[str, Tensor]) -> Tensor:
        algorithm = task.options.get("algorithm")
        if algorithm == "dqn":
            q = action_values(raw)
            return torch.cat([q, q.max(1, keepdim=True).values], dim=1)
        policy = raw["policy"]
        if algorithm == "sac":
            policy = torch.tanh(policy)
        elif holds_in_band(task):
            held, value = raw["position"], raw["value"]
            return torch.cat([within(held, *band(policy)), value[:, :1] + value[:, 1:] * held], dim=1)
        elif task.options["space"] != "box":
            policy = centred(policy, choices(task))
        return torch.cat([policy, raw["value"]], dim=1)

    def units(self, task: Task, z: Tensor, blocks: Blocks, encoding: Encoding) -> Tensor:
        policy, value = z[:, :-1], z[:, -1:] * float(task.options.get("value_scale", 1.0))
        if task.options.get("algorithm") == "sac" and task.options["space"] != "discrete":
            low, high = (torch.tensor(task.options[side], dtype=z.dtype, device=z.device) for side in ("low", "high"))
            policy = low + (policy + 1.0) * (high - low) / 2.0
        return torch.cat([policy, value], dim=1)


ALL: dict[str, Outputs] = {  # by `Task.form`
    "classify": Classify(),
    "multilabel": Multilabel(),
    "ordinal": Ordinal(),
    "regress": Regress(),
    "quantiles": Quantiles(),
    "distribution": Distribution(),
    "forecast": Forecast(),
    "volatility": Volatility(),
    "horizons": Horizons(),
    "control": Control(),
}


def full(raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Raw outputs in no less than float32: losses are never computed in half precision."""
    return {name: z.float() if z.dtype in (torch.bfloat16, torch.float16) else z for name, z in raw.items()}


def trained_space(task: Task, network: Callable[[Blocks, str], dict[str, Tensor]], blocks: Blocks) -> Tensor:
    """What a network says of a task in the space of the losses, shape (n, k)."""
    raw = network(blocks, task.name)
    if task.kind == "control" and holds_in_band(task):
        raw = {**raw, "position": blocks["position"]}  # in its own units: a position is never scaled
    return ALL[task.form].training(task, raw)

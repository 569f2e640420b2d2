"""Network: encoders (one per field) -> trunk (shared) -> heads[task][name].

The encoders' outputs are added, so the first layer is one linear map of all fields that a task reads, and a task
simply leaves out the fields that it does not read (a forecaster has no position).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.core.random import derive
from pellucid.nn.critic import SoftCritic
from pellucid.nn.encoders import Encoder, begun, build, described

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU}


TORCHS_OWN = ("apply", "buffers", "modules", "parameters", "version")  # `_apply` is an attribute of every module


def safe(name: str) -> str:
    """A field's or task's name as a key that `nn.ModuleDict` accepts (it refuses dots and its own attributes)."""
    return "_" + name.replace("_", "__").replace(".", "_d") + ("_e" if name in TORCHS_OWN else "")


class Network(nn.Module):
    """Shared trunk, many heads.

    Args:
        widths: field -> columns of its block.
        inputs: task -> the fields it reads.
        heads: task -> head name -> output width.
        width, depth: units and layers of the trunk (depth counts the layers after the encoders).
        normalise: fields that get a running normaliser.
        critics: task -> dimensions of its action, for tasks whose value comes from twin critics (SAC).
        images: field -> (height, width, channels), for fields that are read by convolutions and never normalised.
        encoders: field -> its encoder as JSON, {"kind": one of `encoders.ALL`, ...}; other fields are read as numbers.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        inputs: Mapping[str, Sequence[str]],
        heads: Mapping[str, Mapping[str, int]],
        *,
        width: int = 256,
        depth: int = 2,
        activation: str = "relu",
        normalise: Sequence[str] = (),
        critics: Mapping[str, int] | None = None,
        images: Mapping[str, Sequence[int]] | None = None,
        encoders: Mapping[str, Mapping[str, Any]] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.architecture: dict[str, Any] = {  # the arguments that rebuild it, as JSON
            "widths": dict(widths),
            "inputs": {task: list(fields) for task, fields in inputs.items()},
            "heads": {task: dict(hs) for task, hs in heads.items()},
            "width": width,
            "depth": depth,
            "activation": activation,
            "normalise": list(normalise),
            "critics": dict(critics or {}),
            "images": {field: list(shape) for field, shape in (images or {}).items()},
            **({"encoders": described(encoders)} if encoders else {}),
        }
        self.inputs = {task: tuple(fields) for task, fields in inputs.items()}
        self.encoders = nn.ModuleDict()
        chosen = {field: {"kind": "numbers", "normalise": True} for field in normalise}
        chosen |= {field: {"kind": "image", "shape": shape} for field, shape in (images or {}).items()}
        chosen |= {field: dict(how) for field, how in (encoders or {}).items()}
        for field, columns in widths.items():
            self.encoders[safe(field)] = build(chosen.get(field, {}), columns, width)
        self.bias = nn.Parameter(torch.zeros(width))
        act = ACTIVATIONS[activation]
        layers: list[nn.Module] = [act()]
        for _ in range(depth - 1):
            layers += [nn.Linear(width, width), act()]
        self.trunk = nn.Sequential(*layers)
        self.heads = nn.ModuleDict(
            {safe(t): nn.ModuleDict({h: nn.Linear(width, k) for h, k in hs.items()}) for t, hs in heads.items()}
        )
        self.critics = nn.ModuleDict()
        for task, actions in (critics or {}).items():
            state = sum(widths[field] for field in inputs[task])
            critic = SoftCritic(state, actions, width, depth, act(), derive(seed, "network/critic/" + task))
            self.critics[safe(task)] = critic
        self._initialise(seed)

    @torch.no_grad()
    def _initialise(self, seed: int) -> None:
        """Orthogonal weights (Saxe et al. 2014); policy and forecast heads start near zero, values at scale one.

        The encoders share one fan-in (their outputs are added), hence the division by sqrt(number of encoders).
        """
        shrink = 1.0 / math.sqrt(max(1, len(self.encoders)))
        own = begun(self.encoders, seed)
        for i, (name, module) in enumerate(self.named_modules()):
            if not isinstance(module, (nn.Linear, nn.Conv2d)) or name in own:
                continue
            gain = math.sqrt(2.0)
            if name.startswith("encoders.") and isinstance(module, nn.Linear):
                gain *= shrink
            elif name.startswith("heads."):
                gain = 1.0 if name.endswith(".value") else 0.01
            generator = torch.Generator().manual_seed(derive(seed, "network/" + name, i))
            nn.init.orthogonal_(module.weight, gain=gain, generator=generator)
            if module.bias is not None:
                module.bias.zero_()

    def features(self, blocks: Mapping[str, Tensor], task: str) -> Tensor:
        """The trunk's output for a task, shape (n, width)."""
        total = self.bias
        for field in self.inputs[task]:
            total = total + self.encoders[safe(field)](blocks[field])
        out: Tensor = self.trunk(total)
        return out

    def forward(self, blocks: Mapping[str, Tensor], task: str) -> dict[str, Tensor]:
        """Raw outputs of a task, each (n, k): every head, and `value` by the critics of a task that has them."""
        raw = self.actor(blocks, task)
        if safe(task) in self.critics:
            q = self.critics[safe(task)](self.state(blocks, task), torch.tanh(raw["policy"]))
            raw["value"] = q.min(0).values[:, None]
        return raw

    def actor(self, blocks: Mapping[str, Tensor], task: str) -> dict[str, Tensor]:
        """Raw outputs of every head of a task, each (n, k)."""
        features = self.features(blocks, task)
        heads = self.heads[safe(task)]
        assert isinstance(heads, nn.ModuleDict)
        return {name: head(features) for name, head in heads.items()}

    def state(self, blocks: Mapping[str, Tensor], task: str) -> Tensor:
        """What a task reads, normalised and joined, shape (n, columns): the critics' view of it."""
        parts = []
        for field in self.inputs[task]:
            parts.append(self.encoder(field).normalised(blocks[field]))
        return torch.cat(parts, dim=1)

    def encoder(self, field: str) -> Encoder:
        """The encoder of a field."""
        found: Any = self.encoders[safe(field)]
        checked: Encoder = found
        return checked

    def critic(self, task: str) -> SoftCritic:
        """The twin critics of a task."""
        found = self.critics[safe(task)]
        assert isinstance(found, SoftCritic)
        return found

    def shared(self) -> list[nn.Parameter]:
        """Encoders and trunk: what the tasks share and their gradients compete for."""
        return [*self.encoders.parameters(), self.bias, *self.trunk.parameters()]

    def observe(self, blocks: Mapping[str, Tensor]) -> None:
        """Update the running normalisers from a batch of blocks."""
        for field, block in blocks.items():
            self.encoder(field).observe(block)

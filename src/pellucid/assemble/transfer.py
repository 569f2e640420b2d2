"""Weights that were learned elsewhere: what begins with them, what stays, and at which rate the rest is trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.core.errors import SpecError, nearest
from pellucid.core.schema import Field
from pellucid.data.encoding import Encoding, Scale
from pellucid.nn.delta import tensors_sha
from pellucid.nn.network import Network
from pellucid.nn.pretrained_text import PretrainedText
from pellucid.nn.program import NetworkProgram
from pellucid.optim import Group
from pellucid.spec.model import Spec
from pellucid.train.learner import Part
from pellucid.train.unfreezing import Unfreezing


@dataclass(frozen=True)
class Start:
    """The version that a fit begins with.

    Args:
        ref: its name, for the evidence.
        weights: its tensors.
        scales: how its fields are encoded: its weights mean something for them alone.
        kinds: of its fields.
        encoders: descriptions of its encoders, whose sizes are those of its weights.
        touched: keys of the rows that its training touched.
    """

    ref: str
    weights: Mapping[str, Tensor]
    scales: Mapping[str, Scale]
    kinds: Mapping[str, str]
    encoders: Mapping[str, Mapping[str, Any]]
    touched: frozenset[str] = frozenset()

    def sha(self) -> str:
        """SHA-256 over the weights."""
        return tensors_sha(self.weights.items())

    def encoding(self, fitted: Encoding, fields: Sequence[Field]) -> Encoding:
        """The fitted encoding, with the version's own of the fields that it has, too."""
        mine = {f.name: f.kind for f in fields}
        same = {n: s for n, s in self.scales.items() if n in fitted.scales and self.kinds.get(n) == mine.get(n)}
        return Encoding({**fitted.scales, **same})

    def described(self, encoders: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """Descriptions of encoders, the version's own where it has one of the same kind: a table of as many rows."""
        same = {n: how for n, how in encoders.items() if self.encoders.get(n, {}).get("kind") == how["kind"]}
        own = {
            n: dict(self.encoders[n]) for n, how in same.items() if how.get("frozen") == self.encoders[n].get("frozen")
        }
        return {**{name: dict(how) for name, how in encoders.items()}, **own}

    @torch.no_grad()
    def begin(self, network: nn.Module) -> tuple[list[str], list[str]]:
        """Copy what matches by name and shape; (names that did, names that did not)."""
        matched, other = [], []
        for name, tensor in network.state_dict().items():
            given = self.weights.get(name)
            if given is not None and given.shape == tensor.shape and given.dtype == tensor.dtype:
                tensor.copy_(given)
                matched.append(name)
            else:
                other.append(name)
        return matched, other

    def told(self, network: nn.Module) -> str:
        """One sentence for the evidence; nothing is copied."""
        state = network.state_dict()
        match = [n for n, t in state.items() if n in self.weights and self.weights[n].shape == t.shape]
        other = [n for n in state if n not in match]
        share = sum(state[n].numel() for n in match) / max(1, sum(t.numel() for t in state.values()))
        listed = ", ".join(other[:4]) + (", ..." if len(other) > 4 else "")
        rest = f"; new: {listed}" if other else ""
        return f"begins with {len(match)} of {len(state)} tensors of {self.ref} ({share:.0%} of the numbers){rest}"


def stays(network: Network, spec: Spec) -> None:
    """Freeze what the spec names.

    Raises:
        SpecError: a beginning that no parameter has, or nothing would be trained.
    """
    frozen = spec.train.transfer.freeze
    names = [plain(name) for name, _ in network.named_parameters()]
    for given in frozen:
        if not any(begins(name, given) for name in names):
            known = sorted({".".join(name.split(".")[:n]) for name in names for n in (1, 2)})
            raise SpecError(
                f"no parameter's name begins with '{given}'.",
                where="train.transfer.freeze",
                mend=nearest(given, known) or f"there are {', '.join(known[:8])}",
            )
    for name, parameter in network.named_parameters():
        if any(begins(plain(name), given) for given in frozen):
            parameter.requires_grad_(False)
    if not any(p.requires_grad for p in network.parameters()):
        raise SpecError("everything is frozen.", where="train.transfer.freeze", mend="leave something to be trained")


def plain(name: str) -> str:
    """A parameter's name as a person writes it: the keys of modules are escaped (`nn.network.safe`)."""
    parts = name.split(".")
    readable = [
        p[1:].removesuffix("_e").replace("_d", ".").replace("__", "_") if p.startswith("_") else p for p in parts
    ]
    return ".".join(readable)


def begins(name: str, given: str) -> bool:
    """Whole words: `trunk` is not the beginning of `trunks.0`."""
    return name == given or name.startswith(given.rstrip(".") + ".")


def trained(network: Network) -> dict[str, nn.Parameter]:
    """What is trained, sooner or later."""
    return {name: p for name, p in network.named_parameters() if p.requires_grad}


def tuned_encoders(network: Network) -> dict[str, PretrainedText]:
    """Pretrained encoders whose weights are trained, by the beginning of their parameters' names."""
    found = {f"encoders.{key}.backbone.": e for key, e in network.encoders.items() if isinstance(e, PretrainedText)}
    return {prefix: encoder for prefix, encoder in found.items() if not encoder.frozen}


def groups(network: Network, spec: Spec, parameters: Mapping[str, nn.Parameter]) -> list[Group] | None:
    """Parameters by learning rate (Howard & Ruder 2018); None when all have the same."""
    encoders, how = tuned_encoders(network), spec.train.transfer
    if not encoders:
        return None
    by_rate: dict[float, dict[str, nn.Parameter]] = {}
    for name, parameter in parameters.items():
        rate = spec.train.lr
        for prefix, encoder in encoders.items():
            if name.startswith(prefix):
                rate *= how.lr * how.decay ** encoder.depth("backbone." + name[len(prefix) :])
        by_rate.setdefault(rate, {})[name] = parameter
    return [Group(members, lr=rate) for rate, members in by_rate.items()]


def unfreezing(network: Network, spec: Spec) -> list[Part]:
    """What opens pretrained encoders layer by layer."""
    if spec.train.transfer.encoder != "gradual":
        return []
    parts: list[Part] = []
    for encoder in tuned_encoders(network).values():
        depths: dict[str, tuple[nn.Parameter, int]] = {
            name: (p, encoder.depth(name)) for name, p in encoder.named_parameters() if name.startswith("backbone.")
        }
        part = Unfreezing(depths, encoder.layers, round(spec.train.transfer.gradual * spec.train.updates))
        part.begin()
        parts.append(part)
    return parts


def start_of(ref: str, program: NetworkProgram, touched: Iterable[str]) -> Start:
    """A version as the beginning of a fit."""
    kinds: dict[str, Any] = {f.name: f.kind for f in program.schema.inputs}
    copies = {name: tensor.detach().clone() for name, tensor in program.network.state_dict().items()}
    encoders = program.network.architecture.get("encoders", {})
    return Start(ref, copies, dict(program.encoding.scales), kinds, encoders, frozenset(touched))

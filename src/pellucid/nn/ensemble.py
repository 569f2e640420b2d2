"""A network of many members that share nearly all weights: the default for tables.

After TabM (Gorishniy, Kotelnikov & Babenko 2024): the members' hidden layers are one matrix product for all, and each
member only scales what goes in and out of it (BatchEnsemble, Wen et al. 2020) and has a head of its own. Each member
is trained on its own loss, the program answers with their mean: an ensemble for little more than the price of one.

    [z_f, a_f] = W_f e_f(x_f)                           e_f: pieces of a number, or a one-hot category
    z_k = sum over fields of r_kf z_f                   r_kf: normal at first, so that members differ
    a   = sum over fields of a_f
    h_k = relu(s_k * z_k + b_k)
    h_k = relu(s_k * (W (r_k * h_k)) + b_k)             for each further layer
    y_k = H_k h_k + c_k + a                             a: an additive path past the hidden layers, for all members

By r_kf each member reads a mixture of the fields of its own, so that members fit the noise in ways of their own, which
their mean leaves out; with random signs s_k alone (`scaled` is false: programs of before) all read the same mixtures.

Numbers are cut into pieces at the quantiles of the training part (Gorishniy et al. 2022), beside themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.core.random import derive
from pellucid.nn.encoders import begun, build, described
from pellucid.nn.network import Network, safe
from pellucid.nn.pieces import PieceEncoder
from pellucid.nn.series import SeriesNetwork
from pellucid.nn.tokens import TokensNetwork

TOGETHER = 32  # fields that are mixed at once: the answers of so many are held in memory


class Shared(nn.Module):
    """One layer of all members: (n, K, i) -> (n, K, o)."""

    def __init__(self, width: int, out: int, members: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, out, bias=False)
        self.scale_in = nn.Parameter(torch.ones(members, width))
        self.scale_out = nn.Parameter(torch.ones(members, out))
        self.bias = nn.Parameter(torch.zeros(members, out))

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = torch.addcmul(self.bias, self.linear(h * self.scale_in), self.scale_out)
        return out


class Heads(nn.Module):
    """A linear head per member: (n, K, i) -> (n, K, o)."""

    def __init__(self, width: int, out: int, members: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, width, out))
        self.bias = nn.Parameter(torch.zeros(members, out))

    def forward(self, h: Tensor) -> Tensor:
        return torch.einsum("nki,kio->nko", h, self.weight) + self.bias


class EnsembleNetwork(Network):
    """`Network` whose trunk is an ensemble; its `forward` gives the members' mean.

    Args:
        widths, inputs, heads, width, depth: see `Network`.
        members: K.
        pieces: intervals of every number.
        numbers: fields that are cut into pieces; the others are taken as they are, or by their encoder.
        mix: task -> "probability" (the mean is taken of probabilities), "each" (of every column's own) or "mean".
        encoders: see `Network`.
        expert: room for an additive model that answers beside the members, with the weight `expert_share`.
        scaled: members scale every field (r_kf); without, they begin with random signs s_k.
    """

    expert_share: Tensor
    expert_bias: Tensor

    def __init__(
        self,
        widths: Mapping[str, int],
        inputs: Mapping[str, Sequence[str]],
        heads: Mapping[str, Mapping[str, int]],
        *,
        width: int = 128,
        depth: int = 2,
        members: int = 16,
        pieces: int = 16,
        numbers: Sequence[str] = (),
        mix: Mapping[str, str] | None = None,
        encoders: Mapping[str, Mapping[str, Any]] | None = None,
        expert: bool = False,
        scaled: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__({}, {}, {}, width=width, depth=1, activation="relu", seed=seed)
        self.architecture: dict[str, Any] = {
            "kind": "ensemble",
            "widths": dict(widths),
            "inputs": {task: list(fields) for task, fields in inputs.items()},
            "heads": {task: dict(hs) for task, hs in heads.items()},
            "width": width,
            "depth": depth,
            "members": members,
            "pieces": pieces,
            "numbers": list(numbers),
            "mix": dict(mix or {}),
            **({"encoders": described(encoders)} if encoders else {}),
            **({"expert": True} if expert else {}),
            **({"scaled": True} if scaled else {}),
        }
        self.inputs = {task: tuple(fields) for task, fields in inputs.items()}
        self.mix = dict(mix or {})
        # Where the additive path of each task's heads lies in the encoders' outputs, after the hidden layers' share.
        self.spans: dict[tuple[str, str], slice] = {}
        out = width
        for task, hs in sorted(heads.items()):  # a stored architecture has sorted keys
            for head, k in sorted(hs.items()):
                self.spans[task, head] = slice(out, out + k)
                out += k
        # The expert's likewise: it, too, sees the fields through the encoders alone.
        self.expert: dict[tuple[str, str], slice] = {}
        if expert:
            self.expert = {at: slice(out + s.start - width, out + s.stop - width) for at, s in self.spans.items()}
            self.register_buffer("expert_share", torch.zeros(()))
            self.register_buffer("expert_bias", torch.zeros(out - width))
            out += out - width
        for field, columns in widths.items():
            cut = field in numbers and pieces > 0
            how = (encoders or {}).get(field, {})
            self.encoders[safe(field)] = PieceEncoder(columns, out, pieces=pieces) if cut else build(how, columns, out)
        self.signs = nn.Parameter(torch.ones(members, width))
        self.scales = nn.Parameter(torch.ones(members, len(widths))) if scaled else None
        self.column = {field: i for i, field in enumerate(sorted(widths))}  # a stored architecture has sorted keys
        self.biases = nn.Parameter(torch.zeros(members, width))
        self.trunk = nn.Sequential(*(Shared(width, width, members) for _ in range(depth - 1)))
        self.heads = nn.ModuleDict(
            {safe(t): nn.ModuleDict({h: Heads(width, k, members) for h, k in hs.items()}) for t, hs in heads.items()}
        )
        self._begin(seed)

    @torch.no_grad()
    def _begin(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(derive(seed, "ensemble"))
        begun(self.encoders, seed)
        width, widths = self.architecture["width"], self.architecture["widths"]
        special = self.architecture.get("encoders", {})
        fan_in = sum(
            self.encoder(field).project.in_features if field in special else columns
            for field, columns in widths.items()
        )
        for field in widths:
            encoder = self.encoder(field)
            encoder.project.weight.zero_()
            weight = encoder.project.weight[:width]
            nn.init.normal_(weight, std=1.0 / math.sqrt(max(1, fan_in)), generator=generator)
            if isinstance(encoder, PieceEncoder):
                weight[:, : encoder.low.numel()] = 0.0  # begins linear; the pieces grow where they are needed
        if self.scales is not None:
            nn.init.normal_(self.scales, generator=generator)
        else:
            draw = torch.randint(0, 2, self.signs.shape, generator=generator)
            self.signs.copy_(2.0 * draw - 1.0)
        nn.init.normal_(self.biases, std=0.5, generator=generator)
        for layer in self.trunk:
            assert isinstance(layer, Shared)
            nn.init.kaiming_normal_(layer.linear.weight, generator=generator)
        for module in self.modules():
            if isinstance(module, Heads):
                nn.init.normal_(module.weight, std=1.0 / math.sqrt(module.weight.shape[1]), generator=generator)

    @torch.no_grad()
    def cut(self, blocks: Mapping[str, Tensor]) -> None:
        """Set the pieces of all numbers by the training part's blocks."""
        for field in self.architecture["numbers"]:
            encoder = self.encoders[safe(field)]
            if isinstance(encoder, PieceEncoder):
                encoder.cut(blocks[field])

    @torch.no_grad()
    def begin_additive(self, task: str, head: str, weight: Tensor, bias: Tensor) -> None:
        """Let every member begin as an additive model, heads at zero but for their bias; the expert is and stays it.

        Args:
            task, head: whose.
            weight: (k, columns of `seen`), bias: (k,).
        """
        start = 0
        for field in self.inputs[task]:
            project = self.encoder(field).project
            part = weight[:, start : start + project.in_features].to(project.weight)
            for spans in (self.spans, self.expert):
                if spans:
                    project.weight[spans[task, head]] = part
            start += project.in_features
        if self.expert:
            self.expert_bias[self._place(task, head)] = bias.to(self.expert_bias)
        heads = self.heads[safe(task)]
        assert isinstance(heads, nn.ModuleDict)
        found = heads[head]
        assert isinstance(found, Heads)
        found.weight.zero_()
        found.bias.copy_(bias.to(found.bias).expand_as(found.bias))

    def seen(self, blocks: Mapping[str, Tensor], task: str) -> tuple[Tensor, Tensor]:
        """What the encoders' linear maps see, side by side, and which of these columns are pieces."""
        parts, pieces = [], []
        for field in self.inputs[task]:
            encoder = self.encoder(field)
            parts.append(encoder.features(blocks[field]))
            cut = encoder.low.numel() if isinstance(encoder, PieceEncoder) else 0
            pieces += [True] * cut + [False] * (parts[-1].shape[1] - cut)
        return torch.cat(parts, dim=1), torch.tensor(pieces)

    def encoded(self, blocks: Mapping[str, Tensor], task: str) -> tuple[Tensor, Tensor]:
        """The sum of what the fields give, (n, width + heads), and what members make of it, (n, K or 1, width)."""
        width, fields = self.architecture["width"], self.inputs[task]
        plain: Any = 0.0
        mixed: Any = 0.0
        for start in range(0, len(fields), TOGETHER):
            part = fields[start : start + TOGETHER]
            told = [self.encoders[safe(field)](blocks[field]) for field in part]
            if self.scales is None:
                for one in told:
                    plain = plain + one
                continue
            stacked = torch.stack(told)
            plain = plain + stacked.sum(0)
            # One product, and some columns too many, is faster than a product a row.
            scales = self.scales[:, [self.column[field] for field in part]]
            mixed = mixed + (scales @ stacked.flatten(1)).view(-1, *stacked.shape[1:])
        return plain, plain[:, None, :width] if self.scales is None else mixed[..., :width].transpose(0, 1)

    def hidden(self, z: Tensor) -> Tensor:
        """The members' last hidden layer, shape (n, K, width), of their own sums of the fields."""
        h = torch.relu(torch.addcmul(self.biases, z + self.bias, self.signs))
        for layer in self.trunk:
            h = torch.relu(layer(h))
        return h

    def _place(self, task: str, head: str) -> slice:
        """Of a head among all heads' outputs."""
        span, width = self.spans[task, head], self.architecture["width"]
        return slice(span.start - width, span.stop - width)

    def members(self, blocks: Mapping[str, Tensor], task: str) -> dict[str, Tensor]:
        """Raw outputs of every head and member, each (n, K, k)."""
        return self._members(*self.encoded(blocks, task), task)

    def _members(self, encoded: Tensor, z: Tensor, task: str) -> dict[str, Tensor]:
        heads, hidden = self.heads[safe(task)], self.hidden(z)
        assert isinstance(heads, nn.ModuleDict)
        return {name: head(hidden) + encoded[:, None, self.spans[task, name]] for name, head in heads.items()}

    def actor(self, blocks: Mapping[str, Tensor], task: str) -> dict[str, Tensor]:
        """Raw outputs of every head, each (n, k): the mean of the members' answers, weighed with the expert's."""
        encoded, z = self.encoded(blocks, task)
        found = self._members(encoded, z, task)
        share = float(self.expert_share) if self.expert else 0.0
        if not share:
            return {name: self._mean(raw, task) for name, raw in found.items()}
        out = {}
        for name, raw in found.items():
            said = encoded[:, self.expert[task, name]] + self.expert_bias[self._place(task, name)]
            members = raw.new_full((raw.shape[1],), (1.0 - share) / raw.shape[1])
            weights = torch.cat([members, members.new_tensor([share])])
            out[name] = self._mean(torch.cat([raw, said[:, None]], dim=1), task, weights)
        return out

    def _mean(self, raw: Tensor, task: str, weights: Tensor | None = None) -> Tensor:
        """Of answers (n, K, k); weighted by (K,) that add up to one."""
        if self.mix.get(task, "mean") == "mean":
            return raw.mean(1) if weights is None else (raw * weights[:, None]).sum(1)
        log_weights = -math.log(raw.shape[1]) if weights is None else weights.log()[:, None]
        if raw.shape[2] > 1 and self.mix[task] == "probability":
            return (torch.log_softmax(raw, dim=2) + log_weights).logsumexp(1)
        yes, no = (nn.functional.logsigmoid(sign * raw).add(log_weights).logsumexp(1) for sign in (1.0, -1.0))
        return yes - no

    def features(self, blocks: Mapping[str, Tensor], task: str) -> Tensor:
        """The mean of the members' last hidden layer, shape (n, width)."""
        return self.hidden(self.encoded(blocks, task)[1]).mean(1)

    def shared(self) -> list[nn.Parameter]:
        """What the tasks share: all but the heads."""
        own = [self.bias, self.signs, *([] if self.scales is None else [self.scales]), self.biases]
        return [*self.encoders.parameters(), *own, *self.trunk.parameters()]


KINDS: dict[str, type[Network]] = {
    "mlp": Network,
    "ensemble": EnsembleNetwork,
    "tokens": TokensNetwork,
    "series": SeriesNetwork,
}


def network_from(architecture: Mapping[str, Any]) -> Network:
    """A network of an `architecture` as it stands in an artefact."""
    arguments = dict(architecture)
    return KINDS[arguments.pop("kind", "mlp")](**arguments)

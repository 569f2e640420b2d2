"""A network whose fields are tokens: for tables of numbers, words, texts and pictures beside each other.

The FT-Transformer of Gorishniy, Rubachev, Khrulkov & Babenko (2021): every field becomes one token of the same width,
a few layers of attention let the tokens read each other, and one more token, which stands for the row, is the answer.

    t_f = e_f(x_f) + b_f                e_f: pieces of a number, one-hot word, or the encoder of a text or picture
    [t_row, t_1, ..., t_m] -> layers    (`nn.attention.Layer`)
    y = H relu(norm(t_row))             for each head of each task; a task has the tokens of the fields that it reads

Differs from the paper: numbers enter by pieces (Gorishniy, Rubachev & Babenko 2022), the first layer is normalised as
the others are, feed-forward parts are GELU rather than ReGLU, and there is no dropout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.core.random import derive
from pellucid.nn.attention import Layer, begin_layers
from pellucid.nn.encoders import begun, build, described
from pellucid.nn.network import Network, safe
from pellucid.nn.pieces import PieceEncoder

VALUES = 1 << 21  # numbers of the tokens that are looked at together where no gradient is kept


class TokensNetwork(Network):
    """One token per field, layers of attention, a token for the row, heads.

    Args:
        widths, inputs, heads, encoders: see `Network`.
        width: of a token, a multiple of `attention`.
        depth: layers.
        attention: heads of each layer.
        pieces: intervals of every number; 0: linear.
        numbers: fields that are cut into pieces.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        inputs: Mapping[str, Sequence[str]],
        heads: Mapping[str, Mapping[str, int]],
        *,
        width: int = 64,
        depth: int = 2,
        attention: int = 4,
        pieces: int = 16,
        numbers: Sequence[str] = (),
        encoders: Mapping[str, Mapping[str, Any]] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__({}, {}, {}, width=width, depth=1, activation="relu", seed=seed)
        self.architecture: dict[str, Any] = {
            "kind": "tokens",
            "widths": dict(widths),
            "inputs": {task: list(fields) for task, fields in inputs.items()},
            "heads": {task: dict(hs) for task, hs in heads.items()},
            "width": width,
            "depth": depth,
            "attention": attention,
            "pieces": pieces,
            "numbers": list(numbers),
            **({"encoders": described(encoders)} if encoders else {}),
        }
        self.inputs = {task: tuple(fields) for task, fields in inputs.items()}
        for field, columns in widths.items():
            cut = field in numbers and pieces > 0
            how = (encoders or {}).get(field, {})
            made = PieceEncoder(columns, width, pieces=pieces) if cut else build(how, columns, width)
            self.encoders[safe(field)] = made
        self.place = {field: i for i, field in enumerate(sorted(widths))}  # a stored architecture has sorted keys
        self.marks = nn.Parameter(torch.zeros(len(widths), width))
        self.trunk = nn.Sequential(*(Layer(width, attention) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleDict(
            {safe(t): nn.ModuleDict({h: nn.Linear(width, k) for h, k in hs.items()}) for t, hs in heads.items()}
        )
        self._begin(seed)

    @torch.no_grad()
    def _begin(self, seed: int) -> None:
        """Tokens of about one in every column; heads near zero, as in `Network`."""
        generator = torch.Generator().manual_seed(derive(seed, "tokens"))
        begun(self.encoders, seed)
        special, numbers = self.architecture.get("encoders", {}), self.architecture["numbers"]
        for field in self.architecture["widths"]:
            weight = self.encoder(field).project.weight
            # Of a one-hot word one column is not zero.
            seen = weight.shape[1] if field in special or field in numbers else 1
            nn.init.normal_(weight, std=seen**-0.5, generator=generator)
        nn.init.normal_(self.marks, std=0.5, generator=generator)
        nn.init.normal_(self.bias, std=0.5, generator=generator)
        begin_layers(self.trunk, len(self.trunk), generator)
        for name, module in self.heads.named_modules():
            if isinstance(module, nn.Linear):
                gain = 1.0 if name.endswith(".value") else 0.01
                nn.init.orthogonal_(module.weight, gain=gain, generator=generator)
                module.bias.zero_()

    @torch.no_grad()
    def cut(self, blocks: Mapping[str, Tensor]) -> None:
        """Set the pieces of all numbers by the training part's blocks."""
        for field in self.architecture["numbers"]:
            encoder = self.encoders[safe(field)]
            if isinstance(encoder, PieceEncoder):
                encoder.cut(blocks[field])

    def tokens(self, blocks: Mapping[str, Tensor], task: str) -> Tensor:
        """The row's token and one per field of a task, shape (n, 1 + fields, width)."""
        fields = self.inputs[task]
        made = [self.encoder(field)(blocks[field]) + self.marks[self.place[field]] for field in fields]
        return torch.stack([self.bias.expand_as(made[0]), *made], dim=1)

    def features(self, blocks: Mapping[str, Tensor], task: str) -> Tensor:
        """What the heads read: the row's token behind the layers, shape (n, width).

        Without gradients the rows are looked at in pieces, so that the layers' activations are never all in memory.
        """
        tokens = self.tokens(blocks, task)
        rows = len(tokens) if torch.is_grad_enabled() else max(1, VALUES // (tokens.shape[1] * tokens.shape[2]))
        if len(tokens) <= rows:
            return self._read(tokens)
        return torch.cat([self._read(part) for part in torch.split(tokens, rows)])

    def _read(self, tokens: Tensor) -> Tensor:
        return torch.relu(self.norm(self.trunk(tokens)[:, 0]))

    def shared(self) -> list[nn.Parameter]:
        """What the tasks share: all but the heads."""
        rest = [self.bias, self.marks, *self.trunk.parameters(), *self.norm.parameters()]
        return [*self.encoders.parameters(), *rest]

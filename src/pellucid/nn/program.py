"""NetworkProgram: network + schema + fitted encoding + deltas. Called on raw rows or observations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor

from pellucid.core.errors import SchemaError, nearest
from pellucid.core.random import derive
from pellucid.core.rows import Rows
from pellucid.core.schema import Schema
from pellucid.core.task import Task
from pellucid.data.blocks import SideBySide
from pellucid.data.encoding import Encoding
from pellucid.nn.delta import Delta
from pellucid.nn.ensemble import network_from
from pellucid.nn.network import Network, safe
from pellucid.nn.outputs import ALL as OUTPUTS
from pellucid.nn.outputs import trained_space
from pellucid.nn.plain import PlainView, plain_view
from pellucid.nn.products import STEPS


class NetworkProgram:
    """A program that Pellucid learned. Implements `core.program.Program`.

    Args:
        network: the frozen or trainable base.
        schema, tasks: what goes in, what comes out.
        encoding: fitted on the training part.
        deltas: already attached to the network, in order; dropped exactly by `detach`.
    """

    def __init__(
        self,
        network: Network,
        schema: Schema,
        tasks: Mapping[str, Task],
        encoding: Encoding,
        deltas: tuple[Delta, ...] = (),
    ) -> None:
        self.network, self.encoding, self.deltas = network, encoding, deltas
        self._schema, self._tasks = schema, dict(tasks)

    @property
    def schema(self) -> Schema:
        return self._schema

    @property
    def tasks(self) -> Mapping[str, Task]:
        return self._tasks

    def task(self, name: str) -> Task:
        """The task by name."""
        if name not in self._tasks:
            raise SchemaError(
                f"no task '{name}'; the program's tasks are {', '.join(self._tasks)}.",
                where="task",
                mend=nearest(name, self._tasks) or "use one of the names above",
            )
        return self._tasks[name]

    def encode(self, rows: Rows) -> dict[str, Tensor]:
        """Raw rows to blocks, one per field that the rows have."""
        return self.encoding.encode(rows)

    @torch.no_grad()
    def __call__(self, blocks: Mapping[str, Tensor], task: str) -> Tensor:
        """Outputs in the program's units, shape (n, k)."""
        return self.differentiable(blocks, task)

    def differentiable(self, blocks: Mapping[str, Tensor], task: str) -> Tensor:
        """The same with gradients (`core.program.Differentiable`)."""
        declared = self.task(task)
        missing = [name for name in declared.inputs if name not in blocks]
        if missing:
            raise SchemaError(
                f"the rows lack {len(missing)} of {len(declared.inputs)} inputs of '{task}': {', '.join(missing)}.",
                where=f"Program(blocks, task='{task}')",
                mend="give rows with all inputs of the task (a policy also reads its position)",
            )
        device = self.network.bias.device
        moved = {name: blocks[name].to(device) for name in declared.inputs}
        z = trained_space(declared, self.network, moved)
        return OUTPUTS[declared.form].units(declared, z, moved, self.encoding)

    def joined(self, task: str, widths: Mapping[str, int]) -> Callable[[Tensor], Tensor]:
        """The same on blocks side by side (`core.program.Joined`): a plain network with one product per layer."""
        declared = self.task(task)
        twins = safe(task) in self.network.critics  # whose value of the state the plain view does not know
        view = None if twins else plain_view(self.network, task)
        empty = SideBySide.empty(0, widths)

        @torch.no_grad()
        def answer(x: Tensor) -> Tensor:
            n, blocks = len(x), SideBySide(x.numpy(), empty.spans)
            if view is None:
                return self(blocks, task)
            if n % STEPS:  # `nn.products` is fast on whole steps of rows
                blocks = blocks.rows(np.minimum(np.arange(n + STEPS - n % STEPS), n - 1))
            z = trained_space(declared, partial(_frozen, view), blocks)
            return OUTPUTS[declared.form].units(declared, z, blocks, self.encoding)[:n]

        return answer

    def randomised(self, seed: int) -> NetworkProgram:
        """The same with the weights of a new network, without deltas (`core.program.Randomised`)."""
        network = network_from(self.network.architecture)
        buffers = dict(self.network.named_buffers())
        with torch.no_grad():
            for name, buffer in network.named_buffers():
                if name in buffers:
                    buffer.copy_(buffers[name])
            for i, (name, parameter) in enumerate(network.named_parameters()):
                generator = torch.Generator().manual_seed(derive(seed, f"randomised/{name}", i))
                parameter.normal_(std=max(parameter.shape[-1], 1) ** -0.5, generator=generator)
        return NetworkProgram(network, self._schema, self._tasks, self.encoding)

    def read(self, field: str, text: str) -> int:
        """Characters of a text that are read (`core.program.Readable`)."""
        spans = self.encoding.tokens(field).spans(text, self.encoding.scales[field].width)
        return max((stop for _, stop in spans), default=0)

    def stand_in(self, field: str) -> tuple[str | None, bool]:
        """What may stand for a word of a text (`core.program.Readable`)."""
        return self.encoding.tokens(field).stand_in()

    def parameter_count(self) -> int:
        """Parameters of the base, without deltas."""
        return sum(p.numel() for p in self.network.parameters())


def _frozen(view: PlainView, blocks: Mapping[str, Tensor], task: str) -> dict[str, Tensor]:
    """Raw outputs of a view whose weights have not changed since it was made."""
    return {name: torch.from_numpy(raw) for name, raw in view.answers(blocks).items()}

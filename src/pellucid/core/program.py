"""Program: what was learned, or what was learned elsewhere and wrapped.

Explanation, evidence and diff see only this protocol, so a policy, a forecaster and a foreign model are
explained, judged and compared by the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pellucid.core.rows import Rows
from pellucid.core.schema import Schema
from pellucid.core.task import Task

if TYPE_CHECKING:
    from torch import Tensor

    Blocks = dict[str, Tensor]  # field -> (n, width): encoded, ready to be mixed row by row


@runtime_checkable
class Program(Protocol):
    """Encoded once, called many times."""

    @property
    def schema(self) -> Schema: ...

    @property
    def tasks(self) -> Mapping[str, Task]: ...

    def encode(self, rows: Rows) -> Blocks:
        """Raw rows to blocks, one per field: shape (n, width). Never again per coalition."""
        ...

    def __call__(self, blocks: Blocks, task: str) -> Tensor:
        """Outputs in the program's own units, shape (n, k), k = len(tasks[task].outputs). No gradients kept."""
        ...


@runtime_checkable
class Joined(Protocol):
    """A program that can also be asked with a task's blocks side by side: explanations call it millions of times, and
    splitting a mixed row into fields only to join them again would cost more than some networks do. Optional.
    """

    def joined(self, task: str, widths: Mapping[str, int]) -> Callable[[Tensor], Tensor]:
        """A function (n, columns) -> (n, k) that answers as `__call__` does, for blocks of these widths in this order.

        It may keep what it needs of the weights, so it holds until the program is changed.
        """
        ...


@runtime_checkable
class Differentiable(Protocol):
    """A program whose outputs have gradients with respect to its blocks. Optional: for gradient explanations."""

    def differentiable(self, blocks: Blocks, task: str) -> Tensor:
        """As `__call__`, gradients kept."""
        ...


@runtime_checkable
class Wrapped(Protocol):
    """A program around a foreign model that others may know how to read (shap's tree explainer). Optional."""

    @property
    def model(self) -> Any:
        """The model itself, which is asked with the task's inputs as columns."""
        ...


@runtime_checkable
class Randomised(Protocol):
    """A program that can forget what it learned, for the check that an explanation tells about that. Optional."""

    def randomised(self, seed: int) -> Program:
        """The same program with random weights; its encoding stays."""
        ...


@runtime_checkable
class Readable(Protocol):
    """A program that says how it reads its texts, for explanations by words. Optional."""

    def read(self, field: str, text: str) -> int:
        """How many characters of a text are read, up to the end of the last token."""
        ...

    def stand_in(self, field: str) -> tuple[str | None, bool]:
        """What may stand in a text for a word that is not told, and whether that is a mask token.

        Else it is something that the tokenizer takes for an unknown word; None where it knows none.
        """
        ...

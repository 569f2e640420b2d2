"""The game that an explanation plays: which players take their values from the row, the rest from the background.

The value function is the interventional (marginal) one, `v(S) = mean over background rows b of f(x_S, b_rest)`
(Lundberg & Lee 2017; Janzing et al. 2020), unless the conditional one is asked for (`explain.neighbours`). Blocks are
encoded once; a coalition mixes encoded columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import copy
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from pellucid.core.errors import DataError, PellucidError, SchemaError, nearest
from pellucid.core.program import Differentiable, Joined, Program
from pellucid.core.schema import Player
from pellucid.core.task import Task
from pellucid.explain.neighbours import Neighbours

Blocks = dict[str, Tensor]
ValueFunction = Literal["interventional", "conditional"]

CHUNK = 1024  # rows a call: activations stay near the second-level cache, and their memory is not given back each time
NARROW = 1 << 18  # numbers of a call up to which it may have twice the rows: of narrow networks calls cost more
WIDE = 16384  # numbers in float64, as foreign models read them: their calls cost more than cache misses do
KEPT = 1 << 24  # bytes: from a block of that size on, freed memory is given back to the system
VALUES = 1 << 24  # numbers of a call: mixed pictures, which may have 100,000 columns, are some 64 MB
TOGETHER = 32_768  # coalitions prepared at a time
_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class Game:
    """A program's task on n rows against b background rows, with d players and k outputs.

    Args:
        program: what is explained.
        task: one of `program.tasks`.
        rows: encoded rows to explain, field -> (n, width).
        background: encoded reference rows, field -> (b, width).
        players: which columns of which field's block move together; together they must cover every block once.
        value: the value function, `interventional` or `conditional`.
    Attributes:
        x: the rows, all input blocks side by side, shape (n, columns).
        background: the background likewise, shape (b, columns).
        owner: the player that owns each column, shape (columns,).
        evaluations: model rows evaluated so far.
    Raises:
        SchemaError: players leave columns out or overlap, or blocks are missing or differ in width.
        DataError: the background is empty.
    """

    def __init__(
        self,
        program: Program,
        task: str,
        rows: Blocks,
        background: Blocks,
        players: list[Player],
        value: ValueFunction = "interventional",
    ) -> None:
        self.program, self.task, self.players = program, task, players
        names = program.tasks[task].inputs
        rows, background = _as_wide(program, names, rows, background)
        for name in names:
            for what, blocks in (("rows", rows), ("background", background)):
                if name not in blocks:
                    raise SchemaError(
                        f"the {what} lack the block of field '{name}', which task '{task}' reads.",
                        where="explain.Game(...)",
                        mend="encode both with the same program",
                    )
            if rows[name].shape[1] != background[name].shape[1]:
                raise SchemaError(
                    f"field '{name}' is {rows[name].shape[1]} wide in the rows, "
                    f"{background[name].shape[1]} in the background.",
                    where="explain.Game(...)",
                    mend="encode both with the same program",
                )
        if not players:
            raise SchemaError(f"task '{task}' reads no field: nothing to explain.", where="explain.Game(...)")
        self._widths = {name: background[name].shape[1] for name in names}
        self._dtypes = {name: background[name].dtype for name in names}
        self.owner = _owners(players, self._widths)
        self.x = torch.cat([rows[name] for name in names], dim=1)
        self.background = torch.cat([background[name] for name in names], dim=1)
        if len(self.background) == 0:
            raise DataError("the background has no rows.", where="explain.Game(...)", mend="give at least one row")
        self.n, self.b, self.d = len(self.x), len(self.background), len(players)
        self.k = len(program.tasks[task].outputs)
        self.evaluations = 0
        columns = max(1, self.background.shape[1])
        near = min(2 * CHUNK, max(CHUNK, NARROW // columns))
        self.chunk = max(1, min(WIDE if self.background.dtype == torch.float64 else near, VALUES // columns))
        self._owner = None if torch.equal(self.owner, torch.arange(self.d)) else self.owner
        bits = _BITS[self.background.element_size()]
        self._x_bits, self._background_bits = self.x.to(self.background.dtype).view(bits), self.background.view(bits)
        self._answer = self._joined()
        self._ends: Tensor | None = None
        torch.empty(KEPT, dtype=torch.uint8)  # allocated and freed: glibc's limit for giving memory back rises to that
        near = value == "conditional"
        self.neighbours = Neighbours(self.x, self.background, self.owner, self.d) if near else None

    def outputs(self, mixed: Tensor) -> Tensor:
        """The program on mixed rows, shape (..., columns) -> (..., k) in float64, in calls of at most `chunk` rows."""
        flat = mixed.reshape(-1, mixed.shape[-1])
        out = torch.empty(len(flat), self.k, dtype=torch.float64)
        for at in self._calls(len(flat)):
            out[at] = self._ask(flat[at])
        return self._finite(out).reshape(*mixed.shape[:-1], self.k)

    def __call__(self, masks: Tensor, which: Tensor, rows: Tensor | None = None) -> Tensor:
        """Outputs of coalitions, mixed call by call so that mixed rows never leave the cache.

        Args:
            masks: True where a player keeps the row's values, shape (m, d).
            which: the background row of each coalition, shape (m,).
            rows: the row of each coalition, shape (m,); the first row when left out.
        Returns:
            shape (m, k), float64.
        """
        out = torch.empty(len(masks), self.k, dtype=torch.float64)
        for at in self._calls(len(masks)):
            out[at] = self._ask(self.mixed(masks[at], which[at], None if rows is None else rows[at]))
        return self._finite(out)

    def stepped(self, places: Tensor, walk: Tensor, size: Tensor, which: Tensor, rows: Tensor) -> Tensor:
        """Outputs of coalitions of walks: of the first players of a walk's order.

        Masks are made call by call too, and what a walk changes once for all its coalitions.

        Args:
            places: each player's place in the order, shape (walks, d).
            walk, size: of each coalition, shape (m,): it holds the players of its walk whose place is below its size.
            which, rows: the background row and the row of each walk, shape (walks,).
        Returns:
            shape (m, k), float64.
        """
        small = torch.int8 if self.d < 128 else torch.int16 if self.d < 1 << 15 else torch.int32
        places, size = places.to(small), size.to(small)[:, None]
        behind = self._background_bits.index_select(0, which)
        change = self._x_bits.index_select(0, rows).bitwise_xor_(behind)
        out = torch.empty(len(walk), self.k, dtype=torch.float64)
        for at in self._calls(len(walk)):
            of = walk[at]
            masks = places.index_select(0, of) < size[at]
            mixed = self._kept(masks).bitwise_and_(change.index_select(0, of))
            mixed.bitwise_xor_(behind.index_select(0, of))
            out[at] = self._ask(mixed.view(self.background.dtype))
        return self._finite(out)

    def mixed(self, masks: Tensor, which: Tensor, rows: Tensor | None = None) -> Tensor:
        """The mixed rows themselves, shape (m, columns).

        By the numbers' bits, b ^ ((x ^ b) & mask): as exact as choosing, and five to ten times faster.
        """
        row = self._x_bits[:1] if rows is None else self._x_bits.index_select(0, rows)
        behind = self._background_bits.index_select(0, which)
        mixed = self._kept(masks).bitwise_and_(row.bitwise_xor(behind)).bitwise_xor_(behind)
        return mixed.view(self.background.dtype)

    def _kept(self, masks: Tensor) -> Tensor:
        """All bits set in the columns whose players keep the row's values, shape (m, columns)."""
        keep = masks if self._owner is None else masks.index_select(1, self._owner)
        return keep.view(torch.int8).neg().to(self._background_bits.dtype)  # -1 has all bits set, in every width

    @property
    def ends(self) -> Tensor:
        """The program on the background, shape (b, k); asked once."""
        if self._ends is None:
            self._ends = self.outputs(self.background)
        return self._ends

    def part(self, rows: slice | Tensor) -> Game:
        """The same game for some of the rows; what is known of the background is kept."""
        some = copy(self)
        some.x, some._x_bits, some.evaluations = self.x[rows], self._x_bits[rows], 0
        some.n = len(some.x)
        if self.neighbours is not None:
            some.neighbours = self.neighbours.of(some.x)
        return some

    def asking(self, program: Program) -> Game:
        """The same game of another program with the same encoding."""
        other = copy(self)
        other.program, other._ends, other.evaluations, other.neighbours = program, None, 0, None
        other._answer = other._joined()
        return other

    @property
    def worth_rows(self) -> int:
        """Model rows that valuing one coalition takes."""
        return self.b if self.neighbours is None else self.neighbours.count

    def worth(self, masks: Tensor, row: int) -> Tensor:
        """The value function itself, of coalitions (m, d) that are not empty, for one row: shape (m, k)."""
        each = self.worth_rows
        out = torch.empty(len(masks), self.k, dtype=torch.float64)
        step = max(1, TOGETHER // each)
        for start in range(0, len(masks), step):
            part = masks[start : start + step]
            near = self.neighbours
            which = torch.arange(each).repeat(len(part)) if near is None else near(part, row).flatten()
            of = torch.tensor([row]).expand(len(which))
            found = self(part.repeat_interleave(each, 0), which, of)
            out[start : start + step] = found.reshape(-1, each, self.k).mean(1)
        return out

    def about_background(self) -> str:
        """How coalitions are valued, in a few words."""
        if self.neighbours is None:
            return f"{self.b} background rows"
        return f"the {self.neighbours.count} of {self.b} background rows nearest in the coalition"

    def gradients(self, points: Tensor) -> Tensor:
        """Slopes of all outputs at rows of columns, shape (m, columns, k), float64.

        Raises:
            DataError: the program has no gradients.
        """
        if not isinstance(self.program, Differentiable):
            raise DataError(
                "the program has no gradients.",
                where="explain, by gradients",
                mend="use method='permutation', which explains any program",
            )
        out = torch.empty(*points.shape, self.k, dtype=torch.float64)
        for at in self._calls(len(points)):
            flat = points[at].detach().clone().requires_grad_()
            with torch.enable_grad():
                answers = self.program.differentiable(self._split(flat), self.task)
                for k in range(self.k):
                    out[at, :, k] = torch.autograd.grad(answers[:, k].sum(), flat, retain_graph=k + 1 < self.k)[
                        0
                    ].double()
        self.evaluations += len(points)
        return out

    def by_player(self, columns: Tensor) -> Tensor:
        """Sums over the columns of each player, shape (..., columns, k) -> (..., d, k)."""
        if self._owner is None:
            return columns
        shape = (*columns.shape[:-2], self.d, columns.shape[-1])
        return torch.zeros(shape, dtype=columns.dtype).index_add_(-2, self._owner, columns)

    def differs(self, rows: slice) -> Tensor:
        """True where a player's values are not those of the background row, shape (rows, b, d).

        Where they are, the player's gain is zero and its coalitions need not be evaluated.
        """
        found = self.x[rows, None] != self.background
        if self._owner is None:
            return found
        counts = torch.zeros(*found.shape[:2], self.d, dtype=torch.int32)
        return counts.index_add_(2, self._owner, found.int()) > 0

    def apart(self, rows: slice) -> tuple[Tensor, Tensor]:
        """By how much a player's values are off the background row's: summed, and squared and summed, (rows, b, d)."""
        off = self.x[rows, None].double() - self.background.double()
        return self.by_player(off[..., None])[..., 0], self.by_player(off.square()[..., None])[..., 0]

    def _calls(self, m: int) -> list[slice]:
        return [slice(start, min(start + self.chunk, m)) for start in range(0, m, self.chunk)]

    def _finite(self, out: Tensor) -> Tensor:
        self.evaluations += len(out)
        if not math.isfinite(float(out.sum())) and not bool(torch.isfinite(out).all()):  # a sum costs a quarter
            raise DataError(
                f"the program returned NaN or infinite values for task '{self.task}'.",
                where="explain, on rows mixed with the background",
                mend="check the rows and the background for missing values",
            )
        return out

    def _ask(self, flat: Tensor) -> Tensor:
        """The program's answer to some rows of columns.

        Raises:
            DataError: it raised, or gave another shape.
        """
        try:
            out = self._answer(flat)
        except PellucidError:
            raise
        except Exception as error:  # whatever a program may raise
            raise DataError(
                f"the program raised {type(error).__name__} on mixed rows: {error}",
                where=f"explain, task '{self.task}'",
                mend="mixed rows hold combinations that no real row has: the program must answer them too",
            ) from error
        if out.shape != (len(flat), self.k):
            raise DataError(
                f"the program returned shape {tuple(out.shape)}; ({len(flat)}, {self.k}) is needed.",
                where=f"explain, task '{self.task}'",
                mend="return one column per output of the task, whatever the rows",
            )
        return out

    def _joined(self) -> Callable[[Tensor], Tensor]:
        """The program on rows of columns: its own way if it has one and all blocks are of one kind of number."""
        if isinstance(self.program, Joined) and len(set(self._dtypes.values())) == 1:
            return self.program.joined(self.task, self._widths)

        def answer(flat: Tensor) -> Tensor:
            with torch.no_grad():
                return self.program(self._split(flat), self.task)

        return answer

    def _split(self, flat: Tensor) -> Blocks:
        blocks, start = {}, 0
        for name, width in self._widths.items():
            blocks[name] = flat[:, start : start + width].to(self._dtypes[name])
            start += width
        return blocks


def _as_wide(program: Program, names: tuple[str, ...], rows: Blocks, background: Blocks) -> tuple[Blocks, Blocks]:
    """Blocks of texts that are as wide as their longest, as those of wrapped models are, with nothing (0) behind."""
    made = dict(rows), dict(background)
    for name in names:
        if name in rows and name in background and program.schema[name].kind == "text":
            width = max(rows[name].shape[1], background[name].shape[1])
            for blocks in made:
                blocks[name] = pad(blocks[name], (0, width - blocks[name].shape[1]))
    return made


def declared_task(program: Program, name: str, *, where: str) -> Task:
    """The program's task of that name.

    Raises:
        SchemaError: there is none.
    """
    if name not in program.tasks:
        raise SchemaError(
            f"no task '{name}'; the program's tasks are {', '.join(program.tasks)}.",
            where=where,
            mend=nearest(name, program.tasks) or "use one of the names above",
        )
    return program.tasks[name]


def _owners(players: list[Player], widths: dict[str, int]) -> Tensor:
    """The player of each column; every column has exactly one."""
    columns: dict[str, list[list[int]]] = {name: [[] for _ in range(width)] for name, width in widths.items()}
    for index, player in enumerate(players):
        for part in (player, *player.others):
            for column in part.within(widths[part.field]):
                columns[part.field][column].append(index)
    for name, owners in columns.items():
        for column, found in enumerate(owners):
            if len(found) != 1:
                state = "belongs to no player" if not found else f"belongs to {len(found)} players"
                raise SchemaError(
                    f"column {column} of field '{name}' (block {widths[name]} wide) {state}.",
                    where=f"groups of field '{name}'",
                    mend="groups of a field must cover its columns, each exactly once",
                )
    return torch.tensor([found[0] for owners in columns.values() for found in owners], dtype=torch.long)

"""A task's rows as one matrix of numbers and back: what methods work on that try out rows which nobody has seen.

A number stands as it is, a category as its code, a text as its number among those seen, a series or an observation as
one column per value; NaN is missing.
Rows made up here are encoded by the program itself, so that nothing is assumed about its encoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError, SchemaError
from pellucid.core.program import Program
from pellucid.core.rows import Rows
from pellucid.core.schema import PARTS, Field, Grain
from pellucid.explain.effect import evaluate_blocks
from pellucid.explain.game import declared_task

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

PIECE = 16_384  # rows encoded together


@dataclass(frozen=True, eq=False)
class Unit:
    """What changes together.

    Args:
        name: of the player: a field, a lag group of a series, or one value of a wide observation.
        field: the field it belongs to.
        columns: where its values lie in the matrix.
        kind: "number", "category", or "block" (several columns that are only ever taken from real rows together).
    """

    name: str
    field: Field
    columns: Index
    kind: str


class Columns:
    """The inputs of a program's task as the columns of a matrix.

    Args:
        program: anything that satisfies `core.program.Program`.
        task: one of its tasks.
        where: named in errors.
    Attributes:
        fields: the fields that the task reads, in order. owner: the field of each column, shape (c,).
        evaluations: model rows evaluated so far.
    """

    def __init__(self, program: Program, task: str, *, where: str) -> None:
        self.program, self.where = program, where
        self.task = declared_task(program, task, where=where)
        self.fields: tuple[Field, ...] = tuple(program.schema[name] for name in self.task.inputs)
        widths = [1 if field.kind in ("category", "text") else field.width for field in self.fields]
        self._texts: dict[str, int] = {}
        ends = np.cumsum([0, *widths])
        self.spans = {f.name: slice(int(a), int(b)) for f, a, b in zip(self.fields, ends, ends[1:], strict=False)}
        self.owner = np.repeat(np.arange(len(self.fields)), widths)
        self.evaluations = 0

    def matrix(self, rows: Rows) -> Array:
        """Rows as numbers, shape (n, c); a missing number or an unknown category is NaN."""
        found = np.empty((len(rows), len(self.owner)))
        for field in self.fields:
            raw, span = rows.column(field.name), self.spans[field.name]
            if field.kind == "category":
                codes = {str(category): float(code) for code, category in enumerate(field.categories)}
                found[:, span.start] = [codes.get(str(value), np.nan) for value in raw.reshape(-1)]
                continue
            if field.kind == "text":
                found[:, span.start] = [self._texts.setdefault(str(v), len(self._texts)) for v in raw.reshape(-1)]
                continue
            try:
                wide = np.asarray(raw, dtype=np.float64).reshape(len(rows), span.stop - span.start)
            except (TypeError, ValueError) as error:
                raise SchemaError(
                    f"field '{field.name}' of shape {raw.shape} does not hold {span.stop - span.start} numbers a row.",
                    where=self.where,
                    mend="give the rows as the program was fitted on them",
                ) from error
            # A picture's bytes become what its encoder makes of them, which does so for bytes alone.
            found[:, span] = wide / 255.0 if field.kind == "image" and raw.dtype == np.uint8 else wide
        return found

    def rows(self, matrix: Array, keys: Sequence[str] | None = None) -> Rows:
        """The rows of a matrix; keys are left empty unless they are given."""
        fields: dict[str, npt.NDArray[Any]] = {}
        for field in self.fields:
            part = matrix[:, self.spans[field.name]]
            if field.kind == "category":
                labels = np.array([*field.categories, None], dtype=object)
                codes = np.where(np.isnan(part[:, 0]), len(field.categories), part[:, 0]).astype(np.int64)
                fields[field.name] = labels[codes]
            elif field.kind == "text":
                fields[field.name] = np.array(list(self._texts), dtype=object)[part[:, 0].astype(np.int64)]
            else:
                fields[field.name] = part[:, 0] if field.width == 1 else part
        for field in self.program.schema.inputs:  # other tasks' fields: to be encoded, not to be read
            if field.name not in fields:
                fields[field.name] = _blank(field, len(matrix))
        named = np.zeros(len(matrix), dtype="U1") if keys is None else np.asarray(keys, dtype=np.str_)
        return Rows(named, fields)

    def outputs(self, matrix: Array) -> Array:
        """The program on the rows of a matrix, shape (n, k).

        Raises:
            DataError: it returns NaN or infinite values.
        """
        pieces = [self._answer(matrix[i : i + PIECE]) for i in range(0, len(matrix), PIECE)]
        found = np.concatenate(pieces) if pieces else np.empty((0, len(self.task.outputs)))
        self.evaluations += len(matrix)
        if not np.isfinite(found).all():
            raise DataError(
                f"the program returned NaN or infinite values for task '{self.task.name}'.",
                where=self.where,
                mend="check the reference rows for missing values",
            )
        return found

    def _answer(self, matrix: Array) -> Array:
        blocks = self.program.encode(self.rows(matrix))
        return np.asarray(evaluate_blocks(self.program, blocks, self.task.name).numpy(), dtype=np.float64)

    def units(self, grain: Grain = "group", parts: int = PARTS) -> list[Unit]:
        """What a person would call one change; images and texts, which have no single values, are left out.

        With parts as the grain patches of an image are units, and segments of a series; see `Field.players`.
        """
        found = []
        for field in self.fields:
            span = self.spans[field.name]
            columns = np.arange(span.start, span.stop)
            if grain == "part" and (field.kind == "image" or field.groups):
                for player in field.players(grain, parts):
                    found.append(Unit(player.name, field, columns[player.within(len(columns))], "block"))
                continue
            if field.kind in ("image", "text"):
                continue
            if field.kind == "category" or len(columns) == 1:
                found.append(Unit(field.name, field, columns, "category" if field.kind == "category" else "number"))
            elif field.groups:
                cut = [(player.name, columns[player.within(len(columns))]) for player in field.players("group")]
                found += [Unit(name, field, part, "block" if len(part) > 1 else "number") for name, part in cut]
            elif field.unit == "one-hot":
                found.append(Unit(field.name, field, columns, "block"))
            else:
                found += [Unit(f"{field.name}[{i}]", field, columns[i : i + 1], "number") for i in range(len(columns))]
        return found

    def reference(self, rows: Rows) -> Array:
        """Reference rows as numbers.

        Raises:
            DataError: there are none.
        """
        if len(rows) == 0:
            raise DataError("the reference has no rows.", where=self.where, mend="give at least one row")
        return self.matrix(rows)


def _blank(field: Field, n: int) -> npt.NDArray[Any]:
    if field.kind in ("category", "text"):
        return np.full(n, "" if field.kind == "text" else None, dtype=object)
    return np.zeros((n, field.width)) if field.width > 1 else np.zeros(n)


def shown(unit: Unit, values: Array) -> float | str | list[float]:
    """The values of a unit as a person reads them: a category or an ordinal by its word."""
    if len(values) > 1:
        return [float(v) for v in values]
    value = float(values[0])
    if unit.field.categories and np.isfinite(value) and value == int(value):
        return unit.field.categories[int(value)] if 0 <= int(value) < len(unit.field.categories) else value
    return "missing" if np.isnan(value) else unit.field.as_read(value)


def number(value: float | str) -> str:
    """In four digits; a date as it is."""
    return value if isinstance(value, str) else f"{value:.4g}"

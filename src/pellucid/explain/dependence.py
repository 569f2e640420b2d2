"""How outputs depend on one field: partial dependence with its individual curves, and accumulated local effects.

Partial dependence (Friedman 2001) sets the field to each value in every row and averages; the individual curves (ICE,
Goldstein et al. 2015) are what is averaged. Where fields are correlated that makes rows unlike any; accumulated local
effects (Apley & Zhu 2020) only move a row to the ends of the narrow interval that it lies in, and add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.core.errors import DataError, SchemaError, nearest
from pellucid.core.program import Program
from pellucid.core.random import stream
from pellucid.core.rows import Rows
from pellucid.core.schema import DAYS, as_date
from pellucid.explain.columns import Array, Columns, Unit, number

if TYPE_CHECKING:
    import pandas as pd

CURVES = 200  # individual curves kept


@dataclass(frozen=True, eq=False)
class Dependence:
    """The outputs of a task over the values of one field.

    Args:
        kind: "partial dependence" or "accumulated local effects" (then values are relative to their mean).
        field: or value of a wide field; field_unit: its unit. task, outputs, unit: what is watched.
        grid: values of the field, shape (g,); words, shape (g,), for a category, else empty.
        values: shape (g, k). error: standard error over the rows, shape (g, k).
        curves: individual ones of some rows, shape (m, g, k); none for accumulated local effects.
        seen: the field's quantiles in the rows, 0 to 100 % in steps of 10, shape (11,); a category's shares (g,).
        rows_n, evaluations, seed: how it was made.
    """

    kind: str
    field: str
    field_unit: str
    task: str
    outputs: tuple[str, ...]
    unit: str
    grid: Array
    words: tuple[str, ...]
    values: Array
    error: Array
    curves: Array
    seen: Array
    rows_n: int
    evaluations: int
    seed: int

    def to_frame(self) -> pd.DataFrame:
        """One line per value and output: the field's value, output, value, error."""
        import pandas as pd

        g, k = self.values.shape
        at = np.asarray(self.words, dtype=object) if self.words else self.grid
        return pd.DataFrame(
            {
                self.field: np.repeat(at, k),
                "output": np.tile(np.asarray(self.outputs, dtype=object), g),
                "value": self.values.ravel(),
                "error": self.error.ravel(),
            }
        )

    def to_json(self) -> dict[str, Any]:
        arrays = {name: getattr(self, name).tolist() for name in ("grid", "values", "error", "curves", "seen")}
        said = {name: getattr(self, name) for name in ("field", "field_unit", "task", "unit", *_COUNTS)}
        named = {"kind": "dependence", "method": self.kind, "outputs": list(self.outputs), "words": list(self.words)}
        return {**named, **arrays, **said}

    def text(self, *, output: int = 0) -> str:
        """A few lines for the terminal."""
        unit = f" ({self.unit})" if self.unit else ""
        lines = [f"{self.task}: {self.outputs[output]}{unit} over {self.field}: {self.kind}"]
        shown = range(len(self.grid)) if self.words else np.unique(np.linspace(0, len(self.grid) - 1, 9).astype(int))
        dated = self.field_unit == DAYS
        largest = max(float(np.abs(self.values[:, output] - self.values[:, output].mean()).max()), 1e-300)
        for i in shown:
            at = self.words[i] if self.words else number(as_date(self.grid[i]) if dated else float(self.grid[i]))
            apart = self.values[i, output] - self.values[:, output].mean()
            bar = ("+" if apart > 0 else "-") * round(12 * abs(apart) / largest)
            lines.append(f"  {at:>12}  {self.values[i, output]:+.4g} ± {self.error[i, output]:.1g}  {bar}".rstrip())
        lines.append(f"  {self.rows_n} rows; {self.evaluations} evaluations; ± is one standard error over the rows")
        return "\n".join(lines)


_COUNTS = ("rows_n", "evaluations", "seed")


def partial_dependence(
    program: Program,
    rows: Rows,
    task: str,
    field: str,
    *,
    grid: Sequence[float] | Sequence[str] | None = None,
    points: int = 30,
    seed: int = 0,
) -> Dependence:
    """Partial dependence of all outputs on one field, with individual curves.

    Args:
        rows: over which is averaged.
        field: a field of one value, or one value of a wide field ("obs[2]").
        grid: values to set; by default every value when there are at most `points`, else `points` evenly spaced ones
            between the 5 % and the 95 % quantile; every category.
        seed: of the choice of rows whose curves are kept.
    Raises:
        SchemaError: no such field, or one that has no single value.
        DataError: no rows, or no known value.
    """
    where = "explain.partial_dependence(...)"
    columns = Columns(program, task, where=where)
    known = columns.reference(rows)
    unit = unit_named(columns, field, where)
    at = _grid(unit, known[:, unit.columns[0]], grid, points, where)
    n, k = len(known), len(columns.task.outputs)
    kept = np.sort(stream(seed, "explain/ice").permutation(n)[:CURVES])
    values, error, curves = np.empty((len(at), k)), np.empty((len(at), k)), np.empty((len(kept), len(at), k))
    for i, value in enumerate(at):
        changed = known.copy()
        changed[:, unit.columns[0]] = value
        out = columns.outputs(changed)
        values[i], error[i] = out.mean(0), out.std(0) / np.sqrt(n)
        curves[:, i] = out[kept]
    return _told("partial dependence", unit, columns, (at, values, error, curves), known, seed)


def accumulated_effects(program: Program, rows: Rows, task: str, field: str, *, bins: int = 40) -> Dependence:
    """Accumulated local effects of all outputs on a number, relative to their mean over the rows.

    Args:
        rows: over which is averaged; those without a value are left out.
        bins: intervals with about as many rows each; fewer where values repeat.
    Raises:
        SchemaError: no such field, or a category, which has no order.
        DataError: fewer than two different values.
    """
    where = "explain.accumulated_effects(...)"
    columns = Columns(program, task, where=where)
    known = columns.reference(rows)
    unit = unit_named(columns, field, where)
    if unit.kind == "category":
        raise SchemaError(f"'{field}' is a category: it has no order.", where=where, mend="use partial dependence")
    j = int(unit.columns[0])
    known = known[np.isfinite(known[:, j])]
    x = known[:, j]
    edges = np.unique(np.quantile(x, np.linspace(0, 1, bins + 1), method="inverted_cdf")) if len(x) else x
    if len(edges) < 2:
        raise DataError(f"'{field}' has fewer than two different values.", where=where, mend="give other rows")
    at = np.clip(np.searchsorted(edges, x, side="left") - 1, 0, len(edges) - 2)
    low, high = known.copy(), known.copy()
    low[:, j], high[:, j] = edges[at], edges[at + 1]
    steps = columns.outputs(high) - columns.outputs(low)
    count = np.bincount(at, minlength=len(edges) - 1).astype(np.float64)
    mean, spread = np.zeros((len(count), steps.shape[1])), np.zeros((len(count), steps.shape[1]))
    np.add.at(mean, at, steps)
    mean /= np.maximum(count, 1.0)[:, None]
    np.add.at(spread, at, np.square(steps - mean[at]))
    spread /= (np.maximum(count - 1, 1.0) * np.maximum(count, 1.0))[:, None]  # variance of each interval's mean
    add = np.tril(np.ones((len(edges), len(count))), -1)  # accumulated, then centred: linear in the intervals' means
    centre = count @ (0.5 * (add[1:] + add[:-1])) / count.sum()
    values = (add - centre) @ mean
    error = np.sqrt(np.square(add - centre) @ spread)
    none = np.empty((0, *values.shape))
    return _told("accumulated local effects", unit, columns, (edges, values, error, none), known, 0)


def unit_named(columns: Columns, name: str, where: str) -> Unit:
    """The unit of that name, of a single column."""
    units = {unit.name: unit for unit in columns.units()}
    if name not in units:
        inside = [unit for unit in units if unit.startswith(f"{name}[")]
        if inside:
            raise SchemaError(f"'{name}' has {len(inside)} values.", where=where, mend=f"name one, e.g. '{inside[0]}'")
        told = ", ".join(list(units)[:20])
        raise SchemaError(
            f"no field '{name}' in task '{columns.task.name}'; it reads {told}.",
            where=where,
            mend=nearest(name, units) or "use one of the names above",
        )
    if len(units[name].columns) > 1:
        raise SchemaError(
            f"'{name}' is a window of {len(units[name].columns)} values: it has no single one.",
            where=where,
            mend="explain it by Shapley values, or ask for a field of one value",
        )
    return units[name]


def _grid(unit: Unit, column: Array, grid: Any, points: int, where: str) -> Array:
    if grid is not None:
        if unit.kind != "category":
            return np.asarray(grid, dtype=np.float64)
        unknown = [word for word in grid if word not in unit.field.categories]
        if unknown:
            mend = nearest(str(unknown[0]), unit.field.categories) or ", ".join(unit.field.categories[:20])
            raise SchemaError(f"'{unit.name}' has no category '{unknown[0]}'.", where=where, mend=mend)
        return np.asarray([unit.field.categories.index(word) for word in grid], dtype=np.float64)
    found = np.unique(column[np.isfinite(column)])
    if not len(found) or points < 2:
        raise DataError(
            f"'{unit.name}' has no known value, or points < 2.", where=where, mend="give other rows, or a grid"
        )
    if unit.kind == "category" or len(found) <= points:
        return found
    low, high = np.quantile(column[np.isfinite(column)], [0.05, 0.95])
    return np.linspace(low, high, points) if high > low else found[np.linspace(0, len(found) - 1, points).astype(int)]


def _told(
    kind: str, unit: Unit, columns: Columns, found: tuple[Array, Array, Array, Array], known: Array, seed: int
) -> Dependence:
    at, values, error, curves = found
    column = known[:, unit.columns[0]]
    there = column[np.isfinite(column)]
    named = unit.kind == "category"
    seen = np.asarray([(there == v).mean() if len(there) else 0.0 for v in at])
    return Dependence(
        kind=kind,
        field=unit.name,
        field_unit=unit.field.unit,
        task=columns.task.name,
        outputs=columns.task.outputs,
        unit=columns.task.unit,
        grid=at,
        words=tuple(unit.field.categories[int(v)] for v in at) if named else (),
        values=values,
        error=error,
        curves=curves,
        seen=seen if named else np.quantile(there, np.linspace(0, 1, 11)) if len(there) else np.empty(0),
        rows_n=len(known),
        evaluations=columns.evaluations,
        seed=seed,
    )

"""Where a counterfactual may lie: what may change, how far, in what steps, and what a change costs."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import SchemaError, SpecError, nearest
from pellucid.explain.columns import Array, Columns, Unit

Allowed = tuple[float | None, float | None] | tuple[str, ...]
Mask = npt.NDArray[np.bool_]

VALUES = 16  # values of a number that are tried: quantiles of the reference
REAL_ROWS = 1000  # reference rows to which distances are measured


@dataclass(frozen=True)
class Limits:
    """What a counterfactual must respect; names are fields of the schema.

    Args:
        keep: must not change.
        only_up, only_down: may only grow or only shrink.
        ranges: field -> (low, high), either end None, or the allowed categories; a value that is not changed may lie
            outside.
        integers: fields of whole numbers; by default those that are whole in every reference row.
        most_changes: of an answer; 0: as many as it takes.
        training_rows: an answer may equal a reference row.
    """

    keep: tuple[str, ...] = ()
    only_up: tuple[str, ...] = ()
    only_down: tuple[str, ...] = ()
    ranges: Mapping[str, Allowed] = field(default_factory=dict)
    integers: tuple[str, ...] | None = None
    most_changes: int = 0
    training_rows: bool = False


class Space:
    """Units that may change, and the cost of changing them: |change| in median absolute deviations of the reference, 1
    for another category, the mean over its columns for a block.

    Args:
        columns: of the program's task.
        reference: real rows, shape (N, c).
        limits: see there.
    Attributes:
        units: that may change. scale, step, low, high: per column: of the cost, of the values (0: any), of the values'
            range. values: per unit, what is tried.
    """

    def __init__(self, columns: Columns, reference: Array, limits: Limits) -> None:
        self.columns, self.limits, self.reference = columns, limits, reference
        _check(columns, limits)
        self.every = columns.units()
        self.units = [unit for unit in self.every if unit.field.name not in limits.keep]
        width = reference.shape[1]
        self.scale, self.step = np.ones(width), np.zeros(width)
        self.low, self.high = np.full(width, np.nan), np.full(width, np.nan)
        for unit in self.every:
            for j in unit.columns if unit.kind != "category" else ():
                self._measure(unit, int(j), reference[:, j])
        self.values = [self._tried(unit) for unit in self.units]
        self.units = [unit for unit, values in zip(self.units, self.values, strict=True) if len(values)]
        self.values = [values for values in self.values if len(values)]
        self.up = self._of(limits.only_up)
        self.down = self._of(limits.only_down)
        self._real = reference[np.linspace(0, len(reference) - 1, min(len(reference), REAL_ROWS)).astype(int)]
        self._loneliness: Array | None = None
        self.verbatim = {row.tobytes() for row in np.nan_to_num(reference, nan=1e300) + 0.0}  # + 0.0: -0 is 0

    def _measure(self, unit: Unit, j: int, values: Array) -> None:
        known = values[np.isfinite(values)]
        if not len(known):
            return
        deviation = float(np.median(np.abs(known - np.median(known))))
        self.scale[j] = 1.0 if unit.field.kind == "boolean" else deviation or float(known.std()) or 1.0
        named, step = self.limits.integers, _step(known)
        if named is not None and not unit.field.categories and unit.field.kind != "boolean":
            step = 1.0 if unit.field.name in named else step if step < 1.0 else 0.0
        self.step[j] = step
        low, high = self.limits.ranges.get(unit.field.name, (None, None)) if unit.kind == "number" else (None, None)
        self.low[j] = float(known.min()) if low is None else float(low)
        self.high[j] = float(known.max()) if high is None else float(high)

    def _tried(self, unit: Unit) -> Array:
        """Values that are tried, shape (q, columns of the unit)."""
        known = self.reference[:, unit.columns]
        known = known[np.isfinite(known).all(1)]
        if not len(known):
            return known
        if unit.kind == "category":
            codes = np.unique(known)
            allowed = self.limits.ranges.get(unit.field.name)
            names = np.asarray(unit.field.categories, dtype=object)[codes.astype(int)]
            usable: Array = codes[[allowed is None or name in allowed for name in names]][:, None]
            return usable
        if unit.kind == "block":
            windows: Array = known[np.linspace(0, len(known) - 1, min(len(known), VALUES)).astype(int)]
            return windows
        j = int(unit.columns[0])
        quantiles = np.quantile(known[:, 0], np.linspace(0, 1, VALUES), method="nearest")
        ends = [self.low[j], self.high[j]]
        tried = np.unique(np.clip([*quantiles, *ends], *ends))
        return self.rounded(tried, j)[:, None] if self.low[j] <= self.high[j] else np.empty((0, 1))

    def _of(self, names: tuple[str, ...]) -> Mask:
        owner = np.asarray([field.name in names for field in self.columns.fields])
        return np.asarray(owner[self.columns.owner], dtype=np.bool_)

    def without(self, unit: int, way: int) -> Space:
        """The same space, but one unit may not change in one way (see `ways`); units keep their places."""
        other, it = copy(self), self.units[unit]
        if it.kind == "number":
            name = "down" if way > 0 else "up"
            mask = getattr(self, name).copy()
            mask[it.columns] = True
            setattr(other, name, mask)
            return other
        other.values = list(self.values)
        values = self.values[unit]
        other.values[unit] = values[values[:, 0] != way - 2] if it.kind == "category" else values[:0]
        return other

    def rounded(self, values: Array, j: int) -> Array:
        """Values on the grid of column j."""
        step = self.step[j]
        if step == 0:
            return values
        return np.asarray(np.round(np.round(values / step) * step, 9), dtype=np.float64)

    def bounds(self, x: Array) -> tuple[Array, Array]:
        """Least and largest changed value of each column for the row x."""
        return np.where(self.up, np.fmax(x, self.low), self.low), np.where(self.down, np.fmin(x, self.high), self.high)

    def choices(self, x: Array) -> list[Array]:
        """Per unit the other values that the row x may take; none where its own is missing."""
        low, high = self.bounds(x)
        found = []
        for unit, values in zip(self.units, self.values, strict=True):
            own = x[unit.columns]
            if unit.kind == "number":
                j = int(unit.columns[0])
                inside = (values[:, 0] >= low[j]) & (values[:, 0] <= high[j])
                values = values[inside]
            differs = (values != own).any(1) if np.isfinite(own).all() else np.zeros(len(values), dtype=bool)
            found.append(values[differs])
        return found

    def project(self, rows: Array, x: Array) -> Array:
        """Real rows with everything that x must not change set back to x, shape (m, c)."""
        low, high = self.bounds(x)
        found = np.repeat(x[None], len(rows), axis=0)
        for unit, values in zip(self.units, self.values, strict=True):
            part = rows[:, unit.columns]
            ok = np.isfinite(part).all(1) & bool(np.isfinite(x[unit.columns]).all())
            if unit.kind == "number":
                j = int(unit.columns[0])
                ok &= (part[:, 0] >= low[j]) & (part[:, 0] <= high[j])
            elif unit.kind == "category":
                ok &= np.isin(part[:, 0], values[:, 0])
            else:
                ok &= len(values) > 0
            found[np.ix_(ok, unit.columns)] = part[ok]
        return found

    def costs(self, rows: Array, x: Array) -> Array:
        """The cost of each unit's change, shape (m, units); zero where nothing changed."""
        apart = np.abs(np.nan_to_num(rows - x)) / self.scale
        found = np.empty((len(rows), len(self.units)))
        for i, unit in enumerate(self.units):
            part = apart[:, unit.columns]
            found[:, i] = (part[:, 0] > 0) if unit.kind == "category" else part.mean(1)
        return found

    def ways(self, rows: Array, x: Array) -> npt.NDArray[np.int64]:
        """How each unit changed, shape (m, units): 0 not, else up or down, to which category, or another window."""
        found = np.zeros((len(rows), len(self.units)), dtype=np.int64)
        for i, unit in enumerate(self.units):
            part, own = rows[:, unit.columns], x[unit.columns]
            if unit.kind == "category":
                found[:, i] = np.where(part[:, 0] == own[0], 0, 2 + np.nan_to_num(part[:, 0]).astype(np.int64))
            elif unit.kind == "number":
                found[:, i] = np.sign(np.nan_to_num(part[:, 0] - own[0])).astype(np.int64)
            else:
                found[:, i] = (np.nan_to_num(part - own) != 0).any(1)
        return found

    def support(self, rows: Array) -> Array:
        """Share of real rows that lie at least as far from their nearest neighbour, shape (m,): 0 is unlike any."""
        if self._loneliness is None:
            self._loneliness = np.sort(self._nearest(self._real, leave_out=True))
        found = self._nearest(rows, leave_out=False)
        return 1.0 - np.searchsorted(self._loneliness, found - 1e-12, side="left") / len(self._loneliness)

    def excess(self, rows: Array) -> Array:
        """How much farther from real rows than 95 % of these are from each other, as a share; 0 when not, (m,)."""
        self.support(rows[:0])
        assert self._loneliness is not None
        usual = float(np.quantile(self._loneliness, 0.95))
        return np.maximum(0.0, self._nearest(rows, leave_out=False) / (usual or 1.0) - 1.0)

    def _nearest(self, rows: Array, *, leave_out: bool) -> Array:
        at = np.concatenate([unit.columns for unit in self.every])
        codes = np.concatenate([np.full(len(unit.columns), unit.kind == "category") for unit in self.every])
        real, asked = (np.nan_to_num(a[:, at] / self.scale[at]) for a in (self._real, rows))
        found = np.empty(len(rows))
        for i, row in enumerate(asked):
            apart = np.abs(real - row)
            apart[:, codes] = apart[:, codes] > 0
            total = apart.sum(1)
            if leave_out:
                total[i] = np.inf
            found[i] = total.min() if len(total) > 1 or not leave_out else 0.0
        return found


def _step(values: Array) -> float:
    """The coarsest power of ten from 1 to 1e-6 of which all values are multiples; 0 when there is none."""
    for places in range(7):
        scaled = values * 10.0**places
        if np.abs(scaled - np.round(scaled)).max() <= 1e-6 * max(1.0, float(np.abs(scaled).max()) * 1e-6):
            return float(10.0**-places)
    return 0.0


def _check(columns: Columns, limits: Limits) -> None:
    """Every problem of the limits at once."""
    kinds: dict[str, str] = {field.name: "left out" for field in columns.fields}
    for unit in columns.units():
        kinds[unit.field.name] = unit.kind
    problems, unknown = [], []
    directed = {*limits.only_up, *limits.only_down}
    for name in {*limits.keep, *directed, *limits.ranges, *(limits.integers or ())}:
        if name not in kinds:
            unknown.append(f"no field '{name}' in the task; {nearest(name, kinds) or 'it reads ' + ', '.join(kinds)}")
    problems += [f"'{n}' has no order" for n in directed if kinds.get(n) == "category" or kinds.get(n) == "block"]
    problems += [f"'{n}' may grow only and shrink only; use keep" for n in {*limits.only_up} & {*limits.only_down}]
    for name, allowed in limits.ranges.items():
        numbers = len(allowed) == 2 and all(a is None or isinstance(a, int | float) for a in allowed)
        kind = kinds.get(name)
        if kind == "number" and not numbers:
            problems.append(f"the range of '{name}' must be (low, high), got {allowed}")
        elif kind == "category":
            known = columns.program.schema[name].categories
            problems += [f"'{name}' has no category '{a}'" for a in allowed if a not in known]
        elif kind == "block":
            problems.append(f"'{name}' is a series: its values have no range, only real windows")
    if unknown:
        raise SchemaError("; ".join(sorted(unknown)) + ".", where=columns.where, mend="name fields that it reads")
    if problems:
        raise SpecError("; ".join(sorted(problems)) + ".", where=columns.where, mend="mend the limits")

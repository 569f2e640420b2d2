"""LIME: a weighted linear fit to the program around a row (Ribeiro et al. 2016), all rows and all outputs together.

Differs from the paper's package: players are fields, never one-hot columns; all outputs come from one factorisation;
every weight has a standard error, so that what another seed would change is told and not discovered; no field is left
out of the fit (the package keeps ten).

One noise matrix serves all rows. Around a row of numbers the design does not depend on the row: one factorisation
serves all rows. There the curvature of the program along the fitted direction is taken out as a control variate: its
Hermite polynomials of order 2 to 5 are uncorrelated with every linear feature, samples and kernel being normal.
Around the data the drawn rows do not depend on the row: the program is asked once for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.linalg

from pellucid.core.errors import DataError
from pellucid.core.program import Program
from pellucid.core.random import stream
from pellucid.core.rows import Rows
from pellucid.core.schema import PARTS
from pellucid.core.task import output_named
from pellucid.explain.columns import Array, Columns, Index, Unit, shown
from pellucid.explain.estimate import Progress
from pellucid.explain.explanation import long_frame

if TYPE_CHECKING:
    import pandas as pd

WHERE = "explain.fit_lime(...)"
WIDTH = 0.75  # kernel width over the square root of the number of players, as in the paper's package
RIDGE = 1.0  # likewise


@dataclass(frozen=True, eq=False)
class LocalFit:
    """Linear fits around n rows: d players, k outputs.

    Args:
        weights: shape (n, d, k). Of a number around the row: change of the output per standard deviation of the field;
            otherwise: what it adds that the field is as in the row (same category, quarter or window).
        error: standard error of each weight over other seeds, shape (n, d, k).
        intercept: shape (n, k). prediction: of the program, shape (n, k). fitted: of the fit at the row, shape (n, k).
        r2: weighted share of the variance of the outputs around the row that the fit explains, shape (n, k).
        players, outputs, keys, inputs: names along d, k and n; the rows' values for display, shape (n, d).
        around: "instance" or "data". samples, evaluations, seed, reference_n: how it was made.
    """

    weights: Array
    error: Array
    intercept: Array
    prediction: Array
    fitted: Array
    r2: Array
    players: tuple[str, ...]
    outputs: tuple[str, ...]
    keys: tuple[str, ...]
    inputs: npt.NDArray[np.object_]
    task: str
    unit: str
    around: str
    samples: int
    evaluations: int
    seed: int
    reference_n: int

    @property
    def seed_change(self) -> Array:
        """Expected relative change of a row's weights under another seed, shape (n, k): 0.1 is 10 %."""
        size = np.sqrt(np.square(self.weights).sum(1))
        noise = np.sqrt(2.0 * np.square(self.error).sum(1))
        return np.asarray(noise / np.where(size > 0, size, 1.0), dtype=np.float64)

    def output(self, name: str | int = 0) -> int:
        """The position of an output, by name or position."""
        return output_named(name, self.outputs, self.task, where="LocalFit.output(...)")

    def to_frame(self) -> pd.DataFrame:
        """One line per row, player and output: key, player, output, weight, error, input."""
        return long_frame(self, "weight", self.weights)

    def to_json(self) -> dict[str, Any]:
        arrays = {name: getattr(self, name).tolist() for name in _ARRAYS}
        names = {name: list(getattr(self, name)) for name in ("players", "outputs", "keys")}
        said = {name: getattr(self, name) for name in ("task", "unit", "around", *_COUNTS)}
        return {"kind": "lime", **arrays, **names, **said, "inputs": self.inputs.tolist()} | {
            "seed_change": self.seed_change.tolist()
        }

    def text(self, *, output: str | int = 0, k: int = 8, row: int = 0) -> str:
        """A few lines for the terminal: one row's weights by size, with their errors."""
        at = self.output(output)
        weights, error = self.weights[row, :, at], self.error[row, :, at]
        order = np.argsort(-np.abs(weights), kind="stable")
        names = max(len(name) for name in self.players)
        lines = [
            f"{self.task}: {self.outputs[at]} ({self.unit}), {self.keys[row]}: linear fit around the {self.around}"
        ]
        for i in order[:k]:
            value = self.inputs[row, i]
            said = f"{value:.4g}" if isinstance(value, float) else str(value)
            lines.append(f"  {self.players[i]:<{names}}  {weights[i]:+.3g} ± {error[i]:.1g}   = {said}")
        lines += [f"  ... {len(order) - k} more"] if len(order) > k else []
        lines.append(
            f"  local R² {self.r2[row, at]:.2f}; another seed would change the weights by about "
            f"{max(0.1, 100 * self.seed_change[row, at]):.2g} %; {self.samples} samples, seed {self.seed}"
        )
        return "\n".join(lines)


_ARRAYS = ("weights", "error", "intercept", "prediction", "fitted", "r2")
_COUNTS = ("samples", "evaluations", "seed", "reference_n")


@dataclass(frozen=True, eq=False)
class _Draw:
    """What all rows share.

    Args:
        noise, donors: for numbers, and reference values for the rest, shape (S, c). kept: which blocks are, (S, d).
        sd, cuts: deviations (c,), quarters (3, c). codes: category or quarter of the donors (S, c), -1 where missing.
    """

    noise: Array
    donors: Array
    kept: npt.NDArray[np.bool_]
    sd: Array
    cuts: Array
    codes: Index


def fit_lime(
    program: Program,
    rows: Rows,
    task: str,
    *,
    reference: Rows,
    around: Literal["instance", "data"] = "instance",
    samples: int = 2000,
    grain: Literal["group", "part"] = "group",
    parts: int = PARTS,
    seed: int = 0,
    progress: Progress | None = None,
) -> LocalFit:
    """Linear fits around rows, all outputs at once.

    Args:
        rows: the rows that are asked about, n of them.
        reference: real rows: they give deviations, quarters, frequencies of categories and windows of series.
        around: "instance": numbers are the row's plus normal noise of the field's deviation. "data": every value is
            drawn from the reference by itself, and a number counts as its quarter (the paper's package's default).
        samples: rows that a fit is made from.
        grain: players are fields and named lag groups, or also `parts` patches of a picture and segments of a series;
            without parts pictures and texts stay as they are.
    Returns:
        weights (n, d, k), in the task's unit.
    Raises:
        SchemaError: unknown task.
        DataError: an empty reference, or fewer samples than players.
    """
    columns = Columns(program, task, where=WHERE)
    known, units = columns.reference(reference), columns.units(grain, parts)
    if samples < 2 * len(units) + 2 or around not in ("instance", "data"):
        what = f"{samples} samples for {len(units)} players" if samples < 2 * len(units) + 2 else f"around={around!r}"
        raise DataError(
            f"{what}: no fit.", where=WHERE, mend=f"samples of at least {2 * len(units) + 2}, around a name"
        )
    draw = _drawn(known, units, samples, seed)
    asked = columns.matrix(rows)
    prediction = columns.outputs(asked)
    n, d, k = len(asked), len(units), prediction.shape[1]
    found = {"weights": np.empty((n, d, k)), "error": np.empty((n, d, k))}
    found |= {name: np.empty((n, k)) for name in ("intercept", "fitted", "r2")}
    smooth = around == "instance" and all(_smooth(unit) for unit in units)
    whole = len(_numbers(units)) == known.shape[1]  # nothing that stays as it is
    fixed = around == "data" and whole and not any(unit.kind == "block" for unit in units)
    design = _Design.of(draw.noise[:, _numbers(units)], smooth=True) if smooth else None
    drawn = columns.outputs(draw.donors) if fixed else None
    for i, x in enumerate(asked):
        made = x + draw.sd * draw.noise if smooth else _sampled(x, units, draw, around)
        fitted = design or _Design.of(_features(x, units, draw, around), smooth=False)
        told = fitted.fit(columns.outputs(made) if drawn is None else drawn, here=_here(units, around))
        still = [around == "instance" and not np.isfinite(x[unit.columns]).all() for unit in units]
        told["weights"][still], told["error"][still] = 0.0, 0.0
        for name, value in told.items():
            found[name][i] = value
        if progress is not None:
            progress(i + 1, n)
    return LocalFit(
        **found,
        prediction=prediction,
        players=tuple(unit.name for unit in units),
        outputs=columns.task.outputs,
        keys=tuple(str(key) for key in rows.keys),
        inputs=_shown(asked, units),
        task=task,
        unit=columns.task.unit,
        around=around,
        samples=samples,
        evaluations=columns.evaluations,
        seed=seed,
        reference_n=len(known),
    )


def _shown(rows: Array, units: list[Unit]) -> npt.NDArray[np.object_]:
    """Values for display: the mean of a window, a category's word."""
    found = np.empty((len(rows), len(units)), dtype=object)
    for i, x in enumerate(rows):
        for j, unit in enumerate(units):
            value = shown(unit, x[unit.columns])
            found[i, j] = float(np.mean(value)) if isinstance(value, list) else value
    return found


def _smooth(unit: Unit) -> bool:
    """Noise can be added to it."""
    return unit.kind == "number" and unit.field.kind != "boolean"


def _numbers(units: list[Unit]) -> Index:
    return np.concatenate([unit.columns for unit in units]) if units else np.empty(0, dtype=np.int64)


def _here(units: list[Unit], around: str) -> Array:
    """The row's own features."""
    return np.asarray([0.0 if around == "instance" and _smooth(unit) else 1.0 for unit in units])


def _drawn(known: Array, units: list[Unit], samples: int, seed: int) -> _Draw:
    generator = stream(seed, "explain/lime")
    noise = generator.standard_normal((samples, known.shape[1]))
    donors, codes = np.zeros((samples, known.shape[1])), np.zeros((samples, known.shape[1]), dtype=np.int64)
    for unit in units:
        donors[:, unit.columns] = known[generator.integers(len(known), size=samples)][:, unit.columns]
    kept = generator.random((samples, len(units))) < 0.5
    sd, cuts = np.zeros(known.shape[1]), np.zeros((3, known.shape[1]))
    for j in _numbers(units):
        there = known[np.isfinite(known[:, j]), j]
        if len(there):
            sd[j], cuts[:, j] = there.std(), np.quantile(there, [0.25, 0.5, 0.75])
    for unit in units:
        codes[:, unit.columns] = _codes(donors[:, unit.columns], unit, cuts)
    return _Draw(noise, donors, kept, sd, cuts, codes)


def _codes(values: Array, unit: Unit, cuts: Array) -> Index:
    """The category, or the quarter of a number; -1 where it is missing."""
    missing = np.isnan(values)
    if not _smooth(unit):
        return np.where(missing, -1, np.nan_to_num(values)).astype(np.int64)
    found = (values[:, :, None] > cuts[:, unit.columns].T).sum(2)
    return np.where(missing, -1, found).astype(np.int64)


def _sampled(x: Array, units: list[Unit], draw: _Draw, around: str) -> Array:
    """Rows around x, shape (S, c)."""
    made = np.repeat(x[None], len(draw.noise), axis=0)
    for j, unit in enumerate(units):
        at = unit.columns
        if unit.kind == "block":
            made[:, at] = np.where(draw.kept[:, j, None], x[at], draw.donors[:, at])
        elif around == "instance" and _smooth(unit):
            made[:, at] = x[at] + draw.sd[at] * draw.noise[:, at]
        elif around == "data" or np.isfinite(x[at]).all():
            made[:, at] = draw.donors[:, at]
    return made


def _features(x: Array, units: list[Unit], draw: _Draw, around: str) -> Array:
    """What the fit sees of these rows, shape (S, d)."""
    features = np.empty((len(draw.noise), len(units)))
    for j, unit in enumerate(units):
        if unit.kind == "block":
            features[:, j] = draw.kept[:, j]
        elif around == "instance" and _smooth(unit):
            features[:, j] = draw.noise[:, unit.columns[0]]
        else:
            own = _codes(x[None, unit.columns], unit, draw.cuts)
            features[:, j] = draw.codes[:, unit.columns[0]] == own[0, 0]
    return features


@dataclass(frozen=True, eq=False)
class _Design:
    """Features and their weights, factorised.

    Args:
        mean: weighted, shape (d,). centred: features less it, X (S, d). weight: W (S,).
        spread: (X' W X + ridge)^-1 X' W, what a sample's rest adds to each weight, (d, S). squared: its squares.
        smooth: all features are normal noise.
    """

    mean: Array
    centred: Array
    weight: Array
    spread: Array
    squared: Array
    smooth: bool

    @classmethod
    def of(cls, features: Array, *, smooth: bool) -> _Design:
        """Weights fall with the distance from the row as in the paper's package: sqrt(exp(-distance² / width²))."""
        binary = np.zeros(features.shape[1], dtype=bool) if smooth else np.isin(features, (0.0, 1.0)).all(0)
        apart = np.where(binary, 1.0 - features, features)
        width = WIDTH * np.sqrt(features.shape[1])
        weight = np.exp(-0.5 * np.square(apart).sum(1) / width**2)
        mean = weight @ features / weight.sum()
        centred = features - mean
        gram = centred.T @ (weight[:, None] * centred)
        gram[np.diag_indices(len(gram))] += RIDGE
        factor = scipy.linalg.cho_factor(gram, lower=True)
        spread = scipy.linalg.cho_solve(factor, centred.T) * weight
        return cls(mean, centred, weight, spread, np.square(spread), smooth)

    def fit(self, y: Array, here: Array) -> dict[str, Array]:
        """The weighted ridge fit of all outputs, with sandwich standard errors."""
        w = self.weight / self.weight.sum()
        level = w @ y
        apart = y - level
        weights = self.spread @ apart
        rest = apart - self.centred @ weights
        if self.smooth:
            weights, rest = self._controlled(weights, rest)
        error = np.sqrt(self.squared @ np.square(rest))
        total = w @ np.square(apart)
        r2 = 1.0 - w @ np.square(apart - self.centred @ weights) / np.where(total > 0, total, 1.0)
        intercept = level - self.mean @ weights
        fitted = intercept + here @ weights
        r2 = np.where(total > 0, r2, 1.0)
        return {"weights": weights, "error": error, "intercept": intercept, "fitted": fitted, "r2": r2}

    def _controlled(self, weights: Array, rest: Array) -> tuple[Array, Array]:
        """Weights and rests of the fit to which Hermite polynomials along the fitted direction are added."""
        weights, rest = weights.copy(), rest.copy()
        for k in range(rest.shape[1]):
            along = self.centred @ weights[:, k]
            size = np.sqrt(self.weight @ np.square(along) / self.weight.sum())
            if size > 0:
                q = along / size
                bent = np.empty((len(q), 4))
                bent[:, 0] = q * q - 1
                bent[:, 1] = q * (q * q - 3)
                bent[:, 2] = q * bent[:, 1] - 3 * bent[:, 0]
                bent[:, 3] = q * bent[:, 2] - 4 * bent[:, 1]
                bent -= self.weight @ bent / self.weight.sum()
                slope = self.spread @ bent
                bent -= self.centred @ slope
                gram, to = bent.T @ (self.weight[:, None] * bent), bent.T @ (self.weight * rest[:, k])
                share = np.linalg.lstsq(gram, to, rcond=1e-12)[0]
                weights[:, k] -= slope @ share
                rest[:, k] -= bent @ share
        return weights, rest

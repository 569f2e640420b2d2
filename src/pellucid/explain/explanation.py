"""Explanation: Shapley values with their errors and everything needed to read, draw, compare and repeat them."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError, nearest, require
from pellucid.core.task import output_named
from pellucid.explain.laid import Laid

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[np.float64]


class Ranked(NamedTuple):
    """A player with its value (one row) or its mean absolute value (several rows)."""

    player: str
    value: float
    error: float


@dataclass(frozen=True, eq=False)
class Explanation:
    """Shapley values of n rows, d players, k outputs, in the program's units.

    Args:
        values: shape (n, d, k); a row's values add up to `prediction - base`.
        error: standard error of each value, shape (n, d, k); zero when the method is exact.
        base: mean output over the background, shape (k,).
        prediction: outputs of the rows, shape (n, k).
        players, outputs, keys: names along d, k and n.
        inputs: raw values for display, shape (n, d), objects: a number (the mean over a player's lags) or a category.
        task, unit: what is explained and the unit of its outputs.
        method: the explainer's name and, after a colon, what it did and how the error was found.
        background_n: rows of the background.
        evaluations: model rows evaluated, in all.
        seed: of the random numbers.
        value: the value function, `interventional` or `conditional`.
        warnings: what may be wrong with it, in sentences.
        checks: what `explain.checks` measured, by name; empty when it was not asked for.
        laid: fields whose parts are players, as they are drawn.
    """

    values: Array
    error: Array
    base: Array
    prediction: Array
    players: tuple[str, ...]
    outputs: tuple[str, ...]
    keys: tuple[str, ...]
    inputs: npt.NDArray[np.object_]
    task: str
    unit: str
    method: str
    background_n: int
    evaluations: int
    seed: int
    value: str = "interventional"
    warnings: tuple[str, ...] = ()
    checks: dict[str, float] = field(default_factory=dict)
    laid: tuple[Laid, ...] = ()

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def residual(self) -> Array:
        """`prediction - base - sum of the values`, shape (n, k): bookkeeping; zero says nothing about the errors."""
        left: Array = self.prediction - self.base - self.values.sum(1)
        return left

    def output(self, name: str | int = 0) -> int:
        """The position of an output, by name or position."""
        return output_named(name, self.outputs, self.task, where="Explanation.output(...)")

    def top(self, k: int = 5, *, output: str | int = 0, row: int | None = None) -> list[Ranked]:
        """The k players of largest mean absolute value; of one row, its signed values."""
        at = self.output(output)
        if len(self) == 0:
            return []
        row = 0 if row is None and len(self) == 1 else row
        if row is None:
            size = shown = np.abs(self.values[:, :, at]).mean(0)
            error = np.sqrt(np.square(self.error[:, :, at]).sum(0)) / len(self)
        else:
            shown, error = self.values[row, :, at], self.error[row, :, at]
            size = np.abs(shown)
        order = np.argsort(-size, kind="stable")[:k]
        return [Ranked(self.players[i], float(shown[i]), float(error[i])) for i in order]

    def order_stability(self, k: int = 5, *, output: str | int = 0) -> float:
        """Share of the pairs among each row's k largest values whose order is settled.

        Settled: absolute values differ by more than two standard errors of their difference (covariances left
        out). 1.0 when all pairs are, or when there are none.
        """
        at = self.output(output)
        k = min(k, len(self.players))
        if k < 2 or len(self) == 0:
            return 1.0
        size = np.abs(self.values[:, :, at])
        order = np.argsort(-size, axis=1, kind="stable")[:, :k]
        size = np.take_along_axis(size, order, 1)
        error = np.take_along_axis(self.error[:, :, at], order, 1)
        i, j = np.triu_indices(k, 1)
        return float((size[:, i] - size[:, j] > 2.0 * np.hypot(error[:, i], error[:, j])).mean())

    def text(self, *, output: str | int = 0, k: int = 8, row: int | None = None) -> str:
        """A short terminal rendering: one row, or the mean absolute values when there are several."""
        from pellucid.explain.render import as_text

        return as_text(self, output=self.output(output), k=k, row=row)

    def to_frame(self) -> pd.DataFrame:
        """One line per row, player and output: key, player, output, value, error, input."""
        return long_frame(self, "value", self.values)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; `from_json` gives back every number exactly (except NaN inputs, which become null)."""
        arrays = {name: getattr(self, name).tolist() for name in _ARRAYS}
        names = {name: list(getattr(self, name)) for name in _NAMES}
        inputs = [[None if isinstance(v, float) and v != v else v for v in row] for row in self.inputs.tolist()]
        later: dict[str, Any] = {} if self.value == "interventional" else {"value": self.value}
        later |= {"warnings": list(self.warnings)} if self.warnings else {}
        later |= {"checks": dict(self.checks)} if self.checks else {}
        later |= {"laid": [one.to_json() for one in self.laid]} if self.laid else {}
        return {**arrays, **names, "inputs": inputs, **{name: getattr(self, name) for name in _SCALARS}, **later}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Explanation:
        n, d, k = len(raw["keys"]), len(raw["players"]), len(raw["outputs"])
        shapes = {"values": (n, d, k), "error": (n, d, k), "base": (k,), "prediction": (n, k)}
        fields: dict[str, Any] = {name: raw[name] for name in _SCALARS}
        fields |= {name: tuple(raw[name]) for name in _NAMES}
        fields |= {name: np.asarray(raw[name], dtype=np.float64).reshape(shapes[name]) for name in _ARRAYS}
        inputs = np.empty((n, d), dtype=object)
        for i, row in enumerate(raw["inputs"]):
            inputs[i] = [float("nan") if v is None else v for v in row]
        fields |= {name: raw[name] for name in ("value", "checks") if name in raw}
        laid = tuple(Laid.from_json(one) for one in raw.get("laid", ()))
        return cls(**fields, inputs=inputs, warnings=tuple(raw.get("warnings", ())), laid=laid)

    def to_shap(self, *, output: str | int = 0) -> Any:
        """A `shap.Explanation` of one output, for shap's plots.

        Raises:
            MissingExtra: shap is not installed.
        """
        require("shap", extra="xai", purpose="Explanation.to_shap()")
        shap = import_module("shap")
        at = self.output(output)
        return shap.Explanation(
            values=self.values[:, :, at],
            base_values=np.full(len(self), self.base[at]),
            data=self.inputs,
            feature_names=list(self.players),
            output_names=self.outputs[at],
            error_std=self.error[:, :, at],
        )

    def plot(self, kind: str = "bar", *, output: str | int = 0, k: int = 10, row: int | None = None) -> Any:
        """A matplotlib figure; see `plots.ALL`.

        Args:
            kind: `bar`, with two standard errors; `waterfall` of one row; `swarm`, every row a mark; `heat`, players
                by rows; `parts` of one row where they lie, on the picture or along the series (`grain="part"`).
            k: players that are shown, the largest.
            row: of bars (by default the mean size over all rows), of a waterfall or of parts (the first); a swarm and
                a heat map show all.
        Raises:
            MissingExtra: matplotlib is not installed.
            DataError: there is no such kind or row, or there are no rows.
        """
        require("matplotlib", extra="xai", purpose="Explanation.plot()")
        from pellucid.explain.plots import ALL

        where = "Explanation.plot"
        if kind not in ALL:
            known = ", ".join(ALL)
            mend = nearest(kind, ALL) or f"use one of {known}"
            raise DataError(f"no picture {kind!r}; there are {known}.", where=where, mend=mend)
        if not len(self) or not -len(self) <= (row or 0) < len(self):
            raise DataError(
                f"no row {row or 0} among {len(self)} explained rows.", where=where, mend="name one of them"
            )
        return ALL[kind](self, self.output(output), k, row)


_ARRAYS = ("values", "error", "base", "prediction")
_NAMES = ("players", "outputs", "keys")
_SCALARS = ("task", "unit", "method", "background_n", "evaluations", "seed")


def long_frame(found: Any, name: str, values: Array) -> pd.DataFrame:
    """One line per row, player and output of values (n, d, k): key, player, output, `name`, error, input.

    Args:
        found: has `keys`, `players`, `outputs`, `error` (n, d, k) and `inputs` (n, d).
    """
    import pandas as pd

    n, d, k = values.shape
    return pd.DataFrame(
        {
            "key": np.repeat(np.asarray(found.keys, dtype=object), d * k),
            "player": np.tile(np.repeat(np.asarray(found.players, dtype=object), k), n),
            "output": np.tile(np.asarray(found.outputs, dtype=object), n * d),
            name: values.ravel(),
            "error": found.error.ravel(),
            "input": np.repeat(found.inputs.ravel(), k),
        }
    )

"""A program that predicts a number, its quantiles or its distribution, as an estimator of scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import RegressorMixin
from sklearn.utils import column_or_1d

from pellucid.core.errors import DataError
from pellucid.estimators.saved import plain
from pellucid.estimators.tabular import Tabular, checked_target, target_name
from pellucid.evidence.metrics import density_of


class PellucidRegressor(RegressorMixin, Tabular):  # type: ignore[misc]  # scikit-learn has no types
    """A program that predicts a number, as an estimator of scikit-learn; the arguments of `PellucidClassifier`,
    but for those of classes, and:

    Args:
        quantiles: increasing, within (0, 1): the program says these instead of the mean.
        distribution: "normal", "student" or "lognormal": it says the parameters of one.
    """

    def __init__(
        self,
        *,
        kind: str = "ensemble",
        width: int = 128,
        depth: int = 2,
        activation: str = "relu",
        members: int = 16,
        pieces: int = 32,
        updates: int = 2000,
        batch: int = 256,
        lr: float = 4e-3,
        optimiser: str = "adamw",
        weight_decay: float = 3e-4,
        noise: float = 0.0,
        schedule: str = "cosine",
        warmup: float = 0.05,
        held_out: float | None = 0.2,
        patience: int = 16,
        review: float = 0.0,
        quantiles: Sequence[float] | None = None,
        distribution: str | None = None,
        random_state: Any = 0,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            kind=kind,
            width=width,
            depth=depth,
            activation=activation,
            members=members,
            pieces=pieces,
            updates=updates,
            batch=batch,
            lr=lr,
            optimiser=optimiser,
            weight_decay=weight_decay,
            noise=noise,
            schedule=schedule,
            warmup=warmup,
            held_out=held_out,
            patience=patience,
            review=review,
            random_state=random_state,
            verbose=verbose,
        )
        self.quantiles = quantiles
        self.distribution = distribution

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from rows X, (n, columns), and their numbers y, (n,).

        Raises:
            ValueError: as scikit-learn does; a `DataError` where a cell cannot be read.
        """
        return self._fit(X, y)

    def _about_task(self) -> dict[str, Any]:
        asked = {"quantiles": plain(self.quantiles), "distribution": self.distribution}
        return {"kind": "regress", **{name: value for name, value in asked.items() if value is not None}}

    def _targets(self, y: Any, frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
        values = checked_target(column_or_1d(y, warn=True), frame)
        return pd.DataFrame({target_name(y, frame): np.asarray(values, dtype=np.float64)}), ()

    def predict(self, X: Any) -> npt.NDArray[np.float64]:
        """The expected number of every row, shape (n,); of quantiles the one nearest to the median, of a distribution
        its location (of a lognormal one its median).
        """
        outputs = self._outputs(X)
        return outputs[:, self._learned_task.answer]

    def predict_quantiles(self, X: Any, quantiles: Sequence[float] | None = None) -> npt.NDArray[np.float64]:
        """Quantiles of every row, shape (n, levels).

        Args:
            quantiles: their levels; None: those of the fit. Of a distribution, any.
        Raises:
            DataError: the fit learned none, or others.
        """
        outputs, task = self._outputs(X), self._learned_task
        learned = tuple(task.options.get("quantiles", ()))
        levels = learned if quantiles is None else tuple(float(level) for level in quantiles)
        if task.form == "distribution" and levels and all(0 < level < 1 for level in levels):
            return np.stack([density_of(task).quantile(level, outputs) for level in levels], axis=1)
        if not levels or not set(levels) <= set(learned):
            told = f"the quantiles {', '.join(f'{q:g}' for q in learned)}" if learned else f"a {task.form}"
            raise DataError(
                f"quantiles {list(levels)} are not known: this fit learned {told}.",
                where=f"{type(self).__name__}.predict_quantiles",
                mend="fit with quantiles=(...), or with distribution='normal' and give levels within (0, 1)",
            )
        return outputs[:, [learned.index(level) for level in levels]]

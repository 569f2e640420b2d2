"""What a baseline is given, and what it gives back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError
from pellucid.core.random import stream
from pellucid.core.rows import Index, Rows
from pellucid.core.task import Task
from pellucid.evidence.intervals import Floats

__all__ = [
    "FLOOR",
    "Answer",
    "Baseline",
    "Context",
    "OneSeries",
    "PriceContext",
    "Role",
    "Rollout",
    "RolloutContext",
    "SeriesContext",
    "TableContext",
]

Role = Literal["naive", "model"]

MOST = 64  # constant actions that are tried in an environment

FLOOR = 1e-10  # least mean squared log-return that a logarithm is taken of: a daily move of 0.001 %


@dataclass(frozen=True)
class PriceContext:
    """One asset's daily returns, with the decision days that are trained on and those that are judged.

    A decision on day t may use the returns up to and including day t; entry t of the series is the return close
    t-1 -> close t. Every training day must precede every test day, and every test day must have its label.

    Args:
        log_returns: shape (T,), consecutive trading days.
        train, test: decision days, positions in the series, ascending; the test days are consecutive.
        horizon: days of the risk label, t+1 .. t+horizon.
        cost: share of the notional traded.
    """

    log_returns: Floats
    train: Index
    test: Index
    horizon: int = 5
    cost: float = 0.0

    def __post_init__(self) -> None:
        if not len(self.train) or not len(self.test) or self.train.max() >= self.test.min():
            raise DataError(
                "a baseline for prices needs training days that all precede the test days.",
                where="PriceContext(train=..., test=...)",
                mend="use evidence.folds.walk_forward",
            )
        if self.test.max() + 1 >= len(self.log_returns) or not np.isfinite(self.log_returns).all():
            raise DataError(
                "the last test day has no next return, or a return is not finite.",
                where="PriceContext(log_returns=...)",
                mend="judge only days whose target is there",
            )

    @classmethod
    def from_rows(cls, rows: Rows, train: Index, test: Index, *, horizon: int = 5, cost: float = 0.0) -> PriceContext:
        """From rows of `data.prices.windows`, one a consecutive day; indices are positions among the rows."""
        return cls(np.log1p(np.asarray(rows.extra["simple_return"], dtype=np.float64)), train, test, horizon, cost)

    @property
    def next_simple_returns(self) -> Floats:
        """Simple return close t -> close t+1 for every test day t, shape (len(test),)."""
        return np.expm1(self.log_returns[self.test + 1])

    @property
    def past(self) -> Floats:
        """The returns that fitting may see: from the first to the last training day."""
        return self.log_returns[self.train.min() : self.train.max() + 1]

    @property
    def labelled(self) -> Index:
        """Training days whose next return is known by the last training day."""
        days: Index = self.train[self.train + 1 <= self.train.max()]
        return days

    @property
    def labelled_risk(self) -> Index:
        """Training days whose risk label is known by the last training day."""
        days: Index = self.train[self.train + self.horizon <= self.train.max()]
        return days

    def risk(self, days: Index) -> Floats:
        """Log of the mean squared log-return of days t+1 .. t+horizon, floored; NaN where the future is missing."""
        mean = self.mean_square(days + self.horizon)
        return np.where(days + self.horizon < len(self.log_returns), np.log(np.maximum(mean, FLOOR)), np.nan)

    def mean_square(self, days: Index, length: int | None = None) -> Floats:
        """Mean squared return of the `length` days up to and including each day (fewer at the very beginning)."""
        span = self.horizon if length is None else length
        total = np.concatenate([[0.0], np.cumsum(self.log_returns**2)])
        end = np.minimum(days + 1, len(self.log_returns))
        start = np.maximum(end - span, 0)
        mean: Floats = (total[end] - total[start]) / np.maximum(end - start, 1)
        return mean


@dataclass(frozen=True)
class TableContext:
    """Encoded rows of a table.

    Args:
        x_train, x_test: shape (n, columns).
        y_train, y_test: class numbers (classify) or values (regress); shape (n,).
        texts: text field -> (its texts in the training rows, in the test rows).
        plain: the columns of x that come from no text.
    """

    x_train: Floats
    y_train: npt.NDArray[Any]
    x_test: Floats
    y_test: npt.NDArray[Any]
    seed: int = 0
    texts: dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]] = field(default_factory=dict)
    plain: tuple[int, ...] = ()


Blind = Callable[[int, int], Any]
"""A policy that does not look: (number of environments, step) -> a batch of actions."""

Rollout = Callable[[Blind, Sequence[int]], Floats]
"""(policy, episode seeds) -> the return of one episode per seed, shape (len(seeds),)."""


@dataclass(frozen=True)
class RolloutContext:
    """An environment, seen through a callable that plays episodes.

    Args:
        rollout: plays a blind policy on given episode seeds.
        constants: actions that `best_constant_action` tries, each one action of the environment.
        sample: (generator, number of environments) -> a batch of random actions.
        train_seeds: episodes on which the best constant is chosen.
        test_seeds: episodes on which it is judged; the program's own.
    """

    rollout: Rollout
    constants: Sequence[Any]
    sample: Callable[[np.random.Generator, int], Any]
    train_seeds: Sequence[int]
    test_seeds: Sequence[int]
    seed: int = 0

    @classmethod
    def discrete(
        cls, rollout: Rollout, actions: int, train_seeds: Sequence[int], test_seeds: Sequence[int], seed: int = 0
    ) -> RolloutContext:
        """For `Discrete(actions)`."""

        def sample(generator: np.random.Generator, count: int) -> npt.NDArray[np.int64]:
            return generator.integers(0, actions, size=count)

        return cls(rollout, list(range(actions)), sample, train_seeds, test_seeds, seed)

    @classmethod
    def multi_discrete(
        cls, rollout: Rollout, nvec: Sequence[int], train_seeds: Sequence[int], test_seeds: Sequence[int], seed: int = 0
    ) -> RolloutContext:
        """For `MultiDiscrete(nvec)`: every combination is tried as a constant, or `MOST` drawn ones of more."""
        sizes, count = tuple(int(n) for n in nvec), math.prod(int(n) for n in nvec)
        if count > MOST:
            drawn = stream(seed, "evidence/constant_actions").integers(0, sizes, size=(MOST, len(sizes)))
            return cls(rollout, list(np.unique(drawn, axis=0)), _several(sizes), train_seeds, test_seeds, seed)
        constants = [np.asarray(np.unravel_index(i, sizes)) for i in range(count)]
        return cls(rollout, constants, _several(sizes), train_seeds, test_seeds, seed)

    @classmethod
    def box(
        cls,
        rollout: Rollout,
        low: npt.ArrayLike,
        high: npt.ArrayLike,
        train_seeds: Sequence[int],
        test_seeds: Sequence[int],
        seed: int = 0,
    ) -> RolloutContext:
        """For a one-dimensional `Box`: constants are a grid of one or two dimensions; of more, a diagonal and draws.

        Where a side has no bound, it is taken to be -1 or 1.
        """
        least, most = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
        least, most = np.where(np.isfinite(least), least, -1.0), np.where(np.isfinite(most), most, 1.0)
        k = len(least)
        if k <= 2:
            shares = np.linspace(0.0, 1.0, 9 if k == 1 else 5)
            grid = np.stack(np.meshgrid(*[shares] * k, indexing="ij"), axis=-1).reshape(-1, k)
        else:
            drawn = stream(seed, "evidence/constant_actions").uniform(size=(11, k))
            grid = np.concatenate([np.linspace(0.0, 1.0, 5)[:, None].repeat(k, axis=1), drawn])

        def sample(generator: np.random.Generator, count: int) -> npt.NDArray[np.float32]:
            return generator.uniform(least, most, size=(count, k)).astype(np.float32)

        constants = list((least + grid * (most - least)).astype(np.float32))
        return cls(rollout, constants, sample, train_seeds, test_seeds, seed)


def _several(sizes: tuple[int, ...]) -> Callable[[np.random.Generator, int], npt.NDArray[np.int64]]:
    return lambda generator, count: generator.integers(0, sizes, size=(count, len(sizes)))


@dataclass(frozen=True)
class OneSeries:
    """One of several series.

    Args:
        values: in the space in which it is modelled (logarithms, when so declared), shape (T,).
        scale: by which errors in that space are divided, at each step, shape (T,); NaN before the first row.
        train, test: steps at which one forecasts, positions in `values`, ascending.
        rows: which of the test rows are this series', shape (len(test),).
    """

    values: Floats
    scale: Floats
    train: Index
    test: Index
    rows: Index


@dataclass(frozen=True)
class SeriesContext:
    """Series with the moments that are trained on and those that are judged.

    A forecast at step t may use the values up to and including t; what is fitted, those up to the last training row's
    last step ahead.

    Args:
        y_test: what came after each test row, and its scale (see `metrics.with_scale`), shape (n, H + 1).
        log: values are logarithms.
    """

    series: tuple[OneSeries, ...]
    y_test: Floats
    horizon: int
    season: int
    log: bool = False

    @classmethod
    def from_rows(cls, rows: Rows, train: Index, test: Index, task: Task) -> SeriesContext:
        """Series from the rows of `data.windows`: positions of training and test rows among them."""
        options = task.options
        level, scale = (rows.fields[options[name]][:, 0] for name in ("level", "scale"))
        found = []
        for code in np.unique(rows.extra["series"]):
            mine = np.flatnonzero(rows.extra["series"] == code)
            first = mine[0]
            before = level[first] + scale[first] * rows.fields[options["lags"]][first][::-1]
            offset = len(before) - int(rows.extra["step"][first])
            place = rows.extra["step"].astype(np.int64) + offset
            values = np.full(place[mine[-1]] + 1, np.nan)
            scales = values.copy()
            values[: len(before)] = before
            values[place[mine]], scales[place[mine]] = level[mine], scale[mine]
            asked = np.flatnonzero(np.isin(test, mine))
            found.append(OneSeries(values, scales, place[np.intersect1d(train, mine)], place[test[asked]], asked))
        y = np.column_stack([rows.targets[options["target"]][test], rows.extra["error_scale"][test]])
        horizon, season = int(options["horizon"]), int(options["season"])
        return cls(tuple(found), y, horizon, season, options["transform"] == "log")


Context = PriceContext | TableContext | RolloutContext | SeriesContext


@dataclass(frozen=True)
class Baseline:
    """A named reference. `fit_predict` fits on the training rows and answers the test rows.

    Its outputs have the form of a program's: quantiles (n, k), log-variance (n, 1), class probabilities or logits
    (n, k), values (n, 1); for trading the positions decided (n, 1); for other environments episode returns (n, 1).
    """

    name: str
    role: Role
    description: str
    fit_predict: Callable[[Task, Any], Floats]


@dataclass(frozen=True)
class Answer:
    """A baseline's outputs and losses on the test rows, or the reason why there are none."""

    name: str
    role: Role
    outputs: Floats | None
    losses: Floats | None
    note: str = ""

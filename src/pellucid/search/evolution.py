"""Settings by CMA-ES (Hansen 2016, arXiv:1604.00772): a normal distribution that learns its mean and covariance.

The state is never stored: it follows from the trials so far, which are told to a fresh optimiser of the same seed.
Whole numbers and choices are parts of the unit interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid.core.errors import SpecError, require
from pellucid.core.random import derive
from pellucid.search.space import Dimension, Params
from pellucid.search.study import Study
from pellucid.search.trial import Trial

SIGMA = 0.25  # of the unit cube, around its middle or around the spec as it stands


def suggest(dims: Sequence[Dimension], history: Sequence[Trial], study: Study, number: int, seed: int) -> Params:
    """The settings of the trial of this number, after the earlier ones.

    Args:
        history: the trials so far; those that this sampler did not choose (number 0) begin the search.
    """
    require("cmaes", extra="hpo", purpose="sampler: cmaes")
    from cmaes import CMA

    if len(dims) < 2:
        raise SpecError(
            f"CMA-ES needs two settings at least; the space has {len(dims)}.",
            where="search.sampler",
            mend="use tpe, or search over more settings",
        )
    first = next((trial for trial in history if trial.number == 0), None)
    start = [0.5] * len(dims)
    if first is not None and all(dim.holds(first.params[dim.path]) for dim in dims):
        start = [dim.place(first.params[dim.path]) for dim in dims]
    optimiser: Any = CMA(
        mean=np.asarray(start),
        sigma=SIGMA,
        bounds=np.tile([0.0, 1.0], (len(dims), 1)),
        seed=derive(seed, "search/cmaes"),
    )
    losses = {trial.number: trial.loss for trial in history}
    generation: list[tuple[Any, float]] = []
    for earlier in range(1, number):  # only ranks count, so that a failed trial may be infinitely bad
        generation.append((optimiser.ask(), losses.get(earlier, math.inf)))
        if len(generation) == optimiser.population_size:
            optimiser.tell(generation)
            generation = []
    return {dim.path: dim.at(float(u)) for dim, u in zip(dims, optimiser.ask(), strict=True)}

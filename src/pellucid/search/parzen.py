"""Settings by Optuna's tree-structured Parzen estimator (Bergstra et al. 2011): where good trials are denser."""

from __future__ import annotations

from collections.abc import Sequence

from pellucid.core.random import derive
from pellucid.search.space import Dimension, Params
from pellucid.search.study import Study
from pellucid.search.trial import Trial


def suggest(dims: Sequence[Dimension], history: Sequence[Trial], study: Study, number: int, seed: int) -> Params:
    """The settings of the trial of this number; the study holds the history."""
    return study.parzen(derive(seed, "search/tpe", number))

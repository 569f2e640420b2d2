"""Who chooses the next settings: one line a sampler. What is chosen follows from the trials so far, number and seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pellucid.search import even, evolution, parzen
from pellucid.search.space import Dimension, Params
from pellucid.search.study import Study
from pellucid.search.trial import Trial

Suggest = Callable[[Sequence[Dimension], Sequence[Trial], Study, int, int], Params]

ALL: dict[str, Suggest] = {"tpe": parzen.suggest, "cmaes": evolution.suggest, "random": even.suggest}

"""Settings drawn evenly and independently (Bergstra & Bengio 2012): the baseline of every other sampler."""

from __future__ import annotations

from collections.abc import Sequence

from pellucid.core.random import stream
from pellucid.search.space import Dimension, Params, drawn
from pellucid.search.study import Study
from pellucid.search.trial import Trial


def suggest(dims: Sequence[Dimension], history: Sequence[Trial], study: Study, number: int, seed: int) -> Params:
    """The settings of the trial of this number; the history does not matter."""
    return drawn(dims, stream(seed, "search/even", number))

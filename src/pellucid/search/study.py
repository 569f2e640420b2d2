"""A search as a study of Optuna: fed with our trials, asked for the next settings and for whom to end early.

Nothing of Optuna's is stored: a study is built from the trials of the journal by `add_trial`, so that a resumed search
asks as an uninterrupted one does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pellucid.core.errors import require
from pellucid.search.space import Dimension, Params
from pellucid.search.trial import RUNGS, Trial

STARTUP = 10  # trials drawn evenly before the tree-structured estimator begins; no trial is ended before 5
FIRST_RUNG = 2  # nobody is ended at the first rung: there a loss says little


def require_optuna(what: str) -> Any:
    """Optuna, quiet."""
    require("optuna", extra="hpo", purpose=what)
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


class Study:
    """A study over some dimensions.

    Args:
        pruner: "median", "hyperband" or "none".
    """

    def __init__(self, dims: Sequence[Dimension], pruner: str) -> None:
        self.optuna = require_optuna("a search")
        self.distributions = {dim.path: self._distribution(dim) for dim in dims}
        self.dims = {dim.path: dim for dim in dims}
        self.study = self.optuna.create_study(study_name="search", pruner=self._pruner(pruner), direction="minimize")

    def parzen(self, seed: int) -> Params:
        """What the tree-structured Parzen estimator would try next."""
        copied = self.optuna.create_study(study_name="search", pruner=self.study.pruner, direction="minimize")
        copied.add_trials(self.study.get_trials(deepcopy=False))
        copied.sampler = self.optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
        return {path: self._out(path, value) for path, value in copied.ask(self.distributions).params.items()}

    def begin(self, params: Params) -> None:
        """A trial with settings from elsewhere begins."""
        self.study.enqueue_trial({path: self._in(path, value) for path, value in params.items()})
        self.open = self.study.ask(self.distributions)

    def prune(self, rung: int, loss: float) -> bool:
        """Whether the open trial, having this loss at this rung (1 ... `RUNGS`), should end."""
        self.open.report(loss, rung)
        return rung < RUNGS and bool(self.open.should_prune())

    def end(self, state: str) -> dict[str, Any]:
        """The open trial ended; returns what the pruner remembers of it."""
        states = self.optuna.trial.TrialState
        frozen = self.study.trials[self.open.number]
        values = list(frozen.intermediate_values.values())
        last = values[-1] if values and state != "failed" else math.inf
        ends = {"done": states.COMPLETE, "pruned": states.PRUNED, "failed": states.COMPLETE}
        self.study.tell(self.open, None if state == "pruned" else last, state=ends[state])
        return {k: v for k, v in frozen.system_attrs.items() if not k.startswith("fixed_params")}

    def add(self, trial: Trial) -> None:
        """A trial of the journal."""
        states = self.optuna.trial.TrialState
        curve = dict(enumerate(trial.curve, start=1))
        self.study.add_trial(
            self.optuna.trial.create_trial(
                params={path: self._in(path, value) for path, value in trial.params.items()},
                distributions=self.distributions,
                value=trial.loss,
                intermediate_values=curve,
                state=states.PRUNED if trial.state == "pruned" else states.COMPLETE,
                system_attrs=trial.marks,
            )
        )

    def _distribution(self, dim: Dimension) -> Any:
        kinds = self.optuna.distributions
        if dim.kind == "choice":
            return kinds.CategoricalDistribution(tuple(range(len(dim.choices))))
        kind = kinds.IntDistribution if dim.kind == "int" else kinds.FloatDistribution
        return kind(dim.low, dim.high, log=dim.log)

    def _pruner(self, name: str) -> Any:
        kinds = self.optuna.pruners
        if name == "hyperband":  # Li et al. 2018
            return kinds.HyperbandPruner(min_resource=1, max_resource=RUNGS, reduction_factor=3)
        if name == "median":
            return kinds.MedianPruner(n_startup_trials=5, n_warmup_steps=FIRST_RUNG)
        return kinds.NopPruner()

    def _in(self, path: str, value: Any) -> Any:
        dim = self.dims[path]
        return dim.choices.index(value) if dim.kind == "choice" else value

    def _out(self, path: str, value: Any) -> Any:
        dim = self.dims[path]
        return dim.choices[value] if dim.kind == "choice" else value

"""Where settings are tried: the training rows in three parts, and a task's losses on a part that is held out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from pellucid.assemble import Assembly, Problem, assemble
from pellucid.core.errors import DataError
from pellucid.core.program import Program
from pellucid.core.random import derive
from pellucid.core.rows import Index, Rows
from pellucid.evidence.folds import review_split
from pellucid.nn.program import NetworkProgram
from pellucid.runs.dividing import cut_off
from pellucid.runs.outputs import outputs_table
from pellucid.runs.policies import greedy, on_rows, rollout
from pellucid.runs.splitting import labels_of, split
from pellucid.search import Params
from pellucid.spec.model import Spec
from pellucid.spec.searching import SearchSpec
from pellucid.store.store import Store

Floats = npt.NDArray[np.float64]
CHOOSE, CONFIRM = 2_000_003, 3_000_017  # first seeds of episodes, far from those of training and of the review


@dataclass(frozen=True)
class Parts:
    """The training rows in three: positions, or None for a program that only meets an environment."""

    train: Index | None
    both: Index | None  # train and choose
    choose: Rows | None
    confirm: Rows | None


def parts_of(prob: Problem, asked: SearchSpec, store: Store) -> Parts:
    if prob.rows is None:
        return Parts(None, None, None, None)
    index = split(prob, store).train
    both, confirm = _cut(prob, index, asked.confirm, "confirm")
    train, choose = _cut(prob, both, asked.choose / (1 - asked.confirm), "choose")
    return Parts(train, both, prob.rows.take(choose), prob.rows.take(confirm))


def _cut(prob: Problem, index: Index, share: float, name: str) -> tuple[Index, Index]:
    """(what stays, a share of it that is kept apart), as the spec divides rows: by time, group or class."""
    rows = prob.rows
    assert rows is not None
    seed = derive(prob.spec.seed, f"search/{name}")
    if rows.times is not None:
        fold = review_split(len(index), share=share, ordered=True, purge=prob.purge, seed=seed)
    else:
        labels = labels_of(prob)
        fold = cut_off(prob.spec, rows.take(index), None if labels is None else labels[index], share, seed)
    if not len(fold.train) or not len(fold.test):
        raise DataError(
            f"{len(index)} training rows cannot give up {share:.0%} to {name}.",
            where=f"search.{name}",
            mend="give more rows, or smaller shares",
        )
    return index[fold.train], index[fold.test]


@dataclass(frozen=True)
class Bench:
    """Where settings are tried: the data, the task that decides, the held-out part."""

    prob: Problem
    base: Spec
    task: str
    parts: Parts

    def build(self, params: Params, train: Index | None, seed: int) -> Callable[[], Assembly]:
        prob = replace(self.prob, spec=self.base.replace(params))
        return partial(assemble, prob, train, seed=seed)

    def judge(self, program: NetworkProgram) -> float:
        return float(self.losses(program, self.parts.choose, CHOOSE).mean())

    def losses(self, program: Program, rows: Rows | None, first: int) -> Floats:
        """Of the deciding task: a row each, or an episode each (minus its return)."""
        task = program.tasks[self.task]
        if on_rows(task):
            table = outputs_table(program, task, rows)
            losses = table["loss"].to_numpy(dtype=float)
            known = table["y"].notna().to_numpy() if "y" in table else np.ones(len(losses), dtype=bool)
            return np.asarray(losses[known], dtype=np.float64)
        seeds = range(first, first + self.base.evidence.episodes)
        options, clock = task.options.get("env_options"), task.options.get("clock")
        found = rollout(task.options["env"], greedy(program, task), seeds, options=options, clock=clock)
        return np.asarray(-found.returns, dtype=np.float64)

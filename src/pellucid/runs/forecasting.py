"""The future after the last value of each series: what a program of series is for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pellucid.assemble import Problem, problem
from pellucid.core.errors import DataError
from pellucid.core.program import Program
from pellucid.data.clock import labels_of
from pellucid.runs.artefact import load_program, load_spec
from pellucid.runs.outputs import answers
from pellucid.runs.progress import one_thread
from pellucid.spec.series import SeriesData
from pellucid.store.store import Store


def forecast(store: Store, ref: str, source: Any = None, program: Program | None = None) -> pd.DataFrame:
    """Quantiles of the steps after the last value of each series.

    Args:
        source: a DataFrame or path that replaces the spec's own: later values of the same series, say.
        program: that of the version, when it was read already.
    Returns:
        One row per series and step: series, origin (the last step seen), time, step (1, 2, ...), and a column per
        quantile (q10, q50, ...), in the target's units.
    Raises:
        DataError: the version forecasts no series.
    """
    entry = store.resolve(ref)
    spec = load_spec(store, entry)
    if not isinstance(spec.data, SeriesData):
        raise DataError(
            f"'{entry.ref}' was not learned from series.",
            where=f"forecast '{entry.ref}'",
            mend="a spec with data.kind: series makes a program that forecasts; predict(rows) answers for any other",
        )
    with one_thread():
        return newest(problem(spec, source), program or load_program(store, entry))


def newest(prob: Problem, program: Program) -> pd.DataFrame:
    """The forecasts of the last row of each series, see `forecast`."""
    rows = prob.rows
    assert rows is not None
    task = next(iter(program.tasks.values()))
    last = {int(code): i for i, code in enumerate(rows.extra["series"])}  # rows are in order of time
    index = np.asarray([last[code] for code in sorted(last)])
    chosen = rows.take(index)
    levels, horizon = task.options["quantiles"], int(task.options["horizon"])
    said = answers(program, task, chosen).reshape(-1, len(levels))
    origins, ahead = chosen.extra["step"], np.arange(1, horizon + 1)
    steps = (origins[:, None] + ahead).ravel()
    frame = pd.DataFrame(
        {
            "series": np.repeat([str(key).rpartition("/")[0] for key in chosen.keys], horizon),
            "origin": np.repeat(labels_of(origins, prob.frequency), horizon),
            "time": labels_of(steps, prob.frequency),
            "step": np.tile(ahead, len(chosen)),
        }
    )
    return frame.assign(**{f"q{100 * level:02g}": said[:, j] for j, level in enumerate(levels)})

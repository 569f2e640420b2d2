"""The data of a fit, read with progress; rows that could not be read are kept in the store's quarantine."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from pellucid.assemble import Problem, problem
from pellucid.runs.progress import Reporter
from pellucid.spec.model import Spec
from pellucid.store.files import make_folder, write_atomic
from pellucid.store.store import Store

STEPS = 1000  # of the bar


def read_problem(spec: Spec, source: Any, store: Store, reporter: Reporter) -> Problem:
    """As `assemble.problem`, for a store: `<store>/quarantine/<name>.jsonl` holds the rows that were set aside."""
    prob = problem(spec, source, _Bar(reporter))
    file = store.root / "quarantine" / f"{spec.name}.jsonl"
    if not prob.quarantine:
        file.unlink(missing_ok=True)  # of an earlier fit
        return prob
    make_folder(file.parent)
    write_atomic(file, prob.quarantined.encode())
    told = f"the rows that were set aside are in {file.relative_to(store.root.parent)}"
    return replace(prob, notes=(*prob.notes, told))


class _Bar:
    """A stage of the progress, once it shows that reading takes more than one piece."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter, self.begun = reporter, False

    def __call__(self, share: float, rows: int) -> None:
        if math.isnan(share) or (share >= 1 and not self.begun):
            return
        if not self.begun:
            self.reporter.stage("read", STEPS)
            self.begun = True
        self.reporter.advance(int(STEPS * min(share, 1.0)), f"{rows:,} rows")

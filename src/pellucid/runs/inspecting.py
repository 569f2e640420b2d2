"""What can be asked of a program beside Shapley values: one method a question, of ours and of wrapped ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from pellucid.core.errors import DataError
from pellucid.core.program import Program
from pellucid.core.rows import Rows
from pellucid.core.schema import PARTS, Grain
from pellucid.evidence.metrics import resolve, row_losses
from pellucid.explain import (
    Counterfactuals,
    Dependence,
    Importance,
    Interactions,
    Limits,
    LocalFit,
    Rule,
    Surrogate,
    accumulated_effects,
    counterfactuals,
    find_rules,
    fit_lime,
    fit_surrogate,
    pair_interactions,
    partial_dependence,
    permutation_importance,
)
from pellucid.explain.estimate import Progress
from pellucid.runs.artefact import load_program, load_rows, load_spec
from pellucid.runs.explaining import last_row, own_rows, pick, rows_asked, rows_given
from pellucid.runs.live import live_rows
from pellucid.runs.progress import Reporter, Silent, one_thread
from pellucid.store.store import Store

Given = Rows | pd.DataFrame | None
Named = str | Sequence[str]
MOST = 2000  # reference rows over which is averaged
BACKGROUND = 100  # reference rows of an interaction's game


class Inspector:
    """Questions to one program.

    Args:
        program: ours or a wrapped one.
        reference: task -> real rows: training data without the review rows; for a policy, states that it visits.
        asked: (task, rows given, names) -> the rows that are asked about.
        seed: by default, of every question.
        reporter: told how far an answer is.
    """

    def __init__(
        self,
        program: Program,
        reference: Callable[[str], Rows],
        asked: Callable[[str, Given, Sequence[str]], Rows],
        seed: int = 0,
        reporter: Reporter | None = None,
    ) -> None:
        self.program, self._reference, self._asked, self.seed = program, reference, asked, seed
        self._reporter = reporter or Silent()

    def counterfactuals(
        self,
        rows: Given = None,
        *,
        at: Named = (),
        task: str | None = None,
        to: str | tuple[float | None, float | None] | None = None,
        output: str | None = None,
        n: int = 3,
        limits: Limits | None = None,
    ) -> list[Counterfactuals]:
        """What would have to be different for another answer; see `explain.counterfactuals`."""
        name = self._task(task)
        with one_thread():
            return counterfactuals(
                self.program,
                self._rows(name, rows, at),
                name,
                reference=self._reference(name),
                to=to,
                output=output,
                n=n,
                limits=limits,
                seed=self.seed,
                progress=self._progress("counterfactuals"),
            )

    def lime(
        self,
        rows: Given = None,
        *,
        at: Named = (),
        task: str | None = None,
        around: Literal["instance", "data"] = "instance",
        samples: int = 2000,
        grain: Literal["group", "part"] = "group",
        parts: int = PARTS,
    ) -> LocalFit:
        """Linear fits around rows; see `explain.fit_lime`."""
        name = self._task(task)
        asked, reference = self._rows(name, rows, at), self._reference(name)
        with one_thread():
            return fit_lime(
                self.program,
                asked,
                name,
                reference=reference,
                around=around,
                samples=samples,
                grain=grain,
                parts=parts,
                seed=self.seed,
                progress=self._progress("linear fits"),
            )

    def rules(
        self,
        rows: Given = None,
        *,
        at: Named = (),
        task: str | None = None,
        precision: float = 0.95,
        most: int = 5,
        within: float | None = None,
    ) -> list[Rule]:
        """Rules that hold the answer in place; see `explain.find_rules`."""
        name = self._task(task)
        asked, reference = self._rows(name, rows, at), self._reference(name)
        with one_thread():
            return find_rules(
                self.program,
                asked,
                name,
                reference=reference,
                precision=precision,
                most=most,
                within=within,
                seed=self.seed,
                progress=self._progress("rules"),
            )

    def interactions(
        self,
        rows: Given = None,
        *,
        at: Named = (),
        task: str | None = None,
        grain: Grain = "group",
        parts: int = PARTS,
        passes: int = 4,
    ) -> Interactions:
        """What pairs of fields do together; see `explain.pair_interactions`."""
        name = self._task(task)
        asked, background = self._rows(name, rows, at), _thinned(self._reference(name), BACKGROUND)
        with one_thread():
            return pair_interactions(
                self.program,
                asked,
                name,
                background=background,
                grain=grain,
                parts=parts,
                passes=passes,
                seed=self.seed,
                progress=self._progress("interactions"),
            )

    def dependence(
        self, field: str, *, task: str | None = None, ale: bool = False, points: int = 30, rows: Given = None
    ) -> Dependence:
        """The outputs over one field: partial dependence, or accumulated local effects with `ale`."""
        name = self._task(task)
        over = _thinned(self._reference(name) if rows is None else self._rows(name, rows, ()), MOST)
        with one_thread():
            if ale:
                return accumulated_effects(self.program, over, name, field, bins=points)
            return partial_dependence(self.program, over, name, field, points=points, seed=self.seed)

    def surrogate(self, *, task: str | None = None, leaves: int = 8) -> Surrogate:
        """A small tree in the place of the program; see `explain.fit_surrogate`."""
        name = self._task(task)
        with one_thread():
            return fit_surrogate(
                self.program, _thinned(self._reference(name), 5 * MOST), name, leaves=leaves, seed=self.seed
            )

    def importance(
        self,
        rows: Rows | None = None,
        *,
        target: str | None = None,
        task: str | None = None,
        repeats: int = 5,
        grain: Grain = "field",
        parts: int = PARTS,
    ) -> Importance:
        """How much the task's metric worsens when a field is shuffled; see `explain.permutation_importance`.

        Args:
            rows: with their truth, best rows that no training has seen; by default the reference's.
            target: the truth's name among the rows' targets, when there are several.
            repeats, grain, parts: as there.
        Raises:
            DataError: the truth is not known.
        """
        name = self._task(task)
        declared = self.program.tasks[name]
        labelled = self._reference(name) if rows is None else rows
        label = target or str(declared.options.get("target", name))
        if label not in labelled.targets:
            there = ", ".join(labelled.targets) or "none"
            raise DataError(
                f"the rows of task '{name}' have no truth '{label}'; they have {there}.",
                where="inspect().importance(...)",
                mend="give rows with targets; of policies, explain the outputs instead",
            )
        labelled = _thinned(_with_truth(labelled, label), MOST)
        y = labelled.targets[label]
        with one_thread():
            return permutation_importance(
                self.program,
                replace(labelled, targets={}),
                name,
                loss=lambda outputs: row_losses(declared, y, outputs),
                unit=resolve(declared.metric).unit,
                repeats=repeats,
                grain=grain,
                parts=parts,
                seed=self.seed,
                progress=self._progress("importance"),
            )

    def _progress(self, stage: str) -> Progress:
        """A stage that begins with the first word of it, which says how long it is."""
        begun: list[int] = []

        def tell(done: int, total: int) -> None:
            if not begun:
                begun.append(total)
                self._reporter.stage(stage, total)
            self._reporter.advance(done)

        return tell

    def _task(self, name: str | None) -> str:
        return name or next(iter(self.program.tasks))

    def _rows(self, name: str, rows: Given, at: Named) -> Rows:
        return self._asked(name, rows, [at] if isinstance(at, str) else list(at))


def stored(
    store: Store, ref: str, *, source: Any = None, seed: int | None = None, reporter: Reporter | None = None
) -> Inspector:
    """Questions to a version in a store; rows are named as in `explain`."""
    entry = store.resolve(ref)
    program, spec = load_program(store, entry), load_spec(store, entry)
    blobs: dict[str, str] = entry.manifest["blobs"]
    reviewed = frozenset(store.review_keys(entry.name) or ())
    read: list[Rows | None] = []

    def own() -> Rows | None:
        if not read:
            read.append(own_rows(program, spec, source))
        return read[0]

    def pool(name: str) -> Rows:
        program.task(name)
        return rows_asked(program, name, own(), load_rows(store, blobs[f"background/{name}"]))

    def reference(name: str) -> Rows:
        rows = pool(name)
        kept = np.asarray([str(key) not in reviewed for key in rows.keys])
        return rows.take(kept) if kept.any() else rows

    def asked(name: str, rows: Given, at: Sequence[str]) -> Rows:
        program.task(name)
        if rows is not None:
            given = rows_given(program, name, rows)
            return pick(given, at) if at else given
        every = pool(name)
        return pick(every, at or last_row(every, reviewed))

    return Inspector(program, reference, asked, spec.seed if seed is None else seed, reporter)


def live(program: Program, reference: Rows | pd.DataFrame, *, target: str | None = None, seed: int = 0) -> Inspector:
    """Questions to a program at hand, against reference rows that are given."""
    known = live_rows(program, reference, target)

    def asked(name: str, rows: Given, at: Sequence[str]) -> Rows:
        given = known if rows is None else live_rows(program, rows)
        return pick(given, at) if at else given if rows is not None else given.take(slice(0, 1))

    return Inspector(program, lambda name: known, asked, seed)


def _thinned(rows: Rows, most: int) -> Rows:
    """At most so many rows, evenly spaced."""
    return rows if len(rows) <= most else rows.take(np.linspace(0, len(rows) - 1, most).astype(int))


def _with_truth(rows: Rows, label: str) -> Rows:
    y = rows.targets[label]
    return rows if y.dtype.kind != "f" else rows.take(np.isfinite(y.reshape(len(rows), -1)).all(1))

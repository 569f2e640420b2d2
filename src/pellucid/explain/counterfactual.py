"""Counterfactuals: what would have to be different for the program to answer differently (Wachter et al. 2017).

Answers are near (in median absolute deviations), sparse, within the observed ranges and on the data's own grid (whole
numbers stay whole), respect what must not change, and are checked on the program itself, as they are shown. A row of
the reference is never handed out unless that is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError
from pellucid.core.program import Program
from pellucid.core.random import stream
from pellucid.core.rows import Rows
from pellucid.explain.columns import Array, Columns, shown
from pellucid.explain.estimate import Progress
from pellucid.explain.further import further
from pellucid.explain.goal import Goal, Wanted, choices_of, goal_for
from pellucid.explain.search import cost, find
from pellucid.explain.space import Limits, Space

if TYPE_CHECKING:
    import pandas as pd

WHERE = "explain.counterfactuals(...)"
SEARCHED = 5000  # reference rows among which donors are looked for
BEYOND = 1e-3  # of the way to another decision that an answer must go on: none hangs on a rounding error
PLAUSIBLE = 0.05  # least share of real rows that are as lonely as a plausible answer


@dataclass(frozen=True)
class Change:
    """One field, lag group or value that an answer changes; before and after as a person reads them."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, eq=False)
class Answer:
    """One counterfactual.

    Args:
        changes: what is different.
        outputs: of the program there, shape (k,).
        distance: sum over the changes, in median absolute deviations of the field; another category counts 1.
        support: share of real rows that lie at least as far from their nearest neighbour as this answer does.
    """

    changes: tuple[Change, ...]
    outputs: Array
    distance: float
    support: float

    @property
    def plausible(self) -> bool:
        """As near to a real row as at least one real row in twenty."""
        return self.support >= PLAUSIBLE


@dataclass(frozen=True, eq=False)
class Counterfactuals:
    """The answers for one row, best first.

    Args:
        key, task, goal, outputs, unit: what was asked, in words.
        before: outputs of the row itself, shape (k,).
        answers: fewer than were asked for, or none, when no more ways were found; `note` then says so.
        rows: the answers as rows, to be asked about further.
        reference_n, evaluations, seed: how they were found.
    """

    key: str
    task: str
    goal: str
    outputs: tuple[str, ...]
    unit: str
    before: Array
    answers: tuple[Answer, ...]
    rows: Rows
    note: str
    reference_n: int
    evaluations: int
    seed: int

    def to_frame(self) -> pd.DataFrame:
        """One line per change: answer, field, before, after."""
        import pandas as pd

        lines = [(i, c.name, c.before, c.after) for i, a in enumerate(self.answers) for c in a.changes]
        return pd.DataFrame(lines, columns=["answer", "field", "before", "after"])

    def to_json(self) -> dict[str, Any]:
        answers = [
            {
                "changes": [{"name": c.name, "before": c.before, "after": c.after} for c in a.changes],
                "outputs": a.outputs.tolist(),
                "distance": a.distance,
                "support": a.support,
                "plausible": a.plausible,
            }
            for a in self.answers
        ]
        said = {name: getattr(self, name) for name in _SAID}
        return {"kind": "counterfactuals", **said, "outputs": list(self.outputs), "before": self.before.tolist()} | {
            "answers": answers
        }

    def text(self) -> str:
        """A few lines for the terminal."""
        lines = [f"{self.task}: {self.key}, to {self.goal}"]
        for i, answer in enumerate(self.answers):
            said = "; ".join(f"{c.name}: {_said(c.before)} -> {_said(c.after)}" for c in answer.changes)
            like = "" if answer.plausible else ", unlike any row seen"
            lines.append(f"  {i + 1}. {said}  (distance {answer.distance:.3g}{like})")
        lines += [f"  {self.note}"] if self.note else []
        lines.append(f"  {self.reference_n} reference rows; {self.evaluations} evaluations; seed {self.seed}")
        return "\n".join(lines)


_SAID = ("key", "task", "goal", "unit", "note", "reference_n", "evaluations", "seed")


def counterfactuals(
    program: Program,
    rows: Rows,
    task: str,
    *,
    reference: Rows,
    to: Wanted = None,
    output: str | None = None,
    n: int = 3,
    limits: Limits | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Counterfactuals]:
    """Counterfactuals of every row.

    Args:
        rows: the rows that are asked about.
        task: one of the program's tasks.
        reference: real rows, training data as a rule: they give ranges, scales and what is plausible.
        to: the class or action wanted, or (low, high) of a number, either end None; None: the runner-up.
        output: which output the range is about; by default the answer (the median of quantiles).
        n: answers a row; they change different sets of fields where there are such.
        limits: what must not change, or only in one direction, and so on.
        progress: told (rows done, rows in all).
    Returns:
        one `Counterfactuals` a row; a row that already is as wanted has no answers and says so.
    Raises:
        SchemaError: unknown task, field, class or output.
        SpecError: limits that contradict themselves or the schema.
        DataError: an empty reference, n < 1, or nothing that may change.
    """
    columns = Columns(program, task, where=WHERE)
    known = columns.reference(reference)
    limits = limits or Limits()
    space = Space(columns, known, limits)
    if n < 1 or not space.units:
        what = f"{n} answers were asked for." if n < 1 else "nothing may change: every field is kept or has one value."
        raise DataError(what, where=WHERE, mend="ask for one at least" if n < 1 else "keep fewer fields")
    pool = known[np.linspace(0, len(known) - 1, min(len(known), SEARCHED)).astype(int)]
    pool_outputs = columns.outputs(pool)
    asked = columns.matrix(rows)
    before = columns.outputs(asked)
    found = []
    for i, key in enumerate(str(k) for k in rows.keys):
        spent = columns.evaluations
        goal = goal_for(columns.task, before[i], to, output=output, where=WHERE)
        donors = pool[goal.margin(pool_outputs) >= 0]
        answers, note = _answers(
            space, asked[i], before[i], goal, donors, n, stream(seed, f"explain/counterfactual/{key}")
        )
        found.append(_told(space, key, goal, asked[i], before[i], answers, note, columns.evaluations - spent, seed))
        if progress is not None:
            progress(i + 1, len(rows))
    return found


def _answers(
    space: Space, x: Array, before: Array, goal: Goal, donors: Array, n: int, generator: np.random.Generator
) -> tuple[Array, str]:
    """The chosen answers, shape (at most n, c), and what is to be said about them."""
    now = float(goal.margin(before[None])[0])
    if now > 0 or (now == 0 and not goal.strict):
        return np.empty((0, len(x))), "the row already is as wanted"
    least = (BEYOND * abs(now) or 1e-9) if goal.strict else 0.0

    def margin(rows: Array) -> Array:
        return goal.margin(space.columns.outputs(rows)) - least if len(rows) else np.empty(0)

    near = donors[np.argsort(space.costs(donors, x).sum(1), kind="stable")]

    def search(part: Space) -> Array:
        found = find(part, x, margin, near, n, generator)
        found = found[margin(found) >= 0]  # once more, as they are
        if part.limits.training_rows:
            return found
        own = [row.tobytes() not in space.verbatim for row in np.nan_to_num(found, nan=1e300) + 0.0]
        return found[np.asarray(own, dtype=np.bool_)]

    found = further(space, x, search, n)
    if not len(found):
        why = "no reference row is" if not len(donors) else "real rows are, but not within the limits"
        return found, f"nothing found: {why} as wanted"
    price = cost(space, found, x) * (1.0 + space.excess(found))
    chosen = _different(space.ways(found, x), price, n)
    few = f"{len(chosen)} of {n}: no further way was found" if len(chosen) < n else ""
    return found[chosen], few


def _different(ways: npt.NDArray[np.int64], price: Array, n: int) -> list[int]:
    """n answers, the cheapest first; one costs as much more as its changes are those of another one."""
    chosen: list[int] = []
    left = list(range(len(price)))
    overlap = np.zeros(len(price))
    while left and len(chosen) < n:
        best = min(left, key=lambda i: (price[i] * (1.0 + overlap[i]), i))
        chosen.append(best)
        both, either = (ways == ways[best]) & (ways != 0), (ways != 0) | (ways[best] != 0)
        same = both.sum(1) / np.maximum(1, either.sum(1))
        overlap = np.maximum(overlap, same)
        left = [i for i in left if i != best and same[i] < 1.0]
    return chosen


def _told(
    space: Space, key: str, goal: Goal, x: Array, before: Array, answers: Array, note: str, spent: int, seed: int
) -> Counterfactuals:
    task = space.columns.task
    costs = space.costs(answers, x)
    outputs, support = space.columns.outputs(answers), space.support(answers)
    told = []
    for row, parts, out, near in zip(answers, costs, outputs, support, strict=True):
        changed = [space.units[u] for u in np.argsort(-parts, kind="stable")[: int((parts > 0).sum())]]
        changes = tuple(Change(u.name, shown(u, x[u.columns]), shown(u, row[u.columns])) for u in changed)
        told.append(Answer(changes, out, float(parts.sum()), float(near)))
    keys: Sequence[str] = [f"{key}/counterfactual={i}" for i in range(len(answers))]
    return Counterfactuals(
        key=key,
        task=task.name,
        goal=goal.text,
        outputs=task.outputs,
        unit=task.unit,
        before=before,
        answers=tuple(told),
        rows=space.columns.rows(answers, keys),
        note=note,
        reference_n=len(space.reference),
        evaluations=spent,
        seed=seed,
    )


def _said(value: Any) -> str:
    if isinstance(value, list):
        return f"[{value[0]:.3g} ... {value[-1]:.3g}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


__all__ = ["Answer", "Change", "Counterfactuals", "Limits", "Wanted", "choices_of", "counterfactuals"]

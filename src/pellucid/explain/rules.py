"""Rules that hold a decision in place: anchors (Ribeiro et al. 2018).

A rule is a conjunction of conditions that the row meets. Its precision is the share of rows, drawn from the reference
with the rule's fields drawn among values that meet it, on which the program answers as on the row. Rules grow by a
beam; the best of each length are told apart by KL-LUCB (Kaufmann & Kalyanakrishnan 2013); of those that are precise
enough the one that most reference rows meet is taken. Its precision is then measured once more, on rows that chose
nothing, and told with a lower bound (Clopper & Pearson 1934).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from pellucid.core.errors import DataError
from pellucid.core.program import Program
from pellucid.core.random import stream
from pellucid.core.rows import Rows
from pellucid.explain.columns import Array, Columns, Unit, number
from pellucid.explain.estimate import Progress
from pellucid.explain.goal import choices_of, decisions

WHERE = "explain.find_rules(...)"
BEAM = 4
BATCH = 100
DELTA = 0.05  # that a set of best rules is the wrong one
SLACK = 0.1  # precisions that are so near each other are not told apart
MOST_ROUNDS = 60
FRESH = 2000  # rows on which the chosen rule is measured


@dataclass(frozen=True, eq=False)
class Rule:
    """What keeps a row's answer where it is.

    Args:
        key, task, answer: the row, and what the program says there, in words.
        conditions: all of them hold on the row; none: the answer is the same nearly everywhere.
        precision, low: share of fresh rows that meet the rule on which the answer is the same, and its lower bound.
        coverage: share of reference rows that meet the rule.
        wanted: the precision that was asked for; `found` says whether the lower bound reaches it.
        confidence, reference_n, evaluations, seed: how it was made.
    """

    key: str
    task: str
    answer: str
    conditions: tuple[str, ...]
    precision: float
    low: float
    coverage: float
    wanted: float
    confidence: float
    reference_n: int
    evaluations: int
    seed: int

    @property
    def found(self) -> bool:
        return self.low >= self.wanted

    def to_json(self) -> dict[str, Any]:
        names = ("key", "task", "answer", "precision", "low", "coverage", "wanted", "confidence", *_COUNTS)
        said = {name: getattr(self, name) for name in names}
        return {"kind": "rule", **said, "conditions": list(self.conditions), "found": self.found}

    def text(self) -> str:
        """A few lines for the terminal."""
        rule = " and ".join(self.conditions) or "always"
        lines = [f"{self.task}: {self.key}", f"  if {rule}: {self.answer}"]
        sure = f"at least {self.low:.1%} at {self.confidence:.0%}"
        lines.append(
            f"  precision {self.precision:.1%} ({sure}), met by {self.coverage:.1%} of {self.reference_n} rows"
        )
        if not self.found:
            lines.append(f"  no rule of precision {self.wanted:.0%} was found; this is the most precise one")
        return "\n".join([*lines, f"  {self.evaluations} evaluations; seed {self.seed}"])


_COUNTS = ("reference_n", "evaluations", "seed")


@dataclass(frozen=True, eq=False)
class _Condition:
    """One condition: its unit, its words, which reference rows meet it (N,), and their positions."""

    unit: int
    text: str
    met: npt.NDArray[np.bool_]
    rows: npt.NDArray[np.int64]


@dataclass(eq=False)
class _Arm:
    """A rule under test."""

    conditions: tuple[int, ...]
    coverage: float
    tried: int = 0
    same: int = 0
    bounds: tuple[float, float] = field(default=(0.0, 1.0))

    @property
    def mean(self) -> float:
        return self.same / self.tried if self.tried else 0.0


def find_rules(
    program: Program,
    rows: Rows,
    task: str,
    *,
    reference: Rows,
    precision: float = 0.95,
    most: int = 5,
    within: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Rule]:
    """A rule for every row.

    Args:
        reference: real rows; quarters of numbers, categories, and the rows that are drawn.
        precision: that the lower bound is to reach.
        most: conditions of a rule.
        within: of a number, what counts as the same answer: so far from the row's, in the output's unit; by default
            half a standard deviation over the reference.
    Raises:
        SchemaError: unknown task.
        DataError: an empty reference, or a precision outside (0, 1).
    """
    if not 0 < precision < 1 or most < 1:
        raise DataError(
            f"precision {precision} of at most {most} conditions.", where=WHERE, mend="0 < precision < 1, most >= 1"
        )
    columns = Columns(program, task, where=WHERE)
    known, units = columns.reference(reference), columns.units()
    usual = columns.outputs(known)
    asked = columns.matrix(rows)
    answers = columns.outputs(asked)
    found = []
    for i, key in enumerate(str(k) for k in rows.keys):
        spent = columns.evaluations
        same, said = _answer(columns, answers[i], usual, within)
        game = _Search(columns, known, units, asked[i], same, stream(seed, f"explain/rules/{key}"))
        arm = game.best(precision, most)
        right = int(game.draw(arm, FRESH).sum())
        low = float(betaincinv(right, FRESH - right + 1, DELTA)) if right else 0.0
        found.append(
            Rule(
                key=key,
                task=task,
                answer=said,
                conditions=tuple(game.conditions[c].text for c in arm.conditions),
                precision=right / FRESH,
                low=low,
                coverage=arm.coverage,
                wanted=precision,
                confidence=1 - DELTA,
                reference_n=len(known),
                evaluations=columns.evaluations - spent,
                seed=seed,
            )
        )
        if progress is not None:
            progress(i + 1, len(rows))
    return found


def _answer(columns: Columns, now: Array, usual: Array, within: float | None) -> tuple[Any, str]:
    """Whether outputs (n, k) are the same answer as `now`, and that answer in words."""
    choices = choices_of(columns.task)
    if choices:
        own = int(decisions(columns.task, now[None])[0])
        noun = "class" if columns.task.kind == "classify" else "action"
        return lambda outputs: decisions(columns.task, outputs) == own, f"{noun} {choices[own]}"
    at = columns.task.answer
    reach = 0.5 * float(usual[:, at].std()) if within is None else within
    name = columns.task.outputs[at]
    return lambda outputs: np.abs(outputs[:, at] - now[at]) <= reach, f"{name} {now[at]:.4g} ± {reach:.2g}"


class _Search:
    """The beam for one row."""

    def __init__(
        self, columns: Columns, known: Array, units: list[Unit], x: Array, same: Any, generator: np.random.Generator
    ) -> None:
        self.columns, self.known, self.units, self.same, self.generator = columns, known, units, same, generator
        self.conditions = [c for i, unit in enumerate(units) for c in _conditions(i, unit, known, x)]

    def draw(self, arm: _Arm, n: int) -> npt.NDArray[np.bool_]:
        """On which of n rows drawn under the rule the answer is the same."""
        found: npt.NDArray[np.bool_] = self._drawn([arm], n)[0]
        return found

    def _drawn(self, arms: list[_Arm], n: int) -> npt.NDArray[np.bool_]:
        made = self.known[self.generator.integers(len(self.known), size=(len(arms), n))]
        for a, arm in enumerate(arms):
            for c in arm.conditions:
                condition = self.conditions[c]
                at = self.units[condition.unit].columns
                donors = condition.rows[self.generator.integers(len(condition.rows), size=n)]
                made[a][:, at] = self.known[np.ix_(donors, at)]
        answers = self.same(self.columns.outputs(made.reshape(-1, made.shape[-1])))
        return np.asarray(answers, dtype=np.bool_).reshape(len(arms), n)

    def _try(self, arms: list[_Arm]) -> None:
        for arm, right in zip(arms, self._drawn(arms, BATCH), strict=True):
            arm.tried += BATCH
            arm.same += int(right.sum())

    def best(self, precision: float, most: int) -> _Arm:
        """The precise rule that most rows meet, else the most precise one."""
        empty = _Arm((), 1.0)
        self._try([empty])
        beam, best = [empty], empty
        if self._precise(empty, precision):
            return empty
        for _ in range(most):
            arms = self._grown(beam)
            if not arms:
                break
            beam = self._top(arms)
            best = max([best, *beam], key=lambda arm: arm.mean)
            good = [arm for arm in beam if self._precise(arm, precision)]
            if good:
                return max(good, key=lambda arm: (arm.coverage, arm.mean))
        return best

    def _grown(self, beam: list[_Arm]) -> list[_Arm]:
        found: dict[tuple[int, ...], _Arm] = {}
        for arm in beam:
            used = {self.conditions[c].unit for c in arm.conditions}
            for c, condition in enumerate(self.conditions):
                chosen = tuple(sorted((*arm.conditions, c)))
                if condition.unit not in used and chosen not in found:
                    met = np.logical_and.reduce([self.conditions[i].met for i in chosen])
                    found[chosen] = _Arm(chosen, float(met.mean()))
        return list(found.values())

    def _top(self, arms: list[_Arm]) -> list[_Arm]:
        """The `BEAM` most precise, by KL-LUCB: the two arms at the border are tried until they are told apart."""
        self._try(arms)
        count = min(BEAM, len(arms))
        for turn in range(1, MOST_ROUNDS + 1):
            order = sorted(arms, key=lambda arm: -arm.mean)
            rate = np.log(405.5 * len(arms) * turn**1.1 / DELTA)
            for arm in arms:
                arm.bounds = _kl_bounds(arm.mean, rate / arm.tried)
            if count == len(arms):
                break
            weakest = min(order[:count], key=lambda arm: arm.bounds[0])
            rival = max(order[count:], key=lambda arm: arm.bounds[1])
            if rival.bounds[1] - weakest.bounds[0] < SLACK:
                break
            self._try([weakest, rival])
        return sorted(arms, key=lambda arm: -arm.mean)[:count]

    def _precise(self, arm: _Arm, precision: float) -> bool:
        """Tries the rule until its bound lies on one side of the precision that is wanted."""
        for _ in range(MOST_ROUNDS):
            low, high = _kl_bounds(arm.mean, np.log(1 / DELTA) / arm.tried)
            if low >= precision:
                return True
            if high < precision:
                return False
            self._try([arm])
        return False


def _kl_bounds(mean: float, level: float) -> tuple[float, float]:
    """The least and the largest q with kl(mean, q) <= level, by bisection."""

    def apart(q: float) -> float:
        p, q = min(max(mean, 1e-12), 1 - 1e-12), min(max(q, 1e-12), 1 - 1e-12)
        return float(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))

    ends = []
    for end in (0.0, 1.0):
        inside, outside = mean, end
        for _ in range(30):
            middle = 0.5 * (inside + outside)
            inside, outside = (middle, outside) if apart(middle) <= level else (inside, middle)
        ends.append(inside)
    return ends[0], ends[1]


def _conditions(index: int, unit: Unit, known: Array, x: Array) -> list[_Condition]:
    """What the row meets in one unit: its category, or its quarter and the half-lines that end there."""
    own, column = x[unit.columns], known[:, unit.columns[0]]
    if unit.kind == "block" or not np.isfinite(own).all():
        return []
    value = float(own[0])
    if unit.kind == "category":
        tests = [(f"{unit.name} = {unit.field.categories[int(value)]}", column == value)]
    else:
        there = column[np.isfinite(column)]
        cuts = np.unique(np.quantile(there, [0.25, 0.5, 0.75], method="inverted_cdf")) if len(there) else np.empty(0)
        low = max((float(c) for c in cuts if c < value), default=-np.inf)
        high = min((float(c) for c in cuts if c >= value), default=np.inf)
        below, above = (number(unit.field.as_read(end)) if np.isfinite(end) else "" for end in (low, high))
        tests = []
        if below:
            tests.append((f"{unit.name} > {below}", column > low))
        if above:
            tests.append((f"{unit.name} <= {above}", column <= high))
        if below and above:
            tests.append((f"{below} < {unit.name} <= {above}", (column > low) & (column <= high)))
    return [_Condition(index, text, met, np.flatnonzero(met)) for text, met in tests if 0 < met.sum() < len(met)]

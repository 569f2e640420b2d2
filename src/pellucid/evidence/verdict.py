"""What the losses allow one to say about a program, in one word and in one sentence.

Skill is claimed only when the paired interval lies on the better side against *every* naive baseline. That is an
intersection-union test (Berger 1982, Technometrics 24:295): the null hypothesis "some naive baseline is at least as
good" is rejected only if each part is, which keeps the level of the single tests without a correction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError
from pellucid.core.task import Task
from pellucid.evidence.baselines import resolve, spoken
from pellucid.evidence.finance import DAYS
from pellucid.evidence.intervals import Floats, finite
from pellucid.evidence.metrics import resolve as metric_named
from pellucid.evidence.paired import Comparison, compare

__all__ = ["Judgement", "Margin", "Verdict", "judge", "margin_for"]

Verdict = Literal["better", "equivalent", "worse", "no skill shown", "skill shown"]


@dataclass(frozen=True)
class Margin:
    """The difference that does not matter.

    Args:
        value: 0.01 is 1 %.
        of: `loss`: a share of the baseline's mean loss; `year`: annualised net return, for daily trading losses;
            `nat`: of a log-density, whose zero depends on the target's unit: 0.01 is 1 % of the density.
    """

    value: float
    of: Literal["loss", "year", "nat"] = "loss"

    def absolute(self, losses: Floats) -> float:
        """In units of the loss of one row."""
        if self.of == "nat":
            return self.value
        return self.value / DAYS if self.of == "year" else self.value * abs(float(losses.mean()))

    def __str__(self) -> str:
        if self.of == "nat":
            return f"{self.value:g} nat"
        return f"{self.value * 100:g} %" + (" a year" if self.of == "year" else "")


def margin_for(task: Task, value: float) -> Margin:
    """Of the annual net return for a task with trading costs (`options.cost_bps`), else of the baseline's loss."""
    if task.form == "distribution":
        return Margin(value, "nat")
    return Margin(value, "year" if "cost_bps" in task.options else "loss")


@dataclass(frozen=True)
class Judgement:
    """A verdict, and the comparisons behind it.

    Args:
        skill: better than every naive baseline.
        against: baseline -> comparison of the program (candidate) with it (base).
        best: the baseline with the lowest mean loss.
    """

    verdict: Verdict
    sentence: str
    skill: bool
    best: str
    against: Mapping[str, Comparison] = field(default_factory=dict)


def judge(
    losses: npt.ArrayLike,
    baselines: Mapping[str, npt.ArrayLike],
    roles: Mapping[str, str] | None = None,
    *,
    task: Task,
    block: float = 1,
    margin: float | Margin = 0.01,
    seed: int = 0,
    constant: bool = False,
) -> Judgement:
    """Is there skill, and is it worth its while?

    1. Skill: better than every naive baseline, each by a paired 95 % interval and no margin. If not: `worse` when
       the naive baseline with the lowest loss is better than the program by its interval, else `no skill shown`.
    2. With skill, the program is compared with the baseline of lowest loss, naive or not: `better`, `equivalent`
       (within the margin, see `compare`), `worse`, or `skill shown` when that comparison is undecided. Choosing the
       lowest on the same rows favours the baseline slightly.

    Args:
        losses: the program's, shape (n,), in time order when `block` > 1.
        baselines: name -> losses of the same rows.
        roles: name -> "naive" or "model"; looked up in `baselines.ALL` when None.
        margin: a number is read by `margin_for`.
        constant: the program's answer never changes (see `metrics.is_constant`). A constant cannot show skill,
            however lucky it was on these rows.
    Raises:
        DataError: no naive baseline, unequal lengths, or a loss that is not finite.
    """
    own = finite(losses, where=f"losses of task '{task.name}'")
    others = {name: finite(values, where=f"losses of baseline '{name}'") for name, values in baselines.items()}
    role = {name: resolve(task.form, name).role for name in others} if roles is None else dict(roles)
    naive = [name for name in others if role[name] == "naive"]
    if not naive:
        raise DataError(
            f"task '{task.name}' has no naive baseline, so skill cannot be judged.",
            where="judge(baselines=...)",
            mend="add one, e.g. 'mean', 'majority', 'cash' or 'random'",
        )
    width = margin if isinstance(margin, Margin) else margin_for(task, margin)

    def against(name: str, tolerance: float) -> Comparison:
        label = f"{task.name}/{name}"
        return compare(others[name], own, block=block, margin=tolerance, seed=seed, name=label)

    plain = {name: against(name, 0.0) for name in others}
    best = min(others, key=lambda name: float(others[name].mean()))
    say = _Phrases(task, width, others)
    unbeaten = [name for name in naive if plain[name].verdict != "better"]
    if constant or unbeaten:
        lowest = min(naive, key=lambda name: float(others[name].mean()))
        worse = plain[lowest].verdict == "worse"
        hardest = min(unbeaten or naive, key=lambda name: float(others[name].mean()))
        text = say.no_skill(lowest if worse else hardest, plain, worse=worse, constant=constant)
        return Judgement("worse" if worse else "no skill shown", text, False, best, plain)
    final = against(best, width.absolute(others[best]))
    verdict: Verdict = "skill shown" if final.verdict == "undecided" else final.verdict
    return Judgement(verdict, say.skill(naive, best, final), True, best, plain)


@dataclass(frozen=True)
class _Phrases:
    """Sentences for a person; differences as net return for trading, as a share of the baseline's loss otherwise."""

    task: Task
    margin: Margin
    others: Mapping[str, Floats]

    def no_skill(self, name: str, plain: Mapping[str, Comparison], *, worse: bool, constant: bool) -> str:
        head = f"{self.task.name}: no skill shown"
        if constant and not worse:
            return f"{head}: the answer never changes."
        if plain[name].changed == 0:
            return f"{head}: {self._subject()} is that of {spoken(name)} on all {plain[name].n:,} rows."
        relation = "worse than" if worse else "not better than"
        return f"{head}: {self._subject()} is {relation} {spoken(name)} ({self._difference(name, plain[name])})."

    def skill(self, naive: list[str], best: str, final: Comparison) -> str:
        head = f"{self.task.name}: skill shown (better than {_listed(naive)})"
        if final.verdict == "equivalent":
            return f"{head}; equivalent to {spoken(best)} within {self.margin}."
        if final.verdict == "undecided":
            return f"{head}; undecided against {spoken(best)} ({self._difference(best, final)})."
        if best in naive:
            return f"{head}, the best baseline being {spoken(best)} ({self._difference(best, final)})."
        return f"{head}; {final.verdict} than {spoken(best)} ({self._difference(best, final)})."

    def _subject(self) -> str:
        if self.margin.of == "year":
            return "net return after costs"
        if self.task.metric == "negative_reward":
            return "reward"
        return metric_named(self.task.metric).label

    def _difference(self, name: str, comparison: Comparison) -> str:
        low, middle, high = comparison.low, comparison.change, comparison.high
        base = abs(float(self.others[name].mean()))
        if self.margin.of == "year":
            scale, unit = -1e4, " bp a day"
        elif self.task.metric == "negative_reward":
            scale, unit = -1.0, ""
        elif self.margin.of == "nat":
            scale, unit = 1.0, " nat"
        elif base > 0:
            scale, unit = 100 / base, " % of its loss"
        else:
            scale, unit = 1.0, ""
        low, high = sorted((low * scale, high * scale))
        middle *= scale
        places = _places(max(abs(low), abs(middle), abs(high)))
        numbers = [f"{value + 0.0:.{places}f}" for value in (middle, low, high)]
        middle_text = numbers[0] if numbers[0].startswith("-") else f"+{numbers[0]}"
        return (
            f"difference {middle_text}{unit}, 95 % interval {numbers[1]} to {numbers[2]}, n = {comparison.n:,}"
            if np.isfinite([low, high]).all()
            else f"difference {middle_text}{unit}, too few rows for an interval, n = {comparison.n:,}"
        )


def _places(size: float) -> int:
    """Decimals that leave about two digits."""
    if not np.isfinite(size) or size >= 1:
        return 1
    return 2 if size >= 0.1 else 4


def _listed(raw: list[str]) -> str:
    names = [spoken(name) for name in raw]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

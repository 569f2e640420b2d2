"""Learning curves, and wealth curves of a policy against its baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pellucid.report.blocks import card, details, figure, section
from pellucid.report.charts import Series, line_chart
from pellucid.report.markup import Markup, el
from pellucid.report.numbers import finite
from pellucid.report.svg import responsive
from pellucid.report.words import Json, items, text

_NAMES = {
    "loss": ("training loss", "What the optimiser lowers; noise is the noise of single batches."),
    "held_out_loss": (
        "held-out loss",
        "Of training rows that were held out: the lowest point decides which weights are kept, or how long training on "
        "all rows takes.",
    ),
    "episode_return": ("return of training episodes", "What the policy earned while it was still trying things out."),
    "entropy": (
        "entropy of the policy",
        "How undecided the policy is: high at first, lower as it makes up its mind.",
    ),
}
_PPO_LOSS = "The policy's own loss; it says little about how good the policy is."


def learning_section(curves: Sequence[Json]) -> Markup:
    """One picture per task that says whether it learned; other curves are folded away."""
    groups: dict[tuple[str, str], list[Json]] = {}
    for curve in curves:
        groups.setdefault((text(curve, "task"), text(curve, "name")), []).append(curve)
    last = max((float(x) for curve in curves for x in curve.get("x") or [] if finite(x)), default=0.0)
    policies = {task for task, name in groups if name == "episode_return"}
    main: list[Markup] = []
    more: list[Markup] = []
    for (task, name), group in groups.items():
        line = _PPO_LOSS if name == "loss" and task in policies else _NAMES.get(name, ("", ""))[1]
        picture = _learning(task, name, group, line, last)
        first = name == "episode_return" if task in policies else name != "entropy"
        (main if first else more).append(picture)
    intro = "How each task was learned, update by update, on training rows. The thick line is the running mean."
    folded = details(f"More curves ({len(more)})", el("div", {"class": "trio"}, *more)) if more else None
    return section("learning", "Learning", intro, el("div", {"class": "trio"}, *main), folded)


def _learning(task: str, name: str, group: list[Json], line: str, last: float) -> Markup:
    label = _NAMES.get(name, (name.replace("_", " "), ""))[0]
    title = f"{task}: {label}"
    raw = [
        Series(
            text(curve, "label", f"run {i + 1}" if len(group) > 1 else label),
            curve.get("x") or [],
            curve.get("y") or [],
        )
        for i, curve in enumerate(group)
    ]
    values = [y for one in raw for y in one.y if finite(y)]
    log = bool(values) and min(values) > 0 and max(values) / min(values) > 30
    smooth = [Series(one.name, one.x, running_mean(one.y)) for one in raw]
    picture = line_chart(
        title,
        smooth,
        behind=raw,
        x_label="updates",
        y_label=label + (", logarithmic" if log else ""),
        log=log,
        x_range=(0.0, last),
        width=330,
    )
    return figure(picture, f"{title}.", line or "Its value at each update.")


def running_mean(y: Sequence[Any]) -> list[Any]:
    """Means over about a tenth of the curve; a missing value stays missing, a curve of few steps as it is."""
    half = len(y) // 20
    if 10 * len({v for v in y if finite(v)}) < len(y):
        return list(y)  # a value now and then: there is nothing to smooth
    found: list[Any] = []
    for i, value in enumerate(y):
        before = min(half, i)
        after = min(half, before)  # symmetric at the beginning, where a curve is steep
        near = [float(v) for v in y[i - before : i + after + 1] if finite(v)]
        found.append(sum(near) / len(near) if finite(value) else None)
    return found


def wealth_section(wealth: Sequence[Json]) -> Markup:
    """Out-of-sample wealth of a policy beside the policies it must beat."""
    cards = []
    for raw in wealth:
        title = text(raw, "title", text(raw, "task", "policy"))
        lines = [
            Series(text(s, "name"), s.get("x") or raw.get("x") or [], s.get("y") or []) for s in items(raw, "series")
        ]
        start, unit, log = raw.get("start", 1.0), text(raw, "unit", "wealth, start = 1"), bool(raw.get("log"))

        def draw(
            width: int,
            title: str = title,
            lines: list[Series] = lines,
            unit: str = unit,
            log: bool = log,
            start: object = start,
        ) -> Markup:
            reference = float(start) if finite(start) else None
            return line_chart(title, lines, y_label=unit, log=log, reference=reference, width=width)

        line = text(
            raw,
            "line",
            "What 1 became: every day the same sum is at stake, long, short or not at all; gains and costs add up. "
            "Only days that the fits had not seen; the dotted line is the start. One path is one draw of luck: the "
            "intervals in the evidence say how much of it is chance.",
        )
        cards.append(card(title, (), figure(responsive(draw, 960), "Wealth.", line)))
    return section("wealth", "Out of sample", "The policy against simple policies, on the same days and costs.", *cards)

"""Learning curves, and wealth curves of a policy against its baselines."""

from __future__ import annotations

from collections.abc import Sequence

from pellucid.report.blocks import card, figure, section
from pellucid.report.charts import Series, line_chart
from pellucid.report.markup import Markup, el
from pellucid.report.numbers import finite
from pellucid.report.svg import responsive
from pellucid.report.words import Json, items, text


def learning_section(curves: Sequence[Json]) -> Markup:
    """One small picture per task and curve name; curves with the same task and name share it."""
    groups: dict[tuple[str, str], list[Json]] = {}
    for curve in curves:
        groups.setdefault((text(curve, "task"), text(curve, "name")), []).append(curve)
    pictures = [_learning(task, name, group) for (task, name), group in groups.items()]
    intro = "How each task was learned: its loss over the optimiser's updates."
    return section("learning", "Learning", intro, el("div", {"class": "trio"}, *pictures))


def _learning(task: str, name: str, group: list[Json]) -> Markup:
    title = f"{task}: {name}"
    lines = [
        Series(
            text(curve, "label", f"run {i + 1}" if len(group) > 1 else name), curve.get("x") or [], curve.get("y") or []
        )
        for i, curve in enumerate(group)
    ]
    values = [y for line in lines for y in line.y if finite(y)]
    log = bool(values) and min(values) > 0 and max(values) / min(values) > 30
    picture = line_chart(title, lines, x_label="updates", y_label=name, log=log, width=330)
    line = "Its value at each update" + (", on a logarithmic scale." if log else ".")
    return figure(picture, f"{title}.", line)


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
            "What one unit of capital became after costs, on days that no fit saw; the dotted line is the start. "
            "One path is one draw: the intervals in the evidence say how much of it is chance.",
        )
        cards.append(card(title, (), figure(responsive(draw, 960), "Wealth.", line)))
    return section("wealth", "Out of sample", "The policy against simple policies, on the same days and costs.", *cards)

"""Explanations on the terminal: what was said, and which inputs it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from pellucid.report.charts import fold_steps
from pellucid.report.explained import at, base_of, kind_of, main_output, measures, names, output_title, said, steps_of
from pellucid.report.markup import clean
from pellucid.report.numbers import count, finite, number, with_error
from pellucid.report.terminal.kit import sentences, stack, table
from pellucid.report.units import explained_in_units
from pellucid.report.words import Json, text

_MOST = 12  # players shown by name


def explanation_view(explanation: Json) -> Group:
    """One explanation: per row what was said, then the shares from base to prediction, largest first.

    Args:
        explanation: Explanation JSON; `main` names the output to show.
    """
    return stack([*_rows(explanation), sentences([_method([explanation])], "dim"), *_beside(explanation)])


def explanations_view(explanations: Sequence[Json]) -> Group:
    """Several tasks' explanations; how they were computed is said once where it is the same."""
    parts: list[RenderableType | None] = []
    same = len({(text(e, "method"), text(e, "background_n"), text(e, "seed")) for e in explanations}) == 1
    for one in explanations:
        parts += [*_rows(one), *_beside(one)] if same else [explanation_view(one)]
    parts.append(sentences([_method(explanations)], "dim") if same else None)
    return stack(parts)


def _beside(one: Json) -> list[RenderableType | None]:
    """Warnings, and what was measured of its worth."""
    measured = measures(one)
    told = [f"measured: {'; '.join(f'{name} {shown}' for name, shown in measured)}"] if measured else []
    warnings = [f"note: {clean(warning)}" for warning in names(one, "warnings")]
    return [sentences([line], "dim") for line in (*warnings, *told)]


def _method(explanations: Sequence[Json]) -> str:
    one = explanations[0]
    evaluations = [e.get("evaluations") for e in explanations]
    known = [n for n in evaluations if finite(n)]
    return (
        f"{kind_of(one)}, {text(one, 'method', 'method not recorded')}; ± one standard error; "
        f"background n = {count(one.get('background_n'))}; "
        f"{count(sum(known) if len(known) == len(evaluations) else None, 'evaluation')}; seed {text(one, 'seed', '?')}"
    )


def _rows(raw: Json) -> list[RenderableType | None]:
    one = explained_in_units(raw)
    return [_row(one, row, key) for row, key in enumerate(names(one, "keys"))] if names(one, "outputs") else []


def _row(one: Json, row: int, key: str) -> RenderableType:
    output, unit = main_output(one, row), text(one, "unit")
    base, prediction = base_of(one, row, output), at(one.get("prediction"), row, output)
    steps = fold_steps(steps_of(one, row, output), _MOST)
    missing = len(names(one, "players")) - sum(finite(s.value) for s in steps_of(one, row, output))
    biggest = max((abs(s.value) for s in steps), default=0.0)
    average = f"average of {count(one.get('background_n'))} rows" if finite(one.get("background_n")) else "average row"
    rows: list[Sequence[object]] = [(Text(average, style="dim"), "", number(base), "")]
    rows += [(s.player, s.shown, with_error(s.value, s.error), bar(s.value, biggest)) for s in steps]
    rows += [(f"{missing} not available", "", number(None), "")] if missing else []
    rows.append((Text("this row", style="bold"), "", Text(number(prediction), style="bold"), ""))
    others = [name for k, name in enumerate(names(one, "outputs")) if k != output]
    title = output_title(one, output)
    shown = f"shares of {title}{f', in {unit}' if unit not in ('', title) else ''}"
    shown += f" (other outputs: {', '.join(others)})" if others else ""
    shown += f"; {steps[0].player} moves it most" if steps else ""
    head = Text.assemble((clean(text(one, "task", "task")), "bold"), clean(f" on {key}: {said(one, row)}"))
    return Group(
        head,
        sentences([shown], "dim"),
        table(("input", "its value", "share", ""), rows, numeric=(1, 2)),
    )


def bar(value: Any, biggest: float) -> Text:
    """Full blocks raise the output, hatched ones lower it."""
    if not finite(value) or not biggest:
        return Text("")
    length = round(16 * abs(value) / biggest)
    return Text(("█" if value > 0 else "░") * length, style="blue" if value > 0 else "yellow")

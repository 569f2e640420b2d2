"""A short rendering of an explanation for the terminal. Pictures live in `pellucid.report`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pellucid.explain.explanation import Explanation

_WIDTH = 24


def as_text(explanation: Explanation, *, output: int, k: int, row: int | None) -> str:
    """Players by size, with bars, standard errors and how the numbers were found."""
    e = explanation
    unit = f" ({e.unit})" if e.unit else ""
    if len(e) == 0:
        return f"{e.task}: {e.outputs[output]}{unit}\n  no rows"
    row = 0 if row is None and len(e) == 1 else row
    if row is None:
        values = np.abs(e.values[:, :, output]).mean(0)
        error = np.sqrt(np.square(e.error[:, :, output]).sum(0)) / len(e)
        title = f"{e.task}: {e.outputs[output]}{unit}, mean absolute value over {len(e)} rows"
        shown = [""] * len(e.players)
        last = ""
    else:
        values, error = e.values[row, :, output], e.error[row, :, output]
        title = f"{e.task}: {e.outputs[output]}{unit}, {e.keys[row]}"
        shown = ["= " + (f"{v:.3g}" if isinstance(v, float) else str(v)) for v in e.inputs[row]]
        sum_line = f"base {e.base[output]:.4g} + values {values.sum():+.4g}"
        last = f"  {sum_line} = prediction {e.prediction[row, output]:.4g}\n"
    order = np.argsort(-np.abs(values), kind="stable")
    largest = float(np.abs(values).max()) or 1.0
    names = max(len(name) for name in e.players)
    lines = [title]
    for i in order[:k]:
        bar = "█" * round(_WIDTH * abs(values[i]) / largest)
        number = f"{values[i]:+.3g} ± {error[i]:.1g}" if error[i] > 0 else f"{values[i]:+.3g}"
        lines.append(f"  {e.players[i]:<{names}}  {number:<18} {bar:<{_WIDTH}} {shown[i]}".rstrip())
    if len(order) > k:
        lines.append(f"  … {len(order) - k} more, together {values[order[k:]].sum():+.3g}")
    stable = e.order_stability(output=output)
    lines.append(f"{last}  {e.method}")
    lines += [f"  note: {warning}" for warning in e.warnings]
    lines += [f"  {name}: {value:+.2f}" for name, value in e.checks.items()]
    lines.append(f"  seed {e.seed}; {e.evaluations} evaluations; order of the largest settled in {stable:.0%} of pairs")
    return "\n".join(lines)

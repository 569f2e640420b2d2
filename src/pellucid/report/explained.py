"""What an explanation says, before it is drawn: the output to show first, its players, and the answer in words."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from pellucid.report.charts.waterfall import Step
from pellucid.report.numbers import finite, number, percent, typeset
from pellucid.report.words import Json, text

_QUANTILE = re.compile(r"q(\d{1,2}(?:\.\d+)?)")
_CHOICE = re.compile(r"(action_\d+)=\d+")
_YEAR = 252  # trading days


def at(raw: Any, *path: int) -> Any:
    """`raw[i][j]...`, or None where something is missing."""
    for i in path:
        if not isinstance(raw, (list, tuple)) or i >= len(raw):
            return None
        raw = raw[i]
    return raw


def names(raw: Json, key: str) -> list[str]:
    """A list of names."""
    return [str(name) for name in raw.get(key) or []]


def base_of(one: Json, row: int, output: int) -> Any:
    """The base of a row and output; `base` has shape [k] or [n][k]."""
    base = one.get("base")
    return at(base, row, output) if isinstance(at(base, 0), (list, tuple)) else at(base, output)


def main_output(one: Json, row: int = 0) -> int:
    """The output shown first on a row.

    `main` when it is given; of quantiles the one nearest to the median; of classes or actions the one chosen; else
    the output that the inputs move most.
    """
    outputs = names(one, "outputs")
    if one.get("main") in outputs:
        return outputs.index(str(one["main"]))
    levels = _levels(outputs)
    if levels:
        return min(range(len(levels)), key=lambda k: abs(levels[k] - 50))
    options = _options(one)
    if options:

        def score(k: int) -> float:
            value = at(one.get("prediction"), row, k)
            return float(value) if finite(value) else -math.inf

        return max(options, key=score)
    rows, players = len(one.get("keys") or []), len(names(one, "players"))

    def moved(k: int) -> float:
        values = (at(one.get("values"), i, j, k) for i in range(rows) for j in range(players))
        return math.fsum(abs(v) for v in values if finite(v))

    # A policy's critic only judges the state: what it does comes first.
    answers = [k for k, name in enumerate(outputs) if name != "value"] or list(range(len(outputs)))
    return max(answers, key=moved, default=0)


def _levels(outputs: Sequence[str]) -> list[float]:
    """Quantile levels in percent when the outputs are quantiles (q05, q50, ...), else nothing."""
    found = [_QUANTILE.fullmatch(name) for name in outputs]
    return [float(match[1]) for match in found if match] if all(found) else []


def _options(one: Json) -> list[int]:
    """Outputs that are chosen among: classes or actions; a critic's value is none of them."""
    outputs = names(one, "outputs")
    chosen = [k for k, name in enumerate(outputs) if name != "value"]
    return chosen if text(one, "unit") in ("logit", "probability") and len(chosen) > 1 else []


def _components(outputs: Sequence[str], options: Sequence[int]) -> list[list[int]]:
    """The options of each component of an action that is several choices at once (action_0=0, action_0=1, ...)."""
    found = {k: _CHOICE.fullmatch(outputs[k]) for k in options}
    if "value" not in outputs or not all(found.values()):
        return [list(options)]
    parts: dict[str, list[int]] = {}
    for k, match in found.items():
        parts.setdefault(match[1] if match else "", []).append(k)
    return list(parts.values())


def _likeliest(outputs: Sequence[str], predicted: Sequence[Any], part: Sequence[int], unit: str) -> str:
    """The choice of one component, with its probability."""
    shares = _shares([at(predicted, k) for k in part], unit)
    best = max(range(len(part)), key=lambda i: -1.0 if shares[i] is None else float(shares[i] or 0.0))
    return f"{outputs[part[best]]} ({percent(shares[best])})"


def said(one: Json, row: int) -> str:
    """What the program said on this row, in words.

    Args:
        one: Explanation JSON, in the units in which it is shown.
    """
    outputs, unit = names(one, "outputs"), text(one, "unit")
    levels, options, predicted = _levels(outputs), _options(one), at(one.get("prediction"), row) or []
    main = main_output(one, row)
    if levels and all(map(finite, predicted)) and predicted:
        middle = min(range(len(levels)), key=lambda k: abs(levels[k] - 50))
        low, high = min(range(len(levels)), key=levels.__getitem__), max(range(len(levels)), key=levels.__getitem__)
        inside = f"{levels[high] - levels[low]:g}"
        between = f"{number(predicted[low], signed=True)} and {number(predicted[high], signed=True)} {unit}"
        shown = number(predicted[middle], signed=True)
        return f"median {shown} {unit}; {inside} % of outcomes expected between {between}"
    if len(components := _components(outputs, options)) > 1:
        return f"chooses {', '.join(_likeliest(outputs, predicted, part, unit) for part in components)}"
    if options:
        shares = _shares([at(predicted, k) for k in options], unit)
        chosen = options.index(main) if main in options else 0
        rest = [f"{outputs[k]} {percent(shares[i])}" for i, k in enumerate(options) if i != chosen]
        more = rest[:3] + ([f"{len(rest) - 3} more"] if len(rest) > 3 else [])
        verb = "chooses" if "value" in outputs else "predicts"
        return f"{verb} {outputs[options[chosen]]} ({percent(shares[chosen])}; {', '.join(more)})"
    value, base = at(predicted, main), base_of(one, row, main)
    if unit in ("logit", "probability") and len(outputs) == 1 and finite(value):
        chance, usual = (_chance(v, unit) for v in (value, base))
        return f"{outputs[0]} with probability {chance}, against {usual} for the average row"
    if unit == "log variance" and finite(value):
        return f"expected volatility {_volatility(value)}" + (
            f", against {_daily(base)} for the average row" if finite(base) else ""
        )
    shown = f"{number(value)} {unit}".strip() if finite(value) else number(value)
    return f"{shown}, against {number(base)} on average" if finite(base) else shown


def _shares(values: Sequence[Any], unit: str) -> list[float | None]:
    """Probabilities of classes or actions; of logits by softmax."""
    if not all(map(finite, values)):
        return [None] * len(values)
    if unit == "probability":
        return [float(v) for v in values]
    top = max(values)
    weights = [math.exp(min(v - top, 0.0)) for v in values]
    return [w / math.fsum(weights) for w in weights]


def _chance(value: Any, unit: str) -> str:
    """One output as a probability: a logit's by the logistic function."""
    if not finite(value):
        return percent(None)
    return percent(value if unit == "probability" else 1 / (1 + math.exp(-min(max(value, -700.0), 700.0))))


def _daily(log_variance: float) -> str:
    return f"{percent(math.exp(min(log_variance / 2, 20.0)))} a day"


def _volatility(log_variance: float) -> str:
    return f"{_daily(log_variance)} ({percent(math.exp(min(log_variance / 2, 20.0)) * math.sqrt(_YEAR))} a year)"


def output_title(one: Json, output: int) -> str:
    """An output's name; `q50` is said to be the median, a logit of an action or class its score."""
    outputs = names(one, "outputs")
    name = outputs[output] if output < len(outputs) else ""
    levels = _levels(outputs)
    if levels:
        return f"{name}, the median" if levels[output] == 50 else f"{name}, the {levels[output]:g} % quantile"
    if output in _options(one):
        return f"the {'score' if text(one, 'unit') == 'logit' else 'probability'} of '{name}'"
    return "the critic's value of the state" if name == "value" and len(outputs) > 1 else name.replace("_", " ")


MEASURES = {  # of `explain.checks`
    "additive_fit": "R² of the additive fit",
    "insertion": "insertion area above random orders",
    "deletion": "deletion area below random orders",
    "off_manifold": "mixed rows far from real ones",
    "randomised": "rank correlation with random weights",
}


def measures(one: Json) -> list[tuple[str, str]]:
    """What was measured of an explanation's worth: name and number."""
    raw = one.get("checks")
    found = raw if isinstance(raw, dict) else {}
    shares = {name: (percent(value) if name == "off_manifold" else number(value)) for name, value in found.items()}
    return [(MEASURES.get(name, name), shown) for name, shown in shares.items()]


def kind_of(one: Json) -> str:
    """What the values are: `Shapley values` unless a method gives others or the value function is not the usual one."""
    method = text(one, "method").partition(":")[0]
    if "gradients" in method:
        return "Attributions by gradients"
    if method == "owen":
        return "Owen values"
    return "Conditional Shapley values" if text(one, "value") == "conditional" else "Shapley values"


def steps_of(one: Json, row: int, output: int) -> list[Step]:
    """The players of one row and output."""
    return [
        Step(name, at(one.get("values"), row, j, output), at(one.get("error"), row, j, output), shown_of(one, row, j))
        for j, name in enumerate(names(one, "players"))
    ]


def shown_of(one: Json, row: int, player: int) -> str:
    """The raw value of a player for display: `shown` when given, else `inputs`."""
    return _shown(at(one.get("shown") or one.get("inputs"), row, player))


def _shown(raw: Any) -> str:
    return "" if raw is None else typeset(number(raw)) if isinstance(raw, float) else str(raw)

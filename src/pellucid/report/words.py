"""The sentences that come before any table: what the evidence, a diff or a gate says, in words.

Terminal, Markdown and HTML print the same sentences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pellucid.report.numbers import MISSING, count, duration, finite, measured, number, percent, size

Json = Mapping[str, Any]

# verdict -> (symbol, tone): the symbol says what the colour says
VERDICTS = {
    "better": ("▲", "good"),
    "skill shown": ("▲", "good"),
    "accepted": ("✓", "good"),
    "equivalent": ("=", "quiet"),
    "worse": ("▼", "bad"),
    "rejected": ("✗", "bad"),
    "no skill shown": ("○", "quiet"),
    "undecided": ("?", "wait"),
}
CLAIMS = {"better": ("✓", "claim kept", "good"), "worse": ("✗", "claim broken", "bad")}
INTERVAL = (
    "The interval behind a number says how far chance alone could have moved it: of 100 such intervals, 95 hold the "
    "true value."
)
CONTROLS = {
    "planted market": "A simulated market in which tomorrow partly follows today: there is something to find.",
    "random walk": "Pure chance: whoever finds something here is fooling himself.",
}
EVENTS = {
    "review frozen": "review rows set aside",
    "feedback used": "feedback answered",
    "looked": "looked at the review rows",
    "diffed": "diff put under review",
}


def items(raw: Json, key: str) -> list[Json]:
    """The list under `key`, empty when it is missing."""
    found = raw.get(key) or []
    return [entry for entry in found if isinstance(entry, Mapping)]


def text(raw: Json, key: str, otherwise: str = "") -> str:
    """The text under `key`; empty or missing gives `otherwise`."""
    value = raw.get(key)
    if isinstance(value, float) and not finite(value):
        return MISSING
    return str(value) if value not in (None, "") else otherwise


def finite_loss(trial: Json) -> float:
    """A trial's loss for sorting; one without comes last."""
    loss = trial.get("loss")
    return float(loss) if finite(loss) else float("inf")


def notes_of(raw: Json) -> list[str]:
    """Remarks of whoever computed it; contamination has a sentence of its own."""
    return [str(note) for note in raw.get("notes") or [] if not str(note).startswith("contaminated")]


def metric_of(task: Json) -> str:
    """The metric as a person would call it."""
    return text(task, "label") or text(task, "metric")


def verdict_of(raw: Json) -> tuple[str, str, str]:
    """(symbol, verdict, tone)."""
    verdict = text(raw, "verdict", "undecided")
    symbol, tone = VERDICTS.get(verdict, ("?", "wait"))
    return symbol, verdict, tone


def passed_of(raw: Json) -> tuple[str, str, str]:
    """(symbol, word, tone) of something that passed, failed or could not be decided."""
    passed = raw.get("passed")
    if passed is None:
        return "?", "undecided", "wait"
    return ("✓", "passed", "good") if passed else ("✗", "failed", "bad")


def task_sentence(task: Json) -> str:
    """What the evidence says about one task."""
    return text(task, "sentence") or f"{text(task, 'task', 'task')}: {verdict_of(task)[1]}."


def evidence_sentences(evidence: Json) -> list[str]:
    """One sentence per task, and one per control that failed."""
    told = [task_sentence(task) for task in items(evidence, "tasks")] or ["There is no evidence yet."]
    for control in items(evidence, "controls"):
        if control.get("passed") is False:
            told.append(
                f"The control {text(control, 'name')} failed (expected: {text(control, 'expect', MISSING)}): "
                "do not trust the evidence above before that is explained."
            )
    return told


def diff_verdict(diff: Json) -> tuple[str, str, str]:
    """(symbol, word, tone) of a whole diff: of its claim when it makes one."""
    if diff.get("empty"):
        return VERDICTS["equivalent"][0], "no difference", "quiet"
    return (CLAIMS.get(text(diff, "verdict")) if diff.get("gates") else None) or verdict_of(diff)


def diff_headline(diff: Json) -> str:
    """One sentence: what the diff says; of a revision that claims something, whether it keeps its claim."""
    base, candidate = text(diff, "base", "base"), text(diff, "candidate", "candidate")
    if diff.get("empty"):
        n = max((task["n"] for task in items(diff, "tasks") if finite(task.get("n"))), default=None)
        rows = f" on {count(n, 'review row')}" if n else ""
        return f"no difference: {base} and {candidate} give the same outputs{rows}."
    verdict, gates = verdict_of(diff)[1], items(diff, "gates")
    if gates:
        failed, unknown = (sum(g.get("passed") is state for g in gates) for state in (False, None))
        if verdict == "better":
            return f"{candidate} keeps its claim: {count(len(gates))} of {count(len(gates), 'gate')} passed."
        if verdict == "worse":
            return f"{candidate} breaks its claim: {count(failed)} of {count(len(gates), 'gate')} failed."
        return f"{candidate} is undecided: these rows cannot decide {count(unknown)} of {count(len(gates), 'gate')}."
    if verdict == "equivalent":
        return f"{candidate} is equivalent to {base}."
    if verdict == "undecided":
        return f"undecided: the review set does not tell whether {candidate} is better or worse than {base}."
    return f"{candidate} is {verdict} than {base}." if verdict in ("better", "worse") else f"{candidate}: {verdict}."


def diff_sentences(diff: Json) -> list[str]:
    """The headline, then gates, flips, contamination and cost, a sentence each."""
    told = [diff_headline(diff)]
    if not diff.get("empty"):
        gates = items(diff, "gates")
        failed = [text(g, "name") for g in gates if g.get("passed") is False]
        unknown = [text(g, "name") for g in gates if g.get("passed") is None]
        told += [f"Failed: {'; '.join(failed)}."] if failed else []
        told += [f"Undecided: {'; '.join(unknown)}."] if unknown else []
        told += [flip_sentence(task) for task in items(diff, "tasks") if task.get("flips")]
        if diff.get("parameters"):
            told.append(cost_sentence(diff["parameters"]))
    if diff.get("contaminated"):
        rows = count(diff["contaminated"], "review row")
        told.append(f"contaminated: {rows} left out, because one of the two was trained on them.")
    return told


def promises(gates: Sequence[Json]) -> list[tuple[str, list[Json]]]:
    """Gates by what they promise: (title, the tasks' gates), in the order in which promises first appear."""
    found: dict[str, list[Json]] = {}
    for gate in gates:
        found.setdefault(text(gate, "title") or text(gate, "name"), []).append(gate)
    return list(found.items())


def budget_of(diff: Json, task: Json) -> str:
    """Whether a task's cost lies within the budget that was declared for it; empty without one."""
    for gate in items(diff, "gates"):
        if gate.get("kind") == "budget" and gate.get("task") == task.get("task") and gate.get("passed") is not None:
            return "in budget" if gate["passed"] else "over budget"
    return ""


def flip_sentence(task: Json) -> str:
    """`trade: 31 of 2,514 decisions changed (1.2 %), 18 to the better, 13 to the worse (McNemar p = 0.47).`"""
    flips: Json = task.get("flips") or {}
    share = flips.get("share")
    told = f"{text(task, 'task', 'task')}: {count(flips.get('changed'))} of {count(flips.get('n'), 'decision')} changed"
    told += f" ({percent(share)})" if finite(share) else ""
    if episodes := task.get("episodes"):
        more, less = count(episodes.get("more")), count(episodes.get("less"))
        told += " in states that either policy visits; of "
        return told + f"{count(episodes.get('n'), 'episode')} on the same seeds {more} earn more and {less} less."
    told += f", {count(flips.get('to_better'))} to the better, {count(flips.get('to_worse'))} to the worse"
    p = flips.get("mcnemar_p")
    return told + (f" (McNemar p = {number(p, digits=2)})." if finite(p) else ".")


def cost_sentence(parameters: Json) -> str:
    """`The change touches 1,024 of 60,000 parameters (1.7 %), 4.1 KB.`"""
    touched, total = parameters.get("touched"), parameters.get("total")
    told = f"The change touches {count(touched)} of {count(total, 'parameter')} ({percent(parameters.get('share'))})"
    return f"{told}, {size(parameters.get('bytes'))}."


def name_of(baseline: Json) -> str:
    """A baseline's name for a person."""
    return text(baseline, "label") or text(baseline, "name")


def skill_of(task: Json) -> tuple[str, str, str]:
    """(symbol, word, tone) of a control's task, where only skill counts."""
    if "skill" not in task:
        return verdict_of(task)
    return ("▲", "skill", "good") if task["skill"] else ("○", "no skill", "quiet")


def extra_facts(task: Json) -> list[tuple[str, str]]:
    """Further figures of a task with their names for a person."""
    extra: Json = task.get("extra") or {}
    told = []
    for key in sorted(extra, key=lambda key: _ORDER.get(key, len(_ORDER))):
        value = extra[key]
        if isinstance(value, list) or key in _TOLD or key in ("sharpe_low", "sharpe_high", "trials"):
            continue
        if key == "sharpe":
            low, high = extra.get("sharpe_low"), extra.get("sharpe_high")
            shown = measured(value, low, high) if finite(low) and finite(high) else number(value, decimals=2)
        elif isinstance(value, Mapping) and "this program" in value:
            others = ", ".join(f"{who} {number(one)}" for who, one in value.items() if who != "this program")
            shown = f"{number(value['this program'])} ({others})" if others else number(value["this program"])
        elif key in _SHARES:
            shown = percent(value, digits=2) if finite(value) else flat(value)
        else:
            shown = f"{number(value)} times the notional" if key == "turnover" and finite(value) else flat(value)
        told.append((_EXTRA.get(key) or key.replace("_", " ").capitalize(), shown))
    return told


def table_sentences(task: Json) -> list[str]:
    """Calibration, coverage, the worst slice, likely label errors: a sentence each, for tasks on tables."""
    extra: Json = task.get("extra") or {}
    calibration, slices, cover = (extra.get(key) for key in ("calibration", "slices", "conformal"))
    told = []
    if calibration:
        error, null, high = (percent(calibration.get(key)) for key in ("error", "null_mean", "null_high"))
        heat = calibration.get("temperature")
        by = f", temperature {number(heat)}" if finite(heat) else ""
        told.append(f"calibration error {error} (a perfectly calibrated program: {null}, up to {high}){by}")
    if cover:
        asked, seen, ends = percent(cover.get("level")), percent(cover.get("coverage"), digits=3), cover
        size = f"{number(cover.get('size'))} {text(cover, 'unit')}"
        bounds = f"95 % interval {percent(ends.get('low'), digits=3)} to {percent(ends.get('high'), digits=3)}"
        told.append(f"sets that promise {asked} held {seen} ({bounds}), {size} wide on average")
    if slices:
        worst = next(iter(items(slices, "found")), None)
        looked = f"{count(slices.get('looked_at'), 'group')} looked at"
        if worst is None:
            told.append(f"no slice is worse than the rest ({looked})")
        else:
            value, rest = number(worst.get("value")), number(worst.get("rest"))
            within = f"(n = {count(worst.get('n'))}; {looked})"
            told.append(f"worst slice: {text(worst, 'name')}: mean loss {value}, elsewhere {rest} {within}")
    for one in items(extra, "fairness"):
        effect = f"effect of do({text(one, 'field')}) {number(one.get('effect'))} sd of the outputs"
        wide = [
            f"gap in {text(g, 'name')} {measured(g.get('value'), g.get('low'), g.get('high'))}"
            for g in items(one, "gaps")
        ]
        told.append(f"{text(one, 'field')}: {'; '.join([*wide, effect])}")
    growth = growth_sentence(extra.get("learning_curve") or {})
    told += [growth] if growth else []
    labels: Json = extra.get("label_errors") or {}
    first = next(iter(items(labels, "rows")), None)
    if first is not None:
        doubt = f"row {text(first, 'key')} says {text(first, 'label')}, perhaps it is {text(first, 'suggested')}"
        told.append(f"labels that may be wrong: about {count(labels.get('expected'))}; most suspicious: {doubt}")
    return told


def growth_sentence(curve: Json) -> str:
    """What the last doubling of the training rows changed; nothing is said of more rows than there are."""
    points, last = items(curve, "points"), curve.get("doubling") or {}
    if len(points) < 2:
        return ""
    half, whole = points[-2], points[-1]
    head = f"from {count(half.get('rows'))} training rows to {count(whole.get('rows'))}"
    change = measured(last.get("change"), last.get("low"), last.get("high"), signed=True)
    said = {"better": "more rows still helped", "worse": "more rows did harm"}.get(text(last, "verdict"))
    return f"{head} the loss changed by {change}: {said or 'that more rows still help is not shown'}"


_TOLD = (
    "calibration",
    "labels",
    "conformal",
    "slices",
    "confusion",
    "roc",
    "precision_recall",
    "residuals",
    "label_errors",
    "fairness",
    "learning_curve",
)
_SHARES = ("annual_return", "annual_volatility", "deflated_sharpe", "max_drawdown", "all_labels_right", "accuracy")
_EXTRA = {
    "annual_return": "Net return a year",
    "annual_volatility": "Volatility a year",
    "sharpe": "Sharpe ratio",
    "deflated_sharpe": "Chance that it is more than luck (deflated Sharpe)",
    "max_drawdown": "Largest fall from a peak",
    "turnover": "Traded a year",
    "mase": "Mean absolute scaled error of the medians",
    "mase_of_baselines": "The same of the baselines",
    "mase_by_step": "By step ahead",
    "inside": "Share of what came that lay between",
    "mean_return": "Mean return of an episode",
    "stochastic_return": "Return with actions drawn as in training",
    "lowest_return": "Lowest return of an episode",
    "mean_length": "Mean length of an episode, steps",
    "held_out_seeds": "Seeds of the episodes",
    "training_seeds": "Seeds of the training environments",
    "baselines_cut_after": "Baselines that do not end are cut after, steps",
    "optimum": "Most that any policy can earn, exact",
    "expected_return": "What this policy earns on average, exact",
    "hamming": "Wrong labels, share",
    "all_labels_right": "Rows with every label right",
    "macro_auc": "Area under the ROC curve, mean over labels",
    "macro_f1": "F1, mean over labels",
    "micro_f1": "F1 of all labels together",
    "rank_error": "Error of the median class, ranks",
    "accuracy": "Rows whose median class is right",
    "kappa": "Agreement beyond chance, by squared ranks (kappa)",
    "log_loss": "Log loss",
    "crps": "Continuous ranked probability score",
    "optimum_within": "The interval contains the optimum",
}
_ORDER = {key: place for place, key in enumerate(_EXTRA)}


def moment(raw: Json) -> str:
    """When something happened, to the minute: `2026-03-01 09:02`."""
    return text(raw, "when").replace("T", " ")[:16]


def event_of(raw: Json) -> str:
    """What happened, for a person."""
    what = text(raw, "what")
    return EVENTS.get(what, what)


def review_facts(evidence: Json) -> list[tuple[str, str]]:
    """Label and value of what every reader of the evidence should know: review set, looks, trials, seed, time."""
    review: Json = evidence.get("review") or {}
    facts = []
    if review:
        period = f" ({span(review)})" if span(review) else ""
        facts.append(("Set aside for reviews", f"{count(review.get('n'))}{period}"))
    named = {"looks": "Looks at what is set aside", "trials": "Fits and corrections tried", "seed": "Seed"}
    for key, name in named.items():
        if evidence.get(key) is not None:
            facts.append((name, str(evidence[key]) if key == "seed" else count(evidence[key])))
    if finite(evidence.get("parameters")):
        facts.append(("Parameters", count(evidence["parameters"])))
    if evidence.get("seconds") is not None:
        facts.append(("Time taken", duration(evidence["seconds"])))
    return facts


def span(review: Json) -> str:
    """`2014-01-02 to 2018-12-31`."""
    first, last = text(review, "from"), text(review, "to")
    return f"{first} to {last}" if first and last else first or last


def flat(value: Any) -> str:
    """A small JSON value as text for a cell: numbers formatted, intervals recognised, mappings as `key: value`."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return number(value)
    if isinstance(value, Mapping) and {"value", "low", "high"} <= value.keys():
        return measured(value["value"], value["low"], value["high"])
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {flat(inner)}" for key, inner in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(flat(inner) for inner in value)
    return str(value)

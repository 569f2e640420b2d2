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
INTERVAL = (
    "An interval says how far chance alone could have moved a number: drawn again and again, 95 of 100 such intervals "
    "would hold the true value."
)


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


def diff_headline(diff: Json) -> str:
    """One sentence: what the diff says."""
    base, candidate = text(diff, "base", "base"), text(diff, "candidate", "candidate")
    if diff.get("empty"):
        n = max((task["n"] for task in items(diff, "tasks") if finite(task.get("n"))), default=None)
        rows = f" on {count(n, 'review row')}" if n else ""
        return f"no difference: {base} and {candidate} give the same outputs{rows}."
    verdict = verdict_of(diff)[1]
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
        if gates:
            failed = [text(g, "name") for g in gates if g.get("passed") is False]
            unknown = [text(g, "name") for g in gates if g.get("passed") is None]
            passed = len(gates) - len(failed) - len(unknown)
            told.append(
                f"{passed} of {count(len(gates), 'gate')} passed"
                + (f"; failed: {', '.join(failed)}" if failed else "")
                + (f"; undecided: {', '.join(unknown)}" if unknown else "")
                + "."
            )
        told += [flip_sentence(task) for task in items(diff, "tasks") if task.get("flips")]
        if diff.get("parameters"):
            told.append(cost_sentence(diff["parameters"]))
    if diff.get("contaminated"):
        rows = count(diff["contaminated"], "review row")
        told.append(f"contaminated: {rows} left out, because one of the two was trained on them.")
    return told


def flip_sentence(task: Json) -> str:
    """`trade: 31 of 2,514 decisions changed (1.2 %), 18 to the better, 13 to the worse (McNemar p = 0.47).`"""
    flips: Json = task.get("flips") or {}
    share = flips.get("share")
    told = f"{text(task, 'task', 'task')}: {count(flips.get('changed'))} of {count(flips.get('n'), 'decision')} changed"
    told += f" ({percent(share)})" if finite(share) else ""
    told += f", {count(flips.get('to_better'))} to the better, {count(flips.get('to_worse'))} to the worse"
    p = flips.get("mcnemar_p")
    return told + (f" (McNemar p = {number(p, digits=2)})." if finite(p) else ".")


def cost_sentence(parameters: Json) -> str:
    """`The change touches 1,024 of 60,000 parameters (1.7 %), 4.1 KB.`"""
    touched, total = parameters.get("touched"), parameters.get("total")
    told = f"The change touches {count(touched)} of {count(total, 'parameter')} ({percent(parameters.get('share'))})"
    return f"{told}, {size(parameters.get('bytes'))}."


def review_facts(evidence: Json) -> list[tuple[str, str]]:
    """Label and value of what every reader of the evidence should know: review set, looks, trials, seed, time."""
    review: Json = evidence.get("review") or {}
    facts = []
    if review:
        facts.append(("Review rows", count(review.get("n"))))
        if span(review):
            facts.append(("Review period", span(review)))
    for key, name in (("seed", "Seed"), ("looks", "Looks at the review set"), ("trials", "Trials")):
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

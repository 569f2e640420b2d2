"""A model card in Markdown (after Mitchell et al. 2019): what a version is for, how good it is and where it is not.

Every sentence is made from what the store holds. What nobody has measured is named as not measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pellucid.report.markdown import code, evidence_comment, prose, table
from pellucid.report.numbers import count
from pellucid.report.words import Json, finite_loss, flat, items, notes_of, review_facts, text

KINDS = {
    "classify": "says which class a row belongs to",
    "multilabel": "says which labels a row has",
    "ordinal": "says on which step of an order a row lies",
    "regress": "says a number",
    "forecast": "says quantiles of the next value",
    "volatility": "says how much prices will move",
    "horizons": "says the next values of a series",
    "control": "acts in an environment",
}


def model_card(facts: Mapping[str, Any]) -> str:
    """The card.

    Args:
        facts: version, state, evidence (Evidence JSON), tasks ([{name, kind, inputs, outputs, unit}]), inputs
            ([{name, kind, unit, description}]), data ({source, split, folds, sensitive}), provenance, history.
    Returns:
        Markdown that ends with a newline; the same facts give the same bytes.
    """
    evidence: Json = facts["evidence"]
    parts = [
        f"# {code(facts['version'])}",
        *_purpose(facts),
        *_data(facts, evidence),
        "## How good it is",
        "Judged on rows or episodes that the judged fits had not seen, beside baselines. Intervals hold 95 %.",
        evidence_comment(evidence).rstrip(),
        *_limits(facts, evidence),
        *_provenance(facts, evidence),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _purpose(facts: Mapping[str, Any]) -> list[str]:
    lines = [
        f"- {code(task['name'])}: it {KINDS.get(task['kind'], 'answers')}"
        f"{_named(task['outputs'])}, in {prose(task['unit'])}, from {count(len(task['inputs']), 'input')}"
        for task in facts["tasks"]
    ]
    rows = [
        (code(f["name"]), prose(f["kind"]), prose(f["unit"]), prose(f["description"])) for f in facts["inputs"][:60]
    ]
    more = len(facts["inputs"]) - len(rows)
    shown = table(("Input", "Kind", "Unit", "What it is"), rows) if rows else ""
    return [
        "## What it is for",
        "\n".join(lines),
        "It was learned for these inputs and this target alone; other uses were not examined.",
        shown,
        f"and {count(more, 'input')} more" if more > 0 else "",
    ]


def _named(outputs: list[str]) -> str:
    if not outputs or len(outputs) > 12:
        return f" ({count(len(outputs))} outputs)" if outputs else ""
    return f" ({', '.join(map(code, outputs))})"


def _data(facts: Mapping[str, Any], evidence: Json) -> list[str]:
    data, provenance = facts["data"], facts["provenance"]
    review: Json = evidence.get("review") or {}
    lines = [f"- source: {code(data['source'])}"] if data.get("source") else []
    lines += [f"- content: sha256 {code(str(provenance['data_sha'])[:16])}"] if provenance.get("data_sha") else []
    lines += [f"- set aside for reviews, never trained on: {count(review.get('n'))}"] if review else []
    lines += [f"- split: {prose(data['split'])}, {count(data['folds'], 'fold')}"] if data.get("split") else []
    quarantine: Json = evidence.get("quarantine") or {}
    if quarantine:
        lines.append(f"- rows that could not be read and were set aside: {prose(flat(quarantine.get('rows')))}")
    return ["## Data", "\n".join(lines) or "No rows: it was learned in an environment."]


def _limits(facts: Mapping[str, Any], evidence: Json) -> list[str]:
    """What the evidence shows against it, and what was not looked at."""
    tasks = items(evidence, "tasks")
    lines = [f"- {text(t, 'task')}: no skill is shown" for t in tasks if not t.get("skill")]
    lines += [f"- {prose(note)}" for note in notes_of(evidence)]
    lines += [
        f"- control {code(text(c, 'name'))} failed: the evidence above is not to be trusted"
        for c in items(evidence, "controls")
        if not c.get("passed")
    ]
    for task in tasks:
        extra: Json = task.get("extra") or {}
        for one in items(extra.get("slices") or {}, "found"):
            lines.append(f"- {code(text(task, 'task'))} is worse on {prose(text(one, 'name'))}")
    lines += [
        f"- sanity check failed: {prose(text(c, 'check'))}: look at {prose(text(c, 'look_at'))}"
        for c in items(evidence, "sanity")
        if c.get("passed") is False
    ]
    open_points = []
    if facts["data"].get("split") and not facts["data"].get("sensitive"):
        open_points.append("fairness: no sensitive field is declared (`data.sensitive`), so no groups were compared")
    if facts["data"].get("split") and not any((t.get("extra") or {}).get("learning_curve") for t in tasks):
        open_points.append("whether more rows would help (`evidence.learning_curve`)")
    open_points.append("data that differ from those above in where, when or how they were collected")
    return [
        "## Limits",
        "\n".join(lines),
        "Not measured:",
        "\n".join(f"- {point}" for point in open_points),
    ]


def _provenance(facts: Mapping[str, Any], evidence: Json) -> list[str]:
    provenance = facts["provenance"]
    rows = [
        (prose(key), code(str(value)[:16] if key.endswith("sha") else value))
        for key, value in provenance.items()
        if not isinstance(value, dict)
    ]
    rows += [(prose(name), prose(value)) for name, value in review_facts(evidence)]
    search: Json = evidence.get("search") or {}
    if search:
        done = sorted(items(search, "trials"), key=finite_loss)
        rows.append(("settings searched", f"{count(len(done))} by {prose(text(search, 'sampler'))}"))
    events = [f"- {prose(e['when'])} {prose(e['who'])}: {prose(e['what'])} {prose(e['ref'])}" for e in facts["history"]]
    return ["## Where it comes from", table(("", ""), rows), "\n".join(events)]

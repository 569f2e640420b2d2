"""Gates: a revision's claim, checked one by one.

A claim says what is meant to change, what must be kept, and what it may cost:

    {"changes": [{"field": "volume", "task": "risk", "reduce": 0.8}],
     "keeps":   [{"correlation": 0.95, "spread": 0.5}],
     "budget":  {"risk": {"loss": 0.02, "unit": "% of the loss", "scale": 300.0}},
     "control": 0.25}

Of shown actions: {"actions": [{"task": "policy", "mend": 0.8}], "control": 0.25, "budget": {...}}.

`measured` was computed on the review rows when the revision was proposed (see `runs.revise`); the gates only compare.
A gate that the data cannot decide has `passed: null`. Costs are positive; a negative cost is a gain.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Gate = dict[str, Any]


def check_gates(claim: Mapping[str, Any], measured: Mapping[str, Any], tasks: list[dict[str, Any]]) -> list[Gate]:
    """All gates of a claim, in the order: changes, keeps, control, budget."""
    gates: list[Gate] = []
    effects: Mapping[str, Any] = measured.get("effects", {})
    for change in claim.get("changes", []):
        gates.append(_effect_gate(change, effects[_key(change)]))
    shown: Mapping[str, Any] = measured.get("actions", {})
    gates += [_actions_gate(change, shown[change["task"]]) for change in claim.get("actions", [])]
    for keep in claim.get("keeps", []):
        for found in effects.values():
            gates += _keep_gates(found["task"], keep, found)
    if "control" in claim:
        for change in claim.get("changes", []):
            gates.append(_control_gate(change, float(claim["control"]), effects[_key(change)]))
        for change in claim.get("actions", []):
            gates.append(_untold_gate(change["task"], float(claim["control"]), shown[change["task"]]))
    entries = {entry["task"]: entry for entry in tasks}
    for task, budget in claim.get("budget", {}).items():
        if task in entries:
            gates.append(_budget_gate(task, budget, entries[task]))
    return gates


def _key(change: Mapping[str, Any]) -> str:
    return f"{change['task']}/{change['field']}"


def _effect_gate(change: Mapping[str, Any], found: Mapping[str, Any]) -> Gate:
    field, task, wanted = change["field"], change["task"], float(change["reduce"])
    title = f"effect of do({field})"
    if not found["present"]:
        return _gate(task, title, "change", "nothing to forbid", "the base's effect does not exceed its noise", True)
    seen = float(found["reduction"])
    way = "up" if seen < 0 else "down"
    text = f"{way} {_percent(abs(seen), 1)}, from {found['base']:.3g} to {found['candidate']:.2g} sd of the outputs"
    return _gate(task, title, "change", f"down at least {_percent(wanted)}", text, seen >= wanted)


def _keep_gates(task: str, keep: Mapping[str, Any], found: Mapping[str, Any]) -> list[Gate]:
    """Correlation and spread of the outputs that the base varies with the field held fixed."""
    wanted, spread, field = float(keep["correlation"]), float(keep["spread"]), found["field"]
    same = task, f"same answers, {field} held fixed", "keep", f"correlation at least {wanted:.2f}"
    wide = task, f"no constant, {field} held fixed", "keep", f"spread at least {_percent(spread)} of the base's"
    varied = [output for output in found["held_fixed"] if output["spread"] is not None]
    if not varied:
        constant = "the base itself is constant there"
        return [_gate(*same, constant, None), _gate(*wide, constant, None)]
    worst = min(varied, key=lambda o: -1.0 if o["correlation"] is None else o["correlation"])
    narrow = min(varied, key=lambda o: o["spread"])
    correlation = worst["correlation"]
    shown = "constant" if correlation is None else f"{correlation:.3f}"
    kept = correlation is not None and correlation >= wanted
    return [
        _gate(*same, f"{shown}{_least(varied, worst)}", kept),
        _gate(*wide, f"{_percent(narrow['spread'], 1)}{_least(varied, narrow)}", narrow["spread"] >= spread),
    ]


def _least(outputs: list[Mapping[str, Any]], output: Mapping[str, Any]) -> str:
    """Which output it is, where there are several."""
    return f" (lowest: {output['name']})" if len(outputs) > 1 else ""


def _control_gate(change: Mapping[str, Any], limit: float, found: Mapping[str, Any]) -> Gate:
    """A delta trained in the same way, but not told what to ignore, must not do what the correction does."""
    task, title = change["task"], f"control: not told of {change['field']}"
    if not found["present"]:
        return _gate(task, title, "control", "nothing to forbid", "the base's effect does not exceed its noise", True)
    share = max(0.0, float(found["control_reduction"])) / max(float(found["reduction"]), 1e-12)
    reduced = float(found["reduction"]) > 0
    seen = f"{_percent(share, 1)} of the reduction" if reduced else "the correction itself reduces nothing"
    return _gate(task, title, "control", f"at most {_percent(limit)} of the reduction", seen, share <= limit)


def _actions_gate(change: Mapping[str, Any], found: Mapping[str, Any]) -> Gate:
    """The share of the disagreements with what a person showed that the correction mends."""
    wanted, base, candidate = float(change["mend"]), float(found["base"]), float(found["candidate"])
    mended = (candidate - base) / max(1.0 - base, 1e-12)
    seen = f"{_percent(base)} taken before, {_percent(candidate)} after, of {found['n']:,}"
    required = f"at least {_percent(wanted)} of the others taken"
    return _gate(change["task"], "shown actions", "change", required, seen, mended >= wanted)


def _untold_gate(task: str, limit: float, found: Mapping[str, Any]) -> Gate:
    """A delta trained in the same way, but shown nothing, must not take the shown actions either."""
    rise, control = (float(found[key]) - float(found["base"]) for key in ("candidate", "control"))
    share = max(0.0, control) / max(rise, 1e-12)
    seen = f"{_percent(share, 1)} of the rise" if rise > 0 else "the correction itself raises nothing"
    required = f"at most {_percent(limit)} of the rise"
    return _gate(task, "control: shown nothing", "control", required, seen, rise > 0 and share <= limit)


def _budget_gate(task: str, budget: Mapping[str, Any], entry: Mapping[str, Any]) -> Gate:
    """Passed when the whole interval of the cost lies within the budget, failed when it lies wholly beyond it."""
    allowed, unit, scale = float(budget["loss"]), str(budget["unit"]), float(budget["scale"])
    title, required = str(budget.get("title", "cost on ordinary data")), f"at most {allowed * scale:.3g} {unit}"
    if entry["change"] is None:
        return _gate(task, title, "budget", required, "no scored row", None)
    low, high = entry["low"], entry["high"]
    seen = f"cost {_cost(entry['change'] * scale)} {unit}"
    if low is not None and high is not None:
        seen += f", interval {_cost(low * scale)} to {_cost(high * scale)}"
    if entry["change"] < 0:
        seen += " (below zero: a gain)"
    passed = None
    if high is not None and high <= allowed:
        passed = True
    elif low is not None and low > allowed:
        passed = False
    return _gate(task, title, str(budget.get("kind", "budget")), required, f"{seen}, n = {entry['n']:,}", passed)


def _cost(value: float) -> str:
    """A signed amount with two digits, or two decimals when it is small."""
    return f"{value + 0.0:+.{0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2}f}"


def _percent(share: float, places: int = 0) -> str:
    """`94 %`."""
    return f"{100 * share:.{places}f} %"


def _gate(task: str, title: str, kind: str, required: str, seen: str, passed: bool | None) -> Gate:
    return {
        "name": f"{task}: {title}",
        "task": task,
        "title": title,
        "kind": kind,
        "required": required,
        "seen": seen,
        "passed": passed,
    }

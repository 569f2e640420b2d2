"""The behaviour diff: what changed between two programs, row by row.

Both sides are joined on the keys of their review rows. Every number is about the same rows on both sides: metric
changes with paired intervals, decisions that flipped, outputs that moved, attributions that shifted beyond the
explainer's own noise. Same inputs, same bytes: nothing here reads a clock or a generator of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.core.errors import DataError
from pellucid.core.task import Task
from pellucid.evidence.metrics import label_and_unit
from pellucid.evidence.paired import Comparison, compare, mcnemar
from pellucid.evidence.verdict import margin_for
from pellucid.review.gates import check_gates
from pellucid.review.sides import Side

EXAMPLES = 8  # flips shown by name
EMPTY: dict[str, Any] = {"tasks": [], "gates": [], "verdict": "equivalent"}


@dataclass(frozen=True)
class DiffConfig:
    """Settings of a diff.

    Args:
        margin: the relative loss (or, for daily trading, the annual net return) that does not matter.
        block: mean block length of the paired bootstrap where rows are ordered in time.
        seed: of the bootstrap.
        claim: the revision's claim: {"changes": [...], "keeps": [...], "budget": {...}}.
    """

    margin: float = 0.01
    block: float = 20.0
    seed: int = 0
    claim: Mapping[str, Any] | None = None


def diff(base: Side, candidate: Side, config: DiffConfig | None = None) -> dict[str, Any]:
    """Compare two sides.

    Returns:
        JSON values only. `verdict` is better, equivalent, worse or undecided (see `conclude`).
    Raises:
        DataError: the sides have no task or no review row in common.
    """
    config = config or DiffConfig()
    head = {
        "base": base.ref,
        "candidate": candidate.ref,
        "empty": base.sha == candidate.sha,
        "contaminated": 0,
        "notes": [],
        "parameters": dict(candidate.parameters),
        "provenance": {"base": dict(base.provenance), "candidate": dict(candidate.provenance)},
    }
    if base.sha == candidate.sha:
        return {**head, **EMPTY, "parameters": {"touched": 0, "total": 0, "share": 0.0, "bytes": 0}}
    common = [name for name in base.outputs if name in candidate.outputs]
    if not common:
        raise DataError(
            f"'{base.ref}' and '{candidate.ref}' have no task in common "
            f"({', '.join(base.outputs) or 'none'} against {', '.join(candidate.outputs) or 'none'}).",
            where="diff(base, candidate)",
            mend="compare versions of the same program, or wrap both models with the same task name",
        )
    notes: list[str] = []
    dirty = base.touched | candidate.touched
    tasks, contaminated, unread = [], 0, 0
    for name in common:
        joined = join(base.outputs[name], candidate.outputs[name], name, notes)
        clean = ~joined["key"].isin(dirty).to_numpy()
        contaminated = max(contaminated, int((~clean).sum()))
        if not clean.any():
            unread += 1
            continue
        tasks.append(_task(base, candidate, name, joined[clean].reset_index(drop=True), config))
    for gone in sorted(set(base.outputs) ^ set(candidate.outputs)):
        notes.append(f"task '{gone}' exists on one side only and is not compared")
    for name in common:
        for what, a, b in _declared(base.tasks[name], candidate.tasks[name]):
            if lost := [v for v in a if v not in b]:
                notes.append(f"task '{name}': {what} {_names(lost)} in {base.ref} only")
            if new := [v for v in b if v not in a]:
                notes.append(f"task '{name}': {what} {_names(new)} in {candidate.ref} only")
        for what, which in (("metric", "losses"), ("unit", "outputs")):
            one, other = (getattr(side.tasks[name], what) for side in (base, candidate))
            if one != other:
                notes.append(f"task '{name}': {what} '{one}' and '{other}', so the {which} are not compared")
    if contaminated:
        notes.append(
            f"contaminated: {contaminated} review rows were touched by the training of one side"
            + ("; no clean row is left for some task." if unread else " and are left out.")
        )
    gates = check_gates(config.claim or {}, candidate.measured, tasks)
    verdict = conclude(tasks, gates)
    if unread and verdict != "worse":
        verdict = "undecided"
    return {
        **head,
        "contaminated": contaminated,
        "notes": notes,
        "tasks": tasks,
        "gates": gates,
        "verdict": verdict,
    }


def _declared(a: Task, b: Task) -> list[tuple[str, list[str], list[str]]]:
    """What two tasks of one name may differ in: (what, of the base, of the candidate)."""
    first, second = ([str(c) for c in task.options.get("classes", ())] for task in (a, b))
    return [("input", list(a.inputs), list(b.inputs)), ("class", first, second)]


def _names(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def conclude(tasks: list[dict[str, Any]], gates: list[dict[str, Any]]) -> str:
    """The verdict over everything.

    With a claim: any failed gate is worse; all gates passed is better; else undecided. Without: any worse task is
    worse; all equivalent is equivalent; at least one better and none undecided is better; else undecided.
    """
    if gates:
        passed = [gate["passed"] for gate in gates]
        return "worse" if False in passed else "better" if all(passed) else "undecided"
    verdicts = [task["verdict"] for task in tasks]
    if "worse" in verdicts:
        return "worse"
    if all(v == "equivalent" for v in verdicts):
        return "equivalent"
    return "undecided" if "undecided" in verdicts else "better"


EXIT_CODES = {"better": 0, "equivalent": 0, "worse": 1, "undecided": 3}


def join(base: pd.DataFrame, candidate: pd.DataFrame, task: str, notes: list[str]) -> pd.DataFrame:
    """The rows that both sides answered, by time and key whatever their order was, columns suffixed `_a` and `_b`.

    Raises:
        DataError: no common key, repeated keys, or a different target on the same row.
    """
    for label, frame in (("base", base), ("candidate", candidate)):
        repeated = frame["key"][frame["key"].duplicated()]
        if len(repeated):
            raise DataError(
                f"the {label}'s outputs of '{task}' hold the key '{repeated.iloc[0]}' more than once.",
                where="diff: joining outputs on their keys",
                mend="give every row one identity (an id column, or leave the id out to use content hashes)",
            )
    joined = base.merge(candidate, on="key", suffixes=("_a", "_b"))
    joined = joined.sort_values([*(["time_a"] if "time_a" in joined else []), "key"])
    if not len(joined):
        raise DataError(
            f"the two sides share no row of task '{task}'.",
            where="diff: joining outputs on their keys",
            mend="evaluate both on the same review rows",
        )
    missing = len(base) + len(candidate) - 2 * len(joined)
    if missing:
        notes.append(f"task '{task}': {missing} rows stand on one side only and are left out")
    if "y_a" in joined and "y_b" in joined:
        a, b = joined["y_a"].to_numpy(), joined["y_b"].to_numpy()
        same = (a == b) | pd.isna(a) | pd.isna(b)  # a label that came later is no other label
        if not same.all():
            raise DataError(
                f"{int((~same).sum())} rows of '{task}' have another target on the other side, "
                f"first '{joined['key'].iloc[int(np.argmin(same))]}'.",
                where="diff: joining outputs on their keys",
                mend="the data changed under the same keys: evaluate both versions on the same data",
            )
    return joined.reset_index(drop=True)


def _task(base: Side, candidate: Side, name: str, rows: pd.DataFrame, config: DiffConfig) -> dict[str, Any]:
    task = candidate.tasks[name]
    loss_a, loss_b = rows["loss_a"].to_numpy(dtype=float), rows["loss_b"].to_numpy(dtype=float)
    scored = np.isfinite(loss_a) & np.isfinite(loss_b) & (base.tasks[name].metric == task.metric)
    ordered = "time_a" in rows
    label, unit = label_and_unit(task)
    entry: dict[str, Any] = {
        "task": name,
        "kind": task.kind,
        "metric": task.metric,
        "label": label,
        "unit": unit,
        "n": int(scored.sum()),
        "base": None,
        "candidate": None,
        "change": None,
        "low": None,
        "high": None,
        "margin": None,
        "verdict": "undecided",
    }
    if scored.any():
        margin = margin_for(task, config.margin).absolute(loss_a[scored])
        found: Comparison = compare(
            loss_a[scored],
            loss_b[scored],
            block=config.block if ordered else 1,
            margin=margin,
            seed=config.seed,
            name=f"diff/{name}",
        )
        entry |= {
            "base": float(loss_a[scored].mean()),
            "candidate": float(loss_b[scored].mean()),
            "change": found.change,
            "low": _number(found.low),
            "high": _number(found.high),
            "margin": margin,
            "verdict": found.verdict,
            "detectable": _number(found.detectable),
            "method": found.method,
        }
    entry["flips"] = _flips(task, rows, loss_a, loss_b)
    entry["outputs"] = _outputs(rows) if base.tasks[name].unit == task.unit else []
    entry["attribution"] = _attribution(base.attribution.get(name), candidate.attribution.get(name))
    return entry


def _flips(
    task: Task, rows: pd.DataFrame, loss_a: npt.NDArray[np.float64], loss_b: npt.NDArray[np.float64]
) -> dict[str, Any]:
    before, after = rows["decision_a"].astype(str).to_numpy(), rows["decision_b"].astype(str).to_numpy()
    changed = before != after
    better, worse = changed & (loss_b < loss_a), changed & (loss_b > loss_a)
    gain = np.where(changed, np.abs(np.nan_to_num(loss_b - loss_a)), -1.0)
    # The largest consequences first; ties by key, so that the order is the same everywhere.
    order = np.lexsort((rows["key"].to_numpy().astype(str), -gain))
    shown = [i for i in order[:EXAMPLES] if changed[i]]
    y = rows.get("y_a")
    p_value = None
    if task.kind in ("classify", "multilabel", "ordinal") and y is not None:
        truth = y.astype(str).to_numpy()
        p_value = float(mcnemar(before != truth, after != truth).p)
    return {
        "n": len(rows),
        "changed": int(changed.sum()),
        "share": float(changed.mean()),
        "to_better": int(better.sum()),
        "to_worse": int(worse.sum()),
        "mcnemar_p": p_value,
        "examples": [
            {
                "key": str(rows["key"].iloc[i]),
                "from": str(before[i]),
                "to": str(after[i]),
                "y": None if y is None or pd.isna(y.iloc[i]) else str(y.iloc[i]),
            }
            for i in shown
        ],
    }


def _outputs(rows: pd.DataFrame) -> list[dict[str, Any]]:
    found = []
    for column in [c[:-2] for c in rows.columns if c.startswith("out:") and c.endswith("_a")]:
        if f"{column}_b" not in rows:
            continue
        a, b = rows[f"{column}_a"].to_numpy(dtype=float), rows[f"{column}_b"].to_numpy(dtype=float)
        found.append(
            {
                "name": column.removeprefix("out:"),
                "correlation": correlation(a, b),
                "mean_abs_change": float(np.abs(b - a).mean()),
            }
        )
    return found


def correlation(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float | None:
    """Pearson's; None when one side is constant."""
    if len(a) < 2 or a.std() < 1e-12 or b.std() < 1e-12:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _attribution(base: Any, candidate: Any) -> list[dict[str, Any]]:
    """Mean |attribution| per player on both sides, and the shift against the explainer's own noise.

    The noise is the mean difference between two runs of the same explainer on the same side under two seeds; a shift
    is shown when it is more than twice the larger side's noise.
    """
    if not base or not candidate or base["players"] != candidate["players"] or base["keys"] != candidate["keys"]:
        return []
    a, b = np.asarray(base["values"]), np.asarray(candidate["values"])  # (2, n, d, k)
    spread = np.maximum(np.abs(a[0]).sum(1).mean(0), 1e-300)  # per output, so that outputs of all units count alike
    shift = (np.abs(b.mean(0) - a.mean(0)) / spread).mean((0, 2))
    noise = np.maximum((np.abs(a[1] - a[0]) / spread).mean((0, 2)), (np.abs(b[1] - b[0]) / spread).mean((0, 2)))
    size_a, size_b = ((np.abs(x.mean(0)) / spread).mean((0, 2)) for x in (a, b))
    return [
        {
            "player": player,
            "base": float(size_a[j]),
            "candidate": float(size_b[j]),
            "shift": float(shift[j]),
            "noise": float(noise[j]),
            "shown": bool(shift[j] > 2.0 * noise[j]),
        }
        for j, player in enumerate(base["players"])
    ]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

"""One spec, several training seeds: a loop over `fit`, and one figure over all of them.

What is judged is the way of learning, not its luckiest fit. Every seed is a fit of its own in the store and is counted
among the tries; a seed that is there already is not trained again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.assemble import problem
from pellucid.core.task import Task
from pellucid.evidence.baselines import about, spoken
from pellucid.evidence.entry import number
from pellucid.evidence.intervals import episode_interval
from pellucid.evidence.metrics import label_and_unit
from pellucid.evidence.policy import Against, Aggregate, aggregate, compare_with
from pellucid.runs.exact import within
from pellucid.runs.fit import fit
from pellucid.runs.judge_policy import PATIENCE, SOON, blind_answers
from pellucid.runs.policies import on_rows
from pellucid.runs.progress import Reporter, Silent, one_thread
from pellucid.runs.stages import unfinished
from pellucid.spec.model import Spec
from pellucid.store.records import Entry
from pellucid.store.store import Store

Floats = npt.NDArray[np.float64]
Json = dict[str, Any]
Measured = tuple[float, float | None, float | None]  # value, low, high


def fit_seeds(
    spec: Spec, store: Store, seeds: Sequence[int], *, source: Any = None, reporter: Reporter | None = None
) -> Json:
    """Fit once a seed and judge all of them together.

    Args:
        seeds: of training, at least two, each once.
    Returns:
        Evidence JSON whose tasks have one figure over the seeds, and every seed beside it under `seeds`.
    """
    reporter = reporter or Silent()
    data_sha = problem(spec, source).data_sha
    entries = {}
    for i, seed in enumerate(seeds):
        one = spec.replace({"seed": seed})
        found = _kept(store, one, data_sha)
        if found is None:
            reporter.note(f"seed {seed}: {i + 1} of {len(seeds)}")
            resume = unfinished(store.root / "runs" / one.name).get("spec") == one.sha()
            because = f"seed {seed}, one of {len(seeds)}"
            done = fit(one, store, source=source, resume=resume, because=because, reporter=reporter)
            found = store.resolve(done.ref)
        else:
            reporter.note(f"seed {seed}: {found.ref} is there already")
        entries[seed] = found
    store.look(spec.name, f"seeds {', '.join(map(str, seeds))}")
    with one_thread():
        return judge_seeds(spec, store, entries)


def judge_seeds(spec: Spec, store: Store, entries: dict[int, Entry]) -> Json:
    """The evidence over fits of several seeds; nothing is trained."""
    first = next(iter(entries.values()))
    evidences = {seed: store.blobs.get_json(entry.manifest["blobs"]["evidence"]) for seed, entry in entries.items()}
    described = store.blobs.get_json(first.manifest["blobs"]["program"])["tasks"]
    tasks = []
    for raw in described:
        task = Task.from_json(raw)
        own = {seed: next(t for t in found["tasks"] if t["task"] == task.name) for seed, found in evidences.items()}
        tasks.append(_over_rows(task, own) if on_rows(task) else _over_episodes(task, store, entries, own, spec.seed))
        shown = [
            {"seed": seed, "ref": entries[seed].ref, **{key: one[key] for key in ("value", "low", "high", "verdict")}}
            for seed, one in own.items()
        ]
        tasks[-1]["seeds"] = shown
    return {
        "program": spec.name,
        "tasks": tasks,
        "controls": [],
        "seeds": list(entries),
        "trials": store.trials(spec.name),
        "looks": store.looks(spec.name),
        "review": next(iter(evidences.values()))["review"],
        "notes": [] if len(entries) >= 10 else ["fewer than 10 seeds: the mean with Student's t"],
    }


def _kept(store: Store, spec: Spec, data_sha: str) -> Entry | None:
    """The fit of this very spec and data, if there is one."""
    if spec.name not in store.names():
        return None
    for entry in [*store.versions(spec.name), *store.candidates(spec.name, rejected=True)]:
        made = entry.manifest["provenance"]
        if entry.kind == "fit" and made.get("spec_sha") == spec.sha() and made.get("data_sha") == data_sha:
            return entry
    return None


def _over_episodes(
    task: Task, store: Store, entries: dict[int, Entry], own: dict[int, Json], baseline_seed: int
) -> Json:
    """Every seed's greedy episodes, and policies that do not look on the very same ones."""
    tables = [store.blobs.get_table(entry.manifest["blobs"][f"outputs/{task.name}"]) for entry in entries.values()]
    returns = -np.stack([table["loss"].to_numpy(dtype=float) for table in tables])
    longest = max(float(str(d).split()[0]) for table in tables for d in table["decision"])
    limit = int(max(SOON, PATIENCE * longest))
    answers, _ = blind_answers(task, episodes=returns.shape[1], seed=baseline_seed, limit=limit)
    pairs = [compare_with(a.name, returns, -np.asarray(a.losses)) for a in answers if a.losses is not None]
    values = {}
    for one in answers:
        if one.losses is not None:
            alone = episode_interval(one.losses, seed=baseline_seed)
            values[one.name] = (alone.value, number(alone.low), number(alone.high))
    found = _entry(task, aggregate(returns), pairs, values)
    some = next(iter(own.values()))["extra"]
    found["extra"] = {key: some[key] for key in ("held_out_seeds", "optimum") if key in some}
    if "optimum" in some:
        found["extra"]["optimum_within"] = within(some["optimum"], -found["high"], -found["low"])
    return found


def _over_rows(task: Task, own: dict[int, Json]) -> Json:
    """A figure a seed: all seeds were judged on the same rows, whose own chance the interval does not hold."""
    scores = -np.asarray([one["value"] for one in own.values()])
    some = next(iter(own.values()))
    values = {b["name"]: (b["value"], b["low"], b["high"]) for b in some["baselines"] if b["value"] is not None}
    pairs = [compare_with(name, scores[:, None], [-value]) for name, (value, _, _) in values.items()]
    return _entry(task, aggregate(scores), pairs, values)


def _entry(task: Task, found: Aggregate, pairs: list[Against], values: dict[str, Measured]) -> Json:
    """As `evidence.entry.task_entry`: losses, lower is better."""
    baselines = [
        {
            "name": pair.name,
            "label": spoken(pair.name),
            "about": about(task.form, pair.name),
            "role": "naive",
            "note": "",
            **dict(zip(("value", "low", "high"), values[pair.name], strict=True)),
            "difference": -pair.difference.value,
            "difference_low": -pair.difference.high,
            "difference_high": -pair.difference.low,
            "verdict": pair.verdict,
        }
        for pair in pairs
    ]
    label, unit = label_and_unit(task)
    skill, sentence = _said(task, found, pairs)
    return {
        "task": task.name,
        "kind": task.kind,
        "metric": task.metric,
        "label": label,
        "unit": unit,
        "better": "lower",
        "subject": f"{found.seeds} seeds, {found.statistic}",
        "statistic": found.statistic,
        "n": found.seeds,
        "episodes": found.episodes,
        "value": -found.value,
        "low": -found.high,
        "high": -found.low,
        "method": found.method,
        "baselines": baselines,
        "verdict": skill,
        "skill": skill == "skill shown",
        "sentence": sentence,
        "folds": [],
        "extra": {},
    }


def _said(task: Task, found: Aggregate, pairs: list[Against]) -> tuple[str, str]:
    """The verdict against every baseline, in a word and in a sentence."""
    head = f"{task.name}, {found.seeds} seeds"
    names = [spoken(pair.name) for pair in pairs]
    if pairs and all(pair.verdict == "better" for pair in pairs):
        return "skill shown", f"{head}: skill shown (better than {' and '.join(names)})."
    least = [spoken(pair.name) for pair in pairs if pair.verdict != "better"]
    worse = [spoken(pair.name) for pair in pairs if pair.verdict == "worse"]
    if worse:
        return "worse", f"{head}: no skill shown: worse than {' and '.join(worse)}."
    return "no skill shown", f"{head}: no skill shown: not better than {' and '.join(least) or 'anything'}."

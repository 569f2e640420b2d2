"""Calibration error before and after temperature scaling, on cross-fitted predictions of the default for tables.

Five folds; a fold's temperature comes from the other four folds' predictions, so that no row is judged by a number that
was chosen on it. Error: expected calibration error, 15 bins of equally many rows; the event is the second class of two,
else the likeliest class. Null: mean and 95 % quantile of that error if every event came with exactly its probability.

Bar: error after scaling <= .03 on every table, unless a perfectly calibrated program would show more (the null's mean
above .03: then the error must lie below the null's 95 % quantile). Controls: log-odds times three have a larger error,
and after scaling the same as before; labels drawn from the predictions themselves stay within the null.

    python bench/calibration.py [--tables wine digits] [--rows 20000] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt
import table_data

OUT = Path(__file__).resolve().parent / "results" / "calibration.json"
TABLES = ("breast_cancer", "wine", "digits", "categories", "missing", "large")
BAR, FOLDS = 0.03, 5
Array = npt.NDArray[Any]


def crossfitted(table: str, rows: int, seed: int, changes: list[str]) -> tuple[Any, Array, Array, list[Array]]:
    """(task, logits at temperature 1, codes, rows of each fold): every row answered by a fit that had not seen it."""
    from pellucid.assemble import assemble, problem
    from pellucid.evidence.folds import stratified_folds
    from pellucid.evidence.metrics import class_codes
    from pellucid.runs.outputs import answers
    from pellucid.spec.presets import table_spec
    from pellucid.train.loop import Hooks

    data = table_data.ALL[table]()
    order = np.random.default_rng([seed, 11]).permutation(len(data.target))[:rows]
    frame = data.inputs.iloc[order].reset_index(drop=True).assign(target=data.target[order])
    found = problem(table_spec("memory.csv", "target", name="bench", overrides=(f"seed={seed}", *changes)), frame)
    assert found.rows is not None
    labels = np.asarray(found.rows.targets["target"]).astype(str)
    logits, codes, tests = None, np.empty(0), []
    for fold in stratified_folds(labels, FOLDS, seed):
        made = assemble(found, fold.train, seed=seed)
        made.trainer.run(made.config, Hooks(made.schedule))
        program = made.finish()
        task = next(iter(program.tasks.values()))
        out = answers(program, task, found.rows.take(fold.test))
        logits = np.empty((len(labels), out.shape[1])) if logits is None else logits
        logits[fold.test], codes = out, class_codes(labels, task)
        tests.append(fold.test)
    assert logits is not None
    return task, logits, codes, tests


def scaled(logits: Array, codes: Array, tests: list[Array]) -> tuple[Array, list[float]]:
    """Each fold's logits by the temperature of the other folds."""
    from pellucid.evidence.calibration import fit_temperature

    found, heats = logits.copy(), []
    for k, test in enumerate(tests):
        others = np.concatenate([t for i, t in enumerate(tests) if i != k])
        heats.append(fit_temperature(logits[others], codes[others]))
        found[test] /= heats[-1]
    return found, heats


def one(table: str, rows: int, seed: int, changes: list[str]) -> dict[str, Any]:
    from pellucid.evidence.calibration import calibration_error, event, null_error
    from pellucid.evidence.metrics import probabilities

    start = time.process_time()
    task, logits, codes, tests = crossfitted(table, rows, seed, changes)

    def error(z: Array) -> float:
        return calibration_error(*event(codes, probabilities(z, task)))

    after, heats = scaled(logits, codes, tests)
    predicted, _ = event(codes, probabilities(after, task))
    null, null_high = null_error(predicted, seed=seed)
    drawn = (np.random.default_rng([seed, 12]).random(len(predicted)) < predicted) * 1.0
    return {
        "n": len(codes),
        "before": error(logits),
        "after": error(after),
        "temperatures": heats,
        "null": null,
        "null_high": null_high,
        "drawn_from_itself": calibration_error(predicted, drawn),
        "tripled_before": error(3 * logits),
        "tripled_after": error(scaled(3 * logits, codes, tests)[0]),
        "cpu_seconds": time.process_time() - start,
    }


def met(r: dict[str, Any]) -> bool:
    """The bar, or where chance alone is above it, no more than chance."""
    return bool(r["after"] <= BAR or (r["null"] > BAR and r["after"] <= r["null_high"]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--rows", type=int, default=20_000, help="at most so many rows of a table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="a.b=v", help="change the default for tables")
    args = parser.parse_args()
    import torch

    from pellucid.store.files import write_atomic

    torch.set_num_threads(1)
    OUT.parent.mkdir(exist_ok=True)
    results: dict[str, Any] = json.loads(OUT.read_text()) if OUT.exists() else {}
    print(f"{'table':14}{'n':>7}{'before':>8}{'after':>8}{'null':>8}{'to 95 %':>9}{'T':>7}{'x3':>8}{'-> after':>9}")
    every = True
    for table in args.tables:
        r = results[table] = one(table, args.rows, args.seed, args.set)
        write_atomic(OUT, json.dumps(results, indent=1).encode())
        every &= met(r)
        numbers = "".join(f"{r[k]:8.4f}" for k in ("before", "after", "null", "null_high"))
        controls = f"{np.mean(r['temperatures']):7.2f}{r['tripled_before']:8.4f}{r['tripled_after']:9.4f}"
        print(
            f"{table:14}{r['n']:7}{numbers} {controls}{r['cpu_seconds']:7.0f}  {'met' if met(r) else 'NOT MET'}",
            flush=True,
        )
    return 0 if every else 1


if __name__ == "__main__":
    sys.exit(main())

"""Rows per second of supervised training, and CPU seconds to the same validation loss, against scikit-learn's MLP.

Three tables of 1e5 rows and the digits; a fifth of the rows is the validation part. Both train one hidden layer of 100
ReLU units on the same standardised numbers with Adam and without weight decay; scikit-learn with its defaults (batches
of 200, learning rate 1e-3), a pass at a time by `partial_fit`. Rows:

- like for like: Pellucid with the same batch and learning rate;
- ours: batches of 1,024 (128 of the digits), learning rate 4e-3 falling to zero over as many passes.

`target` is the lowest validation loss that scikit-learn reaches within its passes. A row counts only when Pellucid's
validation loss reaches it, too: rows per second that learn less are none. Looking at the validation part is not timed.
CPU seconds of one thread; a cell is a process of its own; order of the learners alternates by seed; medians over 5
seeds with their range. Settings were chosen at seeds 100 and 101.

    python bench/fit_speed.py [--seeds 0 1 2 3 4] [--problems large interactions]
    resumes from bench/results/fit_speed.json; bar: rows/s of `ours` at equal validation loss >= 2 times scikit-learn's
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from cells import Gauge, cell, machine, spread

OUT = Path(__file__).resolve().parent / "results" / "fit_speed.json"
ROWS, COLUMNS = 100_000, 50
LEARNERS = ("scikit-learn", "like for like", "ours")
LOOKS = 4  # a pass, at the validation part
Array = npt.NDArray[Any]


class Problem(NamedTuple):
    """Inputs (n, 50), class codes or numbers (n,); passes over the training part that scikit-learn gets."""

    inputs: Array
    target: Array
    classes: int  # 0: numbers
    passes: int


def _inputs(g: np.random.Generator) -> Array:
    found: Array = g.standard_normal((ROWS, COLUMNS), dtype=np.float32)
    return found


def two_classes(g: np.random.Generator) -> Problem:
    """A sine of a sum and a product, with noise."""
    x = _inputs(g)
    signal = np.sin(3 * x @ g.standard_normal(COLUMNS) / np.sqrt(COLUMNS)) + 0.5 * x[:, 0] * x[:, 1]
    return Problem(x, (signal + 0.3 * g.standard_normal(ROWS) > 0).astype(int), 2, 12)


def five_classes(g: np.random.Generator) -> Problem:
    """The largest of five smooth functions, with noise."""
    x = _inputs(g)
    scores = np.tanh(x @ g.standard_normal((COLUMNS, 10)) / np.sqrt(COLUMNS) * 1.5) @ g.standard_normal((10, 5))
    return Problem(x, (scores + 0.5 * g.gumbel(size=scores.shape)).argmax(1), 5, 12)


def numbers(g: np.random.Generator) -> Problem:
    """A sum of smooth functions and a product, with noise."""
    x = _inputs(g)
    y = np.tanh(x[:, :10]) @ g.standard_normal(10) + x[:, 10] * x[:, 11] + 0.5 * g.standard_normal(ROWS)
    return Problem(x, (y - y.mean()) / y.std(), 0, 12)


def digits(g: np.random.Generator) -> Problem:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = g.permutation(len(y))
    return Problem(x[order].astype(np.float32), y[order], 10, 60)


PROBLEMS: dict[str, Callable[[np.random.Generator], Problem]] = {
    "two classes": two_classes,
    "five classes": five_classes,
    "numbers": numbers,
    "digits": digits,
}


def split(problem: Problem) -> tuple[Array, Array, Array, Array]:
    """Standardised training and validation inputs, and their targets."""
    cut = len(problem.target) * 4 // 5
    train, held = problem.inputs[:cut], problem.inputs[cut:]
    mean, sd = train.mean(0), train.std(0)
    sd = np.where(sd > 0, sd, 1.0)
    return (train - mean) / sd, (held - mean) / sd, problem.target[:cut], problem.target[cut:]


def validation(p: Array, y: Array, classes: int) -> float:
    """Log loss of probabilities (n, k), or mean squared error."""
    if not classes:
        return float(np.mean((p - y) ** 2))
    return float(-np.log(np.clip(p[np.arange(len(y)), y], 1e-7, 1.0)).mean())


def scikit_learn(problem: Problem, seed: int) -> list[list[float]]:
    """[CPU seconds, rows seen, validation loss] after every pass."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    x, held, y, held_y = split(problem)
    kind = MLPClassifier if problem.classes else MLPRegressor
    model, seconds, curve = kind(hidden_layer_sizes=(100,), alpha=0.0, random_state=seed), 0.0, []
    for done in range(1, problem.passes + 1):
        start = time.process_time()
        if problem.classes:
            model.partial_fit(x, y, classes=np.arange(problem.classes))
        else:
            model.partial_fit(x, y)
        seconds += time.process_time() - start
        found = model.predict_proba(held) if problem.classes else model.predict(held)
        curve.append([seconds, done * len(y), validation(found, held_y, problem.classes)])
    return curve


def pellucid(problem: Problem, seed: int, train: dict[str, Any]) -> list[list[float]]:
    """The same, `LOOKS` times a pass."""
    import pandas as pd

    from pellucid.assemble import assemble
    from pellucid.assemble import problem as problem_of
    from pellucid.data.tables import rows_from_frame
    from pellucid.spec.loader import spec_from
    from pellucid.train.loop import Hooks

    x, held, y, held_y = split(problem)
    names = [f"x{i:02d}" for i in range(x.shape[1])]
    kind = "classify" if problem.classes else "regress"
    target = np.asarray([f"c{i}" for i in range(10)])[y] if problem.classes else y
    frame = pd.DataFrame(x, columns=names).assign(y=target)
    per_pass = len(y) // int(train["batch"])
    train = {**train, "updates": problem.passes * per_pass}
    raw = {
        "name": "speed",
        "seed": seed,
        "data": {"kind": "table", "source": "dataframe", "target": "y"},
        "network": {"width": 100, "depth": 1},
        "tasks": {"y": {"kind": kind}},
        "train": {
            "optimiser": "adam",
            "weight_decay": 0.0,
            "clip": None,
            **train,
            "updates": problem.passes * per_pass,
        },
    }
    prob = problem_of(spec_from(raw, where="bench"), frame)
    made = assemble(prob, np.arange(len(frame)), seed=seed)
    blocks = made.program.encode(rows_from_frame(pd.DataFrame(held, columns=names), prob.fields))
    every, curve, clock = max(1, per_pass // LOOKS), [], [0.0, time.process_time()]

    def look(update: int, _: object) -> None:
        if update % every:
            return
        clock[0] += time.process_time() - clock[1]
        out = made.snapshot()(blocks, "y").double().numpy()
        if not problem.classes:
            found = out[:, 0]
        elif out.shape[1] == 1:
            yes = 1.0 / (1.0 + np.exp(-out[:, 0]))
            found = np.stack([1.0 - yes, yes], axis=1)
        else:
            p = np.exp(out - out.max(1, keepdims=True))
            found = p / p.sum(1, keepdims=True)
        curve.append([clock[0], update * int(train["batch"]), validation(found, held_y, problem.classes)])
        clock[1] = time.process_time()

    made.trainer.run(made.config, Hooks(made.schedule, None, look, None))
    return curve


def measure(name: str, learner: str, seed: int) -> dict[str, Any]:
    """One cell."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    problem = PROBLEMS[name](np.random.default_rng([seed, 11]))
    gauge = Gauge()
    gauge.look()
    if learner == "scikit-learn":
        curve = scikit_learn(problem, seed)
    else:
        few = len(problem.target) < 10_000
        train = (
            {"batch": 200, "lr": 1e-3} if learner == "like for like" else {"batch": 128 if few else 1024, "lr": 4e-3}
        )
        curve = pellucid(problem, seed, {**train, "schedule": "constant" if learner == "like for like" else "linear"})
    gauge.look()
    return {"curve": curve, "rows_per_s": curve[-1][1] / curve[-1][0], "drift": gauge.drift, **machine()}


def seconds_to(curve: list[list[float]], target: float) -> float | None:
    """CPU seconds until the validation loss first is at most the target."""
    return next((seconds for seconds, _, loss in curve if loss <= target), None)


def report(results: dict[str, Any], problems: list[str], seeds: list[int]) -> None:
    print(f"\n{'':14}{'':16}{'rows/s':>28}{'times scikit-learn':>24}{'to equal loss, times':>26}   lowest loss")
    for name in problems:
        keys = [s for s in seeds if all(f"{name}/{who}/{s}" in results for who in LEARNERS)]
        if not keys:
            continue
        for who in LEARNERS:
            mine = [results[f"{name}/{who}/{s}"] for s in keys]
            peer = [results[f"{name}/scikit-learn/{s}"] for s in keys]
            lowest = [min(point[2] for point in cell["curve"]) for cell in mine]
            line = f"{name:14}{who:16}{spread([c['rows_per_s'] for c in mine], 0):>28}"
            if who != "scikit-learn":
                line += f"{spread([c['rows_per_s'] / p['rows_per_s'] for c, p in zip(mine, peer, strict=True)]):>24}"
                ratios = []
                for c, p in zip(mine, peer, strict=True):
                    target = min(point[2] for point in p["curve"])
                    ours, theirs = seconds_to(c["curve"], target), seconds_to(p["curve"], target)
                    ratios.append(0.0 if ours is None or theirs is None else theirs / ours)
                reached = sum(r > 0 for r in ratios)
                line += f"{spread(ratios) if reached == len(keys) else f'reached {reached} of {len(keys)}':>26}"
            else:
                line += f"{'':>50}"
            drift = max(c["drift"] for c in mine)
            print(f"{line}   {spread(lowest, 4)}" + (f"  (drift {drift:.0%})" if drift > 0.1 else ""))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--cell", nargs=3, metavar=("PROBLEM", "LEARNER", "SEED"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.cell:
        print(json.dumps(measure(args.cell[0], args.cell[1], int(args.cell[2]))))
        return 0
    from pellucid.store.files import write_atomic

    OUT.parent.mkdir(exist_ok=True)
    results: dict[str, Any] = json.loads(OUT.read_text()) if OUT.exists() else {}
    for seed in args.seeds:
        for name in args.problems:
            for who in LEARNERS if seed % 2 else LEARNERS[::-1]:
                key = f"{name}/{who}/{seed}"
                if key not in results:
                    results[key] = cell(__file__, name, who, seed)
                    write_atomic(OUT, json.dumps(results, indent=1).encode())
                    print(f"{key:36} {results[key]['rows_per_s']:12,.0f} rows/s  {results[key]['curve'][-1][0]:6.1f} s")
    report(results, args.problems, args.seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())

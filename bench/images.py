"""Digits as pictures: 5-fold stratified cross-validated accuracy, beside other learners.

A seed is a shuffle: its five folds, and the seed of every learner. All learners see the same folds of scikit-learn's
1,797 digits (8 x 8 pixels) and are run with one configuration each. Interval: Wilson's of the hits among the 1,797 rows
at one seed; over seeds, the mean and its range, for the rows are the same.

Bar: accuracy of `convnet` at least .975, by the mean over seeds. Control: a constant answer, judged alike, must fail.

    python bench/images.py [--models convnet svm] [--seeds 0 1 2 3 4]
    resumes from bench/results/images.json; settings were chosen on seeds from 100 on
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt

OUT = Path(__file__).resolve().parent / "results" / "images.json"
FOLDS, BAR = 5, 0.975
Array = npt.NDArray[Any]

DIGIT = {"kind": "image", "image": {"shape": [8, 8], "columns": ["pixel_*"], "high": 16.0}}
MOVED = {"shift": 0.06, "crop": 0.1, "rotate": 8.0}
TRAIN = {"updates": 1000, "batch": 128, "lr": 3e-3, "schedule": "one_cycle", "warmup": 0.2, "weight_decay": 0.05}
# convnet: the best of four on seeds 100 and 101; vit: of two on seed 100.
SETTINGS: dict[str, dict[str, Any]] = {
    "convnet": {"network": {"width": 64, "depth": 1}, "train": {**TRAIN, "augment": MOVED}},
    "vit": {
        "network": {"width": 64, "depth": 1, "images": "vit"},
        "train": {**TRAIN, "lr": 1e-3, "augment": MOVED},
    },
}


def pellucid(kind: str, overrides: tuple[str, ...] = ()) -> Callable[[Array, Array, int], Array]:
    """A learner of Pellucid: from positions to train on, to answer, and a seed, to digits."""

    def fit(train: Array, test: Array, seed: int) -> Array:
        from pellucid.assemble import assemble
        from pellucid.train.loop import Hooks

        prob = read(kind, overrides)
        assert prob.rows is not None
        made = assemble(prob, train, seed=seed)
        made.trainer.run(made.config, Hooks(made.schedule))
        program = made.finish()
        program.network.eval()
        rows = prob.rows.take(test)
        return program(program.encode(rows), "target").argmax(1).numpy()

    return fit


def read(kind: str, overrides: tuple[str, ...]) -> Any:
    """The problem, and its classes in the order 0 to 9."""
    from pellucid.assemble import problem
    from pellucid.spec.loader import build_spec

    spec = build_spec(
        name="digits",
        data={"kind": "table", "source": "digits", "target": "target", "fields": {"digit": DIGIT}},
        **SETTINGS[kind],
    )
    found = problem(spec.replace(None, overrides) if overrides else spec)
    assert found.classes == tuple(map(str, range(10)))
    return found


def sklearns(make: Callable[[int], Any]) -> Callable[[Array, Array, int], Array]:
    def fit(train: Array, test: Array, seed: int) -> Array:
        x, y = digits()
        return np.asarray(make(seed).fit(x[train], y[train]).predict(x[test]))

    return fit


def digits() -> tuple[Array, Array]:
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.data / 16.0, found.target


def logistic(seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))


def svm(seed: int) -> Any:
    """The radial kernel at scikit-learn's width, C = 10."""
    from sklearn.svm import SVC

    return SVC(C=10.0)


def boosting(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(random_state=seed)


def constant(seed: int) -> Any:
    from sklearn.dummy import DummyClassifier

    return DummyClassifier()


MODELS: dict[str, Callable[[Array, Array, int], Array]] = {
    "convnet": pellucid("convnet"),
    "vit": pellucid("vit"),
    "logistic": sklearns(logistic),
    "svm": sklearns(svm),
    "boosting": sklearns(boosting),
    "constant": sklearns(constant),
}


def one(fit: Callable[[Array, Array, int], Array], seed: int) -> dict[str, float]:
    """Hits of the cross-validation, of 1,797, and its CPU seconds."""
    from sklearn.model_selection import StratifiedKFold

    x, y = digits()
    start, hits = time.process_time(), 0
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, y):
        hits += int((fit(train, test, seed) == y[test]).sum())
    return {"hits": hits, "of": len(y), "cpu_seconds": time.process_time() - start}


def report(results: dict[str, dict[str, float]], seeds: list[int]) -> bool:
    """The table, and whether the bar is met and the control fails."""
    from pellucid.evidence.calibration import wilson

    print(f"{'model':10}{'mean':>8}   over seeds        95 % at the first seed   CPU s a seed")
    mean: dict[str, float] = {}
    for model in MODELS:
        runs = [results[f"{model} {seed}"] for seed in seeds if f"{model} {seed}" in results]
        if len(runs) < len(seeds):
            continue
        shares = [run["hits"] / run["of"] for run in runs]
        low, high = wilson(runs[0]["hits"], int(runs[0]["of"]))
        mean[model] = float(np.mean(shares))
        seconds = np.mean([run["cpu_seconds"] for run in runs])
        print(
            f"{model:10}{mean[model]:8.4f}   {min(shares):.4f} to {max(shares):.4f}   "
            f"{low:.4f} to {high:.4f}         {seconds:8.1f}"
        )
    met = mean.get("convnet", 0.0) >= BAR > mean.get("constant", 0.0)
    print(f"bar: convnet at least {BAR}: {'met' if met else 'NOT MET'} (seeds {', '.join(map(str, seeds))})")
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--set", nargs="*", default=[], help="settings to try; nothing is kept")
    args = parser.parse_args()
    import torch

    from pellucid.store.files import write_atomic

    torch.set_num_threads(1)
    if args.set:
        for model in args.models:
            for seed in args.seeds:
                found = one(pellucid(model, tuple(args.set)), seed)
                share = found["hits"] / found["of"]
                print(
                    f"{model} seed {seed} {' '.join(args.set)}: {share:.4f}, {found['cpu_seconds']:.0f} s", flush=True
                )
        return 0
    results = json.loads(OUT.read_text()) if OUT.exists() else {}
    for seed in args.seeds:
        for model in args.models:
            key = f"{model} {seed}"
            if key not in results:
                results[key] = one(MODELS[model], seed)
                OUT.parent.mkdir(exist_ok=True)
                write_atomic(OUT, json.dumps(results, indent=1).encode())
                print(f"{key}: {results[key]['hits']} of {results[key]['of']}", flush=True)
    return 0 if report(results, args.seeds) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Forecasts of public series, rolling origins: Pellucid against the best of persistence, seasonal naive, AR(p) and ETS.

Series and their settings are those of bench/series_data.py. Every moment of the last 40 % with a full horizon behind it
is an origin; four expanding folds, each fitted on the moments before it less a horizon, by everybody alike: the
baselines keep their parameters within a fold and forecast with all values up to the origin, as the program does. An
error is the mean absolute error of the medians of all steps ahead over the mean step of a season up to the origin
(MASE). Pellucid's is the mean over five seeds, row by row; intervals are of the stationary block bootstrap over
moments, a block lasting 20 moments on average, or a horizon if that is longer.

Bar, per set: the 95 % interval of the difference from the best baseline (by its mean on these very rows, which favours
it) tells better, worse or undecided; the bar of the mean is a difference of at most 0.

    python bench/series.py [--sets nile co2] [--seeds 0 1 2 3 4]
        resumes from bench/results/series/
    python bench/series.py --tune [CHOICE ...]
        choices of settings on simulated series at seeds 100 to 102, one fold
    python bench/series.py --earlier [CHOICE ...]
        the same on the public series' earlier origins: two folds within what the first reported fold trains on

The start alone is chosen by bench/series_start.py, on more sets.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt
import series_data
import torch

OUT = Path(__file__).resolve().parent / "results" / "series"
SHARE, FOLDS, DRAWS = 0.4, 4, 10_000
BASELINES = ("persistence", "seasonal_naive", "autoregression", "ets")
Floats = npt.NDArray[np.float64]

# Tried on simulated series; the first is the preset.
TRIED: dict[str, dict[str, Any]] = {
    "preset": {},
    "start alone": {"train.updates": 1, "train.lr": 1e-9, "train.early_stop.held_out": None},
    "naive start": {"tasks.y.start": "naive"},
    "lr 3e-3": {"train.lr": 3e-3},
    "lr 3e-4": {"train.lr": 3e-4},
    "weight decay .1": {"train.weight_decay": 0.1},
    "no refit": {"train.early_stop.refit": False},
    "transformer": {"network.kind": "transformer"},
    "mlp": {"network.kind": "mlp"},
}


def prepared(found: series_data.Problem, changes: dict[str, Any], share: float, folds: int) -> tuple[Any, Any]:
    """(problem, folds) of a table of series."""
    from pellucid.assemble import problem
    from pellucid.evidence.folds import Fold, moment_folds
    from pellucid.runs.moments import labelled
    from pellucid.spec.loader import spec_from
    from pellucid.spec.presets import SERIES

    raw = {"name": "series", "data": found.data, "tasks": {"y": {"kind": "horizons", "metric": "mase"}}, **SERIES}
    prob = problem(spec_from(raw, where="bench").replace(changes), found.frame)
    known = labelled(prob)
    steps = prob.rows.extra["step"][known].astype(float)
    plan = moment_folds(steps, folds=folds, purge=prob.purge, test_share=share)
    return prob, [Fold(known[f.train], known[f.test]) for f in plan]


def ours(prob: Any, folds: Any, seed: int) -> tuple[Floats, float]:
    """Errors of the rows of all folds, in order, and the share of what came within the outer quantiles."""
    from pellucid.assemble import assemble
    from pellucid.data.windows import FUTURE
    from pellucid.evidence.metrics import row_losses, with_scale
    from pellucid.runs.calibrating import calibrated
    from pellucid.runs.judge import FoldResult
    from pellucid.runs.outputs import answers
    from pellucid.train.loop import Hooks

    results = []
    for i, fold in enumerate(folds):
        made = assemble(prob, fold.train, seed=1000 * seed + i)
        made.trainer.run(made.config, Hooks(made.schedule, None, None))
        results.append(FoldResult(fold, made.finish()))
    losses, inside = [], []
    for result in calibrated(prob, results)[0]:
        rows, task = prob.rows.take(result.fold.test), result.program.tasks["y"]
        said = answers(result.program, task, rows)
        losses.append(row_losses(task, with_scale(rows.targets[FUTURE], rows.extra["error_scale"]), said))
        wide = said.reshape(len(rows), -1, len(task.options["quantiles"]))
        came = rows.targets[FUTURE]
        held = (came >= wide[:, :, 0]) & (came <= wide[:, :, -1])
        inside.append(held[np.isfinite(came)])
    return np.concatenate(losses), float(np.concatenate(inside).mean())


def baseline(prob: Any, folds: Any, name: str) -> Floats:
    """The same of a baseline."""
    from pellucid.assemble.tasks import declare
    from pellucid.evidence.baselines import SeriesContext, answer

    task = declare(prob, None, {})["y"]
    found = [answer(task, name, SeriesContext.from_rows(prob.rows, f.train, f.test, task)).losses for f in folds]
    return np.concatenate([losses for losses in found if losses is not None])


def kept(name: str, make: Any) -> dict[str, Any]:
    """A result from its file, or made and written."""
    file = OUT / f"{name}.json"
    if file.exists():
        found: dict[str, Any] = json.loads(file.read_text())
        return found
    start = time.process_time()
    found = {**make(), "seconds": round(time.process_time() - start, 1)}
    OUT.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found))
    return found


def report(name: str, seeds: list[int]) -> None:
    """One set: everybody's mean error, and the difference from the best baseline."""
    from pellucid.evidence.intervals import mean_interval
    from pellucid.runs.moments import block_of

    prob, folds = prepared(series_data.public(name), {}, SHARE, FOLDS)
    asked = [one for one in BASELINES if one != "seasonal_naive" or prob.season > 1]

    def other(one: str) -> dict[str, Any]:
        return {"losses": baseline(prob, folds, one).tolist()}

    others = {one: np.asarray(kept(f"{name}-{one}", lambda one=one: other(one))["losses"]) for one in asked}

    def made(seed: int) -> dict[str, Any]:
        losses, inside = ours(prob, folds, seed)
        return {"losses": losses.tolist(), "inside": inside}

    cells = [kept(f"{name}-seed{seed}", lambda seed=seed: made(seed)) for seed in seeds]
    own = np.mean([cell["losses"] for cell in cells], axis=0)
    best = min(others, key=lambda one: float(others[one].mean()))
    block = block_of(prob)
    mean = mean_interval(own, block=block, seed=0, name=name, draws=DRAWS)
    gap = mean_interval(own - others[best], block=block, seed=0, name=name + "/gap", draws=DRAWS)
    verdict = "better" if gap.high < 0 else "worse" if gap.low > 0 else "undecided"
    by_seed = [float(np.mean(cell["losses"])) for cell in cells]
    print(
        f"{name:13} n {len(own):5}  Pellucid {mean.value:.3f} ({mean.low:.3f} to {mean.high:.3f}), seeds "
        f"{min(by_seed):.3f} to {max(by_seed):.3f}  "
        + "  ".join(f"{one} {values.mean():.3f}" for one, values in others.items())
        + f"  difference from {best} {gap.value:+.3f} ({gap.low:+.3f} to {gap.high:+.3f}): {verdict}, "
        f"mean {'met' if gap.value <= 0 else 'not met'}  inside 80 %: {np.mean([c['inside'] for c in cells]):.2f}  "
        f"CPU s a seed {np.mean([c['seconds'] for c in cells]):.0f}",
        flush=True,
    )


def tune(names: list[str]) -> None:
    """Errors of every choice over that of the start alone, geometric mean over simulated series and three seeds."""
    for choice in names:
        ratios = {}
        for name in series_data.SIMULATED:
            logs = []
            for seed in (100, 101, 102):
                means = []
                for one in (choice, "start alone"):
                    prob, folds = prepared(series_data.simulated(name, seed), TRIED[one], SHARE, 1)
                    key = f"tune-{one.replace(' ', '_')}-{name}-{seed}"
                    means.append(kept(key, lambda p=prob, f=folds, s=seed: {"mean": float(ours(p, f, s)[0].mean())}))
                logs.append(np.log(means[0]["mean"] / means[1]["mean"]))
            ratios[name] = float(np.exp(np.mean(logs)))
        total = np.exp(np.mean(np.log(list(ratios.values()))))
        print(f"{choice:16} {total:.3f}  " + "  ".join(f"{k} {v:.3f}" for k, v in ratios.items()), flush=True)


def earlier(names: list[str], sets: list[str]) -> None:
    """Mean errors of every choice on origins before the reported ones, seed 100."""
    from pellucid.evidence.folds import Fold, moment_folds

    for choice in names:
        means = {}
        for name in sets:
            prob, plan = prepared(series_data.public(name), TRIED[choice], SHARE, FOLDS)
            known = plan[0].train
            steps = prob.rows.extra["step"][known].astype(float)
            own = moment_folds(steps, folds=2, purge=prob.purge, test_share=SHARE)
            losses, _ = ours(prob, [Fold(known[f.train], known[f.test]) for f in own], 100)
            means[name] = float(losses.mean())
        print(f"{choice:16} " + "  ".join(f"{name} {mean:.3f}" for name, mean in means.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=list(series_data.PUBLIC), default=list(series_data.PUBLIC))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--tune", nargs="*", choices=list(TRIED), help="these choices, by default all")
    parser.add_argument("--earlier", nargs="*", choices=list(TRIED), help="these choices, by default all")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.tune is not None:
        tune(args.tune or list(TRIED))
        return
    if args.earlier is not None:
        earlier(args.earlier or list(TRIED), args.sets)
        return
    for name in args.sets:
        report(name, args.seeds)


if __name__ == "__main__":
    main()

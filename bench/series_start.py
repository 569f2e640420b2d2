"""The start of a program of series beside the best baseline by hindsight, on sets that bench/series.py does not report.

Four kinds: earlier origins of the reported sets (two folds within what the first reported fold trains on), simulated
series at seeds 100 to 102 (one fold), accounts, prices and rates of other countries or earlier years, and other public
series (two folds in the last 40 %; bench/series_collection.py). The start alone is fitted, no network. Printed: the
geometric mean over sets of its MASE over that of the best of the four baselines, by kind; 1 would be as good as
somebody who knew the best one of each set. Here starts are chosen.

    python bench/series_start.py [--names autoregression smoothing smoothing_next] [--sets]
        baselines are kept in bench/results/series/; --sets prints every set
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import numpy.typing as npt
import series
import series_collection
import series_data

Floats = npt.NDArray[np.float64]


def earlier(found: series_data.Problem) -> tuple[Any, Any]:
    """(problem, folds): origins before the reported ones."""
    from pellucid.evidence.folds import Fold, moment_folds

    prob, plan = series.prepared(found, {}, series.SHARE, series.FOLDS)
    known = plan[0].train
    own = moment_folds(prob.rows.extra["step"][known].astype(float), folds=2, purge=prob.purge, test_share=series.SHARE)
    return prob, [Fold(known[f.train], known[f.test]) for f in own]


def collection() -> dict[str, tuple[str, Any]]:
    """name -> (kind, what makes problem and folds)."""
    found: dict[str, tuple[str, Any]] = {}
    for name in series_data.PUBLIC:
        found[f"earlier {name}"] = ("earlier", lambda name=name: earlier(series_data.public(name)))
    for name in series_data.SIMULATED:
        for seed in (100, 101, 102):
            found[f"{name} {seed}"] = (
                "simulated",
                lambda name=name, seed=seed: series.prepared(series_data.simulated(name, seed), {}, series.SHARE, 1),
            )
    for kind, sets in (("macro", series_collection.MACRO), ("other", series_collection.OTHER)):
        for name, make in sets.items():
            found[name] = (kind, lambda make=make: series.prepared(make(), {}, series.SHARE, 2))
    return found


def start(prob: Any, folds: Any, names: tuple[str, ...]) -> Floats:
    """Errors of the start alone at the rows of all folds."""
    from pellucid.data.windows import FUTURE
    from pellucid.supervised.starts import Shape
    from pellucid.supervised.starts.mix import mixed

    rows, data = prob.rows, prob.spec.data
    shape = Shape(data.window, data.horizon, prob.season)
    x = np.concatenate([rows.fields["y"], rows.fields["y.mean"]], axis=1)
    level, scale = rows.fields["y.level"], rows.fields["y.scale"]
    future, log = rows.targets[FUTURE], data.transform == "log"
    target = ((np.log(future) if log else future) - level) / scale
    codes = rows.extra["series"]
    groups = int(codes.max()) + 1 if data.group else 0
    losses = []
    for fold in folds:
        train, test = fold.train, fold.test
        maps = mixed(x[train], target[train], codes[train], groups, shape, (0.1, 0.5, 0.9), names).maps
        own = maps[codes[test] if groups else np.zeros(len(test), dtype=np.int64)]
        said = level[test] + scale[test] * (np.einsum("nl,nhl->nh", x[test], own[:, :, :-1]) + own[:, :, -1])
        errors = np.abs((np.exp(said) if log else said) - future[test])
        losses.append(np.nanmean(errors, axis=1) / rows.extra["error_scale"][test])
    return np.concatenate(losses)


def baselines(name: str, prob: Any, folds: Any) -> dict[str, float]:
    """Mean errors, from their file if there is one."""
    asked = [one for one in series.BASELINES if one != "seasonal_naive" or prob.season > 1]
    found = series.kept(
        f"start-{name.replace(' ', '_')}",
        lambda: {one: float(np.nanmean(series.baseline(prob, folds, one))) for one in asked},
    )
    return {one: found[one] for one in asked}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="+", default=["autoregression", "smoothing", "smoothing_next"])
    parser.add_argument("--sets", action="store_true")
    args = parser.parse_args()
    kinds: dict[str, dict[str, list[float]]] = {}
    for name, (kind, make) in collection().items():
        prob, folds = make()
        others = baselines(name, prob, folds)
        best = min(others, key=lambda one: others[one])
        own = float(start(prob, folds, tuple(args.names)).mean())
        if args.sets:
            print(f"{kind:10} {name:24} {own:.3f}  {own / others[best]:.3f} of {best} {others[best]:.3f}", flush=True)
        for who, mean in {"start": own, **others}.items():
            kinds.setdefault(who, {}).setdefault(kind, []).append(float(np.log(mean / others[best])))
    for who, by in kinds.items():
        logs = np.concatenate([np.asarray(values) for values in by.values()])
        parts = "  ".join(f"{kind} {np.exp(np.mean(values)):.4f} (n {len(values)})" for kind, values in by.items())
        print(f"{who:15} all {np.exp(logs.mean()):.4f} (n {len(logs)}), worst {np.exp(logs.max()):.2f}  {parts}")


if __name__ == "__main__":
    main()

"""LIME beside lime_tabular: CPU time a row and the change from seed to seed; one process, interleaved, one thread.

An MLP of 3 x 128 (torch) on breast_cancer, both classes. Peers: lime_tabular as it comes (quarters, 5,000 samples, ten
fields), and like for like (numbers around the instance, 5,000 samples, all fields). Ours: as it comes (around the
instance, 2,000 samples), and around the data (quarters, as the peer's default, 5,000 samples).
Change: ||w - w'|| / ||w|| between two seeds' weights of one class, mean over the pairs of seeds, median over the rows.

    python bench/lime_fits.py [--seeds 5] [--rows 25]        (needs: pip install lime)
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch
from cells import Gauge, spread, versions
from sklearn.datasets import load_breast_cancer

from pellucid.explain import fit_lime
from pellucid.nn.foreign import wrap

RESULTS = Path(__file__).with_name("results") / "lime_fits.json"
TRAIN, AT = 400, 400


def network(x: Any, y: Any, seed: int) -> Any:
    """A fitted network as a function of raw rows: probabilities of both classes."""
    torch.manual_seed(seed)
    mean, sd = (torch.tensor(v, dtype=torch.float32) for v in (x.mean(0), x.std(0)))
    widths = [30, 128, 128, 128]
    layers = [m for a, b in itertools.pairwise(widths) for m in (torch.nn.Linear(a, b), torch.nn.ReLU())]
    net = torch.nn.Sequential(*layers, torch.nn.Linear(128, 2))
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    inputs, labels = (torch.tensor(x, dtype=torch.float32) - mean) / sd, torch.tensor(y)
    for _ in range(150):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net(inputs), labels).backward()
        optimiser.step()

    def answer(rows: Any) -> Any:
        with torch.no_grad():
            return net((torch.from_numpy(np.asarray(rows, dtype=np.float32)) - mean) / sd).softmax(1).numpy()

    return answer


def change(weights: list[Any]) -> float:
    return float(np.mean([np.linalg.norm(a - b) / np.linalg.norm(a) for a, b in itertools.combinations(weights, 2)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=25)
    args = parser.parse_args()
    from lime.lime_tabular import LimeTabularExplainer

    torch.set_num_threads(1)
    data = load_breast_cancer()
    x, y, names = data.data, data.target, [str(n) for n in data.feature_names]
    answer = network(x[:TRAIN], y[:TRAIN], args.first_seed)
    program = wrap(answer, inputs=names, outputs=["malignant", "benign"], kind="classify")
    reference = program.rows(pd.DataFrame(x[:TRAIN], columns=names))
    asked = program.rows(pd.DataFrame(x[AT : AT + args.rows], columns=names))

    def ours(seed: int, around: Any) -> tuple[Any, Any]:
        samples = {} if around == "instance" else {"samples": 5000}
        found = fit_lime(program, asked, "predict", reference=reference, around=around, seed=seed, **samples)
        return found.weights[:, :, 1], found.r2[:, 1]

    def peer(seed: int, fields: int, **options: Any) -> tuple[Any, Any]:
        explainer = LimeTabularExplainer(x[:TRAIN], feature_names=names, random_state=seed, **options)
        weights, fit = np.zeros((args.rows, len(names))), np.zeros(args.rows)
        for i in range(args.rows):
            told = explainer.explain_instance(x[AT + i], answer, labels=(0, 1), num_features=fields)
            for j, weight in told.as_map()[1]:
                weights[i, j] = weight
            fit[i] = told.score
        return weights, fit

    like = {"discretize_continuous": False, "sample_around_instance": True}
    ways: dict[str, Any] = {
        "ours": lambda seed: ours(seed, "instance"),
        "ours, around the data": lambda seed: ours(seed, "data"),
        "lime_tabular": lambda seed: peer(seed, 10),
        "lime_tabular, like for like": lambda seed: peer(seed, len(names), **like),
    }
    for way in ways.values():  # warm
        way(10_000)
    gauge, found = Gauge(), {name: {"ms": [], "weights": [], "r2": []} for name in ways}
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        for name, way in ways.items():
            gauge.look()
            start = time.process_time()
            weights, fit = way(seed)
            found[name]["ms"].append(1000 * (time.process_time() - start) / args.rows)
            found[name]["weights"].append(weights)
            found[name]["r2"].append(float(fit.mean()))
    print(f"{args.rows} rows, seeds {args.first_seed} to {args.first_seed + args.seeds - 1}; drift {gauge.drift:.0%}")
    table = []
    for name, cell in found.items():
        changes = [change([w[i] for w in cell["weights"]]) for i in range(args.rows)]
        low, middle, high = np.quantile(changes, [0.25, 0.5, 0.75])
        cell |= {"change": [low, middle, high], "weights": None}
        table.append(
            [name, spread(cell["ms"]), f"{middle:.1%} ({low:.1%} to {high:.1%})", f"{np.mean(cell['r2']):.2f}"]
        )
    head = ["", "CPU ms a row, both classes", "change (quartiles over rows)", "local R²"]
    print(pd.DataFrame(table, columns=head).to_string(index=False))
    for mine, theirs in (
        ("ours", "lime_tabular"),
        ("ours", "lime_tabular, like for like"),
        ("ours, around the data", "lime_tabular"),
    ):
        ratios = [b / a for a, b in zip(found[mine]["ms"], found[theirs]["ms"], strict=True)]
        print(f"{theirs} / {mine}: {spread(ratios)} times")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"versions": versions(), "cells": found}))


if __name__ == "__main__":
    main()

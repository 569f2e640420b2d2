"""Shapley values beside shap: CPU time at equal error, one process, one core, methods in turn on the same rows.

    python bench/explain.py [--seeds 5] [--only breast_cancer digits ...]

Everybody explains the same game: marginal Shapley values against 100 background rows, all outputs at once. Networks
(3 x 128, ReLU) are asked in two ways. As torch: the peer is given the network as an `nn.Sequential` behind a function
of arrays, as its users do, and ours our own program: this compares what users pay, and is the one that counts.
Our way: the peer is given our own fast function of the network, in calls that fit the cache, so that only the
estimators differ. An error is the mean over rows of |values - reference| / |reference| (Euclidean, all outputs). The
reference is a run of ours with another seed and 96 passes over the background; its own error is printed: it must be at
most a third of those compared. Times at equal error are interpolated on a straight line through a peer's curve (log
error, log time), never beyond it: where a peer's largest budget is less exact than our smallest one, its time there
gives a lower bound, marked >=.

Results of each problem and seed are kept, so that the script can be stopped and continued.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cells import ROOT, Gauge, versions
from threadpoolctl import threadpool_limits

RESULTS = ROOT / "bench" / "results" / "explain.json"
ROWS, BACKGROUND, BLOCK = 20, 100, 5
PASSES, LONG = (1, 2, 4), 96  # over the background: compared, and the reference's
TORCH = " as torch"
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 8: 2.365, 10: 2.262}  # 97.5 % quantile, by seeds


@dataclass
class Problem:
    """A program, the same as a function of an array, and rows."""

    name: str
    program: Any
    function: Callable[[np.ndarray], np.ndarray]
    x: np.ndarray
    background: np.ndarray
    module: Any = None  # the network as torch's own
    flops: float = 0.0  # of a model row
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    @property
    def d(self) -> int:
        return self.x.shape[1]

    def torch(self, rows: np.ndarray) -> np.ndarray:
        """The network as a user of torch asks it."""
        with torch.no_grad():
            out: np.ndarray = self.module(torch.from_numpy(rows.astype(np.float32))).numpy()
        return out


def split(name: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training rows and labels, rows to explain, background; standardised by the training part."""
    from sklearn import datasets

    load = {"breast_cancer": datasets.load_breast_cancer, "digits": datasets.load_digits}
    data = load.get(name, datasets.load_diabetes)()
    order = np.random.default_rng(seed).permutation(len(data.data))
    train, rest = order[ROWS:], order[:ROWS]
    mean, sd = data.data[train].mean(0), data.data[train].std(0)
    scaled = ((data.data - mean) / np.where(sd > 0, sd, 1.0)).astype(np.float32)
    target = data.target.astype(np.float32)
    if name == "diabetes":
        target = (target - target[train].mean()) / target[train].std()
    return scaled[train], target[train], scaled[rest], scaled[train[:BACKGROUND]], data.target


def network_problem(name: str, seed: int) -> Problem:
    """A plain network trained by Adam for 60 rounds, as a program and as torch's own module."""
    from types import SimpleNamespace

    from torch import nn

    from pellucid.core.schema import Field, Schema
    from pellucid.core.task import Task
    from pellucid.nn.network import Network
    from pellucid.nn.program import NetworkProgram

    train, target, x, background, _ = split(name, seed)
    d, k = train.shape[1], {"breast_cancer": 2, "digits": 10}.get(name, 1)
    torch.manual_seed(seed)
    widths = (d, 128, 128, 128, k)
    layers: list[Any] = []
    for i, o in itertools.pairwise(widths):
        layers += [nn.Linear(i, o), nn.ReLU()]
    module = nn.Sequential(*layers[:-1])
    inputs, y = torch.from_numpy(train), torch.from_numpy(target)
    optimiser = torch.optim.Adam(module.parameters(), 1e-3)
    for _ in range(60):
        for index in torch.randperm(len(inputs)).split(128):
            out = module(inputs[index])
            wrong = nn.functional.mse_loss(out[:, 0], y[index])
            loss = wrong if k == 1 else nn.functional.cross_entropy(out, y[index].long())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    names, outputs = tuple(f"x{i}" for i in range(d)), tuple(f"y{i}" for i in range(k))
    network = Network(dict.fromkeys(names, 1), {"t": names}, {"t": {"policy": k, "value": 1}}, width=128, depth=3)
    linear = [m for m in module if isinstance(m, nn.Linear)]
    with torch.no_grad():
        for i, encoder in enumerate(network.encoders.values()):
            encoder.project.weight.copy_(linear[0].weight[:, i : i + 1])
        network.bias.copy_(linear[0].bias)
        for mine, theirs in zip([m for m in network.trunk if isinstance(m, nn.Linear)], linear[1:-1], strict=True):
            mine.load_state_dict(theirs.state_dict())
    # The raw outputs, whatever their number: a `regress` of k heads side by side.
    network.heads["_t"] = nn.ModuleDict({"out": linear[-1]})
    network.architecture["heads"] = {"t": {"out": k}}
    task = Task("t", "regress", names, outputs, "logit", "squared_error", (), {"mean": 0.0, "sd": 1.0})
    schema = Schema(tuple(Field(n) for n in names), {"t": tuple(Field(o) for o in outputs)})
    program: Any = NetworkProgram(network, schema, {"t": task}, SimpleNamespace())  # type: ignore[arg-type]
    joined = program.joined("t", dict.fromkeys(names, 1))

    def function(rows: np.ndarray) -> np.ndarray:
        parts = torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32)).split(2048)
        return torch.cat([joined(part) for part in parts]).numpy().astype(np.float64)

    flops = 2.0 * sum(i * o for i, o in itertools.pairwise(widths))
    return Problem(name, program, function, x, background, module.eval(), flops)


def foreign_problem(name: str, seed: int) -> Problem:
    """A scikit-learn classifier of breast cancer by `predict_proba`."""
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

    from pellucid.nn.foreign import wrap

    train, target, x, background, _ = split("breast_cancer", seed)
    kind = RandomForestClassifier if name == "forest" else GradientBoostingClassifier
    model = kind(n_estimators=100, random_state=seed).fit(train, target.astype(int))
    program = wrap(model, inputs=[f"x{i}" for i in range(train.shape[1])], task="t")
    return Problem(name, program, model.predict_proba, x.astype(float), background.astype(float))


def game_of(problem: Problem) -> Any:
    """The rows, the background and the program, put together once, as shap's explainers are."""
    from pellucid.explain.game import Game

    names = problem.program.schema.names
    arrays = (problem.x, problem.background)
    rows, background = ({n: torch.from_numpy(a[:, i : i + 1]) for i, n in enumerate(names)} for a in arrays)
    return Game(problem.program, "t", rows, background, problem.program.schema.players(names))


def ours(game: Any, rows: slice, *, passes: int, seed: int, method: str = "permutation") -> Any:
    """The estimate of some rows, and how many model rows it took."""
    from pellucid.explain.attribution import ALL

    part = game.part(rows)
    keys = [f"row{i}" for i in range(game.n)[rows]]
    found = ALL[method](part, keys, evaluations=passes * game.b * 2 * (game.d - 1), seed=seed)
    return found, part.evaluations


def peers(problem: Problem, seed: int, f: Callable[[np.ndarray], Any]) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """shap's explainers of a function at rising budgets; each gives (n, d, k)."""
    import shap

    background, d = problem.background, problem.d
    masker = shap.maskers.Independent(background, max_samples=len(background))

    def shaped(values: Any, n: int) -> np.ndarray:
        return np.asarray(values).reshape(n, d, -1)

    def permutation(rounds: int) -> Callable[[np.ndarray], np.ndarray]:
        explainer = shap.PermutationExplainer(f, masker, seed=seed)
        return lambda x: shaped(explainer(x, max_evals=rounds * (2 * d + 1), silent=True).values, len(x))

    def kernel(samples: int) -> Callable[[np.ndarray], np.ndarray]:
        explainer = shap.KernelExplainer(f, background)

        def call(x: np.ndarray) -> np.ndarray:
            np.random.seed(seed)
            return shaped(explainer.shap_values(x, nsamples=samples, l1_reg=False, silent=True), len(x))

        return call

    if problem.name == "diabetes":
        explainer = shap.ExactExplainer(f, masker)
        return {"shap.Exact": lambda x: shaped(explainer(x, silent=True).values, len(x))}
    if problem.module is None:
        return {f"shap.Permutation {r}": permutation(r) for r in (8, 40)}
    found = {f"shap.Permutation {r}": permutation(r) for r in ((8, 32) if d < 64 else (6, 24))}
    found |= {f"shap.Kernel {m}": kernel(m) for m in ((1024, 2 * d + 2048) if d < 64 else (2 * d + 2048, 4352))}
    deep = shap.DeepExplainer(problem.module, torch.from_numpy(background))
    found["shap.Deep"] = lambda x: shaped(deep.shap_values(torch.from_numpy(x), check_additivity=False), len(x))
    return found


def error_of(values: np.ndarray, reference: np.ndarray) -> float:
    norm = np.sqrt(np.square(reference).sum((1, 2)))
    return float((np.sqrt(np.square(values - reference).sum((1, 2))) / norm).mean())


def measure(name: str, seed: int) -> dict[str, Any]:
    """Every method on every row of one problem and seed, in turn."""
    problem = (foreign_problem if name in ("forest", "boosting") else network_problem)(name, seed)
    exact = name == "diabetes"
    gauge, x = Gauge(), problem.x
    game = game_of(problem)
    how = "exact" if exact else "permutation"
    reference, _ = ours(game, slice(0, ROWS), passes=LONG, seed=1000 + seed, method=how)
    true = reference.values.numpy()
    scale = reference.values.square().sum((1, 2)).sqrt()
    own_error = float((reference.error.square().sum((1, 2)).sqrt() / scale).mean())
    methods: dict[str, Callable[[slice], Any]] = {}
    for passes in (1,) if exact else PASSES:
        methods["pellucid exact" if exact else f"pellucid {passes}"] = lambda rows, p=passes: ours(
            game, rows, passes=p, seed=seed, method=how
        )
    for label, call in peers(problem, seed, problem.function).items():
        methods[label] = lambda rows, c=call: c(x[rows])
    for label, call in peers(problem, seed, problem.torch).items() if problem.module is not None else ():
        if label != "shap.Deep":  # which reads the module itself
            methods[label + TORCH] = lambda rows, c=call: c(x[rows])
    found: dict[str, Any] = {m: {"cpu": 0.0, "values": [], "evaluations": 0, "inside": [0, 0]} for m in methods}
    for call in methods.values():
        call(slice(0, 1))  # what is compiled or cached on the first call is not counted
    for start in range(0, ROWS, BLOCK):
        gauge.look()
        for label, call in methods.items():
            begin = time.process_time()
            result = call(slice(start, start + BLOCK))
            found[label]["cpu"] += time.process_time() - begin
            values = result
            if label.startswith("pellucid"):
                estimate, evaluations = result
                values = estimate.values.numpy()
                found[label]["evaluations"] += evaluations
                inside = np.abs(values - true[start : start + BLOCK]) <= 1.96 * estimate.error.numpy() + 1e-12
                found[label]["inside"][0] += int(inside.sum())
                found[label]["inside"][1] += inside.size
            found[label]["values"].append(values)
    limit = gauge.best()
    for label, entry in found.items():
        entry["error"] = error_of(np.concatenate(entry.pop("values")), true)
        entry["ms"] = entry["cpu"] / ROWS * 1e3
        if label.startswith("pellucid") and problem.flops:
            entry["limit"] = entry["evaluations"] * problem.flops / entry["cpu"] / 1e9 / limit
    return {"methods": found, "reference_error": own_error, "drift": gauge.drift, "load": os.getloadavg()[0]}


def at_error(curve: Sequence[tuple[float, float]], error: float) -> tuple[float, bool]:
    """Time at an error, interpolated on logs; the largest budget's time, and True, when the curve ends before it."""
    points = sorted(curve, reverse=True)  # from the largest error down
    for (e1, t1), (e2, t2) in itertools.pairwise(points):
        if e2 <= error <= e1:
            share = math.log(e1 / error) / math.log(e1 / e2)
            return math.exp(math.log(t1) + share * math.log(t2 / t1)), False
    if error < points[-1][0]:
        return points[-1][1], True
    e1, t1 = points[0]  # our error is above the whole curve: what Monte Carlo's rate gives
    return t1 * (e1 / error) ** 2, False


def interval(values: Sequence[float], digits: int = 1) -> str:
    """Geometric mean and its 95 % interval over seeds."""
    logs = [math.log(v) for v in values]
    middle = statistics.fmean(logs)
    if len(logs) < 2:
        return f"{math.exp(middle):.{digits}f}"
    half = STUDENT.get(len(logs), 2.0) * statistics.stdev(logs) / len(logs) ** 0.5
    low, high = math.exp(middle - half), math.exp(middle + half)
    return f"{math.exp(middle):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def curve(result: dict[str, Any], peer: str, way: str) -> list[tuple[float, float]]:
    entries = result["methods"].items()
    return [
        (m["error"], m["ms"]) for label, m in entries if label.startswith(peer) and label.endswith(TORCH) == bool(way)
    ]


def lines(name: str, results: list[dict[str, Any]]) -> None:
    """What each method took and how far off it was."""
    first = results[0]["methods"]
    for label in first:
        ms = [r["methods"][label]["ms"] for r in results]
        error = statistics.fmean(r["methods"][label]["error"] for r in results)
        line = f"  {label:<30} {statistics.median(ms):9.2f} ms a row   error {error:.4f}"
        if "limit" in first[label]:
            shares = [r["methods"][label]["limit"] for r in results]
            spread = f"{min(shares):.0%} to {max(shares):.0%}"
            line += f"   {statistics.median(shares):.0%} of the fastest product ({spread})"
        if label.startswith("pellucid") and name != "diabetes":
            inside, of = (sum(r["methods"][label]["inside"][i] for r in results) for i in (0, 1))
            line += f"   95 % intervals cover {inside / of:.1%} of {of:,}"
        print(line)


def report(name: str, results: list[dict[str, Any]]) -> None:
    """The rows of one problem."""
    print(f"\n{name}: n = {ROWS} rows, {len(results)} seeds, drift {max(r['drift'] for r in results):.0%}")
    lines(name, results)
    first = results[0]["methods"]
    ways = {TORCH: "asked as torch", "": "asked our way"}
    if name == "diabetes":
        for key, way in ways.items():
            ratios = [r["methods"]["shap.Exact" + key]["ms"] / r["methods"]["pellucid exact"]["ms"] for r in results]
            print(f"  times faster than shap.Exact, {way}: {interval(ratios)}")
        return
    for passes in PASSES:
        own = f"pellucid {passes}"
        reached = max(r["reference_error"] / r["methods"][own]["error"] for r in results)
        print(f"  at the error of {own} (the reference's is at most {reached:.2f} of it), times faster than")
        for peer in ("shap.Kernel", "shap.Permutation"):
            for key, way in ways.items():
                curves = [curve(r, peer, key) for r in results]
                if not curves[0]:
                    continue
                found = [at_error(c, r["methods"][own]["error"]) for c, r in zip(curves, results, strict=True)]
                ratios = [ms / r["methods"][own]["ms"] for (ms, _), r in zip(found, results, strict=True)]
                bound = ">= " if any(b for _, b in found) else ""
                print(f"    {peer}, {way}: {bound}{interval(ratios)}")
    if "shap.Deep" in first:
        own = f"pellucid {PASSES[0]}"
        times = [r["methods"]["shap.Deep"]["ms"] / r["methods"][own]["ms"] for r in results]
        errors = [r["methods"][own]["error"] / r["methods"]["shap.Deep"]["error"] for r in results]
        print(f"  shap.Deep: its time / that of {own} {interval(times)}, our error / its {interval(errors, 2)}")


PROBLEMS = ("diabetes", "breast_cancer", "digits", "forest", "boosting")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--only", nargs="*", default=PROBLEMS, choices=PROBLEMS)
    args = parser.parse_args()
    try:
        import shap  # noqa: F401
    except ImportError:
        raise SystemExit("bench/explain.py compares with shap: pip install shap") from None
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    threadpool_limits(1)  # of numpy's BLAS, which has read its environment by now
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    kept: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for seed in range(args.first, args.first + args.seeds):
        for name in args.only:
            if f"{name}/{seed}" not in kept:
                kept[f"{name}/{seed}"] = measure(name, seed)
                RESULTS.parent.mkdir(parents=True, exist_ok=True)
                Path(RESULTS).write_text(json.dumps(kept, indent=1))
    print(versions())
    for name in args.only:
        report(name, [kept[f"{name}/{s}"] for s in range(args.first, args.first + args.seeds)])


if __name__ == "__main__":
    main()

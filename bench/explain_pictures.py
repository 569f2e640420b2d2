"""Shapley values of patches and segments beside captum and shap: error at equal evaluations of the program.

    python bench/explain_pictures.py [--seeds 0 1 2 3 4] [--only digits sunspots]
        resumes from bench/results/explain_pictures/

Two programs: a convnet of scikit-learn's digits (bench/images.py) in 16 patches of 2 by 2 pixels, and forecasts of
sunspots five years ahead in 12 segments of 24 lags, beside the level, the scale and the mean. Everybody explains one
output (the class that is predicted; the median) of 20 rows in the same game, marginal over 50 background rows, and asks
the program through the same function; ours has the other outputs' values beside it. Budgets are evaluations of the
program a row, of 2 and 4 of our passes; every peer gets the most of its own steps that fit, else its least.

- captum explains against one baseline: its values are averaged over the background rows, which is this game
  (`feature_mask` gives the parts; `ShapleyValueSampling`, and `KernelShap`, which draws at least 2 d + 2 coalitions)
- shap asks a function of masks, averaged over the background (`PermutationExplainer`, `KernelExplainer(l1_reg=False)`);
  `PartitionExplainer` gives Owen values of a hierarchy of neighbours, which are others: its error holds the difference

An error is the mean over rows of |values - reference| / |reference| (Euclidean). The reference is the mean of two of
our runs of 32 passes with other seeds; half their difference is its own error, printed beside. Seeds: the explainers'.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cells import ONE_THREAD, ROOT

os.environ.update(ONE_THREAD)

import numpy as np
import numpy.typing as npt
import torch

OUT = ROOT / "bench" / "results" / "explain_pictures"
ROWS, BACKGROUND, LONG = 20, 50, 32
PASSES = (2, 4)
Floats = npt.NDArray[np.float64]
Method = Callable[[int, int, int], tuple[Floats, int]]  # row, budget, seed -> values (d,), evaluations


@dataclass
class Problem:
    """A game of rows, and the output of each that is explained."""

    name: str
    program: Any
    rows: Any
    background: Any
    task: str
    parts: int
    game: Any
    output: list[int]

    def asked(self, row: int) -> Callable[[torch.Tensor], torch.Tensor]:
        """The program on columns (m, C), one output (m,)."""
        return lambda columns: self.game.outputs(columns.to(self.game.x.dtype))[:, self.output[row]]

    def worth(self, row: int) -> Callable[[Floats], Floats]:
        """The same of masks (m, d), averaged over the background."""

        def function(masks: Floats) -> Floats:
            keep = torch.from_numpy(np.atleast_2d(masks) > 0.5).repeat_interleave(self.game.b, 0)
            which = torch.arange(self.game.b).repeat(len(keep) // self.game.b)
            found = self.game(keep, which, torch.full((len(keep),), row))[:, self.output[row]]
            return np.asarray(found.reshape(-1, self.game.b).mean(1).numpy())

        return function


def digits() -> Problem:
    """Of 1,437 digits to learn from, and 20 others."""
    import images

    from pellucid.assemble import assemble
    from pellucid.train.loop import Hooks

    prob = images.read("convnet", ())
    order = np.random.default_rng(7).permutation(len(prob.rows))
    made = assemble(prob, np.sort(order[360:]), seed=0)
    made.trainer.run(made.config, Hooks(made.schedule))
    program = made.finish()
    program.network.eval()
    rows, background = prob.rows.take(order[:ROWS]), prob.rows.take(order[360 : 360 + BACKGROUND])
    return problem("digits", program, rows, background, "target", 16)


def sunspots() -> Problem:
    """Without a linear start, so that the network holds all there is."""
    import series
    import series_data

    from pellucid.assemble import assemble
    from pellucid.train.loop import Hooks

    changes = {"tasks.y.start": "naive", "train.early_stop.held_out": None}
    prob, folds = series.prepared(series_data.public("sunspots"), changes, 0.4, 1)
    made = assemble(prob, folds[0].train, seed=0)
    made.trainer.run(made.config, Hooks(made.schedule))
    program = made.finish()
    program.network.eval()
    g = np.random.default_rng(7)
    rows = prob.rows.take(np.sort(g.permutation(folds[0].test)[:ROWS]))
    background = prob.rows.take(np.sort(g.permutation(folds[0].train)[:BACKGROUND]))
    return problem("sunspots", program, rows, background, "y", 12, "h5_q50")


def problem(name: str, program: Any, rows: Any, background: Any, task: str, parts: int, output: str = "") -> Problem:
    """The output of that name, else of each row the largest."""
    from pellucid.explain.attribution import game_of

    game = game_of(program, rows, task, background=background, grain="part", parts=parts)
    largest = game.outputs(game.x).argmax(1).tolist()
    chosen = [list(program.tasks[task].outputs).index(output)] * len(rows) if output else largest
    return Problem(name, program, rows, background, task, parts, game, chosen)


PROBLEMS = {"digits": digits, "sunspots": sunspots}


def ours(p: Problem, method: str) -> Method:
    from pellucid.explain.attribution import SHAPLEY

    def explain(row: int, budget: int, seed: int) -> tuple[Floats, int]:
        part = p.game.part(slice(row, row + 1))
        found = SHAPLEY[method](part, [str(p.rows.keys[row])], evaluations=budget, seed=seed)
        return np.asarray(found.values[0, :, p.output[row]].numpy()), part.evaluations

    return explain


def captums(p: Problem, name: str) -> Method:
    """The mean over the background rows of the values against each."""
    import captum.attr

    explainer = getattr(captum.attr, name)
    b, d = p.game.b, p.game.d
    first = [int((p.game.owner == player).nonzero()[0, 0]) for player in range(d)]

    def explain(row: int, budget: int, seed: int) -> tuple[Floats, int]:
        torch.manual_seed(seed)
        np.random.seed(seed)
        asked, spent = p.asked(row), 0

        def function(columns: torch.Tensor) -> torch.Tensor:
            nonlocal spent
            spent += len(columns)
            return asked(columns).float()

        x, reference, mask = p.game.x[row : row + 1].float(), p.game.background.float(), p.game.owner[None]
        if name == "ShapleyValueSampling":
            draws = max(1, budget // (b * (d + 1)))
            found = explainer(function).attribute(x.expand(b, -1), reference, feature_mask=mask, n_samples=draws)
        else:
            draws = max(2 * d + 2, budget // b)
            how: dict[str, Any] = {"feature_mask": mask, "n_samples": draws, "perturbations_per_eval": draws}
            each = [explainer(function).attribute(x, one[None], **how) for one in reference]
            found = torch.cat(each)
        return np.asarray(found.double().mean(0)[first].numpy()), spent

    return explain


def shaps(p: Problem, name: str) -> Method:
    """Of a function of masks."""
    import shap

    b, d = p.game.b, p.game.d
    there, absent = np.ones((1, d)), np.zeros((1, d))

    def explain(row: int, budget: int, seed: int) -> tuple[Floats, int]:
        worth, spent = p.worth(row), 0

        def function(masks: Floats) -> Floats:
            nonlocal spent
            spent += len(masks) * b
            return worth(masks)

        if name == "PermutationExplainer":
            rounds = max(1, budget // (b * (2 * d + 1)))
            explainer = shap.PermutationExplainer(function, shap.maskers.Independent(absent), seed=seed)
            found = explainer(there, max_evals=rounds * (2 * d + 1), silent=True).values
        elif name == "PartitionExplainer":
            import scipy.cluster.hierarchy

            tree = scipy.cluster.hierarchy.linkage(centres(p), "average")
            masker = shap.maskers.Partition(absent, clustering=tree)
            found = shap.PartitionExplainer(function, masker)(
                there, max_evals=max(2 * d, budget // b), silent=True
            ).values
        else:
            np.random.seed(seed)
            explainer = shap.KernelExplainer(function, absent)
            found = explainer.shap_values(there, nsamples=max(2 * d, budget // b), l1_reg=False, silent=True)
        return np.asarray(found, dtype=np.float64).reshape(-1), spent

    return explain


def centres(p: Problem) -> Floats:
    """Where parts lie; players that are no parts lie far off, each by itself."""
    found = []
    for i, player in enumerate(p.game.players):
        edges = player.place
        middle = [(edges[0] + edges[2]) / 2, (edges[1] + edges[3]) / 2] if len(edges) == 4 else [sum(edges) / 2, 0.0]
        found.append(middle if edges else [1e3 + 1e2 * i, 1e3])
    return np.asarray(found, dtype=np.float64)


METHODS: dict[str, Callable[[Problem], Method]] = {
    "pellucid permutation": lambda p: ours(p, "permutation"),
    "pellucid regression": lambda p: ours(p, "regression"),
    "captum ShapleyValueSampling": lambda p: captums(p, "ShapleyValueSampling"),
    "captum KernelShap": lambda p: captums(p, "KernelShap"),
    "shap Permutation": lambda p: shaps(p, "PermutationExplainer"),
    "shap Kernel": lambda p: shaps(p, "KernelExplainer"),
    "shap Partition (Owen values)": lambda p: shaps(p, "PartitionExplainer"),
}


def kept(name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A result from its file, or made and written."""
    file = OUT / f"{name}.json"
    if file.exists():
        found: dict[str, Any] = json.loads(file.read_text())
        return found
    found = make()
    OUT.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found))
    return found


def reference(p: Problem) -> dict[str, Any]:
    """Two long runs, (2, rows, d)."""
    method, budget = ours(p, "permutation"), LONG * step(p)
    return {"runs": [[method(row, budget, seed)[0].tolist() for row in range(ROWS)] for seed in (1001, 1002)]}


def step(p: Problem) -> int:
    """Evaluations of one of our passes."""
    return int(2 * p.game.b * (p.game.d - 1))


def timed(p: Problem, method: str, passes: int, seed: int, truth: Floats) -> dict[str, Any]:
    """A cell from its file, or made and written."""
    label = "".join(c if c.isalnum() else "_" for c in method)
    return kept(f"{p.name}-{label}-{passes}-seed{seed}", lambda: cell(p, method, passes, seed, truth))


def cell(p: Problem, name: str, passes: int, seed: int, truth: Floats) -> dict[str, Any]:
    """Mean error and evaluations a row."""
    method, errors, spent = METHODS[name](p), [], []
    begin = time.process_time()
    for row in range(ROWS):
        values, asked = method(row, passes * step(p), seed)
        errors.append(float(np.linalg.norm(values - truth[row]) / np.linalg.norm(truth[row])))
        spent.append(asked)
    return {"error": statistics.mean(errors), "evaluations": statistics.mean(spent),
            "ms": 1e3 * (time.process_time() - begin) / ROWS}  # fmt: skip


def report(name: str, seeds: list[int]) -> None:
    """A table: per budget and method the error over seeds, the evaluations, and the error over ours."""
    p = PROBLEMS[name]()
    runs = np.asarray(kept(f"{name}-reference", lambda: reference(p))["runs"])
    truth = runs.mean(0)
    own = float((np.linalg.norm(runs[0] - runs[1], axis=1) / 2 / np.linalg.norm(truth, axis=1)).mean())
    print(f"{name}: {p.game.d} players, {ROWS} rows, background {p.game.b}, seeds {seeds}; reference error {own:.4f}")
    for passes in PASSES:
        print(f"  about {passes * step(p):,} evaluations a row")
        found: dict[str, list[dict[str, Any]]] = {}
        for method in METHODS:
            same = "Partition" in method  # it draws nothing
            found[method] = [timed(p, method, passes, seeds[0] if same else seed, truth) for seed in seeds]
            each = [one["error"] for one in found[method]]
            ratios = [
                a["error"] / b["error"] for a, b in zip(found[method], found["pellucid permutation"], strict=True)
            ]
            print(
                f"    {method:29} error {statistics.mean(each):.4f} ({min(each):.4f} to {max(each):.4f})  "
                f"evaluations {statistics.mean(one['evaluations'] for one in found[method]):8,.0f}  "
                f"over ours {statistics.mean(ratios):5.2f} ({min(ratios):.2f} to {max(ratios):.2f})  "
                f"CPU ms a row {statistics.mean(one['ms'] for one in found[method]):,.0f}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--only", nargs="+", choices=list(PROBLEMS), default=list(PROBLEMS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name in args.only:
        report(name, args.seeds)


if __name__ == "__main__":
    main()

"""Policies explained: drivers and decoys of planted markets, time of a whole episode, coverage of the intervals.

    python bench/explain_policy.py [--only planted prices time coverage stocks] [--seeds 5]

**Drivers and decoys.** A policy is learned by an example's own settings in a market whose drivers are known, one
greedy held-out episode is explained, and mean |value| of the margin is compared player by player with a *noise floor*:
the largest mean |value| of any player in policies that the same settings learned where there is nothing to find
(random walks, other seeds; `FLOOR` of them). What lies above the floor is shared out among the players. Control: on
further random walks nothing may lie above it. `planted`: PlantedTrading with noise as large as the signal and four
decoys that move like the signal. `prices`: StockTrading on 5031 days of simulated prices, where volume is the decoy,
by `trading.yaml`; `stocks` (when named): by the settings of `stocks.yaml` that are not its other tasks'. Of both also
what the policy earns a day on the 500 days held out, and the share of the discounted rewards there that its critic
explains (R², of its own discount).

**Time.** CPU seconds of `explain_episode` and its page, in a process that holds the program: the episode and the
background are played, and all pictures drawn. Beside it a whole process of the command line.

**Coverage.** Nominal 95 % intervals (value ± 1.96 standard errors) of permutation values against exact ones.

Results of each cell are kept, so that the script can be stopped and continued. Settings of the floor were chosen on
seeds from 100 on; reported are seeds 0 to 4, once.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from cells import ONE_THREAD, ROOT, spread, versions

os.environ.update(ONE_THREAD)
RESULTS = ROOT / "bench" / "results" / "explain_policy.json"
EXAMPLES = ROOT / "src" / "pellucid" / "examples"
FLOOR = {"planted": 20, "prices": 10, "stocks": 10}  # policies on random walks that make the floor
NULL = 1000  # their first seed
EPISODE = 7  # seed of the episode that is explained
DECOYS = 4
DRIVERS = {"planted": ("x", "position"), "prices": ("return", "position"), "stocks": ("return", "position")}
IDLE = {"planted": tuple(f"decoy_{i}" for i in range(DECOYS)), "prices": ("volume",), "stocks": ("volume",)}
CONTROL = "random_walk"
REVIEW, DAYS = 500, 250  # days that are held out; days of an episode
LAST = 60  # days at the end whose discounted rewards are not all known
COVERED = {"cartpole": 60, "planted": 60, "stocks": 12}  # steps whose values are covered or not
PASSES = (2, 4, 8)  # over the background; an episode takes two at least
Z = 1.959964


def trained(spec: Any, train: Any = None) -> Any:
    """A program by its spec."""
    from pellucid.assemble import assemble, problem
    from pellucid.train.loop import Hooks

    made = assemble(problem(spec), train, seed=spec.seed)
    made.trainer.run(made.config, Hooks(made.schedule))
    program = made.finish()
    program.network.eval()
    return program


def planted(kind: str, seed: int) -> Any:
    """A policy of `examples/planted.yaml` in a market with decoys."""
    from pellucid.runs.episodes import Actor, world_of
    from pellucid.spec.loader import load_spec

    options = {"kind": kind, "phi": 0.95, "cost": 1.0, "sigma": 1.0, "decoys": DECOYS}
    program = trained(load_spec(EXAMPLES / "planted.yaml").replace({"seed": seed, "tasks.trade.env_options": options}))
    return Actor(program, program.tasks["trade"], world_of(program.tasks["trade"]), seed)


def prices(kind: str, seed: int, example: str = "trading.yaml") -> Any:
    """The trading policy of an example, alone, on simulated prices; the last days are held out."""
    from pellucid.assemble import problem
    from pellucid.runs.episodes import Actor, world_of
    from pellucid.spec.loader import load_spec, spec_from

    kind = "planted" if kind == "ar1" else kind
    raw = load_spec(EXAMPLES / example).to_json()
    raw |= {
        "seed": seed,
        "data": {**raw["data"], "source": f"{kind}:{seed}"},
        "tasks": {"trade": raw["tasks"]["trade"]},
    }
    spec = spec_from(raw, where=example)
    rows = problem(spec).rows
    cut = len(rows) - REVIEW
    program = trained(spec, np.arange(cut))
    task = program.tasks["trade"]
    options = {"cost_bps": task.options["cost_bps"], "random_start": True, "episode_days": DAYS}
    days, known = rows.take(slice(cut, None)), rows.take(slice(0, cut))
    return Actor(program, task, replace(world_of(task), options=options, days=days, known=known), seed)


MAKERS: dict[str, Callable[[str, int], Any]] = {
    "planted": planted,
    "prices": prices,
    "stocks": partial(prices, example="stocks.yaml"),
}


def held_out(actor: Any) -> dict[str, float | None]:
    """What a trading policy earns a day on the days that no training saw, and how well its critic knew."""
    from pellucid.runs.policies import POSITION, replay_policy

    task, days = actor.task, actor.world.days
    walked, close = replay_policy(actor.program, task, days), days.extra["close"]
    fee = task.options["cost_bps"] * 1e-4 * np.abs(POSITION[walked.action] - walked.held)
    reward = (walked.held[:-1] * (close[1:] / close[:-1] - 1.0)) - fee[:-1]
    following = reward.copy()
    for t in range(len(following) - 2, -1, -1):
        following[t] += task.options["discount"] * following[t + 1]
    known, value = following[:-LAST], walked.outputs[: len(following) - LAST, -1]
    spread = float(known.var())
    explained = (
        1.0 - float(((value - known) ** 2).mean()) / spread if spread > 0.0 else None
    )  # of one that never trades
    return {"earned_bp": 1e4 * float(reward.mean()), "value_r2": explained}


def sizes(part: str, kind: str, seed: int) -> dict[str, Any]:
    """Mean absolute values of a policy's margin and value over one episode, by player."""
    from pellucid.runs.episodes import explain_episode

    began = time.process_time()
    actor = MAKERS[part](kind, seed)
    found = explain_episode(actor, seed=EPISODE, grain="field", method="exact")
    by_output = {name: dict(found.mean_size(name)) for name in ("margin", "value")}
    more = held_out(actor) if actor.world.days is not None else {}
    return {**by_output, "steps": len(found), "return": found.total, "cpu_s": time.process_time() - began, **more}


def coverage(name: str, seed: int) -> dict[str, Any]:
    """Share of exact values inside the intervals of permutation values, by passes over the background."""
    from pellucid.runs.episodes import Actor, explain_episode, world_of
    from pellucid.spec.loader import load_spec

    if name == "cartpole":
        program = trained(load_spec(EXAMPLES / "cartpole.yaml").replace({"seed": seed, "train.updates": 600}))
        actor = Actor(program, program.tasks["balance"], world_of(program.tasks["balance"]), seed)
    else:
        actor = MAKERS[name]("ar1", seed)
    how: dict[str, Any] = {"seed": EPISODE, "steps": COVERED[name]}
    exact = explain_episode(actor, method="exact", **how)
    found = {}
    for passes in PASSES:
        each = 2 * exact.outputs.background_n * (len(exact.players) - 1)
        one = explain_episode(actor, method="permutation", evaluations=passes * each, **how)
        off, error = [], []
        for output in exact.names:
            off.append(one.of(output)[0] - exact.of(output)[0])
            error.append(one.of(output)[1])
        off_by, said = np.stack(off), np.stack(error)
        told = said > 1e-9  # what never differs is known without an interval
        share = float((np.abs(off_by) <= Z * said)[told].mean())
        bias = float((off_by[told] / said[told]).mean())
        found[str(passes)] = {"covered": share, "n": int(told.sum()), "mean z": bias}
    return found


def timed(name: str, seed: int) -> dict[str, Any]:
    """CPU and wall seconds of an explained episode with its page."""
    from pellucid.report.html import policy_page
    from pellucid.runs.episodes import Actor, explain_episode, world_of
    from pellucid.spec.loader import load_spec

    if name == "cartpole":
        program = trained(load_spec(EXAMPLES / "cartpole.yaml").replace({"seed": seed}))
        actor = Actor(program, program.tasks["balance"], world_of(program.tasks["balance"]), seed)
    else:
        actor = MAKERS[name]("ar1", seed)
    cpu, wall = time.process_time(), time.perf_counter()
    found = explain_episode(actor, seed=EPISODE)
    explained = time.process_time() - cpu
    page = policy_page(found.to_json(), None, program=name)
    whole = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall, "explained_s": explained}
    own = found.outputs
    counts = {
        "steps": len(found),
        "players": len(own.players),
        "evaluations": own.evaluations,
        "page_kb": len(page) / 1e3,
    }
    worst = float(np.abs(own.error).max() / np.abs(own.values).max())
    return {**whole, **counts, "method": own.method.partition(":")[0], "largest error": worst}


def command(seed: int) -> dict[str, Any]:
    """CPU seconds of `pellucid explain NAME --episode SEED --html`, the process and its imports included."""
    import resource

    import pellucid

    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        pellucid.fit(EXAMPLES / "cartpole.yaml", store=store, overrides=[f"seed={seed}", "evidence.episodes=4"])
        words = ["explain", "cartpole", "--episode", str(EPISODE), "--html", str(Path(folder) / "why.html"), "--quiet"]
        before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "pellucid.cli.main", *words, "--store", str(store)], check=True, capture_output=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {"cpu_s": cpu, "wall_s": time.perf_counter() - wall}


def load() -> dict[str, Any]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def kept(name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A cell's result, computed once."""
    found = load()
    if name not in found:
        result = compute()
        found = {**load(), name: result}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps({**found, "versions": versions()}, indent=1))
        print(f"  {name}", file=sys.stderr, flush=True)
    return dict(found[name])


def floors(part: str) -> dict[str, float]:
    """The noise floor by output: the largest mean |value| of any player of any policy on random walks."""
    runs = [
        kept(f"{part}/floor/{seed}", lambda seed=seed: sizes(part, CONTROL, seed))  # type: ignore[misc]
        for seed in range(NULL, NULL + FLOOR[part])
    ]
    return {output: max(max(run[output].values()) for run in runs) for output in ("margin", "value")}


def show_drivers(part: str, seeds: int) -> None:
    floor = floors(part)
    print(f"\n{part}: noise floor {floor['margin']:.3g} logits of the margin, {floor['value']:.3g} of the value "
          f"(the largest of any player in {FLOOR[part]} policies on random walks)")  # fmt: skip
    print(
        "| output | seed | mean abs. values | beyond the floor: drivers | decoys | others |\n|---|---|---|---|---|---|"
    )
    for output in ("margin", "value"):
        for seed in range(seeds):
            run = kept(f"{part}/ar1/{seed}", lambda seed=seed: sizes(part, "ar1", seed))  # type: ignore[misc]
            beyond = {name: max(0.0, size - floor[output]) for name, size in run[output].items()}
            total = sum(beyond.values()) or float("nan")
            drivers = sum(beyond[name] for name in DRIVERS[part]) / total
            idle = sum(beyond[name] for name in IDLE[part]) / total
            told = ", ".join(f"{name} {size:.3g}" for name, size in run[output].items())
            print(f"| {output} | {seed} | {told} | {drivers:.1%} | {idle:.1%} | {1 - drivers - idle:.1%} |")
        for seed in range(seeds):
            run = kept(f"{part}/control/{seed}", lambda seed=seed: sizes(part, CONTROL, seed))  # type: ignore[misc]
            over = [name for name, size in run[output].items() if size > floor[output]]
            largest = max(run[output].items(), key=lambda one: one[1])
            print(f"| {output} | control {seed} | largest: {largest[0]} {largest[1]:.3g} | "
                  f"{'nothing' if not over else ', '.join(over)} | | |")  # fmt: skip
    for kind in ("ar1", "control"):
        runs = [load()[f"{part}/{kind}/{seed}"] for seed in range(seeds)]
        if all("earned_bp" in run for run in runs):
            earned = ", ".join(f"{run['earned_bp']:.1f}" for run in runs)
            known = ", ".join("none" if run["value_r2"] is None else f"{run['value_r2']:.2f}" for run in runs)
            print(f"{kind}, days held out: {earned} bp a day; R² of the value {known}")


def show_time(seeds: int) -> None:
    print("\n| an episode explained, its page drawn | steps | players | evaluations | CPU s | wall s | largest error |")
    print("|---|---|---|---|---|---|---|")
    for name in ("cartpole", "stocks"):
        runs = [kept(f"time/{name}/{seed}", lambda s=seed, n=name: timed(n, s)) for seed in range(seeds)]  # type: ignore[misc]
        one = runs[0]
        cpu, wall = (spread([run[key] for run in runs]) for key in ("cpu_s", "wall_s"))
        error = max(run["largest error"] for run in runs)
        steps = "/".join(sorted({str(run["steps"]) for run in runs}))
        counts = f"{steps} | {one['players']} | {one['evaluations']:,}"
        print(f"| {name}, {one['method']} | {counts} | {cpu} | {wall} | {error:.1%} |")
    runs = [kept(f"time/command/{seed}", lambda s=seed: command(s)) for seed in range(seeds)]  # type: ignore[misc]
    cpu, wall = (spread([run[key] for run in runs]) for key in ("cpu_s", "wall_s"))
    print(f"| the command line, cartpole, its start included | | | | {cpu} | {wall} | |")


def show_coverage(seeds: int) -> None:
    print("\n| policy | passes | covered by seed | n a seed | mean z |\n|---|---|---|---|---|")
    for name in COVERED:
        runs = [kept(f"coverage/{name}/{seed}", lambda s=seed, n=name: coverage(n, s)) for seed in range(seeds)]  # type: ignore[misc]
        for passes in map(str, PASSES):
            cells = [run[passes] for run in runs]
            shares = ", ".join(f"{cell['covered']:.1%}" for cell in cells)
            bias = ", ".join(f"{cell['mean z']:+.2f}" for cell in cells)
            counts = [cell["n"] for cell in cells]
            print(f"| {name} | {passes} | {shares} | {min(counts)} to {max(counts)} | {bias} |")


def main() -> None:
    import torch

    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parts = ("planted", "prices", "time", "coverage", "stocks")
    parser.add_argument("--only", nargs="*", choices=parts, default=list(parts[:-1]))
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    for part in args.only:
        if part in MAKERS:
            show_drivers(part, args.seeds)
        elif part == "time":
            show_time(args.seeds)
        else:
            show_coverage(args.seeds)


if __name__ == "__main__":
    main()

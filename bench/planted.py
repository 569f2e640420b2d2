"""Markets whose truth is known: does a learned policy reach the optimum, and does the evidence tell skill from luck?

Parts, each resumable, on seeds 0-4 (settings were chosen on seeds from 100 on, those of `skill` from 1000 on):

    optimum  the exact optimum against a simulation of the same policy
    ppo      share of g* (average reward of the best policy, gamma = 1) that PPO reaches, in five markets, sigma 0 and 3
    direct   the same for backpropagation through the reward, with any position in [-1, 1]
    leak     the next return leaked as a feature: share of the clairvoyant's wealth; with a cost of 1, beside it, of
             what one who sees one return ahead can earn at best
    critic   StockPrice's critic on noise of constant variance, against -sigma^2 / (1 - gamma)
    skill    claims of skill by the evidence: on 200 random walks at most 15, on 100 planted markets at least 95;
             a constant answer must claim none. A cheap program (direct, 32 units, 100 updates), the report's own judge.

Acceptance: ppo >= 95 % with sigma 0, direct >= 98.5 %, <= 60 s a run (CPU), leak >= 99 %, critic within 2 %. sigma = 3
is reported beside. Policies are evaluated exactly, as they act (a stationary chain; this is what is accepted), and,
reported beside, by greedy play on held-out paths beside the optimum on the same paths.

    python bench/planted.py             13 minutes of CPU; resumes from bench/results/planted.json, redoes what other
                                        settings gave
    python bench/planted.py --quick     one seed, 20 markets of each kind; bench/results/planted-quick.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pellucid.assemble import Assembly, assemble, problem
from pellucid.core.task import Task
from pellucid.data.encoding import Encoding
from pellucid.data.planted import DAILY_SD, simulate
from pellucid.data.prices import windows
from pellucid.envs.vectorise import make
from pellucid.evidence.folds import walk_forward
from pellucid.nn.network import Network
from pellucid.optim.schedules import Schedule
from pellucid.rl.planted_optimum import band_worth, optimum, program_worth
from pellucid.rl.ppo import PPO, PPOConfig
from pellucid.runs.judge import FoldResult, judge_folds
from pellucid.runs.policies import greedy
from pellucid.spec.loader import load_spec, spec_from
from pellucid.store.files import write_atomic
from pellucid.train.loop import Hooks, LoopConfig, Trainer

ROOT = Path(__file__).resolve().parent.parent
CELLS = ((0.0, 1.0), (0.9, 1.0), (0.95, 1.0), (0.95, 2.0), (0.99, 5.0))  # (phi, cost)
SIGMAS = (0.0, 3.0)
EXAMPLES = {"ppo": "planted.yaml", "direct": "planted_direct.yaml"}
WALKS, PLANTED, MOST, LEAST = 200, 100, 15, 95
QUICK = 20  # markets of each kind with --quick
HELD_OUT = 10_000_019  # seed of the paths that every policy is played on
PLAYERS, STEPS = 500, 1000
SKILL: dict[str, Any] = {
    "name": "skill",
    "tasks": {
        "trade": {
            "kind": "control",
            "env": "pellucid/StockTrading-v0",
            "algorithm": "direct",
            "direct": {"paths": 128, "steps": 8},
        }
    },
    "network": {"width": 32, "depth": 1, "activation": "tanh"},
    "train": {"updates": 100, "lr": 3e-3, "weight_decay": 0.1, "schedule": "cosine"},
}


def trained(options: dict[str, Any], algorithm: str, seed: int) -> tuple[Assembly, dict[str, float]]:
    """The example's program in a market, and the seconds that it took."""
    spec = load_spec(ROOT / "examples" / EXAMPLES[algorithm])
    actions = "box" if algorithm == "direct" else "discrete"
    spec = spec.replace({"tasks.trade.env_options": {**options, "actions": actions}, "seed": seed})
    cpu, wall = time.process_time(), time.perf_counter()
    assembly = assemble(problem(spec), None, seed=seed)
    assembly.trainer.run(assembly.config, Hooks(assembly.schedule))
    return assembly, {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}


def played(assembly: Assembly, options: dict[str, Any], rule: Callable[[Any, Any], Any]) -> tuple[float, float]:
    """Average reward of the greedy program and of `rule` (obs, held -> position) on the same held-out paths.

    Positions earn the expected return: the same mean as the return itself, without its noise.
    """
    program = assembly.finish()
    task = program.tasks["trade"]
    choose, sums = greedy(program, task), []
    for who in ("program", "rule"):
        box = who == "rule" or task.options["space"] != "discrete"
        kwargs = {**options, "episode_steps": STEPS, "actions": "box" if box else "discrete", "earns": "signal"}
        env = make("pellucid/PlantedTrading-v0", PLAYERS, HELD_OUT, kwargs)
        obs, total = env.reset(), 0.0
        for t in range(STEPS):
            action = choose(obs, t) if who == "program" else rule(obs, obs["position"])
            step = env.step(action)
            total += float(step.reward.mean())
            obs = step.obs
        sums.append(total / STEPS)
    return sums[0], sums[1]


def band(edge: float, name: str) -> Callable[[Any, Any], Any]:
    def rule(obs: Any, held: Any) -> Any:
        seen = obs[name]
        return np.where(seen >= edge, 1.0, np.where(seen <= -edge, -1.0, held)).astype(np.float32)

    return rule


def cell(algorithm: str, phi: float, cost: float, sigma: float, seed: int) -> dict[str, Any]:
    """Share of g*, exact and played."""
    options = {"kind": "ar1", "phi": phi, "cost": cost, "sigma": sigma}
    assembly, seconds = trained(options, algorithm, seed)
    best = optimum(phi, cost)
    program = assembly.finish()
    exact = program_worth(program, program.tasks["trade"], phi, cost) / best.reward
    own, same = played(assembly, {"phi": phi, "cost": cost}, band(best.threshold, "x"))
    return {"share": exact, "played": own / same, **seconds}


def leak(algorithm: str, cost: float, seed: int) -> dict[str, Any]:
    """Wealth with the next return leaked, against the best that a clairvoyant of one step can do."""
    options = {"kind": "future_leak", "phi": 0.95, "cost": cost}
    assembly, seconds = trained(options, algorithm, seed)
    edge = optimum(0.0, cost).threshold  # leaked returns follow each other independently: phi = 0
    own, same = played(assembly, options, band(edge, "leak"))
    return {"share": own / same, **seconds}


def exact(phi: float, cost: float) -> dict[str, Any]:
    """The optimum, and a simulation of its policy with its standard error."""
    best = optimum(phi, cost)
    env = make(
        "pellucid/PlantedTrading-v0",
        PLAYERS,
        HELD_OUT + 1,
        {"phi": phi, "cost": cost, "actions": "box", "episode_steps": 8000},
    )
    rule, obs, total = band(best.threshold, "x"), env.reset(), np.zeros(PLAYERS)
    for _ in range(8000):
        step = env.step(rule(obs, obs["position"]))
        total += step.reward
        obs = step.obs
    means = total / 8000
    return {
        "threshold": best.threshold,
        "g": best.reward,
        "flips": best.flips,
        "sign_rule": band_worth(phi, cost, 0.0).reward,
        "cost_rule": band_worth(phi, cost, cost).reward,
        "played": float(means.mean()),
        "error": float(means.std() / np.sqrt(PLAYERS)),
    }


def critic(seed: int, days: int = 40_000, updates: int = 1200, discount: float = 0.95) -> dict[str, Any]:
    """The value that PPO fits to a forecast of zero on a random walk, as a share of -sigma^2 / (1 - gamma).

    The forecast is held at zero (policy head frozen) so that the value is known. 40,000 days: a realised variance that
    is within 0.7 % of the true one (one standard error).
    """
    start = time.process_time()
    rows = windows(simulate("random_walk", days, seed)[0], window=5)
    env = make("pellucid/StockPrice-v0", 64, seed, {"rows": rows, "random_start": True, "episode_days": 250})
    names = tuple(field.name for field in env.fields)
    options = {"space": "box", "actions": 1, "low": [-1.0], "high": [1.0]}
    task = Task("price", "control", names, ("forecast", "value"), "action", "negative_reward", (), options)
    encoding = Encoding.fit(env.fields, rows)
    widths = {field.name: encoding.scales[field.name].columns for field in env.fields}
    heads = {"price": {"policy": 1, "value": 1, "log_std": 1}}
    network = Network(widths, {"price": names}, heads, width=32, depth=2, activation="tanh", seed=seed)
    for name, parameter in network.named_parameters():
        if ".policy." in name or ".log_std." in name:
            parameter.requires_grad_(False)
            parameter.zero_()
            if name.endswith("log_std.bias"):
                parameter.fill_(-5.0)  # forecasts of 0 +- 0.007 %
    config = PPOConfig(steps=64, epochs=4, minibatch=4096, discount=discount, entropy=0.0)
    learner = PPO(task, env, encoding.encode_fields, config, seed=seed)
    named = {name: p for name, p in network.named_parameters() if p.requires_grad}
    optimiser = torch.optim.Adam(list(named.values()), lr=3e-3)
    Trainer(network, [learner], optimiser, named).run(LoopConfig(updates), Hooks(Schedule("linear", updates)))
    with torch.no_grad():
        value = network(encoding.encode(rows), "price")["value"][:, 0].double().numpy() * learner.value_scale
    truth = -((100.0 * DAILY_SD) ** 2) / (1.0 - discount)
    realised = float(np.mean((100.0 * rows.extra["simple_return"]) ** 2)) / (100.0 * DAILY_SD) ** 2
    return {
        "ratio": float(value.mean()) / truth,
        "spread": float(value.std()) / abs(truth),
        "realised_variance": realised,
        "cpu_s": time.process_time() - start,
    }


def skill(kind: str, seed: int) -> dict[str, Any]:
    """Does the evidence claim skill for a program fitted on the first half of a market and judged on the second?"""
    start = time.process_time()
    data = {"kind": "prices", "source": f"{kind}:{seed}", "window": 10}
    found = problem(spec_from({**SKILL, "seed": seed, "data": data}, where="bench/planted.py"))
    assert found.rows is not None
    fold = walk_forward(len(found.rows) - found.purge, folds=1, purge=found.purge)[0]
    assembly = assemble(found, fold.train, seed=seed)
    assembly.trainer.run(assembly.config, Hooks(assembly.schedule))
    entry = judge_folds(found, [FoldResult(fold, assembly.finish())])[0][0]
    always_long = assemble(found, fold.train, seed=seed).program
    with torch.no_grad():  # the same program with a head that says "long" whatever it sees
        head: Any = next(m for n, m in always_long.network.named_modules() if n.endswith(".policy"))
        head.weight.zero_()
        head.bias.copy_(torch.tensor([0.0, 0.0, 1.0]))
    constant = judge_folds(found, [FoldResult(fold, always_long)])[0][0]
    seconds = time.process_time() - start
    return {
        "skill": bool(entry["skill"]),
        "sharpe": entry["extra"]["sharpe"],
        "sentence": entry["sentence"],
        "constant_skill": bool(constant["skill"]),
        "cpu_s": seconds,
    }


PARTS: dict[str, Callable[..., dict[str, Any]]] = {
    "optimum": exact,
    "ppo": lambda *a: cell("ppo", *a),
    "direct": lambda *a: cell("direct", *a),
    "leak": leak,
    "critic": critic,
    "skill": skill,
}


def jobs(quick: bool) -> list[tuple[Any, ...]]:
    """(part, arguments ...) of everything."""
    seeds = range(1 if quick else 5)
    found: list[tuple[Any, ...]] = [("optimum", phi, cost) for phi, cost in CELLS]
    found += [("critic", seed) for seed in seeds]
    markets = {"random_walk": QUICK if quick else WALKS, "planted": QUICK if quick else PLANTED}
    found += [("skill", kind, seed) for kind, count in markets.items() for seed in range(count)]
    # What is accepted comes first, then what is reported beside it.
    for sigma, cost_of_leak in ((0.0, 0.0),) if quick else ((0.0, 0.0), (3.0, 1.0)):
        for algorithm in ("ppo", "direct"):
            found += [("leak", algorithm, cost_of_leak, seed) for seed in seeds]
            found += [(algorithm, phi, cost, sigma, seed) for phi, cost in CELLS for seed in seeds]
    return found


def run(job: tuple[Any, ...]) -> dict[str, Any]:
    torch.set_num_threads(1)
    return PARTS[job[0]](*job[1:])


def key(job: tuple[Any, ...]) -> str:
    return "/".join(str(part) for part in job)


def settings(job: tuple[Any, ...]) -> str:
    """A digest of what a part was run with: results of other settings are not taken up again."""
    algorithm = next((part for part in job if part in EXAMPLES), None)
    text = json.dumps([SKILL, WALKS]) if job[0] == "skill" else ""
    text += "" if algorithm is None else (ROOT / "examples" / EXAMPLES[algorithm]).read_text()
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


Line = tuple[str, bool | None]  # what was found, and whether it is accepted (None: reported only)


def optimum_lines(results: dict[str, Any]) -> Iterator[Line]:
    heads = ("phi", "c", "lambda", "g*", "played", "error", "|x|>c", "sign", "flips")
    yield "{:>5} {:>3} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7} {:>7}".format(*heads), None
    for phi, cost in CELLS:
        r = results[key(("optimum", phi, cost))]
        text = (
            f"{phi:5g} {cost:3g} {r['threshold']:8.4f} {r['g']:8.4f} {r['played']:8.4f} {r['error']:8.5f} "
            f"{r['cost_rule']:7.4f} {r['sign_rule']:7.4f} {r['flips']:7.4f}"
        )
        # An episode begins without a position.
        yield text, abs(r["played"] - r["g"]) <= 4 * r["error"] + 2 * cost / 8000


def share_lines(results: dict[str, Any], sigma: float, seeds: range) -> Iterator[Line]:
    for algorithm, bar in (("ppo", 0.95), ("direct", 0.985)):
        for phi, cost in CELLS:
            rs = [results[key((algorithm, phi, cost, sigma, s))] for s in seeds]
            exactly, by_hand = (" ".join(f"{100 * r[name]:.2f}" for r in rs) for name in ("share", "played"))
            seconds = max(r["cpu_s"] for r in rs)
            text = (
                f"{algorithm:6} sigma={sigma:g} phi={phi:<4g} c={cost:g}  {exactly}  played {by_hand}  {seconds:.1f} s"
            )
            yield text, None if sigma else min(r["share"] for r in rs) >= bar and seconds <= 60


def leak_lines(results: dict[str, Any], cost: float, seeds: range) -> Iterator[Line]:
    for algorithm in ("ppo", "direct"):
        share = [results[key(("leak", algorithm, cost, s))]["share"] for s in seeds]
        text = " ".join(f"{100 * v:.2f}" for v in share)
        yield f"leak   {algorithm:6} c={cost:g}  {text}", None if cost else min(share) >= 0.99


def critic_line(results: dict[str, Any], seeds: range) -> Line:
    rs = [results[key(("critic", s))] for s in seeds]
    text = "  ".join(f"{100 * r['ratio']:.2f} (states sd {100 * r['spread']:.2f})" for r in rs)
    return "critic  " + text, all(abs(r["ratio"] - 1) <= 0.02 for r in rs)


def skill_line(results: dict[str, Any], kind: str, count: int, limit: int) -> Line:
    rs = [results[key(("skill", kind, s))] for s in range(count)]
    claims, flat = sum(r["skill"] for r in rs), sum(r["constant_skill"] for r in rs)
    passed = (claims <= limit if kind == "random_walk" else claims >= limit) and flat == 0
    return f"skill   {kind:11} claimed in {claims} of {count}; by a constant answer in {flat}", passed


def table(results: dict[str, Any], quick: bool) -> bool:
    """Print what was found; True when everything asked for holds."""
    seeds = range(1 if quick else 5)
    lines = [*optimum_lines(results), ("", None), ("% of g*, a figure a seed; longest run in seconds of CPU", None)]
    for sigma in SIGMAS[: 1 if quick else 2]:
        lines += share_lines(results, sigma, seeds)
    lines += [("", None), ("% of the clairvoyant's wealth, then of -sigma^2 / (1 - gamma)", None)]
    for cost in (0.0,) if quick else (0.0, 1.0):
        lines += leak_lines(results, cost, seeds)
    lines.append(critic_line(results, seeds))
    for kind, full, limit in (("random_walk", WALKS, MOST), ("planted", PLANTED, LEAST)):
        count = QUICK if quick else full
        lines.append(skill_line(results, kind, count, limit * count // full))
    for text, passed in lines:
        print(text if passed is None else f"{text:122} {'ok' if passed else 'NOT ACCEPTED'}")
    return all(passed is not False for _, passed in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed, few markets, sigma 0 only")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--only", choices=sorted(PARTS), help="run one part and print nothing but its results")
    args = parser.parse_args()
    out = ROOT / "bench" / "results" / ("planted-quick.json" if args.quick else "planted.json")
    out.parent.mkdir(exist_ok=True)
    results: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    known = {job: results.get(key(job), {}).get("settings") == settings(job) for job in jobs(args.quick)}
    todo = [job for job, there in known.items() if not there and args.only in (None, job[0])]
    stamp = {"commit": commit()}
    with ProcessPoolExecutor(max(1, args.jobs)) as pool:
        running = {pool.submit(run, job): job for job in todo}
        for done, future in enumerate(as_completed(running), start=1):
            job = running[future]
            results[key(job)] = {**future.result(), "settings": settings(job), **stamp}
            write_atomic(out, json.dumps(results, indent=1, sort_keys=True).encode())
            print(f"[{done}/{len(todo)}] {key(job)} {results[key(job)]}", flush=True)
    return 0 if args.only or table(results, args.quick) else 1


if __name__ == "__main__":
    raise SystemExit(main())

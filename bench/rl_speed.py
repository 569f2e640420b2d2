"""PPO on CartPole-v1 beside Stable-Baselines3: steps per second, time until it is solved, peak memory.

One thread; every run in a process of its own, the libraries in turn within each seed; CPU seconds (wall seconds stand
beside them in the JSON), without imports. Rows of hyperparameters: `zoo` (rl-baselines3-zoo's for CartPole-v1: 8
environments, 20 epochs), `wide` (64 environments, 4 epochs), `shipped` (32 environments: what `pellucid fit --env
CartPole-v1` takes, chosen on seeds 100-115), `general` (wide, but through autograd, as any nn.Module policy).

Solved: the mean of the last 100 training episodes is at least 475 *and* 100 greedy held-out episodes average at least
475 (the clock stands still while they are played). Networks: two hidden layers of 64 tanh units; Stable-Baselines3 has
separate networks for policy and value, Pellucid one trunk with two heads, about half the arithmetic: part of the ratio.

    python bench/rl_speed.py [--seeds 5] [--solve-seeds 20] [--quick]      resumes from bench/results/rl_speed.json

SAC and DQN: bench/rl_speed_off_policy.py.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
from typing import Any

from cells import DRIFT, ROOT, Gauge, cell, machine, spread, versions

OUT = ROOT / "bench" / "results" / "rl_speed.json"
SOLVED = 475.0
CONFIGS: dict[str, dict[str, Any]] = {  # `most`: until which a run may try to solve it, its schedules with it
    "zoo": {
        "n": 8,
        "steps": 32,
        "epochs": 20,
        "lr": 1e-3,
        "gamma": 0.98,
        "lambda": 0.8,
        "total": 100_000,
        "most": 400_000,
    },
    "wide": {
        "n": 64,
        "steps": 32,
        "epochs": 4,
        "lr": 3e-3,
        "gamma": 0.99,
        "lambda": 0.95,
        "total": 200_000,
        "most": 200_000,
    },
    "shipped": {
        "n": 32,
        "steps": 32,
        "epochs": 4,
        "lr": 3e-3,
        "gamma": 0.99,
        "lambda": 0.95,
        "total": 200_000,
        "most": 200_000,
    },
}


class Clock:
    """CPU and wall seconds, with pauses."""

    def __init__(self) -> None:
        self.cpu, self.wall = -time.process_time(), -time.perf_counter()

    def pause(self) -> None:
        self.cpu += time.process_time()
        self.wall += time.perf_counter()

    def go(self) -> None:
        self.cpu -= time.process_time()
        self.wall -= time.perf_counter()

    def read(self) -> tuple[float, float]:
        return self.cpu + time.process_time(), self.wall + time.perf_counter()


def pellucid_run(name: str, seed: int, *, solve: bool, by_hand: bool = True) -> dict[str, float]:
    """One training run; stops when solved, else after `total` (or `most`) steps."""
    import numpy as np

    from pellucid.assemble import assemble, problem
    from pellucid.core.errors import Interrupted
    from pellucid.rl.ppo import PPO
    from pellucid.runs.policies import greedy, rollout
    from pellucid.spec.presets import env_spec
    from pellucid.train.loop import Hooks

    c = CONFIGS[name]
    total = c["most" if solve else "total"]
    updates = total // (c["n"] * c["steps"]) * c["epochs"] * (c["n"] * c["steps"] // 256)
    overrides = (
        f"seed={seed}",
        f"train.updates={updates}",
        f"train.lr={c['lr']}",
        f"tasks.policy.ppo.num_envs={c['n']}",
        f"tasks.policy.ppo.steps={c['steps']}",
        f"tasks.policy.ppo.epochs={c['epochs']}",
        f"tasks.policy.ppo.discount={c['gamma']}",
        f"tasks.policy.ppo.gae_lambda={c['lambda']}",
    )
    assembly = assemble(problem(env_spec("CartPole-v1", overrides=overrides)), None, seed=seed)
    learner = assembly.learners[0]
    assert isinstance(learner, PPO)
    if not by_hand:
        learner.gradients = lambda network, batch: None  # type: ignore[method-assign]
    clock, found = Clock(), {"solved_cpu": float("nan"), "solved_wall": float("nan"), "solved_steps": float("nan")}
    seen = [0]

    def stop() -> bool:
        if not solve or learner._rollouts == seen[0]:
            return False
        seen[0] = learner._rollouts
        if len(learner._returns) < 100 or np.mean(learner._returns) < SOLVED:
            return False
        cpu, wall = clock.read()
        clock.pause()
        program = assembly.finish()
        task = program.tasks["policy"]
        mean = rollout("CartPole-v1", greedy(program, task), range(9_000_000, 9_000_100)).returns.mean()
        clock.go()
        if mean < SOLVED:
            return False
        found.update(solved_cpu=cpu, solved_wall=wall, solved_steps=float(learner._rollouts * c["n"] * c["steps"]))
        return True

    with contextlib.suppress(Interrupted):
        assembly.trainer.run(assembly.config, Hooks(assembly.schedule, None, None, stop))
    cpu, wall = clock.read()
    steps = float(learner._rollouts * c["n"] * c["steps"])
    return {"steps": steps, "cpu": cpu, "wall": wall, "steps_per_cpu_s": steps / cpu, **found}


def sb3_run(name: str, seed: int, *, solve: bool) -> dict[str, float]:
    """The same with Stable-Baselines3's PPO, DummyVecEnv and Monitor, as its users run it."""
    import numpy as np
    import stable_baselines3
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy

    c = CONFIGS[name]
    lr, anneal = c["lr"], name == "zoo"
    env = make_vec_env("CartPole-v1", n_envs=c["n"], seed=seed)
    model = stable_baselines3.PPO(
        "MlpPolicy",
        env,
        n_steps=c["steps"],
        batch_size=256,
        n_epochs=c["epochs"],
        gamma=c["gamma"],
        gae_lambda=c["lambda"],
        ent_coef=0.0,
        learning_rate=lambda left: left * lr,
        clip_range=(lambda left: left * 0.2) if anneal else 0.2,
        seed=seed,
        device="cpu",
    )
    clock, found = Clock(), {"solved_cpu": float("nan"), "solved_wall": float("nan"), "solved_steps": float("nan")}

    class Watch(BaseCallback):
        def _on_step(self) -> bool:
            return not np.isfinite(found["solved_cpu"])

        def _on_rollout_end(self) -> None:
            buffer = self.model.ep_info_buffer
            if not solve or buffer is None or len(buffer) < 100:
                return
            if np.mean([e["r"] for e in buffer]) < SOLVED:
                return
            cpu, wall = clock.read()
            clock.pause()
            held_out = make_vec_env("CartPole-v1", n_envs=10, seed=9_000_000)
            mean, _ = evaluate_policy(self.model, held_out, n_eval_episodes=100, deterministic=True)
            clock.go()
            if float(np.mean(mean)) >= SOLVED:
                found.update(solved_cpu=cpu, solved_wall=wall, solved_steps=float(self.num_timesteps))

    model.learn(c["most" if solve else "total"], callback=Watch())
    cpu, wall = clock.read()
    return {
        "steps": float(model.num_timesteps),
        "cpu": cpu,
        "wall": wall,
        "steps_per_cpu_s": model.num_timesteps / cpu,
        **found,
    }


def limit(name: str) -> float:
    """Steps per second if only matrix products (at this machine's rate, measured now) and the environment cost time."""
    import gymnasium
    import numpy as np

    c = CONFIGS[name]
    a, b = np.random.rand(256, 64).astype(np.float32), np.random.rand(64, 64).astype(np.float32)
    start, n = time.process_time(), 20_000
    for _ in range(n):
        a @ b
    rate = n * 2 * 256 * 64 * 64 / (time.process_time() - start)
    macs = 4 * 64 + 64 * 64 + 64 * 3
    per_step = 2 * macs * (1 + 3 * c["epochs"])  # one forward to act, three passes' worth per epoch
    env = gymnasium.make_vec("CartPole-v1", num_envs=c["n"], vectorization_mode="vector_entry_point")
    env.reset(seed=0)
    actions = np.random.randint(0, 2, (1000, c["n"]))
    start = time.process_time()
    for row in actions:
        env.step(row)
    return 1.0 / (per_step / rate + (time.process_time() - start) / (1000 * c["n"]))


def run_cell(library: str, name: str, what: str, seed: int) -> dict[str, Any]:
    """One run, with the machine's steadiness and this process's peak memory."""
    import torch

    torch.set_num_threads(1)
    gauge = Gauge()
    gauge.look()
    solve = what == "solve"
    if library == "sb3":
        found = sb3_run(name, seed, solve=solve)
    else:
        found = pellucid_run("wide" if name == "general" else name, seed, solve=solve, by_hand=name != "general")
    gauge.look()
    found["limit"] = limit("wide" if name == "general" else name)
    return {**found, **machine(), "drift": gauge.drift}


CELLS = {
    "speed": [("pellucid", "zoo"), ("sb3", "zoo"), ("pellucid", "wide"), ("sb3", "wide"), ("pellucid", "general")],
    "solve": [("pellucid", "zoo"), ("sb3", "zoo"), ("pellucid", "shipped"), ("sb3", "shipped")],
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--solve-seeds", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="speed only, 2 seeds")
    parser.add_argument("--cell", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.cell:
        library, name, what, seed = args.cell
        print(json.dumps(run_cell(library, name, what, int(seed))))
        return 0
    from pellucid.store.files import write_atomic

    OUT.parent.mkdir(exist_ok=True)
    results: dict[str, Any] = json.loads(OUT.read_text()) if OUT.exists() else {}
    seeds = {"speed": range(2 if args.quick else args.seeds), "solve": range(0 if args.quick else args.solve_seeds)}
    for what, cells in CELLS.items():
        for seed in seeds[what]:
            for library, name in cells:
                key = f"{library} {name} {what} seed {seed}"
                if key not in results:
                    results[key] = {**cell(__file__, library, name, what, seed), **versions()}
                    write_atomic(OUT, json.dumps(results, indent=1).encode())
                r = results[key]
                print(
                    f"{key:32} {r['steps_per_cpu_s']:10,.0f} steps/s  solved {r['solved_cpu']:6.2f} s  "
                    f"{r['solved_steps']:9,.0f} steps  {r['rss_mb']:4.0f} MB  load {r['load']:.1f}"
                    + ("" if r["drift"] <= DRIFT else f"  not steady ({r['drift']:.0%})"),
                    flush=True,
                )
    report(results, seeds)
    return 0


def report(results: dict[str, Any], seeds: dict[str, range]) -> None:
    """Ratios seed by seed: their median and range."""

    def each(label: str, value: str) -> list[float]:
        what = label.rsplit(" ", 1)[1]
        return [results[f"{label} seed {s}"][value] for s in seeds[what]]

    def ratio(title: str, a: list[float], b: list[float], bar: str) -> None:
        found = [x / y for x, y in zip(a, b, strict=True)]
        print(f"{title:64} {spread(found):24} bar {bar}  n = {len(found)}")

    def rate(label: str, kind: str) -> list[float]:
        return [steps / took for steps, took in zip(each(label, "steps"), each(label, kind), strict=True)]

    print("\nmedian (range) over seeds of the ratio seed by seed")
    for name, bar in (("zoo", ">= 4, aim 7"), ("wide", ">= 6, aim 9")):
        ours = f"pellucid {name} speed"
        for kind in ("cpu", "wall"):
            title = f"steps/s ({kind}), {name} hyperparameters, against SB3"
            ratio(title, rate(ours, kind), rate(f"sb3 {name} speed", kind), bar)
        share = statistics.median(x / y for x, y in zip(rate(ours, "cpu"), each(ours, "limit"), strict=True))
        print(f"{'':10}share of the physical limit {share:.0%} (aim 70 %)")
    ratio(
        "steps/s (cpu), any nn.Module (autograd), against SB3 wide",
        each("pellucid general speed", "steps_per_cpu_s"),
        each("sb3 wide speed", "steps_per_cpu_s"),
        ">= 2",
    )
    ratio(
        "peak memory, wide, ours / SB3", each("pellucid wide speed", "rss_mb"), each("sb3 wide speed", "rss_mb"), "<= 1"
    )
    if not seeds["solve"]:
        return
    for kind in ("cpu", "wall"):
        ours = each("pellucid shipped solve", f"solved_{kind}")
        zoo, given = each("sb3 zoo solve", f"solved_{kind}"), each("sb3 shipped solve", f"solved_{kind}")
        ratio(f"solved ({kind}): ours as shipped, against SB3 zoo", zoo, ours, ">= 15")
        ratio(f"solved ({kind}): ours as shipped, against SB3 given our settings", given, ours, ">= 5")
    for name in ("zoo", "shipped"):
        a, b = each(f"pellucid {name} solve", "solved_steps"), each(f"sb3 {name} solve", "solved_steps")
        ratio(f"steps to solve, {name} settings, ours / SB3", a, b, "<= 1.1")
        print(f"{'':10}medians {statistics.median(a):,.0f} / {statistics.median(b):,.0f} steps")


if __name__ == "__main__":
    sys.exit(main())

"""SAC and DQN beside Stable-Baselines3: updates per second, steps per second from end to end, and peak memory.

One thread; two hidden layers of 256 ReLU units; both libraries get the same hyperparameters.

`updates`: both in one process, a hundred updates or so of each in turn, on the same transitions in their memories:
Stable-Baselines3's own `train()` against the update of Pellucid's training loop, its log and its checks included.
`steps`: from end to end, one update after every environment step, on Pendulum-v1 and CartPole-v1, each library in a
process of its own, whose peak memory is noted. The limit: the matrix products that an update cannot do without, at the
fastest rate of any library here, measured in the same process; for a step, the environment's own time is added.

    python bench/rl_speed_off_policy.py [--seeds 5] [--quick]   resumes from bench/results/rl_speed_off_policy.json
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from cells import DRIFT, ROOT, Clock, Gauge, cell, machine, spread, versions

OUT = ROOT / "bench" / "results" / "rl_speed_off_policy.json"
WIDTH, ROWS, MEMORY = 256, 20_000, 100_000
ENVS = {"sac": "Pendulum-v1", "dqn": "CartPole-v1"}
BATCH, CHUNK, CHUNKS = {"sac": 256, "dqn": 64}, {"sac": 50, "dqn": 250}, 4
STEPS = {"sac": 1_000, "dqn": 5_000}
BARS = {"sac": 1.3, "dqn": 1.15}
TARGET_EVERY = 250  # DQN's updates between copies of the target


def ours(algorithm: str, seed: int, *, updates: int) -> Any:
    """Pellucid's assembly, with as few words as its users would need."""
    from pellucid.assemble import assemble, problem
    from pellucid.spec.presets import env_spec

    common = [f"seed={seed}", f"network.width={WIDTH}", "network.depth=2", "network.activation=relu"]
    common += [f"train.updates={updates}", "train.schedule=constant", "train.checkpoint_every=1000000"]
    settings: dict[str, Any] = {"batch": BATCH[algorithm], "num_envs": 1, "steps": 1, "updates": 1, "discount": 0.99}
    settings |= {"replay.size": MEMORY, "replay.warmup": 100, "replay.n_step": 1}
    if algorithm == "sac":
        common += ["train.lr=3e-4", "train.clip=null"]
    else:
        common += ["train.lr=1e-4", "train.clip=10"]
        settings |= {"double": False, "huber": 1.0, "duelling": False, "priority.exponent": 0.0}
        settings |= {"target.every": TARGET_EVERY, "target.rate": 1.0}
        settings |= {"explore.start": 1.0, "explore.end": 0.05, "explore.steps": STEPS["dqn"] // 10}
    overrides = (*common, *(f"tasks.policy.{algorithm}.{name}={json.dumps(v)}" for name, v in settings.items()))
    spec = env_spec(ENVS[algorithm], algorithm=algorithm, overrides=overrides)
    return assemble(problem(spec), None, seed=seed)


def theirs(algorithm: str, seed: int, *, target_every: int = TARGET_EVERY) -> Any:
    """Stable-Baselines3's model, with its own defaults where they are the same."""
    import stable_baselines3
    import torch

    common: dict[str, Any] = {"seed": seed, "device": "cpu", "gamma": 0.99, "buffer_size": MEMORY}
    common |= {"learning_starts": 100, "train_freq": 1, "gradient_steps": 1, "batch_size": BATCH[algorithm]}
    if algorithm == "sac":
        return stable_baselines3.SAC("MlpPolicy", ENVS["sac"], learning_rate=3e-4, **common)
    return stable_baselines3.DQN(
        "MlpPolicy",
        ENVS["dqn"],
        learning_rate=1e-4,
        target_update_interval=target_every,
        max_grad_norm=10.0,
        policy_kwargs={"net_arch": [WIDTH, WIDTH], "activation_fn": torch.nn.ReLU},
        **common,
    )


def transitions(algorithm: str, seed: int) -> dict[str, Any]:
    """Of random actions, one environment: the same for both."""
    import gymnasium
    import numpy as np

    env = gymnasium.make(ENVS[algorithm])
    env.action_space.seed(seed)
    obs, _ = env.reset(seed=seed)
    rows: dict[str, list[Any]] = {name: [] for name in ("obs", "action", "reward", "following", "terminated", "cut")}
    for _ in range(ROWS):
        action = env.action_space.sample()
        following, reward, terminated, cut, _ = env.step(action)
        for name, value in zip(rows, (obs, action, reward, following, terminated, cut), strict=True):
            rows[name].append(value)
        obs = env.reset()[0] if terminated or cut else following
    return {name: np.asarray(values) for name, values in rows.items()}


def pair(algorithm: str, seed: int) -> dict[str, Any]:
    """Updates per second of both, in turn."""
    import numpy as np
    from stable_baselines3.common.logger import configure

    rows, n = transitions(algorithm, seed), CHUNK[algorithm]
    assembly, model = ours(algorithm, seed, updates=10**9), theirs(algorithm, seed, target_every=1)
    memory = assembly.learners[0].collector.memory
    model._setup_learn(1)
    model.set_logger(configure(None, []))
    scale = 1.0 if algorithm == "dqn" else 2.0  # the torque's range; memories keep actions in [-1, 1]
    for i in range(ROWS):
        obs, action, reward, following, ended, cut = (rows[name][i : i + 1] for name in rows)
        memory.add(obs, action / scale if algorithm == "sac" else action, reward, following, ended, cut, ended >= 0)
        infos = [{"TimeLimit.truncated": bool(cut[0] and not ended[0])}]
        model.replay_buffer.add(obs, following, action / scale if algorithm == "sac" else action, reward, ended, infos)
    assembly.learners[0].collector._due = 10**9  # no experience of its own
    trainer, config = assembly.trainer, assembly.config

    def our_chunk() -> None:
        trainer.run(replace(config, updates=trainer.update + n))

    def their_chunk() -> None:
        model.train(n, BATCH[algorithm])
        if algorithm == "dqn":
            model._on_step()  # copies the target

    gauge, clocks = Gauge(), (Clock(), Clock())
    our_chunk(), their_chunk()
    gauge.look()
    for turn in range(CHUNKS):
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            with clocks[which]:
                (our_chunk, their_chunk)[which]()
        gauge.look()
    done = CHUNKS * n
    limit = gauge.best() * 1e9 / flops(algorithm)
    found = {"gemm": statistics.median(gauge.rates), "drift": gauge.drift, "limit": limit, **machine()}
    for name, clock in zip(("ours", "theirs"), clocks, strict=True):
        found |= {name: done / clock.cpu, f"{name}_wall": done / clock.wall}
    losses = [np.mean([v for _, v in assembly.trainer.history.curves["policy"]["loss"]])]
    assert np.isfinite(losses).all()
    return found


def end_to_end(algorithm: str, library: str, seed: int) -> dict[str, Any]:
    """Steps per second with one update after each; peak memory."""
    steps = STEPS[algorithm]
    if library == "ours":
        assembly = ours(algorithm, seed, updates=steps)
    else:
        model = theirs(algorithm, seed)
    gauge, clock = Gauge(), Clock()
    gauge.look()
    with clock:
        if library == "ours":
            assembly.trainer.run(assembly.config)
        else:
            model.learn(steps)
    gauge.look()
    limit = 1.0 / (flops(algorithm) / (gauge.best() * 1e9) + environment(algorithm))
    return {
        "steps": steps / clock.cpu,
        "steps_wall": steps / clock.wall,
        "limit": limit,
        "gemm": statistics.median(gauge.rates),
        "drift": gauge.drift,
        **machine(),
    }


def environment(algorithm: str) -> float:
    """CPU seconds of one step of the bare environment."""
    import gymnasium

    env, n = gymnasium.make(ENVS[algorithm]), 3000
    env.reset(seed=0)
    actions = [env.action_space.sample() for _ in range(n)]
    start = time.process_time()
    for action in actions:
        _, _, terminated, cut, _ = env.step(action)
        if terminated or cut:
            env.reset()
    return (time.process_time() - start) / n


def flops(algorithm: str) -> float:
    """Of the matrix products that one update cannot do without."""

    def forward(*widths: int) -> float:
        return 2.0 * BATCH[algorithm] * sum(a * b for a, b in itertools.pairwise(widths))

    def down(*widths: int) -> float:  # the gradient of what each layer reads
        return forward(*widths)

    h = WIDTH
    if algorithm == "dqn":  # Q' of the next states; Q forward; its weights' gradients; gradients of what layers read
        return 3.0 * forward(4, h, h, 2) + down(h, h, 2)
    actor, critic = (3, h, h, 2), (4, h, h, 1)
    policy = 3.0 * forward(*actor) + down(*actor[1:])  # a' ~ π(s'), ã ~ π(s), gradients
    critics = 2.0 * (2.0 * forward(*critic) + forward(*critic) + down(*critic[1:]))  # y, Q(s, a), gradients
    return policy + critics + 2.0 * forward(*critic) + down(1, h, h, 1)  # Q(s, ã), the lesser one's slope by ã


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="updates per second only, two seeds, nothing is kept")
    parser.add_argument("--cell", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.cell:
        import torch

        torch.set_num_threads(1)
        kind, algorithm, *rest = args.cell
        found = pair(algorithm, int(rest[0])) if kind == "updates" else end_to_end(algorithm, rest[0], int(rest[1]))
        print(json.dumps(found))
        return 0
    seeds = range(2 if args.quick else args.seeds)
    results: dict[str, Any] = json.loads(OUT.read_text()) if OUT.exists() and not args.quick else {}
    for names in cells(seeds, quick=args.quick):
        key = " ".join(map(str, names))
        if key not in results:
            results[key] = cell(str(Path(__file__)), *names)
            if not args.quick:
                results["versions"] = versions()
                OUT.write_text(json.dumps(results, indent=1))
        r = {k: round(v, 3) if isinstance(v, float) else v for k, v in results[key].items()}
        print(f"{key:24}", "" if r["drift"] <= DRIFT else "NOT STEADY", r, file=sys.stderr, flush=True)
    report(results, seeds, quick=args.quick)
    return 0


def cells(seeds: range, *, quick: bool) -> list[tuple[object, ...]]:
    """What is measured; within a seed, the libraries take turns."""
    found: list[tuple[object, ...]] = [("updates", algorithm, seed) for seed in seeds for algorithm in ENVS]
    for seed in () if quick else seeds:
        libraries = ("ours", "theirs") if seed % 2 == 0 else ("theirs", "ours")
        found += [("steps", algorithm, library, seed) for algorithm in ENVS for library in libraries]
    return found


def report(results: dict[str, Any], seeds: range, *, quick: bool) -> None:
    """The table."""
    unsteady = [key for key, r in results.items() if key != "versions" and r["drift"] > DRIFT]
    for algorithm in ENVS:
        rows = [results[f"updates {algorithm} {s}"] for s in seeds]
        print(f"{algorithm}: {WIDTH} x {WIDTH}, batch {BATCH[algorithm]}, median (range) of {len(rows)} seeds")
        for name in ("ours", "theirs"):
            share = statistics.median(r[name] / r["limit"] for r in rows)
            line = f"  updates/s, {name:7}{spread([r[name] for r in rows], 0):28}{share:5.0%} of the product limit"
            print(f"{line} (wall {spread([r[f'{name}_wall'] for r in rows], 0)})")
        print(f"  ratio, CPU       {spread([r['ours'] / r['theirs'] for r in rows])}   bar {BARS[algorithm]:g}, aim 2")
        print(f"  ratio, wall      {spread([r['ours_wall'] / r['theirs_wall'] for r in rows])}")
        if quick:
            continue
        mine, other = ([results[f"steps {algorithm} {lib} {s}"] for s in seeds] for lib in ("ours", "theirs"))
        both = list(zip(mine, other, strict=True))
        for name, each in (("ours", mine), ("theirs", other)):
            share = statistics.median(r["steps"] / r["limit"] for r in each)
            print(
                f"  steps/s, {name:9}{spread([r['steps'] for r in each], 0):28}{share:5.0%} of products + environment"
            )
        print(f"  ratio, CPU       {spread([a['steps'] / b['steps'] for a, b in both])}")
        print(f"  ratio, wall      {spread([a['steps_wall'] / b['steps_wall'] for a, b in both])}")
        peaks = [spread([r["rss_mb"] for r in each], 0) for each in (mine, other)]
        print(f"  peak memory, MB  {' against '.join(peaks)}")
        print(f"  ratio            {spread([a['rss_mb'] / b['rss_mb'] for a, b in both])}   bar: at most 1")
    loads = [r["load"] for key, r in results.items() if key != "versions"]
    gemm = [r["gemm"] for key, r in results.items() if key != "versions"]
    print(f"product rate of numpy, GFLOP/s: {spread(gemm, 0)}; load average {spread(loads)}")
    if unsteady:
        print(f"NOT STEADY, the product's rate moved by more than {DRIFT:.0%}: {', '.join(unsteady)}")


if __name__ == "__main__":
    raise SystemExit(main())

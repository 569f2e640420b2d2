"""Scores of what `pellucid fit --env ID` learns, with the settings that are shipped for each environment.

Seeds 0 to 4 (HalfCheetah 0 to 2), one thread each. Settings were chosen on other seeds: docs/reference/scores.md. Each
learned policy acts greedily in 100 episodes of its own, seeds 20,000,000 + 1000 x seed and on (none was tuned on). A
score is the mean of these; the interval is Student's t over the seeds' scores.

    median >= bar           the median over the seeds reaches Gymnasium's (or the issue's) threshold
    holds the optimum       the interval contains the best expected return under the environment's time limit, computed
                            by backward induction; policies that look at the clock are among those it is the best of
    SB3                     Stable-Baselines3's PPO after the same steps, with rl-baselines3-zoo's settings for it

    python bench/rl_scores.py [--jobs 2] [--envs CartPole-v1 Taxi-v4]     resumes from bench/results/rl_scores/
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from pellucid.assemble import assemble, problem
from pellucid.assemble.table import steps_of as table_steps
from pellucid.assemble.table import tabulate
from pellucid.envs.finite import from_env
from pellucid.evidence.intervals import t_interval
from pellucid.rl.tabular import finite_horizon, value_iteration
from pellucid.runs.exact import exact_returns
from pellucid.runs.policies import greedy, rollout
from pellucid.spec.model import ControlTask, Spec
from pellucid.spec.presets import env_spec
from pellucid.store.files import write_atomic
from pellucid.train.loop import Hooks

RESULTS = Path(__file__).resolve().parent / "results" / "rl_scores"
HELD_OUT, EPISODES, LONGEST = 20_000_000, 100, 20_000
OPTIMUM, PEER = "optimum", "SB3"
PEER_STEPS = 300_000


class Row(NamedTuple):
    """What an environment (`ID`, or `ID:ALGORITHM` for another than the default) is held to."""

    bar: float | str
    seeds: int = 5
    judged: bool = True


ROWS: dict[str, Row] = {
    "CartPole-v1": Row(475.0),
    "Acrobot-v1": Row(-100.0),
    "MountainCarContinuous-v0": Row(90.0),
    "Pendulum-v1": Row(-180.0),
    "FrozenLake-v1": Row(OPTIMUM),
    "FrozenLake8x8-v1": Row(OPTIMUM),
    "FrozenLake8x8-v1:value_iteration": Row(OPTIMUM, judged=False),  # beside it: the optimum itself, solved
    "Taxi-v4": Row(OPTIMUM),
    "CliffWalking-v1": Row(OPTIMUM),
    "LunarLander-v3": Row(200.0),
    "InvertedPendulum-v5": Row(950.0),
    "HalfCheetah-v5": Row(PEER, seeds=3),
}


def spec_of(row: str, seed: int) -> Spec:
    """What `pellucid fit --env ID [--algorithm ALGORITHM] --set seed=SEED` learns by."""
    env, _, algorithm = row.partition(":")
    return env_spec(env, algorithm=algorithm or None, overrides=(f"seed={seed}",))


def learn(spec: Spec) -> tuple[Any, int, int]:
    """(program, environment steps, updates)."""
    prob, declared = problem(spec), spec.tasks["policy"]
    assert isinstance(declared, ControlTask)
    if declared.tabular:
        learned = declared.algorithm in ("q_learning", "sarsa")  # else solved from the known transitions
        return tabulate(prob, declared), table_steps(declared) if learned else 0, 0
    assembly = assemble(prob, None, seed=spec.seed)
    assembly.trainer.run(assembly.config, Hooks(assembly.schedule))
    learner: Any = assembly.learners[0]
    return assembly.finish(), int(steps_of(learner)), spec.train.updates


def steps_of(learner: Any) -> int:
    """Environment steps that a learner took."""
    if hasattr(learner, "collector"):
        return int(learner.collector.env_steps)
    if hasattr(learner, "steps"):
        return int(learner.steps)
    return int(learner._rollouts * learner.config.steps * learner.env.num_envs)


def ours(row: str, seed: int) -> dict[str, Any]:
    """Learn, then play."""
    spec = spec_of(row, seed)
    cpu = time.process_time()
    program, steps, updates = learn(spec)
    cpu = time.process_time() - cpu
    declared = spec.tasks["policy"]
    assert isinstance(declared, ControlTask)
    task, first = program.tasks["policy"], HELD_OUT + 1000 * seed
    seeds, clock = range(first, first + EPISODES), task.options.get("clock")
    returns = rollout(declared.env, greedy(program, task), seeds, clock=clock, limit=LONGEST).returns
    found: dict[str, Any] = {"algorithm": declared.algorithm, "steps": steps, "updates": updates, "cpu": cpu}
    exact = exact_returns(program, task).get("expected_return")
    return {**found, "spec": spec.sha(), "returns": [float(r) for r in returns], "exact": exact}


def peer(seed: int) -> dict[str, Any]:
    """Stable-Baselines3's PPO in HalfCheetah, with the settings of rl-baselines3-zoo, after as many steps as ours."""
    import gymnasium
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.vec_env import VecNormalize
    from torch import nn

    from pellucid.envs.making import find_spec

    env = "HalfCheetah-v5"
    find_spec(env)
    cpu = time.process_time()
    batch = VecNormalize(make_vec_env(env, n_envs=1, seed=seed), gamma=0.98)
    layers = {"pi": [256, 256], "vf": [256, 256]}
    model = PPO(
        "MlpPolicy",
        batch,
        batch_size=64,
        n_steps=512,
        gamma=0.98,
        learning_rate=2.0633e-05,
        ent_coef=0.000401762,
        clip_range=0.1,
        n_epochs=20,
        gae_lambda=0.92,
        max_grad_norm=0.8,
        vf_coef=0.58096,
        policy_kwargs={"log_std_init": -2, "ortho_init": False, "activation_fn": nn.ReLU, "net_arch": layers},
        seed=seed,
        device="cpu",
    )
    model.learn(PEER_STEPS)
    cpu = time.process_time() - cpu
    first = HELD_OUT + 1000 * seed
    held_out = make_vec_env(lambda: gymnasium.make(env), n_envs=EPISODES)
    held_out.seed(first)  # environment i starts from first + i
    frozen = VecNormalize(held_out, training=False, norm_reward=False, gamma=0.98)
    frozen.obs_rms = batch.obs_rms
    returns, _ = evaluate_policy(model, frozen, EPISODES, deterministic=True, return_episode_rewards=True)
    return {
        "algorithm": "ppo (SB3)",
        "steps": int(model.num_timesteps),
        "updates": int(model._n_updates * 512 / 64),
        "cpu": cpu,
        "spec": PEER,
        "returns": [float(r) for r in returns],
    }


def optimum(env: str) -> float:
    """Best expected undiscounted return under the environment's time limit."""
    mdp = from_env(env)
    return float(value_iteration(mdp, 1.0).value if mdp.horizon is None else finite_horizon(mdp).value)


def job(env: str, seed: int, who: str) -> dict[str, Any]:
    """One run, in a process of its own."""
    torch.set_num_threads(1)
    return ours(env, seed) if who == "ours" else peer(seed)


def place(env: str, seed: int, who: str) -> Path:
    return RESULTS / f"{env.replace(':', '-')}-{who}-{seed}.json"


def known(env: str, seed: int, who: str) -> dict[str, Any] | None:
    """A result that was kept, unless the settings have changed since."""
    path = place(env, seed, who)
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text())
    wanted = PEER if who == PEER else spec_of(env, seed).sha()
    return found if found["spec"] == wanted else None


def run_all(envs: list[str], jobs: int) -> None:
    """Run what is not yet there; the longest first."""
    wanted = [(env, seed, "ours") for env in envs for seed in range(ROWS[env].seeds)]
    wanted += [(env, seed, PEER) for env in envs for seed in range(ROWS[env].seeds) if ROWS[env].bar == PEER]
    waiting = [key for key in reversed(wanted) if known(*key) is None]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(job, *key): key for key in waiting}
        for done in as_completed(running):
            env, seed, who = running[done]
            result = done.result()
            write_atomic(place(env, seed, who), json.dumps(result).encode())
            score = float(np.mean(result["returns"]))
            print(f"{env:34}{who:6}seed {seed}{score:12.5g}{result['cpu']:8.1f} s", flush=True)


def shown(env: str, who: str, bar: str, met: Callable[[Any, Any], bool]) -> tuple[str, bool]:
    """A line of the table."""
    runs = [known(env, seed, who) for seed in range(ROWS[env].seeds)]
    found = [run for run in runs if run is not None]
    scores = np.array([np.mean(run["returns"]) for run in found])
    interval, middle = t_interval(scores), float(np.median(scores))
    small = abs(middle) < 2
    text = [f"{score:.3f}" if small else f"{score:.1f}" for score in scores]
    low, high, mid = (f"{x:.3f}" if small else f"{x:.1f}" for x in (interval.low, interval.high, middle))
    first, cpu = found[0], statistics.median(run["cpu"] for run in found)
    budget = f"{statistics.median(run['steps'] for run in found):,.0f}"
    ok = met(interval, middle)
    line = (
        f"| {env} | {first['algorithm']} | {budget} | {first['updates']:,} | {cpu:.1f} | {', '.join(text)} | "
        f"{mid} | {low} to {high} | {bar} | {'yes' if ok else 'NO'} |"
    )
    return line, ok


def table(envs: list[str]) -> bool:
    """Print the table; True when every bar is met."""
    print("\n| environment | algorithm | steps | updates | CPU s | score of each seed | median | 95 % | bar | met |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    good, exact = True, []
    for env in envs:
        runs = [run for seed in range(ROWS[env].seeds) if (run := known(env, seed, "ours")) is not None]
        sure = [run["exact"] for run in runs if run.get("exact") is not None]
        if sure:
            exact.append(f"{env} {min(sure):.4f} to {max(sure):.4f} (optimum {optimum(env.partition(':')[0]):.4f})")
        bar = ROWS[env].bar
        if bar == OPTIMUM:
            best = optimum(env.partition(":")[0])
            slack = 1e-9 * max(1.0, abs(best))  # rounding: equal episodes leave an interval of no width
            line, ok = shown(
                env, "ours", f"holds {best:.3f}", lambda i, m, b=best, s=slack: i.low - s <= b <= i.high + s
            )
        elif bar == PEER:
            theirs, _ = shown(env, PEER, "", lambda i, m: True)
            seeds = [known(env, seed, PEER) for seed in range(ROWS[env].seeds)]
            middle = float(np.median([np.mean(run["returns"]) for run in seeds if run is not None]))
            line, ok = shown(env, "ours", f"SB3's {middle:.0f}", lambda i, m, b=middle: m >= b)
            print(theirs.replace("| yes |", "| |"))
        else:
            line, ok = shown(env, "ours", f"{bar:g}", lambda i, m, b=float(bar): m >= b)
        if not ROWS[env].judged:
            print(line.rpartition("| ")[0].rpartition("| ")[0] + "| |")
            continue
        print(line)
        good &= ok
    if exact:
        print(f"\nExpected returns of these policies, computed, not played: {'; '.join(exact)}.")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--envs", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="ID")
    args = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    run_all(args.envs, args.jobs)
    good = table(args.envs)
    print(f"\n{time.perf_counter() - started:.0f} s in this call")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())

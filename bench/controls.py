"""Do the evidence's own controls hold? The stocks program on planted markets (skill) and random walks (no skill).

For each of 10 market seeds (1-10; the example's settings were chosen on seed 11) the program of examples/stocks.yaml is
fitted on the first half of a simulated market and judged on the second half, once per kind of market.

Test: per task, skill = paired 95 % interval better than every naive baseline. Acceptance per task: planted at least
9 of 10; random walk at most 1 of 10 (at the nominal 2.5 % a side, 2 or more would happen with probability 0.025).

    python bench/controls.py            about 4 minutes on two cores; resumes from bench/results/controls.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from pellucid.assemble import assemble, problem
from pellucid.evidence.folds import walk_forward
from pellucid.runs.judge import FoldResult, judge_folds
from pellucid.spec.loader import load_spec
from pellucid.store.files import write_atomic
from pellucid.train.loop import Hooks

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "results" / "controls.json"
LEAST, MOST = {"planted": 9, "random_walk": 0}, {"planted": 10, "random_walk": 1}


def judge(kind: str, seed: int) -> dict[str, Any]:
    """Skill and relative difference to the best naive baseline, per task."""
    spec = load_spec(ROOT / "examples" / "stocks.yaml", [f"data.source={kind}:{seed}", f"seed={seed}"])
    found = problem(spec)
    assert found.rows is not None
    fold = walk_forward(len(found.rows) - found.purge, folds=1, purge=found.purge)[0]
    assembly = assemble(found, fold.train, seed=seed)
    assembly.trainer.run(assembly.config, Hooks(assembly.schedule))
    entries, _ = judge_folds(found, [FoldResult(fold, assembly.finish())])
    return {e["task"]: {"skill": e["skill"], "sentence": e["sentence"], "n": e["n"]} for e in entries}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="markets of each kind (default 10)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    OUT.parent.mkdir(exist_ok=True)
    results: dict[str, Any] = json.loads(OUT.read_text()) if OUT.exists() else {}
    for kind in ("planted", "random_walk"):
        for seed in range(1, args.seeds + 1):
            key = f"{kind}:{seed}"
            if key not in results:
                results[key] = judge(kind, seed)
                write_atomic(OUT, json.dumps(results, indent=1).encode())
            print(key, {task: entry["skill"] for task, entry in results[key].items()}, flush=True)
    ok = True
    for kind in ("planted", "random_walk"):
        for task in results[f"{kind}:1"]:
            count = sum(results[f"{kind}:{s}"][task]["skill"] for s in range(1, args.seeds + 1))
            passed = LEAST[kind] <= count <= MOST[kind] or args.seeds != 10
            ok &= passed
            print(f"{kind:12} {task:9} skill shown in {count} of {args.seeds}  {'ok' if passed else 'NOT ACCEPTED'}")
    return 0 if ok else 1


if __name__ == "__main__":
    raise SystemExit(main())

"""A table larger than one wants in memory: a million rows of fifty columns from CSV, fitted; time and peak memory.

The target is a noisy threshold of ten numbers and one category, so that the fit can be seen to learn. Every part runs
in a process of its own; its peak is that of its resident memory, libraries included.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
NUMBERS, WORDS, GAPS = 45, 4, 5
PIECE = 50_000


def generate(path: Path, rows: int, seed: int = 0) -> None:
    """Numbers with four decimals, a tenth of five columns empty; four categories of up to 20 words."""
    import numpy as np
    import pandas as pd

    draw = np.random.default_rng(seed)
    weights = np.zeros(NUMBERS)
    weights[:10] = draw.normal(size=10)
    shift = draw.normal(size=20)
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("w") as file:
        for start in range(0, rows, PIECE):
            n = min(PIECE, rows - start)
            x = draw.normal(size=(n, NUMBERS)).round(4)
            codes = draw.integers(0, [5, 10, 15, 20], size=(n, WORDS))
            y = x @ weights + shift[codes[:, 3]] + draw.normal(size=n) > 0
            frame = pd.DataFrame(x, columns=[f"x{i:02d}" for i in range(NUMBERS)])
            frame.iloc[:, -GAPS:] = frame.iloc[:, -GAPS:].mask(draw.random((n, GAPS)) < 0.1)
            for j in range(WORDS):
                frame[f"c{j}"] = [f"word{code:02d}" for code in codes[:, j]]
            frame["y"] = np.where(y, "yes", "no")
            frame.to_csv(file, index=False, header=start == 0)
    part.replace(path)


def read(path: Path) -> dict[str, object]:
    from pellucid.data.tables import read_table

    table = read_table(path, "y")
    return {"rows": len(table.rows), "columns": len(table.fields) + 1, "notes": list(table.notes)}


def fit(path: Path) -> dict[str, object]:
    import pellucid

    with tempfile.TemporaryDirectory() as store:
        program = pellucid.fit(data=path, target="y", store=store, progress=True)
        task = program.evidence["tasks"][0]
        return {
            "sentence": task["sentence"],
            "value": [task[key] for key in ("value", "low", "high")],
            "baselines": {each["name"]: each["value"] for each in task["baselines"]},
            "n": task["n"],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--parts", nargs="*", default=["read", "fit"], choices=["read", "fit"])
    parser.add_argument("--in-this-process", help=argparse.SUPPRESS)
    args = parser.parse_args()
    path = RESULTS / f"large-{args.rows}.csv"
    if args.in_this_process:
        began = time.monotonic()
        told = {"read": read, "fit": fit}[args.in_this_process](path)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({"seconds": round(time.monotonic() - began, 1), "peak_gib": round(peak, 3), **told}))
        return
    if not path.exists():
        generate(path, args.rows)
    results = {"rows": args.rows, "columns": NUMBERS + WORDS + 1, "megabytes": round(path.stat().st_size / 1e6)}
    for part in args.parts:
        command = [sys.executable, __file__, "--rows", str(args.rows), "--in-this-process", part]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        results[part] = json.loads(output.splitlines()[-1])
        print(part, results[part], flush=True)
    (RESULTS / "fit_large.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()

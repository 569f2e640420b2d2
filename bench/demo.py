"""Wall time, CPU time and peak memory of every step of the demo, each command in a process of its own.

The commands are those that `pellucid demo` types, on examples/stocks.yaml, in a temporary folder. Memory is the
process's peak resident set as the kernel counted it (`wait4`). Prints a table and writes bench/results/demo.json.

    python bench/demo.py                  about 2 minutes on two idle cores
    python bench/demo.py --source planted without the extra `finance`
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "bench" / "results" / "demo.json"
WHY = "volume is revised after the close"
BUDGET_S = 180.0  # the whole demo, after set-up, on two cores


@dataclass(frozen=True)
class Step:
    """One command: wall and CPU seconds, peak resident set in MB, exit code."""

    name: str
    wall_s: float
    cpu_s: float
    peak_mb: float
    code: int


def run(name: str, words: Sequence[str], folder: Path, codes: Sequence[int] = (0,)) -> tuple[Step, str]:
    """Run one command; returns what it cost and what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PELLUCID_USER": "bench"}
    with (folder / "out").open("w+") as out:
        started = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, "-m", "pellucid.cli.main", *words],
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stderr is not None
        told = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        out.seek(0)
        printed = out.read()
    code = os.waitstatus_to_exitcode(status)
    child.returncode = code
    if code not in codes:
        raise SystemExit(f"`pellucid {' '.join(words)}` ended with exit code {code}:\n{told}")
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes on Linux
    return Step(name, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit, code), printed


def tour(folder: Path, source: str | None) -> list[Step]:
    """Every step of the loop, in order."""
    store, steps = ["--store", str(folder / "store")], []

    def step(*words: str, codes: Sequence[int] = (0,), own_store: bool = True) -> str:
        done, printed = run(words[0], [*words, *(store if own_store else [])], folder, codes)
        steps.append(done)
        print(_row(done), flush=True)
        return printed

    day = [] if source else ["--at", "2018-02-05"]
    sets = ["--set", f"data.source={source}"] if source else []
    step("check", "env", "pellucid/StockTrading-v0", own_store=False)
    step("fit", "examples/stocks.yaml", *sets)
    step("explain", "stocks@1", *day, "--html", str(folder / "explain.html"))
    step("feedback", "add", "stocks@1", "--ignore", "volume", "--because", WHY)
    proposed = re.search(r"proposed (\S+)\. ", step("revise", "stocks@1", "--budget", "0.2"))
    if proposed is None:
        raise SystemExit("nothing was proposed: the program does not respond to volume")
    candidate = proposed[1]
    step("diff", "stocks@1", candidate, "--html", str(folder / "diff.html"), codes=(0, 1, 3))
    passed = steps[-1].code != 1
    step("accept" if passed else "reject", candidate, "--because", "bench")
    step("report", "stocks@2" if passed else candidate, *day, "--html", str(folder / "report.html"))
    step("rollback", "stocks", "--to", "1", "--because", "bench")
    step("log", "stocks")
    return steps


def _row(step: Step) -> str:
    return f"{step.name:10} {step.wall_s:8.1f} s {step.cpu_s:8.1f} s {step.peak_mb:8.0f} MB   {step.code}"


def commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", metavar="S", help="another price source, e.g. planted")
    args = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{'step':10} {'wall':>10} {'cpu':>10} {'peak':>11}   exit code   (load before: {load:.1f})")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        steps = tour(folder, args.source)
        pages = {page.name: page.stat().st_size for page in sorted(folder.glob("*.html"))}
    total, peak = sum(s.wall_s for s in steps), max(s.peak_mb for s in steps)
    print(f"{'together':10} {total:8.1f} s {sum(s.cpu_s for s in steps):8.1f} s {peak:8.0f} MB")
    print("pages: " + ", ".join(f"{page} {size / 1e3:.0f} KB" for page, size in pages.items()))
    result = {
        "commit": commit(),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_before": load,
        "source": args.source or "sp500",
        "steps": [asdict(s) for s in steps],
        "wall_s": total,
        "peak_mb": peak,
        "pages_bytes": pages,
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"written: {OUT.relative_to(ROOT)}")
    kept = "kept" if total <= BUDGET_S else "exceeded"
    print(f"budget of {BUDGET_S:.0f} s on two idle cores: {kept} (load before: {load:.1f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())

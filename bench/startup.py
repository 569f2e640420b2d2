"""Wall time to start: bare Python, `import pellucid`, `pellucid --help`, and what torch would have cost.

Fresh processes on the same cores, interleaved, 15 runs each; medians and ratios to bare Python, then one line of JSON.
Run: python bench/startup.py
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUNS = 15
HELP = "import sys; sys.argv = ['pellucid', '--help']; from pellucid.cli.main import main; sys.exit(main())"
COMMANDS = {
    "bare python": "pass",
    "import pellucid": "import pellucid",
    "pellucid --help": HELP,
    "pellucid.Spec": "import pellucid; pellucid.Spec",
    "import torch": "import torch",
}


def seconds(code: str) -> float:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def main() -> None:
    for code in COMMANDS.values():  # warm the caches
        seconds(code)
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, code in COMMANDS.items():
            times[name].append(seconds(code))
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"{'':18} {'median':>9} {'min':>9} {'max':>9} {'ratio':>7}")
    for name, values in times.items():
        ratio = medians[name] / medians["bare python"]
        print(f"{name:18} {medians[name]:8.3f}s {min(values):8.3f}s {max(values):8.3f}s {ratio:6.1f}x")
    result = {
        "commit": commit(),
        "python": platform.python_version(),
        "runs": RUNS,
        "median_s": medians,
        "all_s": times,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()

"""What timing scripts share: a clock, a gauge of the machine, cells in processes of their own, ratios with their range.

A cell is one measurement, made in a fresh process (`python SCRIPT --cell NAME...` prints it as one line of JSON), so
that no library finds what another one left behind and the peak memory is its own. While a cell runs, a matrix product
is timed again and again: when its rate moves by more than a tenth, others had the machine, and the cell is not steady.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DRIFT = 0.10  # of the calibrating product: above it a cell is repeated, then flagged
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Clock:
    """CPU and wall seconds of a `with` block."""

    cpu = wall = 0.0

    def __enter__(self) -> Clock:
        self._cpu, self._wall = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu += time.process_time() - self._cpu
        self.wall += time.perf_counter() - self._wall


class Gauge:
    """The rate of a (256, 256) x (256, 256) product in float32, GFLOP/s of CPU time, whenever it is asked."""

    def __init__(self) -> None:
        import numpy as np
        import torch

        from pellucid.nn.products import product

        generator = np.random.default_rng(0)
        a, b = (generator.random((256, 256), dtype=np.float32) for _ in range(2))
        ta, tb = torch.from_numpy(a), torch.from_numpy(b)
        self.ways: dict[str, Callable[[], Any]] = {
            "numpy": lambda: a @ b,
            "torch": lambda: ta @ tb,
            "pellucid": lambda: product(a, b),
        }
        self.rates: list[float] = []

    def look(self) -> None:
        """Measure again."""
        self.rates.append(self._rate("numpy"))

    def _rate(self, way: str, times: int = 40) -> float:
        call, best = self.ways[way], float("inf")
        for _ in range(3):  # the best of three: a single interruption is no drift
            start = time.process_time()
            for _ in range(times):
                call()
            best = min(best, time.process_time() - start)
        return times * 2 * 256**3 / best / 1e9

    def best(self) -> float:
        """The fastest way to a product that is at hand: the physical limit, as far as anybody here reaches it."""
        return max(self._rate(way) for way in self.ways)

    @property
    def drift(self) -> float:
        return max(self.rates) / min(self.rates) - 1.0


def machine() -> dict[str, Any]:
    """Load and peak memory of this process, now."""
    return {
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0,
        "load": round(os.getloadavg()[0], 2),
    }


def cell(script: str, *names: object) -> dict[str, Any]:
    """Run one cell in a fresh process; once more while it is not steady, three times at most."""
    found: dict[str, Any] = {}
    for attempt in range(1, 4):
        command = [sys.executable, script, "--cell", *map(str, names)]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **ONE_THREAD}, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
        latest = {**json.loads(done.stdout.strip().splitlines()[-1]), "attempt": attempt}
        if not found or latest["drift"] < found["drift"]:
            found = latest
        if found["drift"] <= DRIFT:
            break
    return found


def versions() -> dict[str, str]:
    """Of what is compared, and the commit."""
    from importlib.metadata import version

    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    names = ("torch", "numpy", "gymnasium", "stable-baselines3")
    return {name: version(name) for name in names} | {"python": platform.python_version(), "commit": commit.strip()}


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median, and the range in brackets."""
    low, middle, high = (f"{x:,.{digits}f}" for x in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low} to {high})"

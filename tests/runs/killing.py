"""Kills `pellucid fit` again and again, resumes it, and tells what became of it. Run as a process of its own:

    python killing.py FOLDER SEED UPDATES TIMES WRITES ARGUMENT...

Everything heavy is imported once; each attempt is a forked child that ends by `kill -9`: UPDATES times a random moment
after a random update of the training, TIMES times at a random moment of the whole run, WRITES times at a random write
to disk. Every third is killed again while it resumes. Prints JSON.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import random
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

from pellucid.cli.main import main
from pellucid.runs import stages
from pellucid.store.store import Store
from pellucid.train.loop import Trainer

RESUMED = re.compile(r"resumed '([^']+)' at update (\d+)")
HEAVY = (
    "pellucid",
    "torch",
    "numpy",
    "scipy",
    "pandas",
    "sklearn",
    "arch",
    "statsmodels",
    "gymnasium",
    "rich",
    "pyarrow",
)


def child(arguments: list[str], log: Path, pause_s: float, die_at_write: int | None = None) -> Child:
    """A new `pellucid fit`. It writes a byte to `Child.updates` before every update."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        os.set_blocking(reading, False)
        return Child(pid, reading)
    code = 70
    try:
        stages.CHECKPOINT_PAUSE_S = pause_s
        descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        writes = watch_writes(die_at_write)
        tell_updates(writing)
        code = main(arguments)
        log.with_suffix(".json").write_text(json.dumps({"writes": writes[0], "modules": sorted(sys.modules)}))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def watch_writes(die_at: int | None) -> list[int]:
    """[how often the disk was asked to keep something]; the process dies before the `die_at`-th time."""
    seen = [0]

    def watched(call: Any) -> Any:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            seen[0] += 1
            if seen[0] == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)

        return wrapper

    os.replace, os.fsync = watched(os.replace), watched(os.fsync)
    return seen


def tell_updates(pipe: int) -> None:
    step = Trainer._step

    def told(self: Trainer, config: Any) -> Any:
        os.write(pipe, b".")
        return step(self, config)

    Trainer._step = told  # type: ignore[method-assign]


class Child:
    """A running fit, watched every half millisecond."""

    def __init__(self, pid: int, pipe: int) -> None:
        self.pid, self.pipe, self.updates, self.start = pid, pipe, 0, time.monotonic()

    def wait(self, update: int | None = None, after_s: float = 0.0) -> int:
        """Its exit code. It is killed (-9) `after_s` after its `update`-th update began (0: after its start)."""
        moment = None
        while True:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            self._count()
            if done:
                os.close(self.pipe)
                return os.waitstatus_to_exitcode(status)
            if update is not None and moment is None and self.updates >= update:
                moment = time.monotonic() + after_s
            if moment is not None and time.monotonic() >= moment:
                os.kill(self.pid, signal.SIGKILL)
                update = moment = None
            time.sleep(0.0005)

    def _count(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.updates += len(os.read(self.pipe, 65536))


def outcome(folder: Path) -> dict[str, Any]:
    """What the store holds now."""
    store = Store(folder, create=False)
    (name,) = store.names()
    head = store.head(name)
    assert head is not None
    return {
        "ref": head.ref,
        "manifest": head.manifest,
        "problems": [str(problem) for problem in store.verify().problems],
        "trials": store.trials(name),
        "candidates": len(store.candidates(name)),
        "left": sorted(path.name for path in (folder / "runs").glob("*")),
    }


def attempt(log: Path, command: list[str], g: random.Random, total: int, how: str, **kill: Any) -> dict[str, Any]:
    """One fit: killed, perhaps killed again, resumed to its end; what became of it."""
    command = [*command, "--store", str(log.with_suffix(""))]
    die_at_write = kill.pop("die_at_write", None)
    codes = [child(command, log, 0.0, die_at_write).wait(**kill)]
    if g.random() < 1 / 3:
        codes.append(child([*command, "--resume"], log, 0.0).wait(g.randint(1, total // 2), 0.02 * g.random()))
    codes.append(child([*command, "--resume"], log, 0.0).wait())
    text = log.read_text()
    found = {"how": how, "codes": codes, "resumed": [[stage, int(u)] for stage, u in RESUMED.findall(text)]}
    return found | (outcome(log.with_suffix("")) if codes[-1] == 0 else {"log": text})


def run() -> None:
    root = Path(sys.argv[1])
    seed, updates, times, writes = map(int, sys.argv[2:6])
    command = sys.argv[6:]
    root.mkdir(parents=True)
    code = child([*command, "--store", str(root / "whole")], root / "whole.log", 1.0).wait()
    assert code == 0, (root / "whole.log").read_text()
    for module in json.loads((root / "whole.json").read_text())["modules"]:
        if module.partition(".")[0] in HEAVY and module not in sys.modules:
            importlib.import_module(module)
    rehearsal = child([*command, "--store", str(root / "rehearsal")], root / "rehearsal.log", 0.0)
    code, total = rehearsal.wait(), rehearsal.updates
    assert code == 0, (root / "rehearsal.log").read_text()
    seconds = time.monotonic() - rehearsal.start
    written = json.loads((root / "rehearsal.json").read_text())["writes"]
    g = random.Random(seed)
    found = []
    for i in range(updates):
        at, delay = 1 + int(total * (i + g.random()) / updates), 0.02 * g.random()
        how = f"{1000 * delay:.1f} ms after update {at} of {total}"
        found.append(attempt(root / f"update{i}.log", command, g, total, how, update=at, after_s=delay))
    for i in range(times):
        delay = seconds * (i + g.random()) / times
        how = f"after {delay:.3f} of {seconds:.3f} s"
        found.append(attempt(root / f"time{i}.log", command, g, total, how, update=0, after_s=delay))
    for i in range(writes):
        at = 1 + int(written * (i + g.random()) / writes)
        how = f"write {at} of {written}"
        found.append(attempt(root / f"write{i}.log", command, g, total, how, die_at_write=at))
    print(json.dumps({"whole": outcome(root / "whole"), "rehearsal": outcome(root / "rehearsal"), "attempts": found}))


if __name__ == "__main__":
    run()

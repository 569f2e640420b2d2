"""An environment in this process that does not return is interrupted, or at least told of."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

from env_zoo import Walk
from pellucid.core.errors import EnvironmentFault
from pellucid.envs import watchdog
from pellucid.envs.making import Stepping
from pellucid.envs.vectorise import VectorAdapter, make

ONE = np.zeros(1, dtype=np.int64)


def stepped(how: str, timeout_s: float) -> VectorAdapter:
    adapter = make(lambda: Walk(how, 2), 1, 5, stepping=Stepping(0, timeout_s))
    adapter.reset()
    adapter.step(ONE)
    return adapter


def test_an_environment_that_catches_every_exception_is_interrupted() -> None:
    adapter = stepped("hangs and catches", 0.2)
    start = time.monotonic()
    with pytest.raises(EnvironmentFault, match=r"has not returned for 0\.2 s") as caught:
        adapter.step(ONE)
    assert time.monotonic() - start < 20.0
    assert "'Walk', step 2, seed 5, environment 0 of 1 (seed 5)" in caught.value.where
    assert "workers" in caught.value.mend


def test_a_slow_one_within_its_time_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = stepped("", 0.8)
    monkeypatch.setattr(Walk, "look", lambda self: (time.sleep(0.3), np.zeros(2, np.float32))[1])
    for _ in range(3):  # more than the time in all, but no call takes longer
        adapter.step(ONE)


@pytest.mark.parametrize("workers", [0, 1])
def test_each_of_a_batch_has_the_time_to_itself(workers: int) -> None:
    class Slow(Walk):
        def look(self) -> Any:
            time.sleep(0.2)
            return super().look()

    adapter = make(Slow, 6, 5, stepping=Stepping(workers, 0.6))
    adapter.reset()  # 1.2 s in all
    adapter.step(np.zeros(6, dtype=np.int64))
    adapter.close()


@pytest.mark.parametrize("why", ["another thread", "somebody else's alarm"])
def test_where_it_cannot_be_interrupted_it_is_told(
    why: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(watchdog, "GRACE_S", 0.1)
    adapter = stepped("", 0.2)
    monkeypatch.setattr(Walk, "look", lambda self: (time.sleep(0.8), np.zeros(2, np.float32))[1])
    if why == "another thread":
        thread = threading.Thread(target=adapter.step, args=(ONE,))
        thread.start()
        thread.join()
    else:
        before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("not ours to use"))
        try:
            adapter.step(ONE)
        finally:
            signal.signal(signal.SIGALRM, before)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3  # once, not again and again
    assert lines[0].startswith("environment 'Walk' has not returned for ")
    assert lines[2].startswith("  mend:  ")
    assert "workers: 1" in lines[2]


def test_an_alarm_that_is_not_ours_ends_a_process_as_it_always_did() -> None:
    code = (
        "import os, signal\nfrom pellucid.envs.vectorise import make\nmake('CartPole-v1').reset()\n"
        "os.kill(os.getpid(), signal.SIGALRM)\nprint('still there')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGALRM, done.stderr

"""Worker processes: the same numbers as in this process, every way to fail, and no process left behind."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from env_zoo import Rich, Walk
from pellucid.core.errors import EnvironmentFault, SpecError
from pellucid.envs import workers
from pellucid.envs.making import Stepping
from pellucid.envs.vectorise import VectorAdapter, make

N = 5
SHORT = {"max_episode_steps": 7}
SOURCES: dict[str, tuple[Any, dict[str, Any]]] = {
    "classic control": ("Acrobot-v1", SHORT),
    "toy text": ("Blackjack-v1", {}),
    "a batch that can be shared out": ("pellucid/StockTrading-v0", {"episode_days": 7, "random_start": True}),
    "a batch that cannot": ("CartPole-v1", SHORT),
    "a callable": (Walk, {"length": 6}),
    "every kind of observation": (Rich, {"length": 6}),
}


def alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int], within_s: float = 5.0) -> bool:
    end = time.monotonic() + within_s
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.02)
    return not any(map(alive, pids))


def pids_of(adapter: VectorAdapter) -> list[int]:
    assert isinstance(adapter.env, workers.Workers)
    return [process.pid for process in adapter.env.processes]


def story(adapter: VectorAdapter, steps: int = 30) -> list[Any]:
    """Everything that an adapter says, step by step."""
    space = adapter.env.action_space
    space.seed(1)
    told: list[Any] = [adapter.reset()] if adapter.steps == 0 else []
    for _ in range(steps):
        told += list(adapter.step(space.sample()))
    return [*told, np.array(adapter.finished)]


def assert_same(a: list[Any], b: list[Any]) -> None:
    for x, y in zip(a, b, strict=True):
        pairs = [(x[key], y[key]) for key in x] if isinstance(x, dict) else [(x, y)]
        assert all(u.dtype == v.dtype and np.array_equal(u, v) for u, v in pairs)


@pytest.mark.parametrize("name", SOURCES)
def test_the_same_as_in_this_process_bit_for_bit(name: str) -> None:
    source, kwargs = SOURCES[name]
    here = story(make(source, N, 3, kwargs))
    assert len(here[-1]) >= N  # episodes ended
    for count in (1, 2, 5):
        there = make(source, N, 3, kwargs, stepping=Stepping(count))
        assert len(pids_of(there)) == (1 if name == "a batch that cannot" else count)
        assert_same(here, story(there))
        there.close()
        assert gone(pids_of(there))


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_batch_that_was_given_goes_into_a_worker_whole(mode: AutoresetMode) -> None:
    def batch() -> SyncVectorEnv:
        return SyncVectorEnv([lambda: Rich(length=4), lambda: Rich(length=6)], autoreset_mode=mode)

    here = story(make(batch(), 2, 3))
    there = make(batch(), 2, 3, stepping=Stepping(2))
    assert there.mode is mode
    assert len(pids_of(there)) == 1
    assert_same(here, story(there))
    there.close()


@pytest.mark.parametrize("env_id", ["Acrobot-v1", "Taxi-v4", "Blackjack-v1", "MountainCarContinuous-v0"])
def test_our_batch_is_that_of_gymnasium(env_id: str) -> None:
    kwargs = {} if env_id == "Blackjack-v1" else SHORT
    makers = [lambda: gymnasium.make(env_id, **kwargs)] * N
    theirs = VectorAdapter(SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP), env_id, 3)
    ours = make(env_id, N, 3, kwargs)
    assert type(ours.env) is not type(theirs.env)
    assert_same(story(theirs), story(ours))


def test_more_workers_than_environments_are_not_started() -> None:
    adapter = make(Walk, 2, stepping=Stepping(9))
    assert len(pids_of(adapter)) == 2
    adapter.close()


@pytest.mark.parametrize("name", ["toy text", "a batch that can be shared out", "a batch that cannot"])
def test_state_goes_through_the_processes(name: str) -> None:
    source, kwargs = SOURCES[name]
    how = Stepping(2)
    adapter, other = (make(source, N, 3, kwargs, stepping=how) for _ in range(2))
    story(adapter)
    state = adapter.get_state()
    first = story(adapter)
    for each in (other, adapter):
        each.set_state(state)
        assert_same(first, story(each))
    adapter.close()
    other.close()


def test_where_there_is_no_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers.sys, "platform", "elsewhere")
    here = story(make("Acrobot-v1", 2, 3, SHORT))
    there = make("Acrobot-v1", 2, 3, SHORT, stepping=Stepping(1))
    assert_same(here, story(there))
    there.close()
    with pytest.raises(SpecError, match="no worker process can be started") as caught:
        make(lambda: Walk(), 1, stepping=Stepping(1))
    assert "top of a module" in caught.value.mend


FAULTS = {
    "raises": "raised RuntimeError: the simulator lost its licence",
    "exits": "took its process with it, which ended with exit code 3",
    "killed": "took its process with it, which was killed by SIGKILL",
    "hangs": "has not returned for 0.5 s",
    "loops": "has not returned for 0.5 s",
    "NaN": "returned NaN or infinity in 'obs_0'",
    "NaN reward": "returned NaN or infinity as reward",
    "no reward": "raised TypeError",
    "longer": "returned 'obs' of shape (3,); its space says (2,)",
    "whole numbers": "returned 'obs' as int64, and other numbers before",
    "text": "returned 'obs' as <U1, no numbers",
    "four values": "returned 4 values from step",
}


@pytest.mark.parametrize("how", FAULTS)
@pytest.mark.parametrize("count", [0, 2])
def test_every_fault_names_environment_seed_and_step(how: str, count: int) -> None:
    if count == 0 and how in ("exits", "killed"):
        count = 1  # in this process it would end the tests
    made = []

    def one() -> Walk:  # the third of four goes wrong; a worker makes only its own two
        made.append(None)
        return Walk(how if len(made) == 3 else "", 3)

    def of_worker() -> Walk:
        made.append(None)
        return Walk(how if len(made) == 1 else "", 3)

    patience = 0.5 if "not returned" in FAULTS[how] else 30.0
    adapter = make(of_worker if count == 2 else one, 4, 7, stepping=Stepping(count, patience))
    first = 0 if count == 2 else 2  # both workers' first environments go wrong, and the first is told
    adapter.reset()
    for _ in range(2):
        adapter.step(np.zeros(4, dtype=np.int64))
    start = time.monotonic()
    with pytest.raises(EnvironmentFault) as caught:
        adapter.step(np.zeros(4, dtype=np.int64))
    assert time.monotonic() - start < 20.0  # of the 60 that it would take
    error = caught.value
    name = adapter.env_id
    assert error.what.startswith(f"environment '{name}' {FAULTS[how]}")
    assert error.where == f"'{name}', step 3, seed 7, environment {first} of 4 (seed {7 + first})"
    assert error.mend
    assert len(str(error).splitlines()) == 3
    adapter.close()
    if count:
        assert gone(pids_of(adapter))


def test_a_fault_in_reset() -> None:
    for count in (0, 1):
        adapter = make(lambda: Walk("raises in reset"), 2, 7, stepping=Stepping(count))
        with pytest.raises(EnvironmentFault, match=r"raised RuntimeError: no room \(in reset\)") as caught:
            adapter.reset()
        assert "step 0, seed 7, environment 0 of 2 (seed 7)" in caught.value.where
        adapter.close()


def test_what_cannot_be_made_is_told_as_here() -> None:
    def broken() -> Walk:
        raise OSError("no licence server")

    for source, what in (
        (broken, "no licence server"),
        (lambda: 3, "no environment"),
        ("CartPol-v1", "no environment"),
    ):
        for count in (0, 2):
            with pytest.raises(SpecError, match=what):
                make(source, 2, stepping=Stepping(count))


def test_what_never_gets_made_is_given_up() -> None:
    with pytest.raises(SpecError, match=r"has not returned for 0\.5 s \(to be made\)"):
        make(lambda: time.sleep(60), 2, stepping=Stepping(2, 0.5))


def test_environments_of_different_kinds_are_no_batch() -> None:
    kinds = iter([Walk, Rich, Walk, Rich])
    with pytest.raises(SpecError, match="different spaces"):
        make(lambda: next(kinds)(), 2)

    def one() -> gymnasium.Env[Any, Any]:
        (number,) = multiprocessing.current_process()._identity  # type: ignore[attr-defined]
        return (Walk, Rich)[number % 2]()

    with pytest.raises(SpecError, match="different spaces"):
        make(one, 2, stepping=Stepping(2))


def test_ctrl_c_is_the_parents_business() -> None:
    """A terminal sends it to every process; the update under way still has to be finished."""
    adapter = make(Walk, 2, stepping=Stepping(2))
    adapter.reset()
    for pid in pids_of(adapter):
        os.kill(pid, signal.SIGINT)
    time.sleep(0.05)
    adapter.step(np.zeros(2, dtype=np.int64))
    adapter.close()


def test_a_forgotten_batch_ends_its_processes() -> None:
    adapter = make(Walk, 2, stepping=Stepping(2))
    pids = pids_of(adapter)
    assert all(map(alive, pids))
    del adapter
    gc.collect()
    assert gone(pids)


SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background may ignore it, and hand that on
sys.path.insert(0, {folder!r})
from env_zoo import Walk
from pellucid.envs.making import Stepping
from pellucid.envs.vectorise import make
import numpy as np
adapter = make(lambda: Walk({how!r}, 2), 2, stepping=Stepping(2, 60.0))
adapter.reset()
print(*[p.pid for p in adapter.env.processes], flush=True)
for _ in range({steps}):
    adapter.step(np.zeros(2, dtype=np.int64))
"""


@pytest.mark.parametrize(
    ("how", "steps", "sign"),
    [
        pytest.param("", 3, None, id="end", marks=pytest.mark.slow),  # without close()
        pytest.param("raises", 3, None, id="exception", marks=pytest.mark.slow),  # nobody catches it
        pytest.param("hangs", 3, signal.SIGINT, id="Ctrl-C"),
        pytest.param("hangs", 3, signal.SIGTERM, id="terminated", marks=pytest.mark.slow),
        pytest.param("hangs", 3, signal.SIGKILL, id="killed"),
        pytest.param("", 10**9, signal.SIGKILL, id="killed while all goes well", marks=pytest.mark.slow),
    ],
)
def test_no_process_is_left_behind(how: str, steps: int, sign: int | None) -> None:
    code = SCRIPT.format(folder=str(Path(__file__).parents[1]), how=how, steps=steps)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        if sign is not None:
            assert all(map(alive, pids))
            time.sleep(0.2)
            if sign == signal.SIGINT:
                os.killpg(parent.pid, sign)  # as a terminal does: everybody gets it
            else:
                parent.send_signal(sign)
        parent.wait(10)
    assert gone(pids)

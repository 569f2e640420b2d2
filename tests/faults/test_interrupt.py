"""Ctrl-C and --resume: exit code 130, how to go on is printed, and going on gives the same weights."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from home_folder import Home, fingerprint, three_lines, told

from pellucid.cli.main import main
from pellucid.runs import ground, stages
from pellucid.store.store import Store

pytestmark = pytest.mark.slow  # many seconds in all: `make fast` leaves them out

FIT = ["fit", "stocks.yaml", "--name", "other"]


@contextmanager
def after(updates: int) -> Iterator[Callable[[], bool]]:
    """In the place of `interruptible`: Ctrl-C comes during that update."""
    asked = [0]

    def stop() -> bool:
        asked[0] += 1
        return asked[0] >= updates

    yield stop


@pytest.fixture
def stopped(home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Home:
    """A fit that was interrupted after update 12 of its first fold."""
    with monkeypatch.context() as patch:
        patch.setattr(stages, "interruptible", lambda: after(12))
        assert main(FIT) == 130
    out, err = capsys.readouterr()
    assert out == ""
    three_lines(told(err))
    assert "Interrupted: interrupted after update 12 of 40; a checkpoint is written." in err
    assert "run the same command with --resume" in err
    assert "other" not in Store(home.store).names()
    return home


def test_resumed_it_has_the_weights_of_an_uninterrupted_one(stopped: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIT, "--resume"]) == 0
    assert "resumed 'fold 1 of 1' at update 12" in capsys.readouterr().err
    assert main([*FIT, "--store", "fresh", "--quiet"]) == 0
    blobs = [Store(store).resolve("other@1").manifest["blobs"] for store in (".pellucid", "fresh")]
    assert blobs[0] == blobs[1]
    assert not (stopped.store / "runs/other").exists()


@pytest.mark.parametrize(
    ("change", "phrase"),
    [(["--set", "seed=5"], "started with another spec"), (["--data", "longer.csv"], "another spec and data")],
    ids=["spec", "data"],
)
def test_another_spec_or_other_data_are_not_resumed(
    change: list[str], phrase: str, stopped: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (stopped.folder / "prices.csv").read_text().splitlines()
    (stopped.folder / "longer.csv").write_text("\n".join(lines[:-3]) + "\n")
    before = fingerprint(stopped.store)
    assert main([*FIT, *change, "--resume"]) == 2
    err = capsys.readouterr().err
    three_lines(told(err))
    assert phrase in err
    assert fingerprint(stopped.store) == before
    assert main([*FIT, "--resume", "--quiet"]) == 0  # what was there can still be resumed


@pytest.mark.parametrize("name", ["checkpoint.state", "run.json"])
@pytest.mark.parametrize("size", [0, 10, -1])
def test_a_damaged_state_is_named(name: str, size: int, stopped: Home, capsys: pytest.CaptureFixture[str]) -> None:
    path = stopped.store / "runs/other" / name
    path.write_bytes(path.read_bytes()[:size])
    assert main([*FIT, "--resume"]) == 2
    err = capsys.readouterr().err
    three_lines(told(err))
    assert err.splitlines()[-3].startswith("CorruptBlob: ")
    assert str(path.relative_to(stopped.folder)) in err


def test_nothing_to_resume_is_said_and_the_fit_begins(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIT, "--resume"]) == 0
    assert "there is no unfinished run of 'other'" in capsys.readouterr().err


def test_without_resume_the_unfinished_run_is_discarded_and_that_is_said(
    stopped: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    (stopped.store / "runs/other/checkpoint.state").write_bytes(b"damaged")
    assert main(FIT) == 0
    assert "an unfinished run was discarded" in capsys.readouterr().err


def test_an_interrupted_revise_proposes_nothing_and_does_not_speak_of_resuming(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["feedback", "add", "stocks", "--ignore", "volume", "--because", "late"])
    capsys.readouterr()
    before = fingerprint(home.store)
    monkeypatch.setattr(ground, "interruptible", lambda: after(3))
    assert main(["revise", "stocks", "--share", "0.2", "--updates", "20"]) == 130
    err = capsys.readouterr().err
    three_lines(told(err))
    assert "nothing was proposed" in err
    assert "--resume" not in err
    assert fingerprint(home.store) == before


def start(home: Home, *words: str) -> subprocess.Popen[str]:
    code = "import sys; from pellucid.cli.main import main; print('ready', flush=True); sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


LONG = ["fit", "bank.yaml", "--name", "long", "--set", "train.updates=30000", "--set", "train.checkpoint_every=20"]


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_on_a_running_fit(times: int, home: Home) -> None:
    process = start(home, *LONG)
    wait_for(home.store / "runs/long/checkpoint.state", process)
    for _ in range(times):  # an impatient user presses twice
        process.send_signal(signal.SIGINT)
        time.sleep(0.001)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    three_lines(told(err))
    assert out == "ready\n"
    assert "--resume" in err
    # Resumed with fewer updates it would be another spec: what is asked for is what was interrupted.
    assert main([*LONG, "--set", "train.updates=60", "--resume"]) == 2
    store = Store(home.store)
    assert "long" not in store.names()
    assert store.verify().ok


@pytest.mark.slow
@pytest.mark.parametrize("pause", [0.2, 0.5, 0.9])
def test_ctrl_c_while_it_starts(pause: float, home: Home) -> None:
    process = start(home, *LONG)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(pause)  # numpy, pandas and torch are being imported
    interrupted(process)


@pytest.mark.slow
def test_ctrl_c_while_it_explains(home: Home) -> None:
    process = start(home, "explain", "stocks", "--task", "trade", "--evaluations", "50000000")
    assert process.stderr is not None
    assert process.stderr.readline() == "  explain trade ...\n"
    interrupted(process)


def interrupted(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    # A shell shows 130 in both cases: when an extension was running Python code, Python ends itself by the signal.
    assert process.returncode in (130, -signal.SIGINT), err
    assert "Traceback" not in err
    assert "nterrupted" in err
    assert out in ("", "ready\n")


def test_the_marker_says_what_the_run_is(stopped: Home) -> None:
    found = json.loads((stopped.store / "runs/other/run.json").read_text())
    assert set(found) == {"spec", "data"}

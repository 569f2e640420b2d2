"""A disk that is full, read-only or failing while a command writes: three lines, and what was there is intact."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from home_folder import Home, three_lines, told

from pellucid.cli.main import main
from pellucid.runs import stages
from pellucid.store.store import Store

pytestmark = pytest.mark.slow  # many seconds in all: `make fast` leaves them out

CALLS = ("open", "write", "fsync", "replace", "link", "mkdir")
FIT = ["fit", "bank.yaml", "--set", "seed=9", "--quiet"]


class Disk:
    """Counts the calls that change the disk; from the `first` one on they fail, or only that one."""

    def __init__(self, patch: pytest.MonkeyPatch, *, first: int = 0, code: int = 0, recovers: bool = False) -> None:
        self.calls, self.first, self.code, self.recovers = 0, first, code, recovers
        for name in CALLS:
            patch.setattr(os, name, self._watched(name, getattr(os, name)))

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if name == "open" and not args[1] & (os.O_WRONLY | os.O_RDWR):
                return real(*args, **kwargs)
            self.calls += 1
            if self.first and (self.calls == self.first or (self.calls > self.first and not self.recovers)):
                if name == "write":
                    real(args[0], args[1][: len(args[1]) // 2])
                raise OSError(self.code, os.strerror(self.code))
            return real(*args, **kwargs)

        return call


def state(store: Store) -> dict[str, Any]:
    """What a reader sees of both programs."""
    return {
        name: (store.resolve(name), store.versions(name), store.candidates(name, rejected=True), store.log(name))
        for name in store.names()
    }


def count(command: list[str], patch: pytest.MonkeyPatch) -> int:
    with patch.context() as inner:
        disk = Disk(inner)
        assert main(command) == 0
        return disk.calls


@pytest.mark.parametrize(
    ("code", "phrase"),
    [
        pytest.param(errno.ENOSPC, "the disk is full", id="full"),
        pytest.param(errno.EROFS, "the disk is read-only", id="read-only", marks=pytest.mark.slow),
    ],
)
def test_a_disk_that_fills_at_any_write_of_a_fit_loses_nothing(
    code: int, phrase: str, home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stages, "CHECKPOINT_PAUSE_S", 0.0)
    untouched = home.folder / "untouched"
    shutil.copytree(home.store, untouched)
    before = state(Store(untouched))
    total = count(FIT, monkeypatch)
    assert total > 40
    for first in [1, 2, 3, 5, *range(8, total, total // 5), total]:
        shutil.rmtree(home.store)
        shutil.copytree(untouched, home.store)
        with monkeypatch.context() as patch:
            Disk(patch, first=first, code=code)
            assert main(FIT) == 2, first
        err = capsys.readouterr().err
        three_lines(told(err))
        assert phrase in err
        store = Store(home.store, create=False)
        assert state(store) == before, first
        assert store.verify().ok
    assert main(FIT) == 0  # the disk has room again
    assert len(state(store)["bank"][2]) == len(before["bank"][2]) + 1


def test_a_write_that_fails_once_leaves_no_piece_behind_and_the_next_try_works(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for first in (4, 20, 33):
        with monkeypatch.context() as patch:
            Disk(patch, first=first, code=errno.EIO, recovers=True)
            assert main(FIT) == 2
        three_lines(told(capsys.readouterr().err))
        assert not [path for path in home.store.rglob("*") if ".tmp-" in path.name]
    assert main([*FIT, "--resume"]) == 0


@pytest.mark.parametrize(
    "command",
    [
        ["revise", "bank", "--updates", "5", "--share", "1", "--quiet"],
        ["diff", "bank@2", "{open}"],
        ["diff", "bank@1", "bank@2", "--html", "page.html"],
        ["explain", "bank", "--html", "page.html", "--quiet"],
        ["report", "bank", "--html", "page.html", "--quiet"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_every_command_that_writes_says_that_the_disk_is_full(
    command: list[str], home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["feedback", "add", "bank", "--ignore", "debt", "--because", "not asked for"])
    words = [word.format(open=home.open) for word in command]
    store = Store(home.store, create=False)
    resolved = store.resolve("bank")
    with monkeypatch.context() as patch:
        Disk(patch, first=1, code=errno.ENOSPC)
        assert main(words) == 2
    err = capsys.readouterr().err
    three_lines(told(err))
    assert "the disk is full" in err
    assert not (home.folder / "page.html").exists()
    assert store.resolve("bank") == resolved
    assert store.verify().ok
    assert main(words) in (0, 1, 3)


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [1, 8, 24])
def test_files_that_may_not_grow_are_a_named_error_also_inside_the_database(kilobytes: int, home: Home) -> None:
    """A limit that the operating system keeps, so that SQLite meets it as well."""
    before = state(Store(home.store, create=False))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024, kilobytes * 1024))

    command = [sys.executable, "-m", "pellucid.cli.main", *FIT]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limit)
    assert done.returncode == 2, done.stderr
    three_lines(told(done.stderr))
    assert state(Store(home.store, create=False)) == before
    assert Store(home.store, create=False).verify().ok

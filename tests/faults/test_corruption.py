"""A flipped bit, a cut or a lost file in the store: the command names the file; what does not need it still works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from home_folder import Home, three_lines, told

from pellucid.cli.main import main
from pellucid.store.store import Store

pytestmark = pytest.mark.slow  # many seconds in all: `make fast` leaves them out


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def lose(path: Path) -> None:
    path.unlink()


DAMAGES: list[Callable[[Path], None]] = [flip, cut, lose]

# Which commands read which blob of bank@2.
READERS = {
    "weights": ["explain bank", "revise bank --updates 2 --share 1", "evaluate bank --data bank.csv"],
    "outputs/paid": ["diff bank@1 bank@2", "report bank", "diff bank@2 {open}", "accept {open} --because x"],
    "evidence": ["evaluate bank", "report bank"],
    "program": ["show bank", "explain bank", "diff bank@1 bank@2", "feedback add bank --ignore debt --because x"],
    "spec": ["explain bank", "diff bank@1 bank@2", "revise bank --updates 2 --share 1"],
    "background/paid": ["explain bank", "report bank"],
    "attribution": ["diff bank@1 bank@2"],
    "touched": ["diff bank@1 bank@2", "evaluate bank --data bank.csv"],
    "trained": ["revise bank --updates 2 --share 1"],
}
CASES = [(role, command) for role, commands in READERS.items() for command in commands]


def blob(home: Home, ref: str, role: str) -> Path:
    store = Store(home.store, create=False)
    return store.blobs.path(store.resolve(ref).manifest["blobs"][role])


@pytest.mark.parametrize(("role", "command"), CASES, ids=[f"{role}: {command}" for role, command in CASES])
def test_the_damaged_file_is_named(role: str, command: str, home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    if command.startswith("revise"):
        main(["feedback", "add", "bank", "--ignore", "debt", "--because", "x"])
    path = blob(home, "bank@2", role)
    good = path.read_bytes()
    log = Store(home.store).log("bank")
    words = [word.format(open=home.open) for word in command.split()]
    for damage in DAMAGES if role in ("weights", "outputs/paid") else DAMAGES[:1]:
        path.write_bytes(good)
        damage(path)
        capsys.readouterr()
        assert main(words) == 2
        out, err = capsys.readouterr()
        three_lines(told(err))
        assert err.splitlines()[-3].startswith("CorruptBlob: ")
        assert str(path.relative_to(home.folder)) in told(err)
        assert out == ""
        assert Store(home.store).log("bank") == log
    assert main(["check", "store"]) == 1
    out = capsys.readouterr().out
    assert "bank@2" in out
    assert path.name in out
    path.write_bytes(good)
    assert main(words) in (0, 1, 3)


def test_what_does_not_need_it_still_works(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    flip(blob(home, "bank@2", "weights"))
    for command in ("explain bank@1", "explain stocks", "diff bank@1 bank@2", "evaluate bank@2", "log bank"):
        assert main(command.split()) in (0, 1, 3), command
    assert main(["rollback", "bank", "--to", "1", "--because", "damaged"]) == 0
    assert main(["explain", "bank"]) == 0


def test_a_damaged_manifest(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(home.store)
    path = store.blobs.path(store.resolve("bank@2").sha)
    cut(path)
    for command in ("show bank", "explain bank@2", "diff bank@1 bank@2", "fit bank.yaml --quiet"):
        assert main(command.split()) == 2, command
        err = capsys.readouterr().err
        three_lines(told(err))
        assert path.name in err
    assert main(["show", "bank@1"]) == 0


@pytest.mark.parametrize("content", [b"", b"no database", None], ids=["empty", "other", "cut"])
def test_a_damaged_database(content: bytes | None, home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    path = home.store / "store.db"
    path.write_bytes(path.read_bytes()[:6000] if content is None else content)
    for command in ("log bank", "explain bank", "fit bank.yaml --quiet", "check store"):
        code = main(command.split())
        out, err = capsys.readouterr()
        if command == "check store" and code == 1:
            assert "store.db" in out
            continue
        assert code == 2, command
        three_lines(told(err))
        assert "store.db" in err
    assert list((home.store / "blobs").rglob("*"))


def test_feedback_on_a_damaged_candidate_and_its_acceptance(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    path = blob(home, home.open, "weights")
    flip(path)
    assert main(["accept", home.open, "--because", "x", "--override-gates"]) == 2
    err = capsys.readouterr().err
    three_lines(told(err))
    assert path.name in err
    assert Store(home.store).resolve("bank").ref == "bank@2"

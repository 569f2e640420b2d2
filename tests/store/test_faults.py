"""Faults of the disk, the database and other processes: a named error, the past intact."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pellucid.core.errors import CorruptBlob, PellucidError, StoreError, UnknownVersion
from pellucid.store import Store, write_atomic
from pellucid.store.model import EventRow

pytestmark = pytest.mark.slow  # many seconds in all: `make fast` leaves them out

CALLS = ("open", "write", "fsync", "replace", "link")


def propose(store: Store, content: Any, parent: str | None = None) -> str:
    return store.propose("p", {"content": content}, parent=parent, kind="fit", author="a", because="b", claim={})


@pytest.fixture
def filled(tmp_path: Path) -> Store:
    store = Store(tmp_path / ".pellucid")
    weights = store.blobs.put_tensors({"w": torch.arange(6.0)})
    manifest = {"blobs": {"weights": weights}}
    ref = store.propose("p", manifest, parent=None, kind="fit", author="a", because="b", claim={})
    store.record_diff(ref, diff := store.blobs.put_json({"empty": True}))
    store.accept(ref, reviewer="r", because="good", diff=diff)
    store.freeze_review("p", ["k1", "k2"], {"n": 2})
    store.look("p", "diff")
    store.use_feedback([store.add_feedback("p", "p@1", "ignore", {"field": "v"}, "a", "b")], propose(store, 2, "p@1"))
    return store


def answers(store: Store) -> dict[str, Any]:
    """Everything that a reader can ask."""
    return {
        "names": store.names(),
        "head": store.resolve("p"),
        "versions": store.versions("p"),
        "candidates": store.candidates("p"),
        "log": store.log("p"),
        "feedback": store.feedback("p"),
        "review": store.review_keys("p"),
        "looks": store.looks("p"),
    }


class Injected:
    """Fails the n-th call of one of os.open, write, fsync, replace, link; writes stop half-way first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, nth: int, code: int) -> None:
        self.calls, self.nth, self.code = 0, nth, code
        for name in CALLS:
            monkeypatch.setattr(os, name, self._failing(name, getattr(os, name)))

    def _failing(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls == self.nth:
                if name == "write":
                    real(args[0], args[1][: len(args[1]) // 2])
                raise OSError(self.code, os.strerror(self.code))
            return real(*args, **kwargs)

        return call


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_a_fault_at_every_step_of_a_commit_leaves_the_last_version(
    code: int, filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {key: value for key, value in answers(filled).items() if key in ("head", "versions", "review", "looks")}
    errors: list[StoreError] = []
    nth = 0
    while len(errors) == nth:
        nth += 1
        with monkeypatch.context() as patch:
            injected = Injected(patch, nth, code)
            try:
                weights = filled.blobs.put_tensors({"w": torch.full((3,), float(nth))})
                manifest = {"blobs": {"weights": weights}, "code": code, "nth": nth}
                filled.propose("p", manifest, parent="p@1", kind="fit", author="a", because="b", claim={})
            except StoreError as error:
                errors.append(error)
        again = Store(filled.root, create=False)
        assert {key: value for key, value in answers(again).items() if key in before} == before
        assert filled.blobs.leftovers() == []
        for sha in filled.blobs:
            filled.blobs.get_bytes(sha)
        assert filled.verify().ok
    assert len(errors) >= 8
    assert all(error.mend and str(filled.root) in error.where for error in errors)
    assert injected.calls < injected.nth  # the last round reached no fault


def test_a_fault_at_every_step_of_making_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[StoreError] = []
    nth = 0
    while len(errors) == nth:
        nth += 1
        root = tmp_path / str(nth) / ".pellucid"
        with monkeypatch.context() as patch:
            Injected(patch, nth, errno.ENOSPC)
            try:
                Store(root)
            except StoreError as error:
                errors.append(error)
        assert [path.name for path in root.glob(".tmp*")] == []
        assert Store(root).names() == []
    assert len(errors) >= 3
    assert all("disk is full" in error.what for error in errors)


def test_write_atomic_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run" / "checkpoint"
    write_atomic(path, b"old" * 1000)
    for nth in range(1, 4):  # open, write, fsync: before the rename
        with monkeypatch.context() as patch:
            Injected(patch, nth, errno.ENOSPC)
            with pytest.raises(StoreError, match="cannot write 'checkpoint': the disk is full") as caught:
                write_atomic(path, b"new" * 1000)
        assert caught.value.where == str(path)
        assert path.read_bytes() == b"old" * 1000
    write_atomic(path, memoryview(b"new"))
    assert path.read_bytes() == b"new"
    write_atomic(path, b"")
    assert path.read_bytes() == b""
    assert os.listdir(path.parent) == ["checkpoint"]


def test_write_atomic_goes_on_after_a_short_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:7]))
    write_atomic(tmp_path / "x", bytes(range(100)))
    assert (tmp_path / "x").read_bytes() == bytes(range(100))


def test_ctrl_c_in_a_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "x", b"data")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_under_the_database(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import pellucid.store.database as database

    real = database._set_up

    def small(connection: sqlite3.Connection) -> None:
        real(connection)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")

    before = answers(filled)
    with monkeypatch.context() as patch:
        patch.setattr(database, "_set_up", small)
        with pytest.raises(StoreError, match="full") as caught:
            filled.add_feedback("p", "p@1", "ignore", {"text": "x" * 20000}, "a", "b")
    assert caught.value.where == str(filled.database.path)
    assert "free some space" in caught.value.mend
    assert answers(filled) == before


def test_a_read_only_store_can_be_read(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = answers(filled)
    real = os.access
    root = str(filled.root)
    monkeypatch.setattr(os, "access", lambda p, mode: False if str(p).startswith(root) else real(p, mode))
    store = Store(filled.root, create=False)
    assert answers(store) == before
    with pytest.raises(StoreError, match="readonly") as caught:
        store.look("p", "diff")
    assert "read-only" in caught.value.mend
    assert store.verify().ok


def as_stranger(check: Callable[[], None]) -> None:
    """Run `check` in a process without the rights to write (root could write anywhere)."""
    if not (child := os.fork()):
        try:
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            check()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_folder_without_the_right_to_write(filled: Store) -> None:
    before = answers(filled)

    def check() -> None:
        store = Store(root, create=False)
        assert answers(store) == before
        assert store.verify().ok
        for change in (
            lambda: store.look("p", "diff"),
            lambda: store.blobs.put_bytes(b"new"),
            lambda: Store(root / "x"),
        ):
            with pytest.raises(StoreError, match=r"readonly|permission denied"):
                change()

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / ".pellucid"
        shutil.copytree(filled.root, root)
        for path in (*root.rglob("*"), root, Path(folder)):
            path.chmod(0o555 if path.is_dir() else 0o444)
        try:
            as_stranger(check)
        finally:
            for path in (Path(folder), root, *root.rglob("*")):
                path.chmod(0o755)


def test_a_store_of_a_newer_schema(filled: Store) -> None:
    for value, error, says in (
        ("7", StoreError, "schema 7, this version of pellucid knows up to 1"),
        ("x", CorruptBlob, "schema version"),
        ("0", CorruptBlob, "schema version"),
    ):
        connection = sqlite3.connect(filled.database.path)
        with connection:
            connection.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (value,))
        connection.close()
        with pytest.raises(error, match=says) as caught:
            Store(filled.root)
        assert caught.value.where == str(filled.database.path)


def test_a_store_that_changes_its_schema_while_it_is_open(filled: Store) -> None:
    connection = sqlite3.connect(filled.database.path)
    with connection:
        connection.execute("UPDATE meta SET value = '2' WHERE key = 'schema'")
    connection.close()
    with pytest.raises(StoreError, match="schema 2"):
        filled.resolve("p")
    with pytest.raises(StoreError, match="schema 2"):
        filled.look("p", "diff")


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store here"):
        Store(tmp_path / "none", create=False)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError):
        Store(tmp_path / "file")


@pytest.mark.parametrize("content", [b"", b"x", b"not a database " * 500, b"SQLite format 3\0" + b"\0" * 5000])
def test_a_database_that_is_none(content: bytes, filled: Store) -> None:
    filled.database.path.write_bytes(content)
    with pytest.raises(CorruptBlob, match="database is damaged") as caught:
        Store(filled.root)
    assert caught.value.where == str(filled.database.path)


def test_flipped_bits_and_cuts_in_the_database_never_give_a_wrong_answer(filled: Store) -> None:
    before = answers(filled)
    path = filled.database.path
    good = path.read_bytes()
    chance = random.Random(5)
    used = [i for i, byte in enumerate(good) if byte]
    errors: list[StoreError] = []
    for trial in range(150):
        bad = bytearray(good)
        if trial % 25 == 0:
            bad = bad[: chance.randrange(len(bad))]
        else:
            bad[chance.choice(used)] ^= 1 << chance.randrange(8)
        path.write_bytes(bad)
        for extra in ("-wal", "-shm"):
            path.with_name(path.name + extra).unlink(missing_ok=True)
        try:
            store = filled if trial % 2 else Store(filled.root, create=False)  # open already, or opened now
            assert answers(store) == before
        except StoreError as error:
            errors.append(error)
    assert len(errors) > 75
    assert all(str(filled.root) in error.where for error in errors)


def test_a_changed_or_removed_row_is_noticed(filled: Store) -> None:
    path = filled.database.path
    good = path.read_bytes()
    for statement, call in (
        ("UPDATE program SET head = NULL", lambda s: s.head("p")),
        ("UPDATE revision SET author = 'eve'", lambda s: s.resolve("p@1")),
        ("UPDATE revision SET state = 'accepted', number = 2 WHERE id = 2", lambda s: s.versions("p")),
        ("DROP TRIGGER event_no_delete; DELETE FROM event WHERE n = 2", lambda s: s.log("p")),
        ("DROP TRIGGER event_no_delete; DELETE FROM event WHERE n = 8", lambda s: s.log("p")),
        ("DROP TRIGGER event_no_update; UPDATE event SET why = 'fine' WHERE n = 2", lambda s: s.log("p")),
        ("DROP TRIGGER feedback_no_update; UPDATE feedback SET payload = '{}'", lambda s: s.feedback("p")),
    ):
        connection = sqlite3.connect(path)
        connection.executescript(statement)
        connection.close()
        with pytest.raises(CorruptBlob, match="damaged"):
            call(Store(filled.root))
        report = filled.verify()
        assert not report.ok
        assert report.problems[0].needed_by == ("the whole store",)
        path.write_bytes(good)
    assert filled.verify().ok


def test_a_forged_entry_of_the_history_is_noticed(filled: Store) -> None:
    connection = sqlite3.connect(filled.database.path)
    connection.execute("DROP TRIGGER event_no_update")
    connection.close()
    with filled.database.write() as session:
        event = session.get(EventRow, 3)
        assert event is not None
        event.who = "eve"  # and given a seal that fits
    with pytest.raises(CorruptBlob, match="history of 'p' is damaged at entry 4"):
        filled.log("p")


def test_verify_lists_every_damaged_blob_and_who_needs_it(filled: Store) -> None:
    filled.blobs.put_bytes(b"of no use")
    report = filled.verify()
    assert (report.ok, report.checked, len(report.unused)) == (True, 5, 1)
    entry = filled.resolve("p@1")
    needed = [entry.manifest["blobs"]["weights"], entry.diff, entry.sha, filled.candidates("p")[0].sha]
    for sha in needed:
        assert sha is not None
        path = filled.blobs.path(sha)
        path.write_bytes(path.read_bytes()[:-1])
    report = filled.verify()
    assert {problem.error.where for problem in report.problems} == {str(filled.blobs.path(str(sha))) for sha in needed}
    assert {user for problem in report.problems for user in problem.needed_by} >= {"p@1"}
    with pytest.raises(CorruptBlob):
        filled.resolve("p@1")


def test_a_damaged_candidate_is_not_accepted_and_the_head_still_loads(filled: Store) -> None:
    weights = filled.blobs.put_tensors({"w": torch.zeros(3)})
    manifest = {"weights": weights}
    ref = filled.propose("p", manifest, parent="p@1", kind="fit", author="a", because="b", claim={})
    filled.blobs.path(weights).unlink()
    with pytest.raises(CorruptBlob, match="missing"):
        filled.accept(ref, because="good")
    head = filled.resolve("p")
    assert head.ref == "p@1"
    assert torch.equal(filled.blobs.get_tensors(head.manifest["blobs"]["weights"])["w"], torch.arange(6.0))


def run(code: str, *arguments: str) -> subprocess.Popen[str]:
    source = Path(__file__).parents[2] / "src"
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


WRITER = """
import sys
from pellucid.core.errors import StaleRevision
from pellucid.store import Store
root, me, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = Store(root)
for i in range(rounds):
    while True:
        head = store.head("p")
        ref = store.propose("p", {"by": me, "round": i, "on": head and head.ref}, parent=head and head.ref, kind="fit",
                            author=me, because="b", claim={})
        try:
            print(store.accept(ref, reviewer=me, because="b"), ref, flush=True)
            break
        except StaleRevision:
            store.reject(ref, because="stale")
    store.look("p", me)
"""


def test_two_processes_lose_no_acknowledged_commit(tmp_path: Path) -> None:
    root = tmp_path / ".pellucid"  # made by both at once
    rounds = 8
    processes = [run(WRITER, str(root), me, str(rounds)) for me in ("ada", "bo")]
    said = [line.split() for process in processes for line in process.communicate(timeout=60)[0].splitlines()]
    assert [process.returncode for process in processes] == [0, 0]
    store = Store(root, create=False)
    numbers = [f"p@{n}" for n in range(1, 2 * rounds + 1)]
    assert sorted(ref for ref, _ in said) == sorted(numbers)
    versions = store.versions("p")
    assert [entry.ref for entry in versions] == numbers
    assert [entry.parent for entry in versions] == [None, *numbers[:-1]]  # each on the head of its time
    assert store.resolve("p").ref == numbers[-1]
    for ref, label in said:
        assert store.resolve(label).ref == ref
    assert store.looks("p") == 2 * rounds
    assert store.verify().ok


def test_exactly_one_of_two_acceptances_wins(tmp_path: Path) -> None:
    store = Store(tmp_path / ".pellucid")
    code = (
        "import sys, time; from pellucid.store import Store; from pellucid.core.errors import StaleRevision\n"
        "store = Store(sys.argv[1]); time.sleep(max(0, float(sys.argv[3]) - time.time()))\n"
        "try: print(store.accept(sys.argv[2], because='b'))\n"
        "except StaleRevision: print('stale')"
    )
    refs = [propose(store, content) for content in ("a", "b")]
    start = str(time.time() + 1.2)
    processes = [run(code, str(store.root), ref, start) for ref in refs]
    said = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert sorted(said) == ["p@1", "stale"]
    assert store.resolve(refs[said.index("p@1")]).ref == "p@1"


def test_a_writer_waits_for_another_one_and_says_so(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pellucid.store.database.BUSY_MS", 50)
    other = sqlite3.connect(filled.database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked") as caught:
        filled.look("p", "x")
    assert "another process" in caught.value.mend
    assert filled.looks("p") == 1  # readers do not wait
    other.execute("ROLLBACK")
    other.close()
    assert filled.look("p", "x") == 2


KILLED = """
import sys
from pellucid.store import Store
store = Store(sys.argv[1])
n = len(store.versions("p")) if "p" in store.names() else 0
while True:
    sha = store.blobs.put_bytes(f"weights {n}".encode() * 20000)
    ref = store.propose("p", {"blobs": {"w": sha}, "n": n}, parent=f"p@{n}" if n else None, kind="fit", because="b",
                        claim={})
    print(store.accept(ref, because="b"), flush=True)
    n += 1
"""


def test_kill_9_at_any_moment_loses_nothing_acknowledged(tmp_path: Path) -> None:
    root = tmp_path / ".pellucid"
    chance = random.Random(1)
    for _ in range(4):
        process = run(KILLED, str(root))
        assert process.stdout is not None
        acknowledged = [process.stdout.readline().strip()]
        time.sleep(chance.uniform(0.0, 0.1))
        process.send_signal(signal.SIGKILL)
        acknowledged += process.communicate(timeout=30)[0].splitlines()
        store = Store(root, create=False)
        versions = store.versions("p")
        assert [entry.ref for entry in versions] == [f"p@{n}" for n in range(1, len(versions) + 1)]
        assert acknowledged[-1] in [entry.ref for entry in versions]
        for entry in versions:
            assert store.blobs.get_bytes(entry.manifest["blobs"]["w"]) == f"weights {entry.number - 1}".encode() * 20000
        assert store.verify().ok


def test_a_copied_store_is_whole(filled: Store, tmp_path: Path) -> None:
    shutil.copytree(filled.root, tmp_path / "copy")
    assert answers(Store(tmp_path / "copy")) == answers(filled)
    assert not list(filled.root.glob("*-wal"))


def test_every_error_is_one_of_ours(filled: Store) -> None:
    with pytest.raises(PellucidError) as caught:
        filled.resolve("q")
    assert isinstance(caught.value, UnknownVersion)
    assert str(caught.value).count("\n") == 2

"""A real server of PostgreSQL, from Debian's package: its tables are read, streamed, fitted, and never written to.

Where no server can be found or installed these tests fail, with what to do: an untested source is not a tested one.
"""

from __future__ import annotations

import glob
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pellucid.cli.main import main
from pellucid.core.errors import DataError
from pellucid.data.sources import open_source
from pellucid.data.sources import sql as sql_source
from pellucid.data.tables import read_table
from pellucid.handle import LearnedProgram
from pellucid.store.store import Store

INSTALL = Path(__file__).parents[1] / "install_postgres.sh"
PASSWORD = "s3cret"
ROWS = 3000


def binaries() -> Path:
    """The folder of initdb and pg_ctl; installed where that is possible."""
    for attempt in range(2):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_ctl")) or [shutil.which("pg_ctl") or ""]
        if found[-1]:
            return Path(found[-1]).parent
        if attempt == 0:
            subprocess.run(["sh", str(INSTALL)], check=True)
    pytest.fail("no PostgreSQL server here: install Debian's package `postgresql` (see tests/install_postgres.sh)")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a fresh server, `{password}` left open."""
    programs, folder = binaries(), tmp_path_factory.mktemp("postgres")
    as_user: dict[str, Any] = {}
    if os.getuid() == 0:  # it refuses to run as root
        folder = Path(subprocess.check_output(["mktemp", "-d", "/tmp/pgtest-XXXXXX"], text=True).strip())
        shutil.chown(folder, "postgres", "postgres")
        as_user = {"user": "postgres", "group": "postgres"}
    data, secret = folder / "data", folder / "secret"
    secret.write_text(PASSWORD)
    if as_user:
        shutil.chown(secret, "postgres", "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def call(*command: str) -> None:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, **as_user)
        assert done.returncode == 0, done.stdout + done.stderr

    init = [str(programs / "initdb"), "-D", str(data), "-U", "me", "--pwfile", str(secret)]
    call(*init, "--auth=scram-sha-256", "--no-sync", "-E", "UTF8")
    control = [str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log")]
    try:
        call(*control, "-o", f"-p {port} -c listen_addresses=127.0.0.1 -c fsync=off -k {folder}", "start")
        url = f"postgresql+psycopg://me:{{password}}@127.0.0.1:{port}/postgres"
        fill(url.format(password=PASSWORD))
        yield url
    finally:
        call(*control, "-m", "immediate", "stop")
        if as_user:
            shutil.rmtree(folder)


def frame() -> pd.DataFrame:
    g = np.random.default_rng(3)
    found = pd.DataFrame(
        {
            "id": np.arange(ROWS),
            "income": g.normal(30, 5, ROWS).round(3),
            "owner": g.random(ROWS) < 0.5,
            "town": g.choice(["Ålesund", "Москва", "a'b\"c"], ROWS),
            "since": pd.date_range("2015-01-01", periods=ROWS).date,
        }
    )
    found["bad"] = np.where(found["income"] + 3 * found["owner"] + g.normal(0, 2, ROWS) > 31, "no", "yes")
    return found


def fill(url: str) -> None:
    from sqlalchemy import create_engine, text

    engine = create_engine(url)
    frame().to_sql("loans", engine, index=False)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE prices (y integer, amount numeric(12, 3), note text)"))
        connection.execute(text("INSERT INTO prices VALUES (1, 12.5, 'x'), (0, NULL, NULL), (1, 1e8, '')"))
        connection.execute(text("CREATE SEQUENCE counter"))
        connection.execute(text("CREATE VIEW rich AS SELECT * FROM loans WHERE income > 30"))
    engine.dispose()


@pytest.fixture
def url(server: str) -> str:
    return server.format(password=PASSWORD)


def test_a_table_is_read_as_the_same_table_from_a_frame(url: str) -> None:
    ours, theirs = read_table(url, "bad", "id", query="loans"), read_table(frame(), "bad", "id")
    assert [f.name for f in ours.fields] == [f.name for f in theirs.fields]
    assert [f.kind for f in ours.fields] == [f.kind for f in theirs.fields]
    order = np.argsort(ours.rows.keys), np.argsort(theirs.rows.keys)
    for name, values in ours.rows.fields.items():
        assert np.array_equal(values[order[0]], theirs.rows.fields[name][order[1]]), name
    assert np.array_equal(ours.rows.targets["target"][order[0]], theirs.rows.targets["target"][order[1]])


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_spelling_of_the_scheme_goes_to_the_same_driver(scheme: str, url: str) -> None:
    chunks = list(open_source(url.replace("postgresql+psycopg", scheme), query="rich").chunks)
    assert sum(len(chunk.frame) for chunk in chunks) == int((frame()["income"] > 30).sum())


def test_many_rows_come_in_pieces_with_their_places(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_source, "rows_of", lambda columns: 700)
    chunks = list(open_source(url, query="SELECT * FROM loans ORDER BY id").chunks)
    assert [len(chunk.frame) for chunk in chunks] == [700, 700, 700, 700, 200]
    assert np.array_equal(np.concatenate([chunk.numbers for chunk in chunks]), np.arange(1, ROWS + 1))
    assert pd.concat([chunk.frame for chunk in chunks])["town"].tolist() == frame()["town"].tolist()


def test_numerics_are_numbers_and_nulls_are_missing(url: str) -> None:
    (chunk,) = open_source(url, query="prices").chunks
    assert chunk.frame["amount"].dtype == "float64"
    assert chunk.frame["amount"].tolist()[::2] == [12.5, 1e8]
    assert chunk.frame["amount"].isna().tolist() == [False, True, False]
    assert chunk.frame["note"].isna().tolist() == [False, True, False]


def test_the_password_comes_from_the_environment_and_is_never_shown(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BANK_WORD", PASSWORD)
    opened = open_source(server.format(password="${BANK_WORD}"), query="loans")
    assert PASSWORD not in opened.where
    assert sum(len(chunk.frame) for chunk in opened.chunks) == ROWS
    with pytest.raises(DataError) as caught:
        list(open_source(server.format(password="wr0ng"), query="loans").chunks)
    assert "password authentication failed" in str(caught.value)
    assert "wr0ng" not in str(caught.value)


def test_what_is_wrong_is_told(url: str) -> None:
    for query, says in (
        ("loan", "did you mean 'loans'"),
        (None, "3 tables"),
        ("SELECT nothing FROM loans", 'column "nothing" does not exist'),
        ("DROP TABLE loans", "only SELECT is run"),
    ):
        with pytest.raises(DataError, match=says):
            list(open_source(url, query=query).chunks)
    host, _, base = url.rpartition("/")
    with pytest.raises(DataError, match="does not exist"):
        list(open_source(f"{host}/{base}x", query="loans").chunks)
    with pytest.raises(DataError, match="refused"):
        list(open_source("postgresql://me@127.0.0.1:1/x", query="loans").chunks)


def test_a_query_that_would_write_is_refused_by_the_server(url: str) -> None:
    for query, says in (
        ("WITH gone AS (DELETE FROM loans RETURNING *) SELECT * FROM gone", "data-modifying"),
        ("SELECT nextval('counter')", "read-only transaction"),
    ):
        with pytest.raises(DataError, match=says):
            list(open_source(url, query=query).chunks)
    assert sum(len(chunk.frame) for chunk in open_source(url, query="loans").chunks) == ROWS


@pytest.mark.slow
def test_a_program_is_fitted_from_it(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    few = ["train.updates=60", "evidence.folds=2", "explain.evaluations=32", "network.width=8", "data.id=id"]
    settings = [word for pair in (*few, "data.query=SELECT * FROM loans LIMIT 400") for word in ("--set", pair)]
    assert main(["fit", "--data", url, "--target", "bad", "--name", "bank", "--quiet", *settings]) == 0
    program = LearnedProgram(Store(tmp_path / ".pellucid"), "bank@1")
    assert program.evidence["tasks"][0]["n"] == 320

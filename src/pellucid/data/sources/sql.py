"""A table or query of a database, by its SQLAlchemy URL. It is only read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pellucid.core.errors import DataError, MissingExtra, nearest
from pellucid.data.sources.opened import Chunk, Opened, rows_of

READS = re.compile(r"\s*(select|with|table|values)\b", re.IGNORECASE)
SECRET = re.compile(r"\$\{(\w+)\}")


def open_sql(url: str, query: str | None) -> Opened:
    """The rows of a query.

    Args:
        url: as of SQLAlchemy; `${NAME}` in it is taken from the environment, so that no password is written down.
        query: a table's name, or a SELECT; may be left out when the database holds one table.
    Raises:
        DataError: no such database or table, or the database refuses the query.
        MissingExtra: the driver is not installed.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        parsed = make_url(SECRET.sub(_from_environment, url))
    except SQLAlchemyError as error:
        raise DataError(f"this is no database URL: {error}.", where=_masked(url), mend="sqlite:///file.db") from None
    if parsed.drivername in ("postgres", "postgresql"):  # the driver of the extra `postgres`
        parsed = parsed.set(drivername="postgresql+psycopg")
    where = parsed.render_as_string(hide_password=True)
    if parsed.get_backend_name() == "sqlite":
        path = parsed.database or ""
        if path in ("", ":memory:"):
            raise DataError("a database in memory is empty.", where=where, mend="name its file: sqlite:///file.db")
        if not Path(path).is_file():
            there = [p.name for p in Path(path).parent.glob("*.db")] if Path(path).parent.is_dir() else []
            raise DataError(
                "there is no such database.", where=where, mend=nearest(Path(path).name, there) or "sqlite:///file.db"
            )
        parsed = parsed.set(database=f"file:{Path(path).resolve().as_posix()}", query={"mode": "ro", "uri": "true"})
    opened = Opened(where, iter(()))
    opened.chunks = _rows(parsed, query, where)
    return opened


def _rows(url: Any, query: str | None, where: str) -> Iterator[Chunk]:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

    try:
        engine = create_engine(url)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        own = url.drivername == "postgresql+psycopg"
        mend = "pip install 'pellucid[postgres]'" if own else "install the driver that the URL names, or name another"
        raise MissingExtra(
            f"the driver of this database is not installed: {error}.",
            where=where,
            mend=mend,
        ) from None
    try:
        statement = _statement(engine, query, where)
        with engine.connect() as connection:
            # A WITH may delete; the server itself refuses that.
            options = {"stream_results": True, "postgresql_readonly": True}
            if url.get_backend_name() != "postgresql":
                del options["postgresql_readonly"]
            result = connection.execution_options(**options).execute(statement)
            names, seen = list(map(str, result.keys())), 0
            for rows in result.partitions(rows_of(len(names))):
                columns: Any = zip(*rows, strict=True)
                frame = pd.DataFrame({n: _series(list(c)) for n, c in zip(names, columns, strict=True)})
                yield Chunk(frame, np.arange(seen + 1, seen + len(frame) + 1), where)
                seen += len(frame)
            if not seen:
                yield Chunk(pd.DataFrame({name: [] for name in names}), np.arange(0), where)
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error).strip().splitlines()
        raise DataError(
            f"the database refused: {(said[0] if said else type(error).__name__)[:300].rstrip('.')}.",
            where=where,
            mend="check the query (data.query), the address and the rights",
        ) from None
    finally:
        engine.dispose()


def _series(cells: list[Any]) -> pd.Series[Any]:
    """Typed where all cells are of one type; else as they are: SQLite lets a column mix them."""
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds == {int}:
        try:
            return pd.Series(cells, dtype="Int64")
        except OverflowError:
            return pd.Series(cells, dtype=object)
    if kinds == {Decimal}:
        return pd.Series([None if cell is None else float(cell) for cell in cells], dtype="float64")
    return pd.Series(cells, dtype="float64" if kinds == {float} else object)


def _statement(engine: Any, query: str | None, where: str) -> Any:
    from sqlalchemy import column, inspect, select, table, text

    if query is not None and READS.match(query):
        return text(query)
    inspector = inspect(engine)
    names = [*inspector.get_table_names(), *inspector.get_view_names()]
    if query is None:
        if len(names) != 1:
            held = f"{len(names)} tables: {', '.join(names[:12])}" if names else "no table"
            raise DataError(f"the database holds {held}.", where=where, mend="name one, or give a SELECT: data.query")
        query = names[0]
    if query not in names:
        if re.search(r"\s", query.strip()):
            raise DataError(
                f"the query begins with '{query.split()[0]}'; only SELECT is run.",
                where="data.query",
                mend="SELECT ...",
            )
        raise DataError(
            f"no table '{query}'; the database holds {', '.join(names[:12]) or 'none'}.",
            where=where,
            mend=nearest(query, names) or "name a table, or give a SELECT: data.query",
        )
    columns: list[Any] = [column(c["name"]) for c in inspector.get_columns(query)]
    return select(*columns).select_from(table(query))


def _from_environment(found: re.Match[str]) -> str:
    name = found.group(1)
    if name not in os.environ:
        raise DataError(f"the environment variable {name} is not set.", where="data.source", mend=f"export {name}=...")
    return os.environ[name]


def _masked(url: str) -> str:
    return re.sub(r"(://[^:/@]+):[^@]*@", r"\1:***@", url)

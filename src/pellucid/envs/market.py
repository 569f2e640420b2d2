"""What the market environments share: the tape they read, and the readers that walk along it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from pellucid.core.errors import DataError
from pellucid.core.rows import Rows
from pellucid.core.schema import Field

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Obs = dict[str, npt.NDArray[np.float32]]
State = dict[str, Any]


@dataclass(frozen=True)
class Tape:
    """The days that an environment walks along, ready to be read.

    Args:
        fields: observation of each decision day, name -> (n, width) float32.
        schema: the same, described.
        keys: identity of each day, shape (n,).
        close: closing prices, shape (n,).
        open: opening prices, shape (n,), or None.
    """

    fields: Obs
    schema: tuple[Field, ...]
    keys: npt.NDArray[np.str_]
    close: Floats
    open: Floats | None

    def __len__(self) -> int:
        return len(self.keys)

    def look(self, day: Ints) -> Obs:
        """Observations at `day`, shape (len(day), width) each; fresh arrays."""
        return {name: values[day] for name, values in self.fields.items()}

    def space(self) -> dict[str, spaces.Space[Any]]:
        """A bounded Box per field."""
        from pellucid.data.prices import LIMIT  # pandas: other environments read what is below, and do without

        out: dict[str, spaces.Space[Any]] = {}
        for name, values in self.fields.items():
            bound = np.float32(max(LIMIT, float(np.ceil(np.abs(values).max()))))
            out[name] = spaces.Box(-bound, bound, (values.shape[1],), np.float32)
        return out


def tape(rows: Rows | None, source: str, window: int) -> Tape:
    """The tape of `rows`, or of the prices named by `source`.

    Raises:
        DataError: fewer than 2 rows, a NaN, or days that do not follow each other.
    """
    from pellucid.data.prices import NAMED, schema_fields

    if rows is None:
        named = source.partition(":")[0] in NAMED
        rows = (_named_rows if named else _rows)(source, window)
    _check(rows)
    fields = {
        name: np.ascontiguousarray(values.reshape(len(rows), -1), dtype=np.float32)
        for name, values in rows.fields.items()
    }
    known = {field.name: field for field in schema_fields(window)}
    schema = tuple(_field(name, values.shape[1], known) for name, values in fields.items())
    opened = rows.extra.get("open")
    return Tape(fields, schema, rows.keys, np.asarray(rows.extra["close"], dtype=np.float64), opened)


def _rows(source: str, window: int) -> Rows:
    from pellucid.data.prices import load_prices, windows

    return windows(load_prices(source), window)


_named_rows = lru_cache(maxsize=8)(_rows)  # a file may change between two environments, a named series may not


def _field(name: str, width: int, known: dict[str, Field]) -> Field:
    if name not in known:
        return Field(name, "numeric" if width == 1 else "series", width)
    if known[name].width == width:
        return known[name]
    from pellucid.data.prices import schema_fields

    return next(field for field in schema_fields(width) if field.name == name)


def _check(rows: Rows) -> None:
    where = "rows of a market environment"
    if len(rows) < 2:
        raise DataError(f"{len(rows)} rows make no step.", where=where, mend="give at least 2 consecutive days")
    missing = [name for name in ("close", "simple_return") if name not in rows.extra]
    if missing:
        raise DataError(f"rows.extra lacks {', '.join(missing)}.", where=where, mend="make the rows with windows(...)")
    if "position" in rows.fields:
        raise DataError("the field name 'position' is taken.", where=where, mend="rename the field")
    for name, values in {**rows.fields, **{k: rows.extra[k] for k in ("close", "simple_return")}}.items():
        finite = np.isfinite(np.asarray(values, dtype=np.float64).reshape(len(rows), -1)).all(axis=1)
        if not finite.all():
            key = rows.keys[int(np.argmin(finite))]
            raise DataError(f"'{name}' is NaN or infinite at {key}.", where=where, mend="leave that day out")
    close = np.asarray(rows.extra["close"], dtype=np.float64)
    gap = np.abs(close[1:] / close[:-1] - 1 - rows.extra["simple_return"][1:]) > 1e-9
    if gap.any():
        i = int(np.argmax(gap))
        raise DataError(
            f"the days {rows.keys[i]} and {rows.keys[i + 1]} do not follow each other.",
            where=where,
            mend="give one unbroken range of days; make one environment for each range",
        )


class Walk:
    """n readers of a tape, each with its own day, last day and generator.

    Args:
        days: length of the tape.
        n: readers.
        episode_days: steps of an episode; None: to the end of the tape.
        random_start: begin anywhere that leaves room for the episode, else on the first day.
    """

    def __init__(self, days: int, n: int, episode_days: int | None, random_start: bool) -> None:
        if episode_days is not None and not 1 <= episode_days <= days - 1:
            raise DataError(
                f"episode_days {episode_days} does not lie between 1 and {days - 1}.",
                where=f"a market environment over {days} days",
                mend="leave it out to walk to the end",
            )
        self.days, self.episode_days, self.random_start = days, episode_days, random_start
        self.day: Ints = np.zeros(n, dtype=np.int64)
        self.last: Ints = np.zeros(n, dtype=np.int64)

    def begin(self, which: Ints, rngs: list[np.random.Generator]) -> None:
        """A new episode for the readers `which`."""
        length = self.days - 1 if self.episode_days is None else self.episode_days
        shortest = 1 if self.episode_days is None else length
        for i in which.tolist():
            start = int(rngs[i].integers(0, self.days - shortest)) if self.random_start else 0
            self.day[i], self.last[i] = start, min(start + length, self.days - 1)

    def advance(self) -> npt.NDArray[np.bool_]:
        """One day on; true where that was the last."""
        self.day = self.day + 1
        done: npt.NDArray[np.bool_] = self.day >= self.last
        return done

    def get_state(self) -> State:
        return {"day": self.day.copy(), "last": self.last.copy()}

    def set_state(self, state: State) -> None:
        self.day, self.last = np.array(state["day"], dtype=np.int64), np.array(state["last"], dtype=np.int64)


def rng_state(rng: np.random.Generator) -> State:
    """A numpy generator as plain data."""
    return dict(rng.bit_generator.state)


def rng_from(state: State) -> np.random.Generator:
    """The generator that `rng_state` wrote down."""
    kind = {"PCG64": np.random.PCG64, "Philox": np.random.Philox}[state["bit_generator"]]
    rng = np.random.Generator(kind())
    rng.bit_generator.state = state
    return rng

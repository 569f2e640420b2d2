"""Schema: the named, typed, unit-bearing inputs and outputs of a program.

The players of an explanation are fields of the schema, or parts of a field (lags of a series, patches of a picture),
never one-hot columns.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, Literal, NamedTuple, get_args

from pellucid.core.errors import SchemaError, nearest
from pellucid.core.parts import lags, newest_of, patches, segments

Grain = Literal["field", "group", "part"]
RowGrain = Literal["field", "group", "part", "superpixel"]  # the last: parts that every row has of its own
DAYS = "days since 1970-01-01"  # the unit of a date's days
EPOCH, LATEST = date(1970, 1, 1), 700_000  # days from there to years that a date can name
PARTS = 16  # of a picture or a series, where nothing else is said
FieldKind = Literal["numeric", "category", "boolean", "series", "image", "text"]


class Player(NamedTuple):
    """One player of an explanation: some columns of one field's block, or a group of whole fields."""

    name: str
    field: str
    columns: slice | tuple[int, ...]  # slice(None) for the whole field
    place: tuple[int, ...] = ()  # of a part: the first lag and the one after the last, or the edges of a patch
    others: tuple[Player, ...] = ()  # of a group of fields: the further ones, which move with it

    def within(self, width: int) -> list[int]:
        """Its columns of a block of this width."""
        if isinstance(self.columns, slice):
            return list(range(*self.columns.indices(width)))
        return [column for column in self.columns if column < width]


def as_date(days: float) -> float | str:
    """The date so many days after 1970-01-01; the number itself where there is no such date."""
    if days != days or abs(days) > LATEST:
        return days
    return (EPOCH + timedelta(days=math.floor(days))).isoformat()


@dataclass(frozen=True)
class Field:
    """One named input or output.

    Args:
        name: unique within the schema.
        kind: how it is encoded.
        width: values per row: 1 (of a text, too), the lags of a series (newest first), or an image's values.
        unit: of the raw values, e.g. "log return", "EUR".
        description: one line for a person.
        categories: the known values of a category, in code order.
        groups: for a series, named lag ranges [(label, start, stop)] that are players of their own.
        shape: for an image, (height, width, channels): its values lie row by row, channels last, in [0, 1].
        column, part: the table's column of which this is a part, and which ("year" of a date).
        scale: how a number is scaled; "" by mean and deviation, "robust", "quantile". Of an image that is read from a
            file, how it fills its shape: "crop", "pad", "stretch".
        columns, high: of an image that columns of numbers make up, these, and the value of its brightest pixel.

    A number with categories is an ordinal: its words, lowest first, are 0, 1, 2, ...
    """

    name: str
    kind: FieldKind = "numeric"
    width: int = 1
    unit: str = ""
    description: str = ""
    categories: tuple[str, ...] = ()
    groups: tuple[tuple[str, int, int], ...] = ()
    shape: tuple[int, ...] = ()
    column: str = ""
    part: str = ""
    scale: str = ""
    columns: tuple[str, ...] = ()
    high: float = 0.0

    @property
    def sources(self) -> tuple[str, ...]:
        """The table's columns that it is read from."""
        return self.columns or (self.column or self.name,)

    def as_read(self, value: float) -> float | str:
        """A number as a person reads it: days since 1970-01-01 as the date."""
        return as_date(value) if self.part == "days" else value

    def players(self, grain: Grain = "group", parts: int = PARTS) -> list[Player]:
        """This field as one player, as one per named lag group, or as one per part.

        Parts are patches of an image and segments of equal length of a series whose groups name lags, `parts` in
        number; every pixel or lag by itself when there are no more. Other fields are as in groups.
        """
        if grain == "part" and self.kind == "image" and self.shape:
            # A column that says whether the picture is missing goes with the first patch.
            found = [(patch, patch.columns(self.shape)) for patch in patches(self.shape, parts)]
            found[0] = (found[0][0], (*found[0][1], self.width))
            return [Player(f"{self.name}[{patch.label}]", self.name, c, tuple(patch)) for patch, c in found]
        first = newest_of(self.groups) if grain == "part" and self.kind == "series" else None
        if first is not None:
            spans = segments(self.width, parts)
            return [Player(f"{self.name}[{lags(first, a, b)}]", self.name, slice(a, b), (a, b)) for a, b in spans]
        if grain == "field" or not self.groups:
            return [Player(self.name, self.name, slice(None))]
        return [Player(f"{self.name}[{label}]", self.name, slice(a, b)) for label, a, b in self.groups]


@dataclass(frozen=True)
class Schema:
    """The inputs of a program, and the outputs of each of its tasks."""

    inputs: tuple[Field, ...]
    outputs: dict[str, tuple[Field, ...]]

    def __getitem__(self, name: str) -> Field:
        for field in self.inputs:
            if field.name == name:
                return field
        raise self.unknown(name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.inputs)

    def unknown(self, name: str, where: str = "schema") -> SchemaError:
        """The error for a field that does not exist."""
        return SchemaError(
            f"no field '{name}'; the program's inputs are {', '.join(self.names)}.",
            where=where,
            mend=nearest(name, self.names) or "use one of the names above",
        )

    def players(self, fields: tuple[str, ...], grain: Grain = "group", parts: int = PARTS) -> list[Player]:
        """The players of an explanation over `fields`, in schema order.

        Raises:
            SchemaError: there is no such grain.
        """
        if grain not in get_args(Grain):
            raise SchemaError(
                f"no grain '{grain}' here; there are {', '.join(get_args(Grain))}.",
                where="players of an explanation",
                mend=nearest(grain, get_args(Grain)) or "use one of the names above",
            )
        return [player for name in fields for player in self[name].players(grain, parts)]

    def to_json(self) -> dict[str, Any]:
        return {
            "inputs": [_to_json(field) for field in self.inputs],
            "outputs": {task: [_to_json(field) for field in fields] for task, fields in self.outputs.items()},
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Schema:
        def field(raw: dict[str, Any]) -> Field:
            groups = tuple((str(label), int(a), int(b)) for label, a, b in raw["groups"])
            shape = tuple(int(n) for n in raw.get("shape", ()))
            lists = {"categories": tuple(raw["categories"]), "columns": tuple(raw.get("columns", ()))}
            return Field(**{**raw, **lists, "groups": groups, "shape": shape})

        return cls(
            tuple(field(raw) for raw in data["inputs"]),
            {task: tuple(field(raw) for raw in fields) for task, fields in data["outputs"].items()},
        )


def _to_json(field: Field) -> dict[str, Any]:
    """Without what came later where it is not used, so that a schema is written as it always was."""
    later = ("shape", "column", "part", "scale", "columns", "high")
    return {name: value for name, value in asdict(field).items() if value or name not in later}

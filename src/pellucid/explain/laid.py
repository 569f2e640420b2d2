"""Fields whose parts are players, with what is needed to draw the values where they belong."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.parts import newest_of
from pellucid.core.rows import Rows
from pellucid.core.schema import Player, Schema


@dataclass(frozen=True, eq=False)
class Laid:
    """A picture or a series in parts.

    Args:
        field: its name.
        players: positions of its parts among the explanation's players, (p,).
        places: of each part the edges of a patch (top, left, bottom, right), or a segment's columns (start, stop).
        shape: of a picture (height, width, channels), of a series (length,).
        raw: what the rows hold, (n, values): pixels from 0 to 255 as uint8, or a series' numbers, newest first.
        newest: steps ahead of the present of a series' newest value.
        regions: of superpixels the part that every pixel belongs to, (n, height * width); `places` is empty then.
    """

    field: str
    players: tuple[int, ...]
    places: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]
    raw: npt.NDArray[Any]
    newest: int = 0
    regions: npt.NDArray[np.uint32] | None = None

    @classmethod
    def outlined(
        cls, field: str, players: tuple[int, ...], shape: tuple[int, ...], raw: npt.NDArray[Any], regions: Any
    ) -> Laid:
        """A picture in superpixels. Args: raw: (n, values). regions: (n, height, width)."""
        of = np.asarray(regions, dtype=np.uint32).reshape(len(raw), -1)
        return cls(field, players, (), shape, _bytes(raw), regions=of)

    @property
    def picture(self) -> bool:
        return len(self.shape) == 3

    def pixels(self, row: int) -> npt.NDArray[np.uint8]:
        """A row's picture, (height, width, channels)."""
        found: npt.NDArray[np.uint8] = self.raw[row].reshape(self.shape)
        return found

    def parts(self, row: int) -> npt.NDArray[np.uint32]:
        """The part of every pixel of a row's picture, (height, width), counted from 0."""
        height, width = self.shape[:2]
        if self.regions is not None:
            found: npt.NDArray[np.uint32] = self.regions[row].reshape(height, width)
            return found
        found = np.zeros((height, width), dtype=np.uint32)
        for part, (top, left, bottom, right) in enumerate(self.places):
            found[top:bottom, left:right] = part
        return found

    def moments(self) -> npt.NDArray[np.int64]:
        """Steps ahead of the present of a series' values, newest first."""
        found: npt.NDArray[np.int64] = self.newest - np.arange(self.shape[0])
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; pixels are written in base64."""
        raw: Any = self.raw.tolist()
        if self.picture:
            raw = [base64.b64encode(np.ascontiguousarray(one).tobytes()).decode() for one in self.raw]
        else:
            raw = [[None if v != v else v for v in one] for one in raw]
        lists = {"players": list(self.players), "places": [list(one) for one in self.places]}
        made = {"field": self.field, **lists, "shape": list(self.shape), "newest": self.newest, "raw": raw}
        if self.regions is not None:
            each = [np.ascontiguousarray(one, dtype="<u4").tobytes() for one in self.regions]
            made["regions"] = [base64.b64encode(one).decode() for one in each]
        return made

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Laid:
        shape, raw = tuple(found["shape"]), found["raw"]
        rows: npt.NDArray[Any]
        if len(shape) == 3:
            pixels = b"".join(base64.b64decode(one) for one in raw)
            rows = np.frombuffer(pixels, dtype=np.uint8).reshape(len(raw), -1)
        else:
            numbers = [[float("nan") if v is None else v for v in one] for one in raw]
            rows = np.asarray(numbers, dtype=np.float64).reshape(len(raw), -1)
        places = tuple(tuple(one) for one in found["places"])
        regions = None
        if "regions" in found:
            of = [np.frombuffer(base64.b64decode(one), dtype="<u4") for one in found["regions"]]
            regions = np.asarray(of, dtype=np.uint32).reshape(len(raw), -1)
        return cls(found["field"], tuple(found["players"]), places, shape, rows, found["newest"], regions)


def laid_out(rows: Rows, players: Sequence[Player], schema: Schema) -> tuple[Laid, ...]:
    """The fields of which the players are parts."""
    found = []
    for name in dict.fromkeys(player.field for player in players if player.place):
        mine = tuple(i for i, player in enumerate(players) if player.field == name)
        field, wide = schema[name], np.asarray(rows.column(name)).reshape(len(rows), -1)
        places = tuple(players[i].place for i in mine)
        if field.kind == "image":
            found.append(Laid(name, mine, places, field.shape, _bytes(wide)))
        else:
            newest = newest_of(field.groups) or 0
            found.append(Laid(name, mine, places, (field.width,), wide.astype(np.float64), newest))
    return tuple(found)


def _bytes(pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Pixels from 0 to 255; missing ones are black."""
    if pixels.dtype == np.uint8:
        return pixels
    scaled: npt.NDArray[np.uint8] = np.rint(255 * np.clip(np.nan_to_num(pixels), 0, 1)).astype(np.uint8)
    return scaled

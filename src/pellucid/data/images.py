"""Fields that are images: a column of paths of pictures, or columns of numbers that are the pixels of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from pellucid.core.errors import DataError
from pellucid.core.schema import Field
from pellucid.data.cells import Column
from pellucid.data.pictures import BadPicture, read_picture
from pellucid.data.reading import Read
from pellucid.spec.images import ImageSpec
from pellucid.spec.model import FieldSpec

MOST = 1 << 30  # values of all pictures of a table: four gigabytes once they are encoded
TOLD_EVERY = 50  # pictures
THUMB = 8  # pixels of a thumbnail's sides
PIECE = 1024  # pictures at a time
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Pictures:
    """The pictures of a column.

    Args:
        pixels: (n, height * width * channels), row by row, channels last: bytes, or where some cells are empty, numbers
            in [0, 1] and NaN.
        bad: row, counted from 0 -> (path, why it cannot be used).
    """

    pixels: Array
    bad: dict[int, tuple[str, str]] = field(default_factory=dict)


def image_field(name: str, said: FieldSpec, columns: tuple[str, ...] = ()) -> Field:
    """The field that a spec declares as an image."""
    how = said.image
    height, width, channels = how.whole_shape
    return Field(
        name,
        "image",
        height * width * channels,
        said.unit,
        said.description,
        shape=(height, width, channels),
        scale="" if columns else how.fit,
        columns=columns,
        high=how.high if columns else 0.0,
    )


def folder_of(file: str) -> Path:
    """Where relative paths of a source start: its folder; the working directory for what is no file."""
    path = Path(file)
    try:
        return path if path.is_dir() else path.parent if path.is_file() else Path()
    except (OSError, ValueError):  # a URL that is no path
        return Path()


def read_pictures(
    made: Field,
    paths: Sequence[str],
    folders: Sequence[Path],
    *,
    most_mpixels: float = 64.0,
    progress: Callable[[float, int], None] | None = None,
) -> Pictures:
    """Every picture of a column, decoded once.

    Args:
        made: from `image_field`.
        paths: "" where there is none.
        folders: where each one starts.
    """
    n, width = len(paths), made.width
    if n * width > MOST:
        raise DataError(
            f"{n:,} pictures of {' x '.join(map(str, made.shape))} values would take {4 * n * width / 2**30:.0f} GB.",
            where=f"data.fields.{made.name}.image",
            mend="give a smaller shape, or fewer rows",
        )
    pixels = np.zeros((n, width), dtype=np.uint8)
    bad: dict[int, tuple[str, str]] = {}
    for i, (path, folder) in enumerate(zip(paths, folders, strict=True)):
        if path:
            try:
                found = read_picture(folder / path, made.shape, fit=made.scale, most_mpixels=most_mpixels)
                pixels[i] = found.reshape(-1)
            except BadPicture as error:
                bad[i] = (str(folder / path), str(error))
        if progress is not None and i % TOLD_EVERY == 0:
            progress(i / n, i)
    empty = np.asarray([not path for path in paths])
    if not empty.any():
        return Pictures(pixels, bad)
    numbers = pixels.astype(np.float32) / np.float32(255)
    numbers[empty] = np.nan
    return Pictures(numbers, bad)


def table_pictures(
    found: Read, name: str, said: FieldSpec, progress: Callable[[float, int], None] | None = None
) -> Pictures:
    """The pictures of a table's column; relative paths start at the folder of the file in which they stand."""
    folders = [folder for file, count in found.files() for folder in [folder_of(file)] * count]
    paths = path_texts(found.series(name))
    return read_pictures(
        image_field(name, said), paths, folders, most_mpixels=said.image.most_mpixels, progress=progress
    )


def path_texts(series: Any) -> list[str]:
    """Paths as they stand; "" where a cell is empty."""
    import pandas as pd

    return ["" if cell is None or pd.isna(cell) else str(cell).strip() for cell in series.tolist()]


def required_pictures(made: Field, paths: Sequence[str], folders: Sequence[Path], where: str) -> Array:
    """The pixels where every row must stay.

    Raises:
        DataError: a picture cannot be used.
    """
    read = read_pictures(made, paths, folders)
    if read.bad:
        row = min(read.bad)
        path, reason = read.bad[row]
        raise DataError(
            f"column '{made.name}', row {row + 1}: the picture '{path}' cannot be used: {reason}.",
            where=where,
            mend=f"mend it, empty its cell, or leave the row out ({len(read.bad)} in all)",
        )
    return read.pixels


def joined_columns(name: str, how: ImageSpec, columns: Sequence[str], where: str) -> tuple[str, ...]:
    """The columns of which an image is made: those that match, in the table's order.

    Raises:
        DataError: they are not as many as the shape has values, or the image is called like a column.
    """
    chosen = tuple(c for c in columns if any(c == p or fnmatchcase(c, p) for p in how.columns))
    wanted = int(np.prod(how.whole_shape))
    if len(chosen) != wanted:
        raise DataError(
            f"image '{name}' of shape {' x '.join(map(str, how.whole_shape))} needs {wanted} columns; "
            f"{len(chosen)} of {len(columns)} match {', '.join(how.columns)}.",
            where=f"{where}, data.fields.{name}.image",
            mend="columns: names or patterns (pixel_*) of one column per value, row by row, channels last",
        )
    if name in columns:
        raise DataError(
            f"image '{name}' is called like a column.",
            where=f"{where}, data.fields.{name}",
            mend="give the image a name of its own",
        )
    return chosen


def joined(made: Field, columns: Sequence[Column], where: str) -> npt.NDArray[np.float32]:
    """Pixels in [0, 1] of columns of numbers from 0 to `high`, shape (n, width); NaN where a cell is empty.

    Raises:
        DataError: a cell is no number, or outside that range.
    """
    numbers = np.stack([column.values("numeric", where) for column in columns], axis=1)
    outside = (numbers < 0) | (numbers > made.high)
    if outside.any():
        row, place = np.argwhere(outside)[0]
        raise DataError(
            f"column '{columns[place].name}' is {numbers[row, place]:g} in row {row + 1}, outside 0 to {made.high:g}.",
            where=f"{where}, image '{made.name}'",
            mend=f"data.fields.{made.name}.image.high is the value of the brightest pixel",
        )
    return (numbers / made.high).astype(np.float32)


def averaged(pixels: Tensor, shape: Sequence[int], most: int) -> Tensor:
    """Smaller pictures, by areas' means: sides of at most `most` pixels; further columns stay.

    Args:
        pixels: (n, height * width * channels or more), row by row, channels last.
    """
    height, width, channels = shape
    if max(height, width) <= most:
        return pixels
    values = height * width * channels
    size = (min(height, most), min(width, most))
    seen = pixels[:, :values].reshape(-1, height, width, channels).permute(0, 3, 1, 2)
    small = adaptive_avg_pool2d(seen, size).permute(0, 2, 3, 1).flatten(1)
    return torch.cat([small, pixels[:, values:]], dim=1)


def thumbnails(pixels: Array, shape: Sequence[int]) -> npt.NDArray[np.float32]:
    """Grey pictures of at most 8 x 8 pixels, shape (n, h * w): the same for copies that were scaled or stored anew."""
    height, width, channels = shape
    grey = np.empty((len(pixels), height * width), dtype=np.float32)
    for start in range(0, len(pixels), PIECE):
        part = pixels[start : start + PIECE].astype(np.float32).reshape(-1, height * width, channels)
        grey[start : start + PIECE] = part.mean(2) / np.float32(255 if pixels.dtype == np.uint8 else 1)
    return averaged(torch.from_numpy(grey), (height, width, 1), THUMB).numpy()


def single_columns(fields: Sequence[Field], values: Mapping[str, Array]) -> dict[str, Array]:
    """The fields of one value a row, and the columns of joined images: what can be looked at one by one."""
    found: dict[str, Array] = {}
    for made in fields:
        if made.kind != "image":
            found[made.name] = values[made.name]
        else:
            found |= {name: values[made.name][:, j] for j, name in enumerate(made.columns)}
    return found


def compared(fields: Sequence[Field], values: Mapping[str, Array]) -> dict[str, Array]:
    """The fields by which rows are compared: of pictures their thumbnails."""
    return {
        made.name: thumbnails(values[made.name], made.shape) if made.kind == "image" else values[made.name]
        for made in fields
    }

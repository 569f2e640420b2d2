"""Superpixels: parts of a picture that follow its outlines, so that every picture has its own.

SLIC (Achanta et al. 2012) by scikit-image; then neighbours are merged until there are as many as were asked for, those
first whose union adds least variance (Ward 1963). Rows are explained one by one, each with its own players, and stand
side by side under common names: the k-th superpixel, in reading order of the first pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError, require
from pellucid.core.rows import Rows
from pellucid.core.schema import Field, Player, Schema
from pellucid.explain.estimate import Progress
from pellucid.explain.explanation import Explanation
from pellucid.explain.laid import Laid

Labels = npt.NDArray[np.int64]
WHERE = "explain(grain='superpixel')"
# How much places count beside colours, as scikit-image advises: of colours (in Lab units), of grey levels in [0, 1].
GROWTH = (1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0)  # SLIC finds fewer than it is asked for: then it is asked for more
WARNINGS = 3  # of single rows, printed
COMPACT = {True: 10.0, False: 0.1}


def superpixels(picture: npt.NDArray[Any], parts: int) -> Labels:
    """The superpixel of every pixel, numbered from 0 in reading order, (height, width).

    Args:
        picture: (height, width, channels), from 0 to 1; three channels are red, green and blue.
        parts: how many; every pixel by itself when there are no more.
    Raises:
        MissingExtra: scikit-image is not installed.
    """
    height, width, channels = picture.shape
    pixels = height * width
    if parts >= pixels:
        return np.arange(pixels).reshape(height, width)
    require("skimage", extra="xai", purpose="grain='superpixel'")
    slic = import_module("skimage.segmentation").slic
    seen = np.nan_to_num(picture.astype(np.float64))
    colour = channels == 3
    grey = seen if channels != 1 else seen[:, :, 0]
    axis = None if channels == 1 else -1
    wanted = max(1, parts)
    found = _grid(height, width, wanted)  # of mere noise SLIC finds fewer than it is asked for
    for more in GROWTH:
        asked = {"n_segments": round(wanted * more), "compactness": COMPACT[colour], "channel_axis": axis}
        tried = slic(grey, **asked, start_label=0)
        if len(np.unique(tried)) >= wanted:
            found = tried.astype(np.int64)
            break
    return _numbered(_merged(found, seen, wanted))


def _grid(height: int, width: int, least: int) -> Labels:
    """Equal patches, at least so many."""
    down = min(height, int(np.ceil(least**0.5)))
    across = min(width, -(-least // down))
    down = min(height, -(-least // across))
    return (np.arange(height) * down // height)[:, None] * across + (np.arange(width) * across // width)[None]


def _merged(labels: Labels, picture: npt.NDArray[np.float64], parts: int) -> Labels:
    """Neighbours merged until there are so many regions."""
    names, flat = np.unique(labels, return_inverse=True)
    flat = flat.reshape(-1)
    size = np.bincount(flat).astype(np.float64)
    colour = np.stack([np.bincount(flat, channel) for channel in picture.reshape(len(flat), -1).T], 1) / size[:, None]
    grid = flat.reshape(labels.shape)
    sides = np.concatenate(
        [
            np.stack([grid[:-1].ravel(), grid[1:].ravel()], 1),
            np.stack([grid[:, :-1].ravel(), grid[:, 1:].ravel()], 1),
        ]
    )
    pairs = {(int(a), int(b)) for a, b in np.unique(np.sort(sides, 1), axis=0) if a != b}
    for _ in range(len(names) - parts):

        def cost(pair: tuple[int, int]) -> tuple[float, float, tuple[int, int]]:
            a, b = pair
            both = size[a] * size[b] / (size[a] + size[b])
            return float(both * np.square(colour[a] - colour[b]).sum()), size[a] + size[b], pair

        a, b = min(pairs, key=cost)
        colour[a] = (size[a] * colour[a] + size[b] * colour[b]) / (size[a] + size[b])
        size[a] += size[b]
        flat[flat == b] = a
        moved = {(min(p), max(p)) for p in (tuple(a if end == b else end for end in pair) for pair in pairs)}
        pairs = {(p[0], p[1]) for p in moved if p[0] != p[1]}
    return flat.reshape(labels.shape)


def _numbered(labels: Labels) -> Labels:
    """From 0 by the place of the first pixel."""
    _, first, flat = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[flat.reshape(-1)].reshape(labels.shape)


def outlined(
    schema: Schema,
    fields: Sequence[str],
    rows: Rows,
    parts: int,
    explain: Callable[[Rows, list[Player]], Explanation],
    progress: Progress | None = None,
) -> Explanation:
    """Every row explained with its own superpixels as players, side by side.

    Args:
        fields: that the task reads. parts: superpixels of a picture.
        explain: a row and its players -> its explanation. progress: told (rows done, rows in all).
    Raises:
        DataError: the task reads no picture, or there is no row.
    """
    pictures = [name for name in fields if schema[name].kind == "image" and schema[name].shape]
    if not pictures or not len(rows):
        why = "there is no row to explain" if pictures else "the task reads no picture"
        raise DataError(f"{why}.", where=WHERE, mend="use grain='part' or 'group'" if not pictures else "name one")
    found: list[Explanation] = []
    drawn: dict[str, list[Labels]] = {name: [] for name in pictures}
    try:
        for i in range(len(rows)):
            row = rows.take(slice(i, i + 1))
            players: list[Player] = []
            for name in fields:
                if name not in drawn:
                    players += schema[name].players("group")
                    continue
                labels = superpixels(_picture(row, schema[name]), parts)
                players += _players(schema[name], labels)
                drawn[name].append(labels)
            found.append(explain(row, players))
            if progress is not None:
                progress(i + 1, len(rows))
    except KeyboardInterrupt:
        if not found:
            raise
    told = [f"interrupted: {len(found)} of {len(rows)} rows are explained"] if len(found) < len(rows) else []
    return _side_by_side(found, rows, schema, drawn, told)


def _picture(row: Rows, field: Field) -> npt.NDArray[Any]:
    raw = np.asarray(row.column(field.name)).reshape(field.shape)
    return raw / 255.0 if raw.dtype == np.uint8 else raw


def _players(field: Field, labels: Labels) -> list[Player]:
    """A player per superpixel; a column that says whether the picture is missing goes with the first one."""
    channels = field.shape[2]
    found = []
    for part in range(int(labels.max()) + 1):
        places = np.flatnonzero(labels.ravel() == part)
        columns = [int(place) * channels + channel for place, channel in product(places, range(channels))]
        own = tuple(columns + ([field.width] if part == 0 else []))
        found.append(Player(f"{field.name}[superpixel {part + 1}]", field.name, own))
    return found


def _side_by_side(
    found: Sequence[Explanation],
    rows: Rows,
    schema: Schema,
    drawn: dict[str, list[Labels]],
    warnings: list[str],
) -> Explanation:
    first, done = found[0], len(found)
    laid = []
    for name, labels in drawn.items():
        mine = tuple(i for i, player in enumerate(first.players) if player.startswith(f"{name}[superpixel "))
        if mine:  # else it is together with other fields
            raw = np.asarray(rows.column(name))[:done].reshape(done, -1)
            laid.append(Laid.outlined(name, mine, schema[name].shape, raw, np.stack(labels[:done])))
    said = list(dict.fromkeys(text for one in found for text in one.warnings))
    if len(said) > WARNINGS:
        said[WARNINGS:] = [f"{len(said) - WARNINGS} more warnings of single rows: explain them by themselves"]
    checks = {name: float(np.mean([one.checks[name] for one in found])) for name in first.checks}
    return Explanation(
        values=np.concatenate([one.values for one in found]),
        error=np.concatenate([one.error for one in found]),
        base=first.base,
        prediction=np.concatenate([one.prediction for one in found]),
        players=first.players,
        outputs=first.outputs,
        keys=tuple(key for one in found for key in one.keys),
        inputs=np.concatenate([one.inputs for one in found]),
        task=first.task,
        unit=first.unit,
        method=first.method,
        background_n=first.background_n,
        evaluations=sum(one.evaluations for one in found),
        seed=first.seed,
        value=first.value,
        warnings=(*warnings, *said),
        checks=checks if all(one.checks.keys() == first.checks.keys() for one in found) else {},
        laid=tuple(laid),
    )

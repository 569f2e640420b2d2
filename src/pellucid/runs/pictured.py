"""The pictures that a program was most wrong about, for its report."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from pellucid.core.rows import Rows
from pellucid.core.schema import Field
from pellucid.core.task import Task
from pellucid.data.images import averaged
from pellucid.evidence.metrics import class_codes, probabilities
from pellucid.report.png import png

MOST = 12
SIDE = 64  # pixels, at most and about: smaller ones are drawn larger, every pixel a square


def worst_pictures(task: Task, fields: Sequence[Field], rows: Rows, table: pd.DataFrame) -> dict[str, Any]:
    """{"pictures": ...} of the rows that were taken for another class, the surest first; {} where there are none.

    Args:
        fields: the program's inputs.
        rows: raw rows of all folds.
        table: their outputs table.
    """
    seen = next((f for f in fields if f.kind == "image" and f.name in task.inputs), None)
    if task.kind != "classify" or seen is None:
        return {}
    outputs = table[[c for c in table if str(c).startswith("out:")]].to_numpy(dtype=float)
    chance, codes = probabilities(outputs, task), class_codes(table["y"].to_numpy().astype(str), task)
    said = chance.argmax(1)
    wrong = np.flatnonzero(said != codes)
    if not len(wrong):
        return {}
    sure = chance[wrong, said[wrong]]
    chosen = wrong[np.argsort(-sure, kind="stable")][:MOST]
    classes, keys = [str(name) for name in task.options["classes"]], table["key"].astype(str).tolist()
    shown = [
        {
            "key": keys[i],
            "label": classes[codes[i]],
            "said": classes[said[i]],
            "chance": float(chance[i, said[i]]),
            "png": base64.b64encode(png(drawn(rows.fields[seen.name][i], seen.shape))).decode(),
        }
        for i in chosen.tolist()
    ]
    return {"pictures": {"field": seen.name, "wrong": len(wrong), "of": len(codes), "shown": shown}}


def drawn(pixels: npt.NDArray[Any], shape: Sequence[int]) -> npt.NDArray[np.uint8]:
    """Pixels of a row as a picture of about `SIDE`, shape (h, w, channels); black where there was none."""
    unit = pixels.astype(np.float32) / np.float32(255 if pixels.dtype == np.uint8 else 1)
    block = torch.from_numpy(np.nan_to_num(unit)[None])
    height, width, channels = (min(shape[0], SIDE), min(shape[1], SIDE), shape[2])
    small = averaged(block, shape, SIDE).numpy().reshape(height, width, channels)
    times = max(1, SIDE // max(height, width))
    found: npt.NDArray[np.uint8] = np.round(255 * np.clip(small, 0, 1)).astype(np.uint8)
    return found.repeat(times, 0).repeat(times, 1)

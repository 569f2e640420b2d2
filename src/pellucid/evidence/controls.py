"""Pipelines that must not look ahead, at their neighbours or at the target: three tests of any pipeline.

A pipeline turns rows into columns of numbers. Nothing is assumed of how it does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.core.random import stream
from pellucid.core.rows import Index, Rows
from pellucid.data.profile import Finding

__all__ = ["entity_isolation", "memoriser", "shuffled_target", "truncation_invariance"]

CUTS = (0.02, 0.1, 0.25, 0.5, 0.75, 0.98)  # shares of the rows: early ones too
CLOSE = 1e-6  # relative; the same numbers in another order of summation
REPEATS = 20  # shuffles
CHANCE = 5.0  # standard errors
LEAST = 0.1  # correlation of what is said with what is true, below which nothing is alleged

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Pipeline = Callable[[Rows], Mapping[str, Array]]
Learn = Callable[[Array, Index, Index], Floats]


def truncation_invariance(
    pipeline: Pipeline, rows: Rows, *, cuts: Sequence[float] = CUTS, where: str = "pipeline"
) -> list[Finding]:
    """What a pipeline says of the past must not change when the future is cut off.

    Args:
        pipeline: rows in time order -> columns, one value (or line of values) a row.
        rows: in time order.
        cuts: shares of the rows that are kept.
    """
    whole = pipeline(rows)
    found: dict[str, tuple[int, int, int]] = {}
    kept = sorted({max(2, round(cut * len(rows))) for cut in cuts} - {len(rows)})
    for cut in kept:
        for name, part in pipeline(rows.take(np.arange(cut))).items():
            differs = np.flatnonzero(_differs(whole[name][:cut], part))
            if len(differs):
                first, count, _ = found.get(name, (cut, 0, 0))
                found[name] = (first, count + 1, int(differs[0]) + 1)
    return [
        Finding(
            "truncation invariance",
            f"'{name}' changes in the past when the rows after {cut} are cut off "
            f"({count} of {len(kept)} cuts; row {row}).",
            where,
            f"compute '{name}' from rows up to its own, or fit what scales it on the training part alone",
        )
        for name, (cut, count, row) in found.items()
    ]


def entity_isolation(pipeline: Pipeline, rows: Rows, groups: Array, *, where: str = "pipeline") -> list[Finding]:
    """What a pipeline says of one entity must not depend on the others.

    Args:
        groups: the entity of each row, shape (n,).
    """
    whole = pipeline(rows)
    names, sizes = np.unique(groups.astype(str), return_counts=True)
    looked = names[np.argsort(-sizes, kind="stable")[:8]]
    touched: dict[str, list[str]] = {}
    for name in looked:
        mine = np.flatnonzero(groups.astype(str) == name)
        for column, part in pipeline(rows.take(mine)).items():
            if _differs(whole[column][mine], part).any():
                touched.setdefault(column, []).append(str(name))
    return [
        Finding(
            "entity isolation",
            f"'{column}' of {len(those)} of {len(looked)} groups (first '{those[0]}') depends on other groups.",
            where,
            f"compute '{column}' within each group",
        )
        for column, those in touched.items()
    ]


def _differs(a: Array, b: Array) -> npt.NDArray[np.bool_]:
    if len(a) != len(b):
        return np.ones(max(len(a), len(b)), dtype=bool)
    if a.dtype.kind in "OUS":
        return np.asarray(a.astype(str) != b.astype(str))
    x, y = (v.astype(np.float64).reshape(len(v), -1) for v in (a, b))
    if x.shape != y.shape:
        return np.ones(len(x), dtype=bool)
    size = np.nanmax(np.abs(x), axis=0, initial=1e-300) if x.size else np.ones(1)
    away = np.abs(x - y) > CLOSE * np.maximum(size, 1e-300)
    return np.asarray((away | (np.isnan(x) != np.isnan(y))).any(axis=1))


def shuffled_target(
    learn: Learn,
    target: Array,
    train: Index,
    test: Index,
    *,
    units: Array | None = None,
    repeats: int = REPEATS,
    seed: int = 0,
    where: str = "split",
) -> tuple[list[Finding], float]:
    """A learner must show no skill on a target that was dealt anew.

    Args:
        learn: (target, train, test) -> what is said of the test rows, shape (len(test),) or (len(test), classes).
        target: numbers or class names, shape (n,).
        units: rows of one unit keep one target: entities, shape (n,). Without them every row is dealt anew.
        repeats: how often it is dealt.
    Returns:
        The finding, if there is one, and the mean correlation of what was said with what was dealt.
    """
    n = len(target)
    unit = np.arange(n) if units is None else np.unique(units.astype(str), return_inverse=True)[1]
    _, first = np.unique(unit, return_index=True)
    skills = []
    for r in range(repeats):
        dealt = target[first][stream(seed, "shuffled", r).permutation(len(first))][unit]
        if len(np.unique(dealt[train])) < 2:
            continue
        skills.append(_agreement(learn(dealt, train, test), dealt, train, test))
    if len(skills) < 2:
        return [], 0.0
    mean, error = float(np.mean(skills)), float(np.std(skills, ddof=1) / np.sqrt(len(skills)))
    if mean < LEAST or mean < CHANCE * error:
        return [], mean
    what = f"on {len(skills)} shuffled targets the learner still shows skill (correlation {mean:.2f} +- {error:.2f})."
    mend = "keep the rows of one unit on one side (data.group, evidence.split: grouped)"
    return [Finding("shuffled target", what, where, mend)], mean


def _agreement(said: Floats, dealt: Array, train: Index, test: Index) -> float:
    if dealt.dtype.kind not in "OUS":
        return _correlation(said.reshape(-1), dealt[test].astype(np.float64))
    classes = np.unique(dealt[train])
    found = [_correlation(said[:, j], (dealt[test] == c).astype(np.float64)) for j, c in enumerate(classes)]
    return float(np.mean(found))


def _correlation(a: Floats, b: Floats) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 1e-12 else 0.0


def memoriser(matrix: Floats) -> Learn:
    """Trees that learn rows by heart: whoever can be recognised is.

    Args:
        matrix: the rows as numbers without gaps, shape (n, d).
    """
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    def learn(target: Array, train: Index, test: Index) -> Floats:
        if target.dtype.kind in "OUS":
            trees = ExtraTreesClassifier(n_estimators=20, random_state=0).fit(matrix[train], target[train])
            return np.asarray(trees.predict_proba(matrix[test]), dtype=np.float64)
        fitted = ExtraTreesRegressor(n_estimators=20, random_state=0).fit(matrix[train], target[train])
        return np.asarray(fitted.predict(matrix[test]), dtype=np.float64)

    return learn

"""Likely label errors by confident learning (Northcutt, Jiang & Chuang 2021).

A class's threshold is the mean probability of it over the rows that bear it. A row that bears class i but reaches the
threshold of another class j counts into the confident joint C[i, j]; scaled to the class sizes, its off-diagonal is
the estimated number of errors. Probabilities must come from fits that had not seen the row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError
from pellucid.core.rows import Index
from pellucid.evidence.intervals import Floats

__all__ = ["LabelErrors", "confident_joint", "likely_errors"]

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LabelErrors:
    """Rows that are likely mislabelled.

    Args:
        rows: all positions, the most suspicious first.
        suggested: the likeliest other class of each of these rows.
        quality: of each of these rows, the probability of its own label (self-confidence).
        expected: estimated number of errors; the first so many rows are the ones to look at.
    """

    rows: Index
    suggested: Codes
    quality: Floats
    expected: int


def confident_joint(codes: Codes, chance: Floats) -> Floats:
    """Estimated counts of (label given, true label), shape (k, k); the rows sum to the class sizes.

    Args:
        codes: labels as given, shape (n,), every class at least once.
        chance: cross-fitted class probabilities, shape (n, k).
    """
    k = chance.shape[1]
    limit = _thresholds(codes, chance)
    reached = chance >= limit - 1e-9
    best = np.where(reached, chance, -1.0).argmax(axis=1)
    some = reached.any(axis=1)
    joint = np.zeros((k, k))
    np.add.at(joint, (codes[some], best[some]), 1.0)
    joint[np.arange(k), np.arange(k)] += joint.sum(axis=1) == 0  # a class that nobody is confident of is right
    scaled: Floats = joint / joint.sum(axis=1, keepdims=True) * np.bincount(codes, minlength=k)[:, None]
    return scaled


def likely_errors(codes: Codes, chance: Floats) -> LabelErrors:
    """All rows, ranked by how little their label goes with their probabilities.

    Args:
        codes, chance: as for `confident_joint`.
    """
    k = chance.shape[1]
    if len(codes) != len(chance) or len(np.unique(codes)) < k:
        raise DataError(
            "every class needs a row with its label.",
            where="likely_errors(...)",
            mend="give probabilities of the classes that occur, one row a label",
        )
    joint = confident_joint(codes, chance)
    expected = round(float(joint.sum() - np.trace(joint)))
    rows = np.arange(len(codes))
    others = chance.copy()
    others[rows, codes] = -np.inf
    quality = chance[rows, codes]
    order = np.argsort(quality, kind="stable")
    return LabelErrors(order, others.argmax(axis=1)[order], quality[order], expected)


def _thresholds(codes: Codes, chance: Floats) -> Floats:
    size = np.bincount(codes, minlength=chance.shape[1])
    own = np.bincount(codes, weights=chance[np.arange(len(codes)), codes], minlength=chance.shape[1])
    found: Floats = own / np.maximum(size, 1)
    return found

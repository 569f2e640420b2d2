"""Fairness over a declared sensitive field: the metrics of every group with intervals, and the gaps between groups.

Equalised odds (Hardt, Price & Srebro 2016): rows that are positive are found equally often in every group, and false
alarms are as frequent. Calibration by group (Kleinberg et al. 2017): what was said comes as often in every group. Where
base rates differ, an imperfect program cannot have both. A gap is a largest less a least share: it is above zero by
chance alone, which is why its interval, by a bootstrap of rows within groups, stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from pellucid.core.random import stream
from pellucid.evidence.calibration import wilson
from pellucid.evidence.intervals import Floats

__all__ = ["Gap", "Group", "Share", "gaps", "group_metrics"]

Mask = npt.NDArray[np.bool_]
LEAST = 30  # rows of a group that takes part in a gap
LEAST_EVENTS = 5  # rows behind a share


@dataclass(frozen=True)
class Share:
    """A value with its 95 % interval and the rows behind it; NaN without rows."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Group:
    """One group of a sensitive field.

    Args:
        selected: share that is called positive. found: of the positive rows, those called so. alarms: of the others.
        calibration: frequency less mean prediction.
    """

    name: str
    n: int
    selected: Share
    found: Share
    alarms: Share
    calibration: Share


@dataclass(frozen=True)
class Gap:
    """The largest less the least value over the groups, with a 95 % bootstrap interval."""

    name: str
    value: float
    low: float
    high: float


def group_metrics(groups: Mapping[str, Mask], came: Floats, predicted: Floats) -> list[Group]:
    """Each group's shares.

    Args:
        groups: rows of each group, see `slices.groups_of`.
        came: whether the event came, 0 or 1, shape (n,).
        predicted: its probability; called positive from one half on, shape (n,).
    """
    called = predicted >= 0.5
    found = []
    for name, mask in groups.items():
        y, said = came[mask] == 1, called[mask]
        gap = came[mask] - predicted[mask]
        half = float(ndtri(0.975)) * float(gap.std(ddof=1)) / np.sqrt(len(gap)) if len(gap) > 1 else np.inf
        mean = float(gap.mean()) if len(gap) else float("nan")
        calibration = Share(mean, mean - half, mean + half, len(gap))
        found.append(Group(name, int(mask.sum()), _share(said), _share(said[y]), _share(said[~y]), calibration))
    return found


def _share(hit: Mask) -> Share:
    low, high = wilson(float(hit.sum()), len(hit))
    return Share(float(hit.mean()) if len(hit) else float("nan"), low, high, len(hit))


def gaps(groups: Mapping[str, Mask], came: Floats, predicted: Floats, *, draws: int = 500, seed: int = 0) -> list[Gap]:
    """Gaps in selection, equalised odds (the larger of both shares') and calibration, over groups of 30 rows or more.

    Args:
        groups, came, predicted: as for `group_metrics`.
    Returns:
        Empty with fewer than two such groups.
    """
    rows = [np.flatnonzero(mask) for mask in groups.values() if mask.sum() >= LEAST]
    if len(rows) < 2:
        return []
    point = _gaps([_shares(came[r], predicted[r]) for r in rows])
    generator = stream(seed, "fairness")
    drawn = np.empty((draws, 3))
    for i in range(draws):
        again = [r[generator.integers(0, len(r), len(r))] for r in rows]
        drawn[i] = _gaps([_shares(came[r], predicted[r]) for r in again])
    low, high = np.nanquantile(drawn, [0.025, 0.975], axis=0)
    names = ("selection", "equalised odds", "calibration")
    return [Gap(n, float(v), float(a), float(b)) for n, v, a, b in zip(names, point, low, high, strict=True)]


def _shares(came: Floats, predicted: Floats) -> Floats:
    called, y = predicted >= 0.5, came == 1
    of = [called[part].mean() if part.sum() >= LEAST_EVENTS else np.nan for part in (y, ~y)]
    return np.asarray([called.mean(), *of, (came - predicted).mean()])


def _gaps(shares: list[Floats]) -> Floats:
    table = np.stack(shares)
    known = np.isfinite(table).sum(axis=0) >= 2
    spread = [np.nanmax(column) - np.nanmin(column) if ok else 0.0 for column, ok in zip(table.T, known, strict=True)]
    return np.asarray([spread[0], max(spread[1], spread[2]), spread[3]])

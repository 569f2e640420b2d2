"""Curves: areas equal references, intervals cover."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from pellucid.core.errors import DataError
from pellucid.core.random import stream
from pellucid.evidence import curves
from pellucid.evidence.metrics import auc


def _scores(seed: int, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    g = stream(seed, "scores")
    positive = g.random(n) < 0.4
    return positive, np.round(g.normal(size=n) + 1.0 * positive, 1)  # with ties


def test_areas_and_points_equal_scikit_learn() -> None:
    positive, score = _scores(0)
    roc, pr = curves.roc(positive, score), curves.precision_recall(positive, score)
    x, y, _ = reference.roc_curve(positive, score, drop_intermediate=False)
    assert roc.x == pytest.approx(x)
    assert roc.y == pytest.approx(y)
    assert roc.area == pytest.approx(auc(positive, score))
    assert pr.area == pytest.approx(reference.average_precision_score(positive, score))


def test_confusion_equals_scikit_learn() -> None:
    g = stream(1, "confusion")
    a, b = g.integers(0, 4, 200), g.integers(0, 4, 200)
    assert (curves.confusion(a, b, 4) == reference.confusion_matrix(a, b, labels=range(4))).all()


def test_the_interval_of_the_area_covers() -> None:
    from scipy.special import ndtr

    truth = float(ndtr(1 / np.sqrt(2)))
    held = 0
    for seed in range(300):
        g = stream(seed, "auc")
        positive = g.random(200) < 0.4
        curve = curves.roc(positive, g.normal(size=200) + positive)
        held += curve.low <= truth <= curve.high
    assert 276 <= held <= 296  # 285 expected


def test_perfect_and_useless_scores() -> None:
    positive = np.array([False] * 50 + [True] * 50)
    assert curves.roc(positive, positive * 1.0).area == 1.0
    assert curves.precision_recall(positive, positive * 1.0).area == 1.0
    useless = curves.roc(positive, np.zeros(100))
    assert useless.area == 0.5
    with pytest.raises(DataError):
        curves.roc(np.ones(3, dtype=bool), np.ones(3))


def test_residuals_show_a_missed_curve_and_nothing_when_there_is_none() -> None:
    g = stream(2, "residuals")
    x = g.normal(size=2000)
    fair = curves.residuals(x + g.normal(size=2000), x)
    assert fair.r2 == pytest.approx(0.5, abs=0.06)
    assert sum(low > 0 or high < 0 for _, _, low, high, _ in fair.bins) <= 2
    bent = curves.residuals(x**2 - 1 + g.normal(size=2000), x)
    assert sum(low > 0 or high < 0 for _, _, low, high, _ in bent.bins) >= 6

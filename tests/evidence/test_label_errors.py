"""Label errors: the confident joint by hand, planted errors are ranked first, clean labels raise few."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from pellucid.core.errors import DataError
from pellucid.core.random import stream
from pellucid.evidence.label_errors import confident_joint, likely_errors


def test_the_confident_joint_by_hand() -> None:
    chance = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.1, 0.9]])
    codes = np.array([0, 0, 0, 1, 1])
    # thresholds .6 and .8: rows 0, 1 count as (0, 0), row 2 as (0, 1), row 4 as (1, 1), row 3 not at all
    assert confident_joint(codes, chance) == pytest.approx(np.array([[2.0, 1.0], [0.0, 2.0]]))
    found = likely_errors(codes, chance)
    assert found.expected == 1
    assert found.rows[0] == 2
    assert found.suggested[0] == 1


def _planted(seed: int, share: float, separated: float = 4.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    g = stream(seed, "labels")
    true = g.integers(0, 4, 2000)
    chance = softmax(separated * np.eye(4)[true] + g.normal(size=(2000, 4)), axis=1)
    wrong = g.random(2000) < share
    return np.where(wrong, (true + g.integers(1, 4, 2000)) % 4, true), chance, wrong


def test_planted_errors_come_first_and_are_counted() -> None:
    codes, chance, wrong = _planted(0, 0.1)
    found = likely_errors(codes, chance)
    assert wrong[found.rows[: wrong.sum()]].mean() > 0.93
    assert found.expected == pytest.approx(wrong.sum(), rel=0.12)
    assert (np.diff(found.quality) >= 0).all()


def test_clean_labels_have_few() -> None:
    codes, chance, _ = _planted(1, 0.0)
    assert likely_errors(codes, chance).expected < 20


def test_every_class_needs_a_row() -> None:
    with pytest.raises(DataError):
        likely_errors(np.array([0, 0]), np.array([[0.5, 0.5], [0.5, 0.5]]))

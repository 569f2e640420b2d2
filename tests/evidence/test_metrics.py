"""Metrics: closed forms, scikit-learn as reference, and the functional that each is least at."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from pellucid.core.errors import DataError
from pellucid.core.random import stream
from pellucid.core.task import Task, TaskKind
from pellucid.evidence.metrics import (
    ALL,
    accuracy,
    auc,
    expected_calibration_error,
    is_constant,
    quantile_coverage,
    row_losses,
)

LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]


def task(metric: str, kind: TaskKind = "forecast", unit: str = "", **options: object) -> Task:
    return Task("t", kind, (), ("a", "b"), unit, metric, options=options)


def test_every_metric_is_one_number_a_row() -> None:
    y = np.array([0, 1, 1])
    shaped = dict.fromkeys(("label_log_loss", "hamming"), y[:, None])
    shaped |= dict.fromkeys(("scaled_pinball", "mase"), np.column_stack([y, y + 1]))  # one step ahead, and the scale
    for name in ALL:
        single = name not in ("log_loss", "zero_one", "pinball", "negative_log_likelihood", "crps", *shaped)
        outputs = np.full((3, 1 if single or name in ("label_log_loss", "hamming") else 2), 0.5)
        declared = task(name, quantiles=[0.1, 0.9], distribution="normal")
        assert row_losses(declared, shaped.get(name, y), outputs).shape == (3,)


def test_pinball_is_least_at_the_quantiles_and_agrees_with_sklearn() -> None:
    y = stream(0, "y").normal(size=4000)
    quantiles = np.tile(np.quantile(y, LEVELS), (len(y), 1))
    declared = task("pinball", quantiles=LEVELS)
    ours = row_losses(declared, y, quantiles)
    theirs = [reference.mean_pinball_loss(y, quantiles[:, j], alpha=level) for j, level in enumerate(LEVELS)]
    assert ours.mean() == pytest.approx(np.mean(theirs))
    for shift in (-0.1, 0.1):
        assert row_losses(declared, y, quantiles + shift).mean() > ours.mean()
    for level, share in quantile_coverage(y, quantiles, declared).items():
        assert share == pytest.approx(level, abs=0.002)


def test_qlike_is_zero_when_perfect_and_least_at_the_log_of_the_mean_variance() -> None:
    declared = task("qlike")
    y = np.log(stream(0, "v").exponential(size=20000))
    np.testing.assert_allclose(row_losses(declared, y, y[:, None]), 0, atol=1e-12)
    at = {h: row_losses(declared, y, np.full((len(y), 1), h)).mean() for h in (-0.1, 0.0, 0.1, y.mean())}
    best = row_losses(declared, y, np.full((len(y), 1), np.log(np.exp(y).mean()))).mean()
    assert all(best < loss for h, loss in at.items() if abs(h - np.log(np.exp(y).mean())) > 0.02)
    v, h = np.exp(y[:5]), np.array([0.3, -1.0, 0.0, 2.0, 0.1])
    expected = v / np.exp(h) - np.log(v) + h - 1
    np.testing.assert_allclose(row_losses(declared, y[:5], h), expected)


def test_log_loss_reads_logits_probabilities_and_names() -> None:
    logits = stream(0, "l").normal(size=(50, 3))
    chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = np.array(["cat", "dog", "owl"])
    y = names[stream(0, "c").integers(0, 3, size=50)]
    as_logits = task("log_loss", "classify", "logit", classes=list(names))
    as_chance = task("log_loss", "classify", "probability", classes=list(names))
    expected = reference.log_loss(y, chance)
    assert row_losses(as_logits, y, logits).mean() == pytest.approx(expected)
    assert row_losses(as_chance, y, chance).mean() == pytest.approx(expected)
    one = task("log_loss", "classify", "logit")
    codes = (y == "cat").astype(int)
    two = row_losses(task("log_loss", "classify", "logit"), codes, np.stack([0 * logits[:, 0], logits[:, 0]], axis=1))
    np.testing.assert_allclose(row_losses(one, codes, logits[:, :1]), two)
    assert accuracy(y, chance, as_chance) == pytest.approx((names[chance.argmax(axis=1)] == y).mean())
    with pytest.raises(DataError, match="no probabilities"):
        row_losses(as_chance, y, logits)
    with pytest.raises(DataError, match="'bat'"):
        row_losses(as_logits, np.array(["bat"] * 50), logits)


def test_auc_agrees_with_sklearn_with_ties() -> None:
    label = stream(0, "a").integers(0, 2, size=300)
    score = np.round(stream(0, "s").normal(size=300) + label, 1)
    assert auc(label, score) == pytest.approx(reference.roc_auc_score(label, score))
    assert np.isnan(auc(np.ones(3), np.arange(3)))


def test_calibration_error_of_a_calibrated_and_an_overconfident_classifier() -> None:
    chance = stream(0, "p").uniform(0.5, 1, size=40000)
    y = (stream(0, "u").uniform(size=40000) > chance).astype(int)  # class 0 with probability `chance`
    declared = task("log_loss", "classify", "probability")
    honest = np.stack([chance, 1 - chance], axis=1)
    boastful = np.tile([0.99, 0.01], (40000, 1))
    assert expected_calibration_error(y, honest, declared) < 0.02
    assert expected_calibration_error(y, boastful, declared) == pytest.approx(0.24, abs=0.01)


def test_constant_outputs_are_recognised_fold_by_fold() -> None:
    folds = [np.arange(5), np.arange(5, 9)]
    outputs = np.array([1.0] * 5 + [2.0] * 4)
    assert is_constant(outputs, folds)
    assert not is_constant(outputs)


def test_unknown_metric_and_missing_quantiles_are_named() -> None:
    with pytest.raises(DataError, match="no metric 'pinbal'") as caught:
        row_losses(task("pinbal"), np.zeros(2), np.zeros((2, 1)))
    assert "did you mean 'pinball'" in str(caught.value)
    with pytest.raises(DataError, match="names no quantiles"):
        row_losses(task("pinball"), np.zeros(2), np.zeros((2, 1)))

"""Exact values for up to 12 players: closed forms, games of the literature, and a subset sum written again in numpy."""

from __future__ import annotations

from math import factorial

import numpy as np
import pytest
import torch
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

from pellucid.explain import attribute
from pellucid.nn.foreign import wrap
from pellucid.testing.games import ToyProgram, network, toy_rows

EXACT = ("exact", "regression")  # regression enumerates when the budget covers all coalitions


def _explained(function, x, background, method, k=1):
    program = ToyProgram(function, x.shape[1], k)
    return attribute(
        program, toy_rows(x), "toy", background=toy_rows(background), method=method, evaluations=2**12 * len(background)
    )


def _by_subsets(values, d):
    """phi_i = sum over S without i of |S|! (d - |S| - 1)! / d! (v(S + i) - v(S)); values by code, shape (2^d, ...)."""
    phi = np.zeros((d, *values.shape[1:]))
    for code in range(2**d):
        size = code.bit_count()
        for i in range(d):
            if not code >> i & 1:
                weight = factorial(size) * factorial(d - size - 1) / factorial(d)
                phi[i] += weight * (values[code | 1 << i] - values[code])
    return phi


@pytest.mark.parametrize("method", EXACT)
@pytest.mark.parametrize("d", [3, 11, 12])
def test_closed_forms(method, d):
    g = np.random.default_rng(d)
    x, zero = g.uniform(0.5, 2.0, size=(2, d)), np.zeros((1, d))
    cases = {
        "product": (lambda z: z.prod(1, keepdim=True), np.repeat(x.prod(1, keepdims=True) / d, d, 1)),
        "parity": (lambda z: ((z > 0).sum(1, keepdim=True) % 2).double(), np.full((2, d), (d % 2) / d)),
        "at least half": (lambda z: ((z > 0).sum(1, keepdim=True) * 2 > d).double(), np.full((2, d), 1 / d)),
    }
    airport = np.zeros((2, d))  # the dearest runway of a coalition (Littlechild & Owen 1973)
    for row in range(2):
        order = np.argsort(x[row])
        steps = np.diff(x[row][order], prepend=0.0) / np.arange(d, 0, -1)
        airport[row, order] = np.cumsum(steps)
    cases["max"] = (lambda z: z.amax(1, keepdim=True), airport)
    for name, (function, truth) in cases.items():
        found = _explained(function, x, zero, method)
        assert np.abs(found.values[:, :, 0] - truth).max() < 1e-9, name
    w, background = g.normal(size=(d, 2)), g.normal(size=(5, d))
    found = _explained(lambda z: z @ torch.from_numpy(w), x, background, method, 2)
    assert np.abs(found.values - (x - background.mean(0))[:, :, None] * w).max() < 1e-9


@pytest.mark.parametrize("method", EXACT)
def test_a_weighted_vote(method):
    """Quota 3 of weights 2, 1, 1: 2/3, 1/6, 1/6 (Shapley & Shubik 1954)."""
    weights = torch.tensor([[2.0], [1.0], [1.0]], dtype=torch.float64)
    found = _explained(lambda z: (z @ weights >= 3).double(), np.ones((1, 3)), np.zeros((1, 3)), method)
    assert found.values[0, :, 0] == pytest.approx([2 / 3, 1 / 6, 1 / 6])


@pytest.mark.parametrize("kind", ["network", "forest", "boosting"])
def test_subset_sums_of_ten_players(kind):
    d, g = 10, np.random.default_rng(0)
    data = g.normal(size=(120, d))
    x, background = data[:2], data[2:8]
    if kind == "network":
        function = network(g, d, 2)

        def answer(z):
            return function(torch.from_numpy(z)).numpy()

        program, rows, reference = ToyProgram(function, d, 2), toy_rows(x), toy_rows(background)
        task = "toy"
    else:
        label = (data[:, 0] * data[:, 1] + data[:, 2] > 0).astype(int)
        model = {"forest": RandomForestClassifier, "boosting": GradientBoostingClassifier}[kind]
        answer = model(n_estimators=10, max_depth=4, random_state=0).fit(data, label).predict_proba
        program = wrap(answer.__self__, inputs=[f"x{i}" for i in range(d)])
        rows, reference, task = toy_rows(x), toy_rows(background), "predict"
    masks = np.arange(2**d)[:, None] >> np.arange(d) & 1 == 1
    for method in EXACT:
        found = attribute(program, rows, task, background=reference, method=method, evaluations=2**d * 6)
        for row in range(2):
            mixed = np.where(masks[:, None], x[row], background)
            worth = answer(mixed.reshape(-1, d)).reshape(2**d, 6, -1).mean(1)
            assert np.abs(found.values[row] - _by_subsets(worth, d)).max() < 1e-9

"""shap's own explainers on the same games at fixed seeds: equal where both are exact, else within error."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest
import shap
import torch
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from torch import nn

from pellucid.core.errors import DataError
from pellucid.explain import attribute
from pellucid.nn.foreign import wrap
from pellucid.testing.games import ToyProgram, network, toy_rows


def _explained(function, x, background, method, **options):
    k = function(torch.from_numpy(background[:1])).shape[1]
    program = ToyProgram(function, x.shape[1], k)
    return attribute(program, toy_rows(x), "toy", background=toy_rows(background), method=method, **options)


def _masker(background):
    return shap.maskers.Independent(background, max_samples=len(background))


def _game(seed, d, n, b, k=2):
    g = np.random.default_rng(seed)
    function = network(g, d, k)
    return function, lambda z: function(torch.from_numpy(z)).numpy(), g.normal(size=(n, d)), g.normal(size=(b, d))


@pytest.mark.slow  # shap compiles these first
def test_exact_values_and_an_enumerated_regression_are_shaps():
    function, array, x, background = _game(0, 8, 3, 10)
    exact = shap.ExactExplainer(array, _masker(background))(x, silent=True).values
    kernel = shap.KernelExplainer(array, background).shap_values(x, nsamples=2**8, l1_reg=False, silent=True)
    for method in ("exact", "regression"):
        found = _explained(function, x, background, method, evaluations=2**8 * 10)
        assert found.values == pytest.approx(exact, abs=1e-9)
        assert found.values == pytest.approx(np.asarray(kernel), abs=1e-6)


@pytest.mark.slow  # shap compiles these first
@pytest.mark.parametrize("evaluations", [1, 6000])
def test_permutations_agree_with_shaps_within_error(evaluations):
    function, array, x, background = _game(1, 14, 6, 40)
    found = _explained(function, x, background, "permutation", evaluations=evaluations)
    runs = np.stack(
        [
            shap.PermutationExplainer(array, _masker(background), seed=s)(x, max_evals=20 * 29, silent=True).values
            for s in range(6)
        ]
    )
    error = np.hypot(found.error, runs.std(0, ddof=1) / len(runs) ** 0.5)
    assert 0.5 < np.sqrt(np.square((found.values - runs.mean(0)) / error).mean()) < 1.5
    assert found.base == pytest.approx(array(background).mean(0))


def test_expected_gradients_agree_with_shaps_within_error():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 2)).double()

    class Smooth(ToyProgram):
        def differentiable(self, blocks, task):
            return self(blocks, task)

    g = np.random.default_rng(2)
    x, background = g.normal(size=(4, 6)), g.normal(size=(25, 6))
    found = attribute(
        Smooth(module, 6, 2), toy_rows(x), "toy", background=toy_rows(background),
        method="expected_gradients", evaluations=25 * 80,
    )  # fmt: skip
    single = copy.deepcopy(module).float()  # what shap's explainer reads
    theirs = shap.GradientExplainer(single, torch.from_numpy(background).float())
    runs = np.stack([theirs.shap_values(torch.from_numpy(x).float(), nsamples=500, rseed=s) for s in range(12)])
    error = np.hypot(found.error, runs.std(0, ddof=1) / len(runs) ** 0.5)
    assert (np.abs(found.values - runs.mean(0)) / error).max() < 4.5


G = np.random.default_rng(3)
TABLE = pd.DataFrame(G.normal(size=(150, 5)), columns=list("debca"))
SCORE = TABLE["a"] * TABLE["b"] + TABLE["c"]


@pytest.mark.parametrize(
    ("model", "y"),
    [
        (RandomForestClassifier(n_estimators=12, max_depth=5, random_state=0), SCORE > 0),
        (RandomForestRegressor(n_estimators=12, max_depth=5, random_state=0), SCORE),
        (GradientBoostingRegressor(n_estimators=15, random_state=0), SCORE),
        (LGBMRegressor(n_estimators=15, min_child_samples=5, random_state=0, n_jobs=1, verbose=-1), SCORE),
    ],
    ids=lambda value: type(value).__name__,
)
def test_shaps_tree_explainer_equals_enumeration_of_the_model(model, y):
    program, rows, background = _wrapped(model, y)
    tree = attribute(program, rows, "predict", background=background, method="tree")
    exact = attribute(program, rows, "predict", background=background, method="exact")
    assert tree.values == pytest.approx(exact.values, abs=1e-6)
    assert float(tree.error.max()) == 0.0


def _wrapped(model, y):
    model.fit(TABLE, y.astype(int) if y.dtype == bool else y)
    program = wrap(model, inputs=["a", "b", "c", "d", "e"])
    return program, program.rows(TABLE[:4]), program.rows(TABLE[20:45])


@pytest.mark.parametrize(
    "model",
    [
        GradientBoostingClassifier(n_estimators=15, random_state=0),
        LGBMClassifier(n_estimators=15, min_child_samples=5, random_state=0, n_jobs=1, verbose=-1),
    ],
)
def test_probabilities_of_boosted_trees_are_refused(model):
    """shap's values add up to the probability and are not its Shapley values: they would pass the check of the sums."""
    program, rows, background = _wrapped(model, SCORE > 0)
    with pytest.raises(DataError, match="add up to log-odds"):
        attribute(program, rows, "predict", background=background, method="tree")
    exact = attribute(program, rows, "predict", background=background, method="exact")
    theirs = shap.TreeExplainer(
        model, _masker(np.stack([background.fields[n] for n in TABLE.columns], 1)),
        feature_perturbation="interventional", model_output="probability",
    ).shap_values(TABLE[:4], check_additivity=False)  # fmt: skip
    in_order = np.asarray(theirs).reshape(4, 5, -1)[:, [TABLE.columns.get_loc(n) for n in "abcde"], -1]
    assert in_order.sum(1) == pytest.approx(exact.values[:, :, 1].sum(1), abs=1e-5)
    assert np.abs(in_order - exact.values[:, :, 1]).max() > 1e-3  # so that it is noticed when shap changes


def test_an_explanation_becomes_shaps_own():
    function, _, x, background = _game(4, 5, 4, 30)
    found = _explained(function, x, background, "permutation")
    theirs = found.to_shap(output="y1")
    assert isinstance(theirs, shap.Explanation)
    assert theirs.values == pytest.approx(found.values[:, :, 1])
    assert theirs.feature_names == list(found.players)
    assert theirs.base_values == pytest.approx(np.repeat(found.base[1], 4))

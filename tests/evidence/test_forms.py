"""Metrics, distributions and baselines of labels, orders, quantiles and densities: scikit-learn, scipy, integrals."""

from functools import partial

import numpy as np
import pytest
from scipy import integrate, stats
from sklearn import metrics as known

from pellucid.core.labels import label_matrix, label_texts
from pellucid.core.task import Task
from pellucid.evidence.baselines import ALL as BASELINES
from pellucid.evidence.baselines import TableContext, answer
from pellucid.evidence.calibration import fit_rank_temperature, fit_scale
from pellucid.evidence.densities import ALL, pit_error
from pellucid.evidence.metrics import coded, median_rank, probabilities, row_losses
from pellucid.evidence.verdict import margin_for
from pellucid.runs.form_evidence import uniform_errors, weighted_kappa
from pellucid.runs.promises import bounds, strangeness

G = np.random.default_rng(0)
LABELS = Task("t", "multilabel", (), ("a", "b", "c"), "logit", "label_log_loss", (), {"classes": ["a", "b", "c"]})
RANKS = Task("t", "ordinal", (), ("> 0", "> 1"), "logit", "ranked_probability", (), {"classes": ["0", "1", "2"]})
LEVELS = [0.05, 0.5, 0.95]
QUANTILES = Task("t", "regress", (), ("l", "m", "h"), "u", "pinball", (), {"quantiles": LEVELS})


def density(family: str) -> Task:
    return Task("t", "regress", (), (), "u", "negative_log_likelihood", (), {"distribution": family})


def test_labels_are_texts_and_truth_values():
    on = G.random((20, 3)) < 0.5
    texts = label_texts(on, ["a", "b", "c"])
    np.testing.assert_array_equal(label_matrix(texts, ["a", "b", "c"]), on)
    assert label_texts(np.array([[True, False, True], [False] * 3]), ["a", "b", "c"]).tolist() == ["a|c", ""]


def test_losses_of_labels_are_scikit_learns():
    on, z = G.random((50, 3)) < 0.4, G.standard_normal((50, 3))
    p = 1 / (1 + np.exp(-z))
    y = label_texts(on, ["a", "b", "c"])
    each = [known.log_loss(on[:, j], p[:, j]) for j in range(3)]
    assert row_losses(LABELS, y, z).mean() == pytest.approx(np.mean(each))
    hamming = row_losses(Task(**{**LABELS.__dict__, "metric": "hamming"}), y, z).mean()
    assert hamming == pytest.approx(known.hamming_loss(on, p > 0.5))


def test_the_ranked_probability_score_knows_how_far():
    sure = np.array([[9.0, -9.0]] * 3)  # class 1
    np.testing.assert_allclose(row_losses(RANKS, np.array(["1", "0", "2"]), sure), [0, 0.5, 0.5], atol=1e-3)
    lowest = np.array([[-9.0, -9.1]] * 2)
    np.testing.assert_allclose(row_losses(RANKS, np.array(["1", "2"]), lowest), [0.5, 1.0], atol=1e-3)
    z = np.sort(G.standard_normal((30, 2)))[:, ::-1]
    np.testing.assert_allclose(probabilities(z, RANKS).sum(1), 1.0)
    np.testing.assert_array_equal(median_rank(z), (np.cumsum(probabilities(z, RANKS), 1) < 0.5).sum(1))


def test_kappa_is_scikit_learns():
    a, b = G.integers(0, 4, 200), G.integers(0, 4, 200)
    counts = np.bincount(a * 4 + b, minlength=16).reshape(4, 4)
    assert weighted_kappa(counts) == pytest.approx(known.cohen_kappa_score(a, b, weights="quadratic"))


@pytest.mark.parametrize("family", list(ALL))
def test_a_distribution_against_scipy_and_its_integral(family):
    outputs = np.array([[2.0, 0.7, 4.0], [1.0, 0.3, 2.5]])[:, : 3 if family == "student" else 2]
    y, one = np.array([1.3, 1.5]), ALL[family]
    for i in range(2):
        m, s, *df = outputs[i]
        scipys = {
            "normal": stats.norm(m, s),
            "student": stats.t(*df, m, s) if df else None,
            "lognormal": stats.lognorm(s, scale=m),
        }[family]
        row, came = outputs[i : i + 1], y[i : i + 1]
        assert one.nll(came, row)[0] == pytest.approx(-scipys.logpdf(came[0]))
        assert one.cdf(came, row)[0] == pytest.approx(scipys.cdf(came[0]))
        assert one.quantile(0.2, row)[0] == pytest.approx(scipys.ppf(0.2))
        low, high = scipys.ppf([1e-9, 1 - 1e-9]) if family != "student" else (-2e3, 2e3)
        gap = partial(lambda x, law, at: (law.cdf(x) - (x >= at)) ** 2, law=scipys, at=came[0])
        area = integrate.quad(gap, low, high, points=[came[0], m], limit=500)[0]
        assert one.crps(came, row)[0] == pytest.approx(area, rel=2e-3)


@pytest.mark.parametrize("family", list(ALL))
def test_the_fitted_distribution_is_the_likeliest(family):
    y = np.exp(0.4 * G.standard_normal(400)) + (0 if family == "lognormal" else 2)
    best = ALL[family].fitted(y)
    loss = ALL[family].nll(y, np.tile(best, (400, 1))).mean()
    for j in range(len(best)):
        for factor in (0.97, 1.03):
            other = best.copy()
            other[j] *= factor
            assert ALL[family].nll(y, np.tile(other, (400, 1))).mean() >= loss - 1e-7


def test_uniform_numbers_are_calibrated_and_others_are_not():
    levels = np.arange(1, 20) / 20
    null = uniform_errors(500, levels, 0)
    drawn = [pit_error(np.random.default_rng(i).random(500), levels) for i in range(200)]
    assert null.mean() == pytest.approx(np.mean(drawn), rel=0.1)
    assert pit_error(np.random.default_rng(1).beta(2, 2, 500), levels) > np.quantile(null, 0.95)


def test_temperatures_are_found_again():
    z = 2 * G.standard_normal((4000, 1)) + np.array([[1.0, -1.0]])
    codes = (G.random((4000, 1)) < 1 / (1 + np.exp(-z[:, :1]))).sum(1)  # P(> 0), then > 1 given the same number
    u = G.random(4000)
    codes = (u[:, None] < 1 / (1 + np.exp(-z))).sum(1)
    assert fit_rank_temperature(2.5 * z, codes) == pytest.approx(2.5, rel=0.1)
    y = 3 * G.standard_normal(4000)
    found = fit_scale(lambda f: float(ALL["normal"].nll(y, np.tile([0.0, f], (4000, 1))).sum()), 4000)
    assert found == pytest.approx(y.std(), rel=0.02)


@pytest.mark.parametrize("task", [LABELS, RANKS, QUANTILES, density("normal"), density("student")])
def test_a_row_is_covered_exactly_when_its_score_is_at_most_the_limit(task):
    n = 60
    if task.kind == "multilabel":
        outputs, y = G.standard_normal((n, 3)), G.random((n, 3)) < 0.5
    elif task.kind == "ordinal":
        outputs, y = np.sort(G.standard_normal((n, 2)))[:, ::-1], G.integers(0, 3, n)
    elif task.form == "quantiles":
        outputs, y = np.sort(G.standard_normal((n, 3))), G.standard_normal(n)
    else:
        outputs, y = np.column_stack([G.standard_normal(n), G.random(n) + 0.5, 3 + G.random(n)]), G.standard_normal(n)
        outputs = outputs[:, : 3 if task.options["distribution"] == "student" else 2]
    score = strangeness(task, outputs, y, 0.9)
    limit = float(np.quantile(score, 0.8))
    if task.kind == "regress":
        low, high = bounds(task, outputs, limit, 0.9)
        inside = (low - 1e-9 <= y) & (y <= high + 1e-9)
    else:
        inside = 1 - probabilities(outputs, task) <= limit
        inside = (inside | ~y).all(1) if task.kind == "multilabel" else inside[np.arange(n), y]
    np.testing.assert_array_equal(inside, score <= limit + 1e-12)


def test_the_quantiles_next_outside_the_level_bound_it():
    task = Task("t", "regress", (), (), "u", "pinball", (), {"quantiles": [0.05, 0.25, 0.5, 0.75, 0.95]})
    outputs = np.arange(5.0)[None]
    for level, ends in ((0.5, (1, 3)), (0.8, (0, 4)), (0.9, (0, 4)), (0.99, (0, 4)), (0.1, (1, 3))):
        low, high = bounds(task, outputs, 0.0, level)
        assert (low[0], high[0]) == ends


@pytest.mark.parametrize(
    "task", [LABELS, RANKS, QUANTILES, *map(density, ALL)], ids=["labels", "ranks", "quantiles", *ALL]
)
def test_models_beat_the_naive_baseline_where_there_is_something_to_know(task):
    x = G.standard_normal((400, 2))
    score = 2 * x[:, 0] + 0.5 * G.standard_normal(400)
    y = {
        "multilabel": lambda: np.stack([score > 0, score > 1, -score > 0.5], 1),
        "ordinal": lambda: np.digitize(score, [-1, 1]),
    }.get(task.kind, lambda: np.exp(score / 3) if task.options.get("distribution") == "lognormal" else score)()
    context = TableContext(x[:300], y[:300], x[300:], y[300:])
    found = {name: answer(task, name, context).losses.mean() for name in BASELINES[task.form]}
    naive = next(name for name, one in BASELINES[task.form].items() if one.role == "naive")
    assert all(value < found[naive] - 0.02 for name, value in found.items() if name != naive), found


def test_a_log_density_has_a_margin_in_nats():
    margin = margin_for(density("normal"), 0.01)
    assert (margin.absolute(np.array([500.0])), str(margin)) == (0.01, "0.01 nat")


def test_targets_as_numbers():
    assert coded(np.array(["2", "0"]), RANKS).tolist() == [2, 0]
    assert coded(np.array(["a|c", ""]), LABELS).tolist() == [[True, False, True], [False] * 3]
    assert coded(np.array([1, 2]), QUANTILES).dtype == np.float64

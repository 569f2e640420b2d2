"""LIME: exact on linear programs, the weighted regression itself, errors that cover, close to the paper's package."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from explained_programs import Mixed, rows

from pellucid.core.errors import DataError, SchemaError
from pellucid.explain import fit_lime
from pellucid.explain.lime import RIDGE, WIDTH
from pellucid.nn.foreign import wrap
from pellucid.testing.games import ToyProgram, network, toy_rows

DATA = np.random.default_rng(0).normal(size=(300, 4)) * [1.0, 2.0, 0.5, 3.0]


def fitted(function, x=DATA[:2], k=1, **options):
    return fit_lime(ToyProgram(function, 4, k), toy_rows(x), "toy", reference=toy_rows(DATA), **options)


def test_of_a_linear_program_the_weights_are_its_slopes_times_deviations() -> None:
    w = torch.tensor([[2.0, 0.0], [-1.0, 1.0], [0.5, 0.0], [0.0, 0.0]], dtype=torch.float64)
    found = fitted(lambda x: x @ w + 3.0, k=2)
    exact = w.numpy() * DATA.std(0)[:, None]
    assert found.weights[0] == pytest.approx(exact, rel=2e-3, abs=1e-3)  # a ridge of 1 against 2,000 samples
    assert found.r2.min() > 0.999
    assert found.fitted == pytest.approx(found.prediction, abs=0.02)
    assert found.seed_change.max() < 1e-3


def test_it_is_the_weighted_ridge_fit() -> None:
    """The same samples through numpy's least squares."""
    seen = []

    def watching(x):
        seen.append(x.numpy().copy())
        return (x[:, :1] * x[:, 1:2]).abs() + x[:, 2:3]

    found = fitted(watching, DATA[:1], around="data", samples=400)
    drawn = np.concatenate(seen[1:])
    cuts = np.quantile(DATA, [0.25, 0.5, 0.75], axis=0)
    same = np.stack([np.searchsorted(cuts[:, j], drawn[:, j]) for j in range(4)], axis=1)
    own = np.array([np.searchsorted(cuts[:, j], DATA[0, j]) for j in range(4)])
    z = (same == own).astype(float)
    weight = np.exp(-0.5 * (1 - z).sum(1) / (WIDTH**2 * 4))
    centred = z - weight @ z / weight.sum()
    y = np.abs(drawn[:, 0] * drawn[:, 1]) + drawn[:, 2]
    gram = centred.T @ (weight[:, None] * centred) + RIDGE * np.eye(4)
    exact = np.linalg.solve(gram, centred.T @ (weight * (y - weight @ y / weight.sum())))
    assert found.weights[0, :, 0] == pytest.approx(exact, abs=1e-10)


def test_errors_tell_what_another_seed_would_change() -> None:
    """Over 40 seeds, the spread of the weights is the error that each of them has told."""
    function = network(np.random.default_rng(2), 4, 1)
    for around in ("instance", "data"):
        many = [fitted(function, DATA[:3], around=around, samples=600, seed=s) for s in range(40)]
        spread = np.std([m.weights for m in many], axis=0, ddof=1)
        told = np.sqrt(np.mean([np.square(m.error) for m in many], axis=0))
        assert np.median(spread / told) == pytest.approx(1.0, abs=0.2)
        centre = np.mean([m.weights for m in many], axis=0)
        inside = np.mean([np.abs(m.weights - centre) < 1.96 * m.error for m in many])
        assert 0.88 < inside < 0.98


def test_the_control_variate_changes_no_expectation_and_lowers_the_noise() -> None:
    """A steep sigmoid: against the plain weighted fit, of very many samples and of as few."""

    def steep(x):
        return torch.sigmoid(3.0 * x[:, :1] + x[:, 1:2])

    def plain(samples, seed):
        z = np.random.default_rng(seed).normal(size=(samples, 4))
        weight = np.exp(-0.5 * np.square(z).sum(1) / (WIDTH**2 * 4))
        y = steep(torch.from_numpy(DATA[0] + DATA.std(0) * z)).numpy()[:, 0]
        x = np.column_stack([z, np.ones(samples)])
        gram = x.T @ (weight[:, None] * x) + RIDGE * np.diag([1.0, 1, 1, 1, 0])
        return np.linalg.solve(gram, x.T @ (weight * y))[:4]

    found = [fitted(steep, DATA[:1], samples=500, seed=s) for s in range(40)]
    weights = np.stack([f.weights[0, :, 0] for f in found])
    few = np.stack([plain(500, s) for s in range(40)])
    exact = plain(400_000, 99)
    shrunk = RIDGE / 340  # over the sum of the weights of 500 samples
    assert np.abs(weights.mean(0) - exact * (1 - shrunk)).max() < 4 * weights.std(0).max() / 40**0.5
    assert np.linalg.norm(weights.std(0)) < 0.75 * np.linalg.norm(few.std(0))


def test_players_are_fields_and_windows() -> None:
    found = fit_lime(Mixed(), rows(3), "forecast", reference=rows(80, seed=1), samples=300)
    assert found.players == ("return[t]", "return[t-1..]", "volume[t]", "volume[t-1..]", "level", "sector")
    assert found.weights.shape == (3, 6, 2)
    assert set(found.inputs[:, 5]) <= {"bank", "oil"}
    ignored = fit_lime(Mixed(volume=0.0), rows(3), "forecast", reference=rows(80, seed=1), samples=1000)
    volume = np.abs(ignored.weights[:, 2:4]).max()
    assert volume < 4 * ignored.error[:, 2:4].max()


def test_missing_values_and_categories() -> None:
    frame = pd.DataFrame({"a": DATA[:, 0], "city": np.where(DATA[:, 1] > 0, "Graz", "Linz")})
    frame.loc[::9, "a"] = np.nan

    def answer(x):
        return np.nan_to_num(x[:, 0].astype(float)) + 5.0 * (x[:, 1] == "Graz")

    program = wrap(answer, inputs=frame)
    table = program.rows(frame)
    found = fit_lime(program, table.take(slice(0, 2)), "predict", reference=table, samples=1000)
    assert found.weights[0, 0, 0] == 0.0  # row 0 has no value there
    sign = 1.0 if frame["city"][0] == "Graz" else -1.0
    assert found.weights[0, 1, 0] == pytest.approx(5.0 * sign, rel=0.02)
    assert found.weights[1, 0, 0] == pytest.approx(np.nanstd(frame["a"]), rel=0.02)
    around = fit_lime(program, table.take(slice(0, 2)), "predict", reference=table, around="data", samples=4000)
    assert around.weights[0, 1, 0] == pytest.approx(5.0 * sign, rel=0.05)
    assert np.isfinite(around.weights).all()


def test_rows_do_not_depend_on_their_company_and_around_the_data_asks_once() -> None:
    function = network(np.random.default_rng(3), 4, 2)
    together, alone = fitted(function, DATA[:5], k=2), fitted(function, DATA[3:4], k=2)
    assert np.allclose(together.weights[3], alone.weights[0], atol=1e-12)
    assert not np.allclose(alone.weights, fitted(function, DATA[3:4], k=2, seed=1).weights)
    assert fitted(function, DATA[:5], k=2, around="data", samples=200).evaluations == 205
    assert together.evaluations == 5 * 2000 + 5


def test_it_is_shown_and_refuses_what_cannot_be() -> None:
    found = fitted(network(np.random.default_rng(3), 4, 2), k=2)
    assert "local R²" in found.text(output="y1", row=1)
    assert "another seed" in found.text()
    assert len(found.to_frame()) == 2 * 4 * 2
    assert json.loads(json.dumps(found.to_json()))["kind"] == "lime"
    with pytest.raises(SchemaError, match="no output"):
        found.text(output="y9")
    for options in ({"samples": 8}, {"around": "nowhere"}):
        with pytest.raises(DataError, match="no fit"):
            fitted(lambda x: x[:, :1], **options)

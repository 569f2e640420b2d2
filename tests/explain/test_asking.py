"""Budgets, what an explanation will cost, Ctrl-C, and programs and backgrounds that are not what they should be."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from explained_programs import Mixed, rows

from pellucid.core.errors import DataError, SchemaError
from pellucid.explain import Explanation, attribute, plan
from pellucid.testing.games import ToyProgram, network, toy_rows

G = np.random.default_rng(0)
X, BACKGROUND = toy_rows(G.normal(size=(6, 12))), toy_rows(G.normal(size=(30, 12)))


def _program(function=None):
    return ToyProgram(function or network(np.random.default_rng(1), 12, 2), 12, 2)


def _explain(program=None, **options) -> Explanation:
    options = {"background": BACKGROUND, "method": "permutation", **options}
    return attribute(program or _program(), options.pop("x", X), "toy", **options)


def test_a_standard_error_is_met():
    loose = _explain(evaluations=2)
    wanted = float(loose.error.max()) / 4
    found = _explain(error=wanted)
    assert float(found.error.max()) <= wanted * 1.25
    assert found.evaluations > 4 * loose.evaluations
    assert (float(found.error.max()) > wanted) == any("above the" in w for w in found.warnings)
    assert _explain(error=1e9).evaluations < 2 * loose.evaluations + 2000  # the least budget, and the pilot


def test_seconds_are_about_filled():
    begin = time.perf_counter()
    found = _explain(seconds=1.0)
    assert time.perf_counter() - begin < 6.0
    assert found.evaluations > 4 * _explain(evaluations=2).evaluations
    assert _explain(seconds=1e-6).evaluations > 0


@pytest.mark.parametrize("options", [{"error": 0.0}, {"seconds": -1.0}, {"error": 1.0, "seconds": 1.0}])
def test_impossible_budgets_are_refused(options):
    with pytest.raises(DataError):
        _explain(**options)


@pytest.mark.slow
def test_a_plan_for_ten_thousand_fields_is_no_hang():
    d = 10_000
    wide = ToyProgram(lambda z: z[:, :50].sum(1, keepdim=True), d)
    x = toy_rows(np.random.default_rng(0).normal(size=(2, d)))
    begin = time.perf_counter()
    found = plan(wide, x, "toy", background=x)
    assert time.perf_counter() - begin < 30.0
    assert found.evaluations >= 2 * 2 * 2 * 2 * (d - 1)
    assert found.seconds > 0
    assert "10,000 players" in str(found)


def test_a_plan_counts_what_is_then_done():
    for method in ("exact", "permutation"):
        found = plan(_program(), X, "toy", background=BACKGROUND, method=method, evaluations=3000)
        done = _explain(method=method, evaluations=3000).evaluations
        assert done - 100 < found.evaluations < done * 1.01 + 2 * 6 * 30


def test_ctrl_c_keeps_the_rows_that_are_done():
    class Stops(ToyProgram):
        asked = 0

        def __call__(self, blocks, task):
            self.asked += len(blocks["x0"])
            if self.asked > 400_000:
                raise KeyboardInterrupt
            return super().__call__(blocks, task)

    found = attribute(
        Stops(network(np.random.default_rng(1), 12, 2), 12, 2), X, "toy", background=BACKGROUND,
        method="permutation", evaluations=140_000,
    )  # fmt: skip
    assert 1 <= len(found) < 6
    assert found.warnings[0] == f"interrupted: {len(found)} of 6 rows are explained"
    whole = _explain(evaluations=140_000)
    assert found.values == pytest.approx(whole.values[: len(found)], abs=1e-9)
    again = Explanation.from_json(found.to_json())
    assert again.warnings == found.warnings

    class StopsAtOnce(Stops):
        asked = 10**9

    with pytest.raises(KeyboardInterrupt):
        _explain(StopsAtOnce(lambda z: z, 12, 2))


def test_a_stochastic_program_is_found_out_and_its_errors_cover():
    generator = torch.Generator().manual_seed(0)

    def noisy(z):
        return z[:, :1] + 0.3 * torch.randn(len(z), 1, generator=generator, dtype=torch.float64)

    x, background = np.random.default_rng(2).normal(size=(40, 4)), np.random.default_rng(3).normal(size=(30, 4))
    truth = np.zeros((40, 4))
    truth[:, 0] = x[:, 0] - background[:, 0].mean()
    for method in ("exact", "permutation", "regression"):
        found = attribute(ToyProgram(noisy, 4), toy_rows(x), "toy", background=toy_rows(background), method=method)
        assert any("stochastic" in w for w in found.warnings)
        covered = (np.abs(found.values[:, :, 0] - truth) <= 1.96 * found.error[:, :, 0]).mean()
        assert covered > 0.9, method
        assert found.error.max() < 0.5
    assert not any("stochastic" in w for w in _explain().warnings)


def test_backgrounds_that_say_little():
    same = BACKGROUND.take(np.zeros(25, dtype=int))
    assert any("all 25 background rows are the same" in w for w in _explain(background=same).warnings)
    one = _explain(background=BACKGROUND.take(slice(0, 1)), x=X.take(slice(0, 1)))  # one row against one row
    assert np.abs(one.residual).max() < 1e-9
    with pytest.raises(DataError, match="no rows"):
        _explain(background=BACKGROUND.take(slice(0, 0)))
    with pytest.raises(SchemaError, match="x11"):
        _explain(background=toy_rows(np.zeros((3, 11))))
    with pytest.raises(SchemaError, match="did you mean 'y1'"):
        _explain().text(output="y11")


def test_strong_dependence_is_named_once_and_not_invented():
    g = np.random.default_rng(0)
    z = g.normal(size=(200, 12))
    assert _explain(background=toy_rows(z)).warnings == ()
    z[:, 7] = -2.0 * z[:, 3] + 0.1 * g.normal(size=200)
    (found,) = _explain(background=toy_rows(z)).warnings
    assert found.startswith("'x3' and 'x7' (|r| = 1.00) are strongly dependent")
    z[:, 1] = z[:, 0]
    (found,) = _explain(background=toy_rows(z)).warnings
    assert "and 1 other pair" in found
    shown = _explain(background=toy_rows(z))
    assert "strongly dependent" in shown.text()
    assert _explain(background=toy_rows(z), value="conditional", method="regression").warnings == ()


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (lambda z: z[:, :2] / 0.0, "NaN or infinite"),
        (lambda z: z[:, :1], r"returned shape \(\d+, 1\); \(\d+, 2\) is needed"),
        (lambda z: z[: len(z) // 2, :2], "returned shape"),
        (lambda z: {}["gone"], "raised KeyError on mixed rows"),
    ],
)
@pytest.mark.parametrize("method", ["exact", "permutation", "regression"])
def test_programs_that_do_not_answer(function, complaint, method):
    with pytest.raises(DataError, match=complaint):
        attribute(_program(function), X, "toy", background=BACKGROUND, method=method)


def test_a_program_that_fails_on_masked_rows_only():
    real = {tuple(row) for row in np.stack([BACKGROUND.fields[f"x{i}"] for i in range(12)], 1).tolist()}
    real |= {tuple(row) for row in np.stack([X.fields[f"x{i}"] for i in range(12)], 1).tolist()}

    def picky(z):
        if any(tuple(row) not in real for row in z.tolist()):
            raise ValueError("no such customer")
        return z[:, :2]

    with pytest.raises(DataError, match="no such customer") as caught:
        _explain(_program(picky))
    assert "combinations that no real row has" in str(caught.value)


def test_an_unseen_category_is_explained_like_any_other():
    x = rows(2)
    x.fields["sector"] = np.asarray(["mining", "mining"])
    found = attribute(Mixed(), x, "forecast", background=rows(20, seed=1))
    assert np.isfinite(found.values).all()
    assert found.inputs[0, -1] == "mining"

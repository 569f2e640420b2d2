"""Numbers that stay in order, and distributions: closed forms, scipy, and what is said at zero."""

import numpy as np
import pytest
import torch
from scipy import stats

from pellucid.core.task import Task
from pellucid.nn.apart import apart
from pellucid.nn.densities import ALL
from pellucid.nn.losses import label_loss, loss_of, rank_loss
from pellucid.nn.outputs import ALL as OUTPUTS


@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_numbers_keep_apart(k):
    at = torch.linspace(-1.0, 2.0, k) if k > 1 else torch.tensor([0.5])
    torch.testing.assert_close(apart(torch.zeros(2, k), at), at.expand(2, k))
    wild = 50.0 * torch.randn(200, k, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = apart(wild, at)
    assert bool((found.diff(dim=1) > 0).all())
    torch.testing.assert_close(found[:, k // 2], wild[:, k // 2] + at[k // 2].double())


@pytest.mark.parametrize("family", list(ALL))
def test_the_density_is_scipys(family):
    raw = torch.randn(40, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    z, y = ALL[family].parameters(raw), torch.linspace(-3, 3, 40, dtype=torch.float64)
    m, s = z[:, 0].numpy(), np.exp(z[:, 1].numpy())
    known = stats.t(z[:, 2].numpy(), m, s) if family == "student" else stats.norm(m, s)
    np.testing.assert_allclose(ALL[family].loss(z, y), -known.logpdf(y.numpy()), rtol=1e-9)


@pytest.mark.parametrize("family", list(ALL))
def test_at_zero_the_target_is_standard(family):
    z = ALL[family].parameters(torch.zeros(1, 3, dtype=torch.float64))
    torch.testing.assert_close(z[0, :2], torch.zeros(2, dtype=torch.float64), atol=1e-9, rtol=0)
    first, scale = ALL[family].units(z, 3.0, 2.0)[0, :2].tolist()
    assert (first, scale) == pytest.approx((np.exp(3.0) if family == "lognormal" else 3.0, 2.0))
    assert len(ALL[family].outputs) == ALL[family].units(z, 3.0, 2.0).shape[1]


def ordinal(k: int) -> Task:
    return Task("t", "ordinal", (), (), "logit", "", (), {"classes": [str(i) for i in range(k)]})


@pytest.mark.parametrize("k", [2, 3, 5])
def test_classes_of_an_order_are_equally_likely_at_zero_and_add_up_to_one(k):
    z = OUTPUTS["ordinal"].training(ordinal(k), {"out": torch.zeros(k, k - 1)})
    torch.testing.assert_close(rank_loss(z, torch.arange(k)), torch.full((k,), float(np.log(k))))
    raw = 3 * torch.randn(50, k - 1, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    z = OUTPUTS["ordinal"].training(ordinal(k), {"out": raw})
    total = sum(torch.exp(-rank_loss(z, torch.full((50,), c))) for c in range(k))
    torch.testing.assert_close(total, torch.ones(50, dtype=torch.float64))
    assert bool((z.diff(dim=1) < 0).all())


def test_the_rank_loss_is_that_of_statsmodels_proportional_odds():
    from statsmodels.miscmodels.ordinal_model import OrderedModel

    g = np.random.default_rng(0)
    x = g.standard_normal((300, 2))
    y = np.digitize(x @ [1.0, -0.5] + g.logistic(size=300), [-1.0, 0.5, 1.5])
    model = OrderedModel(y, x, distr="logit")
    fitted = model.fit(method="bfgs", disp=False)
    cuts = np.asarray(model.transform_threshold_params(fitted.params))[1:-1]
    z = torch.from_numpy((x @ fitted.params[:2])[:, None] - cuts)
    assert float(rank_loss(z, torch.from_numpy(y)).sum()) == pytest.approx(-fitted.llf, rel=1e-9)


def test_far_out_the_rank_loss_and_its_gradient_stay_finite():
    raw = torch.tensor([[80.0, -90.0], [-80.0, 60.0]], requires_grad=True)
    z = OUTPUTS["ordinal"].training(ordinal(3), {"out": raw})
    loss = rank_loss(z, torch.tensor([1, 2])).sum()
    loss.backward()
    assert bool(torch.isfinite(loss))
    assert bool(torch.isfinite(raw.grad).all())


def test_labels_are_independent_questions():
    z, on = torch.tensor([[0.0, 2.0], [1.0, -1.0]]), torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    chance = torch.sigmoid(z)
    expected = -torch.where(on > 0, chance, 1 - chance).log().mean(1)
    torch.testing.assert_close(label_loss(z, on), expected)


def test_quantiles_are_in_the_targets_units_and_cannot_cross():
    options = {"quantiles": [0.1, 0.5, 0.9], "mean": 10.0, "sd": 2.0}
    task = Task("t", "regress", (), ("q10", "q50", "q90"), "u", "pinball", (), options)
    assert task.form == "quantiles"
    z = OUTPUTS["quantiles"].training(task, {"out": torch.zeros(1, 3)})
    units = OUTPUTS["quantiles"].units(task, z, {}, None)  # type: ignore[arg-type]
    np.testing.assert_allclose(units[0], 10 + 2 * stats.norm.ppf([0.1, 0.5, 0.9]), rtol=1e-6)
    assert float(loss_of(task)(torch.zeros(1, 3), torch.tensor([1.0]))) == pytest.approx((0.1 + 0.5 + 0.9) / 3)


def test_a_temperature_widens_a_distribution_and_leaves_its_middle():
    options = {"distribution": "student", "mean": 1.0, "sd": 2.0}
    task = Task("t", "regress", (), ("mean", "scale", "df"), "u", "", (), options)
    z = OUTPUTS["distribution"].training(task, {"out": torch.randn(4, 3)})
    plain, wide = (
        OUTPUTS["distribution"].units(Task("t", "regress", (), (), "u", "", (), {**options, **more}), z, {}, None)  # type: ignore[arg-type]
        for more in ({}, {"temperature": 1.5})
    )
    torch.testing.assert_close(wide, plain * torch.tensor([1.0, 1.5, 1.0]))

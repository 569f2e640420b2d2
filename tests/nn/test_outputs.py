"""What heads mean: quantiles that cannot cross, units that are the program's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pellucid.core.rows import Rows
from pellucid.core.schema import Field
from pellucid.core.task import Task
from pellucid.data.encoding import Encoding
from pellucid.nn.outputs import ALL

RAW = st.integers(1, 9).flatmap(lambda k: arrays(np.float32, (4, k), elements=st.floats(-50, 50, width=32)))


def _forecast(k: int) -> Task:
    return Task(
        "f", "forecast", ("level",), tuple(f"q{i}" for i in range(k)), "log return", "pinball",
        options={"quantiles": [(i + 1) / (k + 1) for i in range(k)]},
    )  # fmt: skip


def _levels() -> tuple[Encoding, dict[str, torch.Tensor], np.ndarray]:
    level = np.log(np.asarray([0.005, 0.01, 0.02, 0.04]))
    rows = Rows(np.asarray(list("abcd")), {"level": level})
    encoding = Encoding.fit((Field("level"),), rows)
    return encoding, encoding.encode(rows), level


@given(raw=RAW)
def test_quantiles_never_cross(raw):
    task = _forecast(raw.shape[1])
    z = ALL["forecast"].training(task, {"out": torch.from_numpy(raw)})
    assert z.shape == raw.shape
    assert bool((z.diff(dim=1) >= 0).all())
    encoding, blocks, _ = _levels()
    out = ALL["forecast"].units(task, z, blocks, encoding)
    assert bool((out.diff(dim=1) >= 0).all())


@given(raw=RAW)
def test_any_increasing_quantiles_can_be_said(raw):
    """The map is onto: from quantiles with gaps to the raw outputs that give them."""
    k = raw.shape[1]
    wanted = np.cumsum(np.abs(raw.astype(np.float64)) + 0.05, axis=1) - 100.0
    middle = k // 2
    steps = np.log(np.expm1(np.diff(wanted, axis=1)))
    found = np.concatenate([steps[:, :middle], wanted[:, middle : middle + 1], steps[:, middle:]], axis=1)
    z = ALL["forecast"].training(_forecast(k), {"out": torch.from_numpy(found)})
    np.testing.assert_allclose(z.numpy(), wanted, rtol=1e-6, atol=1e-6)


def test_a_forecast_is_in_units_of_log_returns():
    encoding, blocks, level = _levels()
    z = torch.tensor([[-1.0, 0.0, 2.0]]).expand(4, 3)
    out = ALL["forecast"].units(_forecast(3), z, blocks, encoding)
    np.testing.assert_allclose(out.numpy(), np.exp(level)[:, None] * z.numpy(), rtol=1e-5)


def test_a_risk_is_a_log_variance():
    encoding, blocks, level = _levels()
    task = Task("v", "volatility", ("level",), ("v",), "log variance", "qlike")
    out = ALL["volatility"].units(task, torch.full((4, 1), 0.5), blocks, encoding)
    np.testing.assert_allclose(out[:, 0].numpy(), 2.0 * level + 0.5, rtol=1e-5)


def test_a_prediction_is_in_the_targets_units():
    task = Task("y", "regress", (), ("y",), "EUR", "squared_error", options={"mean": 100.0, "sd": 20.0})
    z = ALL["regress"].training(task, {"out": torch.tensor([[0.0], [1.5]])})
    assert ALL["regress"].units(task, z, {}, Encoding({})).tolist() == [[100.0], [130.0]]


def test_logits_are_centred():
    three = Task("c", "classify", (), tuple("abc"), "logit", "log_loss", options={"classes": list("abc")})
    two = Task("c", "classify", (), ("b",), "logit", "log_loss", options={"classes": list("ab")})
    assert ALL["classify"].head_widths(three) == {"out": 3}
    assert ALL["classify"].head_widths(two) == {"out": 1}
    z = ALL["classify"].training(three, {"out": torch.tensor([[1.0, 2.0, 6.0]])})
    assert z.tolist() == [[-2.0, -1.0, 3.0]]
    assert ALL["classify"].training(two, {"out": torch.tensor([[4.0]])}).tolist() == [[4.0]]


@pytest.mark.parametrize("space", ["discrete", "box"])
def test_a_policys_outputs(space):
    task = Task(
        "p", "control", (), ("a", "b", "value"), "logit", "negative_reward",
        options={"space": space, "actions": 2, "value_scale": 5.0},
    )  # fmt: skip
    widths = ALL["control"].head_widths(task)
    assert widths == {"policy": 2, "value": 1} | ({"log_std": 2} if space == "box" else {})
    raw = {"policy": torch.tensor([[1.0, 3.0]]), "value": torch.tensor([[2.0]]), "log_std": torch.zeros(1, 2)}
    z = ALL["control"].training(task, raw)
    policy = [-1.0, 1.0] if space == "discrete" else [1.0, 3.0]
    assert z.tolist() == [[*policy, 2.0]]
    assert ALL["control"].units(task, z, {}, Encoding({})).tolist() == [[*policy, 10.0]]


def test_centring_leaves_the_policy_as_it_is():
    task = Task("p", "control", (), tuple("abc"), "", "", options={"space": "discrete", "actions": 3})
    raw = {"policy": torch.randn(10, 3), "value": torch.zeros(10, 1)}
    z = ALL["control"].training(task, raw)
    torch.testing.assert_close(torch.softmax(z[:, :3], 1), torch.softmax(raw["policy"], 1))

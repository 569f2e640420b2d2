"""UPGrad: an exact oracle, the paper's library, and the properties that the paper proves."""

import importlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid import multitask
from pellucid.multitask import UPGrad

upgrad = UPGrad()


def jacobian(seed, m, n=20, dtype=torch.float32):
    """Rows of different lengths; every second one has two rows that nearly cancel."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(m, n, generator=generator) * torch.rand(m, 1, generator=generator) * 3
    rows -= 0.5 * (seed % 3) * torch.randn(n, generator=generator)
    if seed % 2 and m > 1:
        rows[0] = -rows[1] + 0.3 * rows[0]
    return rows.to(dtype)


CASES = [(seed, m) for m in (1, 2, 3, 5, 8) for seed in range(12)]


@pytest.mark.parametrize(("seed", "m"), CASES)
def test_is_the_mean_of_exact_projections(seed, m):
    """Oracle: quadprog on n variables, min |x - g_i|^2 subject to J x >= 0, so nothing is shared with our dual form."""
    quadprog = importlib.import_module("quadprog")
    rows = jacobian(seed, m)
    J = rows.double().numpy()
    unit = J / np.linalg.norm(J, axis=1, keepdims=True)
    projections = [quadprog.solve_qp(np.eye(J.shape[1]), g.copy(), unit.T.copy(), np.zeros(m))[0] for g in J]
    assert np.linalg.norm(upgrad(rows).numpy() - np.mean(projections, axis=0)) <= 5e-6 * np.linalg.norm(J)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("seed", "m"), CASES)
def test_agrees_with_torchjd(seed, m):
    aggregation, linalg = importlib.import_module("torchjd.aggregation"), importlib.import_module("torchjd.linalg")
    rows = jacobian(seed, m, dtype=torch.float64)
    ours, norm = upgrad(rows), rows.norm()
    exact = aggregation.UPGrad(projector=linalg.QuadprogProjector(norm_eps=0.0, reg_eps=1e-10))
    assert (ours - exact(rows)).norm() <= 1e-6 * norm
    if seed % 2 == 0 and m <= 5:  # its default regulariser drowns short rows, and rows that nearly cancel
        assert (ours - aggregation.UPGrad()(rows)).norm() <= 2e-3 * norm


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), m=st.integers(1, 8), n=st.sampled_from([1, 2, 5, 40]))
def test_no_task_is_harmed(seed, m, n):
    """Also with more rows than columns, where the rows depend on each other."""
    rows = jacobian(seed, m, n)
    lengths = rows.norm(dim=1)
    assert (rows @ upgrad(rows) >= -2e-6 * lengths * lengths.max()).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), m=st.integers(1, 6))
def test_linear_in_the_lengths_of_the_rows(seed, m):
    rows = jacobian(seed, m, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    c, d = torch.rand(2, m, 1, generator=generator, dtype=torch.float64) * 5 + 0.01
    joint = upgrad((2 * c + 3 * d) * rows)
    torch.testing.assert_close(joint, 2 * upgrad(c * rows) + 3 * upgrad(d * rows), rtol=0, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), m=st.integers(1, 6))
def test_the_order_of_tasks_does_not_matter(seed, m):
    rows = jacobian(seed, m)
    order = torch.randperm(m, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(upgrad(rows[order]), upgrad(rows), rtol=0, atol=1e-5)


def test_without_conflict_it_is_the_mean():
    rows = torch.rand(4, 30, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(upgrad(rows), rows.mean(0))
    assert torch.equal(upgrad(rows[:1]), rows[0])
    assert torch.equal(upgrad(-rows[:1]), -rows[0])


def test_two_tasks_by_hand():
    # angle of 135 degrees: (1, 0) loses what points against (-1, 1) and keeps (.5, .5); the other one keeps (0, 1)
    torch.testing.assert_close(upgrad(torch.tensor([[1.0, 0.0], [-1.0, 1.0]])), torch.tensor([0.25, 0.75]))


def test_opposite_rows_cancel():
    row = torch.randn(1, 9, generator=torch.Generator().manual_seed(3))
    assert upgrad(torch.cat([row, -2 * row])).norm() < 1e-6
    assert upgrad(torch.cat([row, -2 * row, row])).norm() < 1e-4  # dependent rows


def test_rows_of_zeros_count_in_the_mean_and_nothing_else():
    rows = jacobian(1, 3)
    padded = torch.cat([rows, torch.zeros(1, 20)])
    torch.testing.assert_close(upgrad(padded), upgrad(rows) * 3 / 4)
    assert torch.equal(upgrad(torch.zeros(3, 5)), torch.zeros(5))


def test_lengths_of_very_different_size():
    rows = jacobian(4, 3, dtype=torch.float64)
    lengths = torch.tensor([[1e-9], [1.0], [1e9]], dtype=torch.float64)
    direction = upgrad(lengths * rows)
    unit = rows / rows.norm(dim=1, keepdim=True)
    assert (unit @ direction >= -1e-6 * direction.norm()).all()


def test_what_is_not_finite_stays_so():
    rows = jacobian(0, 3)
    rows[1, 2] = float("nan")
    assert not upgrad(rows).isfinite().all()


def test_dtype_and_graph():
    rows = jacobian(1, 3).requires_grad_()
    assert upgrad(rows.detach().double()).dtype == torch.float64
    assert upgrad(rows.detach()).dtype == torch.float32
    assert upgrad(rows.detach()).shape == (20,)
    assert upgrad(jacobian(1, 3, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_all():
    assert list(multitask.ALL) == ["sum", "upgrad"]
    assert multitask.ALL["sum"] is None

"""Evolution strategies: the estimate against closed forms, the learner's contract, CartPole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.assemble import assemble, problem
from pellucid.rl.es import ES, ascent, centred_ranks, mirrored
from pellucid.runs.policies import greedy, rollout
from pellucid.spec.loader import spec_from
from pellucid.testing import check_learner
from pellucid.train.loop import Hooks

pytestmark = pytest.mark.slow  # many seconds in all: `make fast` leaves them out

TRAIN = {"optimiser": "adam", "lr": 0.1, "weight_decay": 0.0, "clip": None, "schedule": "linear"}


def assembly(env: str, seed: int, updates: int = 6, **es):
    task = {"kind": "control", "env": env, "algorithm": "es", "es": es}
    network = {"width": 32, "depth": 2, "activation": "tanh"}
    raw = {"name": "x", "tasks": {"p": task}, "network": network, "train": {**TRAIN, "updates": updates}}
    return assemble(problem(spec_from(raw, where="test")), None, seed=seed)


# The estimate


def noise(pairs: int, D: int, seed: int = 0):
    return np.random.default_rng(seed).standard_normal((pairs, D)).astype(np.float32)


def within(estimates, exact, sigmas: float = 4.5):
    """The mean of independent estimates (m, D) is within so many standard errors of the exact value, everywhere."""
    error = estimates.std(0, ddof=1) / np.sqrt(len(estimates))
    return bool((np.abs(estimates.mean(0) - exact) < sigmas * error).all())


def estimates(f, theta, sigma, *, runs: int = 400, pairs: int = 50):
    found = []
    for run in range(runs):
        eps = noise(pairs, len(theta), run)
        found.append(ascent(f(mirrored(theta.astype(np.float32), eps, sigma)), eps, sigma))
    return np.stack(found)


def test_the_gradient_of_a_quadratic():
    """f = b x - x A x / 2 smoothed is f minus a constant: its gradient is b - A x, whatever sigma."""
    g = np.random.default_rng(1)
    M = g.normal(size=(4, 4))
    A, b, theta = M @ M.T, g.normal(size=4), g.normal(size=4)
    for sigma in (0.1, 1.0):
        found = estimates(lambda x: x @ b - 0.5 * np.einsum("ni,ij,nj->n", x, A, x), theta, sigma)
        exact = b - A @ theta
        assert within(found, exact)
        assert not within(found, -exact)
        assert not within(found, 1.2 * exact)


def test_the_gradient_of_the_smoothed_function():
    """E sin(x + sigma e) = exp(-sigma^2 / 2) sin x: the estimate is of the smoothed slope, not of the slope itself."""
    theta, sigma = np.array([0.3, -1.0, 2.0]), 0.8
    found = estimates(lambda x: np.sin(x).sum(1), theta, sigma)
    assert within(found, np.exp(-(sigma**2) / 2) * np.cos(theta))
    assert not within(found, np.cos(theta))


def test_mirrored_members():
    eps = noise(3, 4)
    members = mirrored(np.ones(4, dtype=np.float32), eps, 0.5)
    assert np.allclose(members[0::2], 1 + 0.5 * eps)
    assert np.allclose(members[1::2], 1 - 0.5 * eps)
    assert np.array_equal(ascent(np.ones(6), eps, 0.5), np.zeros(4))  # what both signs earn cancels


def test_ranks():
    assert np.array_equal(centred_ranks([3.0, -1e9, 4.0]), [0.0, -0.5, 0.5])
    assert np.array_equal(centred_ranks([2.0, 1.0, 2.0]), [0.25, -0.5, 0.25])
    assert np.array_equal(centred_ranks(np.full(7, 5.0)), np.zeros(7))
    values = np.random.default_rng(0).normal(size=50)
    assert np.allclose(centred_ranks(values), centred_ranks(np.exp(values)))
    assert abs(centred_ranks(values).sum()) < 1e-12


# The learner


@pytest.mark.parametrize(
    ("env", "es"),
    [("CartPole-v1", {"population": 4}), ("Pendulum-v1", {"population": 4, "episodes": 2, "limit": 30})],
)
def test_conforms(env, es):
    check_learner(lambda seed: assembly(env, seed, **es).learners[0], lambda: assembly(env, 0, **es).program.network)


def test_no_backward_pass(monkeypatch):
    """Gradient-free: autograd is never called."""

    def refused(*args, **kwargs):
        raise AssertionError("autograd was called")

    monkeypatch.setattr(torch.autograd, "grad", refused)
    monkeypatch.setattr(torch.Tensor, "backward", refused)
    built = assembly("CartPole-v1", 0, updates=2, population=4)
    before = built.program.network.bias.detach().clone()
    built.trainer.run(built.config, Hooks(built.schedule))
    assert not torch.equal(before, built.program.network.bias)


def test_members_play_their_own_weights():
    """Each member's return is that of a network with its weights, on the same seeds."""
    built = assembly("CartPole-v1", 3, population=6, sigma=0.5, normalise_observations=False)
    es, network = built.learners[0], built.program.network
    assert isinstance(es, ES)
    from pellucid.nn.stacked import Stacked

    stacked = Stacked(network, "p", "policy")
    members = mirrored(stacked.centre(), noise(3, len(stacked.centre())), 0.5)
    returns, lengths = es._play(network, stacked, stacked.split(members))
    assert np.array_equal(returns, lengths)  # CartPole pays 1 a step
    assert len(set(returns)) > 2
    for i in range(6):
        again = np.stack([members[i]] * 6)  # the whole batch with the weights of member i: its row must not change
        assert es._play(network, stacked, stacked.split(again))[0][i] == returns[i]


def test_the_program_has_a_policy_and_no_value():
    built = assembly("CartPole-v1", 0, updates=1, population=4)
    built.trainer.run(built.config, Hooks(built.schedule))
    assert built.resumable
    program = built.finish()
    out = program({name: torch.randn(5, 1) for name in program.schema.names}, "p")
    assert out.shape == (5, 3)
    assert torch.equal(out[:, 2], torch.zeros(5))
    assert float(out[:, :2].abs().max()) > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_cartpole(seed):
    built = assembly("CartPole-v1", seed, updates=30)
    built.trainer.run(built.config, Hooks(built.schedule))
    program = built.finish()
    held_out = range(1_000_003, 1_000_103)
    assert rollout("CartPole-v1", greedy(program, program.tasks["p"]), held_out).returns.mean() >= 475

"""Every optimiser on a parabola, Rosenbrock's valley and an ill-conditioned quadratic; saved state; schedules."""

import json

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from pellucid import optim
from pellucid.core.errors import DataError, SpecError
from pellucid.optim import ELEMENTWISE, Flat, build
from pellucid.optim.muon import orthogonalise
from pellucid.optim.schedules import Schedule
from pellucid.train.state import flatten, restore

# name -> learning rates for: parabola, Rosenbrock, ill-conditioned quadratic (condition number 100)
RATES = {
    "sgd": (0.3, 3e-3, 1.5e-2),
    "momentum": (0.1, 5e-4, 5e-3),
    "nesterov": (0.1, 5e-4, 5e-3),
    "adam": (0.1, 5e-2, 5e-2),
    "adamw": (0.1, 5e-2, 5e-2),
    "rmsprop": (0.05, 1e-2, 2e-2),
    "adagrad": (1.0, 1.0, 1.0),
    "lion": (0.05, 5e-3, 2.5e-2),
    "muon": (0.1, 5e-2, 5e-2),
    "schedule_free": (0.3, 5e-2, 0.1),
    "sam": (0.1, 5e-2, 5e-2),
}


def minimise(name, rate, loss, start, updates):
    point = nn.Parameter(torch.tensor(start))
    optimiser = optim.build(name, {"point": point}, lr=rate)
    schedule = Schedule("constant" if name == "schedule_free" else "cosine", updates)
    for update in range(updates):
        optimiser.param_groups[0]["lr"] = rate * schedule(update)

        def evaluate():
            optimiser.zero_grad()
            value = loss(point)
            value.backward()
            return value.item()

        optimiser.step(evaluate)
    end = dict(optimiser.averages())[point] if hasattr(optimiser, "averages") else point
    return loss(end).item()


def test_every_optimiser_has_rates():
    assert set(RATES) == set(optim.ALL)


@pytest.mark.parametrize("name", optim.ALL)
def test_parabola(name):
    goal = torch.tensor([2.0, -1.0])
    assert minimise(name, RATES[name][0], lambda x: (x - goal).square().sum(), [0.0, 0.0], 200) < 1e-5


@pytest.mark.parametrize("name", optim.ALL)
def test_rosenbrock(name):
    def valley(p):
        return (1 - p[0]).square() + 100 * (p[1] - p[0].square()).square()

    # starts at 24.2; the valley's floor, from which only an optimiser that turns the corner gets on, is at about 4
    assert minimise(name, RATES[name][1], valley, [-1.2, 1.0], 1200) < 0.3


@pytest.mark.parametrize("name", optim.ALL)
def test_ill_conditioned_quadratic(name):
    scale = torch.tensor([1.0, 100.0])
    assert minimise(name, RATES[name][2], lambda x: (scale * x.square()).sum() / 2, [1.0, 1.0], 400) < 2e-2


def layered():
    torch.manual_seed(5)
    return nn.ModuleDict({"encoders": nn.Linear(4, 8), "trunk": nn.Linear(8, 8), "heads": nn.Linear(8, 1)})


def advance(network, optimiser, first, updates):
    for update in range(first, first + updates):
        x = torch.linspace(-1, 1, 24).view(6, 4) + 0.1 * update

        def evaluate(x=x):
            optimiser.zero_grad()
            h = torch.tanh(network["trunk"](torch.tanh(network["encoders"](x))))
            loss = (network["heads"](h) - x[:, :1].sin()).square().mean()
            loss.backward()
            return loss.item()

        optimiser.step(evaluate)  # as the training loop does


def through_bytes(state):
    arrays, tree = flatten(state)
    return restore(load(save(arrays)), json.loads(json.dumps(tree)))


@pytest.mark.parametrize("name", optim.ALL)
def test_state_continues_bit_by_bit(name):
    def made(network):
        return optim.build(name, dict(network.named_parameters()), lr=1e-2, weight_decay=1e-2)

    one = layered()
    optimiser = made(one)
    advance(one, optimiser, 0, 10)
    for group in optimiser.param_groups:
        group["lr"] = 3e-3  # a schedule's doing: part of the state
    weights, state = {k: v.clone() for k, v in one.state_dict().items()}, through_bytes(optim.get_state(optimiser))
    advance(one, optimiser, 10, 10)

    two = layered()
    two.load_state_dict(weights)
    fresh = made(two)
    optim.set_state(fresh, state)
    advance(two, fresh, 10, 10)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    final, again = optim.get_state(optimiser), optim.get_state(fresh)
    assert final["tensors"].keys() == again["tensors"].keys()
    assert all(torch.equal(final["tensors"][key], again["tensors"][key]) for key in final["tensors"])


def test_state_holds_copies():
    network = layered()
    optimiser = optim.build("adam", dict(network.named_parameters()), lr=1e-2)
    advance(network, optimiser, 0, 1)
    state = optim.get_state(optimiser)
    held = state["tensors"]["trunk.weight/exp_avg"].clone()
    other = layered()
    fresh = optim.build("adam", dict(other.named_parameters()), lr=1e-2)
    optim.set_state(fresh, state)
    advance(network, optimiser, 1, 2)
    advance(other, fresh, 1, 2)
    assert torch.equal(held, state["tensors"]["trunk.weight/exp_avg"])


def test_state_of_other_parameters_is_refused():
    network = layered()
    optimiser = optim.build("adam", dict(network.named_parameters()), lr=1e-2)
    advance(network, optimiser, 0, 1)
    state = optim.get_state(optimiser)
    named = dict(network.named_parameters())
    renamed = {("trunk.gain" if name == "trunk.bias" else name): p for name, p in named.items()}
    with pytest.raises(DataError, match=r"trunk\.bias, trunk\.gain"):
        optim.set_state(optim.build("adam", renamed, lr=1e-2), state)
    shaped = {**named, "trunk.weight": nn.Parameter(torch.zeros(8, 7))}
    with pytest.raises(DataError, match=r"trunk\.weight \(8, 8\) for \(8, 7\)"):
        optim.set_state(optim.build("adam", shaped, lr=1e-2), state)
    with pytest.raises(DataError, match="grouped differently"):
        optim.set_state(optim.build("adam", dict(reversed(named.items())), lr=1e-2), state)


@pytest.mark.parametrize("name", optim.ALL)
def test_weight_decay_acts_on_matrices_only(name):
    matrix, vector = nn.Parameter(torch.ones(3, 3)), nn.Parameter(torch.ones(3))
    optimiser = optim.build(name, {"m": matrix, "v": vector}, lr=1e-2, weight_decay=0.5)
    matrix.grad, vector.grad = torch.zeros(3, 3), torch.zeros(3)
    optimiser.step(lambda: 0.0)
    assert torch.equal(vector, torch.ones(3))
    assert (matrix < 1).all()
    if name in ("sgd", "adamw", "lion", "muon"):
        torch.testing.assert_close(matrix.detach(), torch.full((3, 3), 1 - 1e-2 * 0.5))


def test_groups_have_settings_of_their_own():
    a, b = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    groups = [optim.Group({"a": a}), optim.Group({"b": b}, lr=0.5, weight_decay=0.0)]
    optimiser = optim.build("sgd", groups, lr=0.1, weight_decay=1.0)
    a.grad, b.grad = torch.ones(2, 2), torch.ones(2, 2)
    optimiser.step()
    torch.testing.assert_close(a.detach(), torch.full((2, 2), 1 - 0.1 * 2.0))
    torch.testing.assert_close(b.detach(), torch.full((2, 2), 0.5))


def test_a_parameter_without_gradient_stays():
    for name in optim.ALL:
        p, q = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
        optimiser = optim.build(name, {"p": p, "q": q}, lr=0.1, weight_decay=0.1)
        q.grad = torch.ones(2, 2)
        optimiser.step(lambda: 0.0)
        assert torch.equal(p, torch.ones(2, 2))


@pytest.mark.parametrize(("name", "second"), [("momentum", 1.9), ("nesterov", 1 + 0.9 * 1.9)])
def test_momentum_by_hand(name, second):
    p = nn.Parameter(torch.zeros(1))
    optimiser = optim.build(name, {"p": p}, lr=1.0)
    for moved in (1.0 if name == "momentum" else 1.9, second):
        before = p.item()
        p.grad = torch.ones(1)
        optimiser.step()
        assert before - p.item() == pytest.approx(moved)


def test_lion_is_its_formula():
    p = nn.Parameter(torch.tensor([[1.0, -2.0, 3.0]]))
    optimiser = optim.build("lion", {"p": p}, lr=0.1, weight_decay=0.2, betas=(0.9, 0.99))
    w, m = p.detach().clone(), torch.zeros(1, 3)
    for g in (torch.tensor([[1.0, -1.0, 0.5]]), torch.tensor([[-0.5, 0.05, -9.0]])):
        p.grad = g
        optimiser.step()
        w = w - 0.1 * ((0.9 * m + 0.1 * g).sign() + 0.2 * w)
        m = 0.99 * m + 0.01 * g
    torch.testing.assert_close(p.detach(), w)


def test_muon_makes_singular_values_alike():
    for shape in ((8, 20), (20, 8)):
        matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
        values = torch.linalg.svdvals(orthogonalise(matrix))
        assert values.min() > 0.5
        assert values.max() < 1.3
        assert (orthogonalise(matrix) * (u @ vh)).sum() > 0.8 * 8  # same singular vectors


def test_muon_agrees_with_torch():
    w = torch.randn(6, 9, generator=torch.Generator().manual_seed(2))
    mine, theirs = nn.Parameter(w.clone()), nn.Parameter(w.clone())
    ours = optim.build("muon", {"trunk.weight": mine}, lr=1e-2, weight_decay=0.1)
    peer = torch.optim.Muon([theirs], lr=1e-2, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    for seed in range(3):
        mine.grad = torch.randn(6, 9, generator=torch.Generator().manual_seed(seed))
        theirs.grad = mine.grad.clone()
        ours.step()
        peer.step()
    torch.testing.assert_close(mine, theirs, rtol=0, atol=5e-4)  # theirs iterates in bfloat16


def test_muon_leaves_heads_and_encoders_to_adamw():
    network = layered()
    optimiser = optim.build("muon", dict(network.named_parameters()), lr=1e-2)
    hidden = [n for group in optimiser.param_groups if group["hidden"] for n in group["param_names"]]
    assert hidden == ["trunk.weight"]
    other, peer = layered(), layered()
    ours = optim.build("muon", {f"heads.{n}": p for n, p in other.named_parameters()}, lr=1e-2, weight_decay=0.1)
    adamw = optim.build("adamw", dict(peer.named_parameters()), lr=1e-2, weight_decay=0.1)
    advance(other, ours, 0, 5)
    advance(peer, adamw, 0, 5)
    for a, b in zip(other.parameters(), peer.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_wrong_names_are_refused():
    p = {"p": nn.Parameter(torch.ones(2))}
    with pytest.raises(SpecError, match="no optimiser 'adm'") as caught:
        optim.build("adm", p, lr=0.1)
    assert "did you mean 'adam'?" in str(caught.value)
    with pytest.raises(SpecError, match="'bettas', 'nu'") as caught:
        optim.build("adam", p, lr=0.1, bettas=(0.9, 0.9), nu=1.0)
    assert "did you mean 'betas'?" in str(caught.value)
    with pytest.raises(SpecError, match="no parameters"):
        optim.build("adam", {}, lr=0.1)
    with pytest.raises(SpecError, match="given twice: p"):
        optim.build("adam", [optim.Group(p), optim.Group(p)], lr=0.1)
    with pytest.raises(SpecError, match="no schedule"):
        Schedule("cosin", 10)
    with pytest.raises(SpecError, match="share of the updates"):
        Schedule("cosine", 10, warmup=3)


# schedules


def test_schedules_are_their_closed_forms():
    assert [Schedule("constant", 10)(t) for t in (0, 5, 9, 99)] == [1.0] * 4
    assert [Schedule("linear", 4)(t) for t in range(4)] == [1.0, 0.75, 0.5, 0.25]
    assert Schedule("cosine", 8)(4) == pytest.approx(0.5)
    assert Schedule("cosine", 8)(2) == pytest.approx((1 + 2**-0.5) / 2)
    assert [Schedule("constant", 10, warmup=0.4)(t) for t in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert Schedule("linear", 10, warmup=0.5)(5) == 1.0
    assert Schedule("linear", 10, warmup=0.5)(9) == pytest.approx(0.2)
    assert Schedule("linear", 4, end=0.5)(2) == 0.75


@pytest.mark.parametrize("name", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 1.0])
def test_factors_are_positive_and_at_most_one(name, warmup):
    schedule = Schedule(name, 50, warmup)
    factors = [schedule(t) for t in range(60)]
    assert all(0 < f <= 1 for f in factors)
    assert factors[50:] == [factors[50]] * 10


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_flat_parameters_are_trained_as_single_ones(name: str) -> None:
    def trained(flat_wanted: bool) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        parameters = {
            n: torch.nn.Parameter(torch.randn(shape, generator=generator))
            for n, shape in {"w": (3, 4), "b": (4,), "v": (2, 2), "c": ()}.items()
        }
        flat = Flat(parameters) if flat_wanted else None
        optimiser = build(name, parameters if flat is None else flat.halves, lr=0.05, weight_decay=0.1)
        for _ in range(5):
            gradients = {n: torch.randn(p.shape, generator=generator) for n, p in parameters.items()}
            if flat is None:
                for n, p in parameters.items():
                    p.grad = gradients[n]
            else:
                flat.assign(torch.cat([gradients[n].reshape(-1) for n in flat.parameters]))
            optimiser.step(lambda: 0.0)
        return [parameters[n].detach().clone() for n in ("w", "b", "v", "c")]

    for one, other in zip(trained(False), trained(True), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_sam_steps_from_where_it_was_with_the_gradient_nearby():
    p = nn.Parameter(torch.tensor([3.0, 4.0]))
    seen = []

    def evaluate():
        seen.append(p.detach().clone())
        p.grad = 2.0 * p.detach()  # of |p|^2
        return 0.0

    optimiser = optim.build("sam", {"p": p}, lr=0.1, rho=0.5)
    optimiser.step(evaluate)
    torch.testing.assert_close(seen[1], torch.tensor([3.0, 4.0]) * (1 + 0.5 / 5.0))
    torch.testing.assert_close(p.detach(), torch.tensor([2.9, 3.9]))  # Adam's first step is lr in every coordinate
    with pytest.raises(SpecError, match="twice"):
        optimiser.step()


def test_schedule_free_averages_its_iterates():
    """On a linear loss Adam's steps are all lr, so z falls by lr and x is the plain mean of the z."""
    p = nn.Parameter(torch.zeros(1))
    optimiser = optim.build("schedule_free", {"p": p}, lr=0.1)
    for t in range(1, 6):
        p.grad = torch.ones(1)
        optimiser.step()
        z, x = -0.1 * t, -0.1 * sum(range(1, t + 1)) / t
        torch.testing.assert_close(dict(optimiser.averages())[p], torch.tensor([x]))
        torch.testing.assert_close(p.detach(), torch.tensor([0.1 * z + 0.9 * x]))


def test_one_cycle_rises_then_falls():
    factors = [Schedule("one_cycle", 100)(u) for u in range(100)]
    assert factors[0] == pytest.approx(0.04)
    assert max(factors) == pytest.approx(1.0, abs=1e-3)
    assert factors.index(max(factors)) == 30
    assert factors[-1] < 0.01

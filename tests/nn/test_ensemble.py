"""The ensemble for tables: its pieces, its members, its mean answer, and what it learns."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from pellucid.assemble import assemble, problem
from pellucid.core.task import Task
from pellucid.nn.ensemble import EnsembleNetwork, PieceEncoder, network_from
from pellucid.nn.losses import log_loss
from pellucid.nn.outputs import trained_space
from pellucid.spec.loader import spec_from
from pellucid.supervised.learner import Supervised
from pellucid.testing.learner import check_learner
from pellucid.train.loop import Hooks


def made(k: int = 3, *, members: int = 4, mix: str = "probability", depth: int = 2) -> EnsembleNetwork:
    network = EnsembleNetwork(
        {"a": 2, "b": 1}, {"t": ("a", "b")}, {"t": {"out": k}}, width=8, depth=depth, members=members, pieces=3,
        numbers=("b",), mix={"t": mix}, seed=2,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    network.cut(blocks())
    return network


def blocks(n: int = 20) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    return {"a": torch.randn(n, 2, generator=generator), "b": torch.randn(n, 1, generator=generator)}


def test_a_number_is_cut_at_its_quantiles():
    encoder = PieceEncoder(1, 5, pieces=2)
    encoder.cut(torch.tensor([[0.0], [1.0], [3.0]]))  # quantiles 0, 1, 3
    x = torch.tensor([[-1.0], [0.5], [2.0], [9.0]])
    torch.testing.assert_close(
        encoder.normalised(x), torch.tensor([[0, 0, -1], [0.5, 0, 0.5], [1, 0.5, 2], [1, 1, 9]], dtype=torch.float32)
    )


def test_equal_quantiles_leave_pieces_out():
    encoder = PieceEncoder(1, 5, pieces=4)
    encoder.cut(torch.tensor([[0.0]] * 9 + [[2.0]]))  # only one interval is left
    found = encoder.normalised(torch.tensor([[1.0], [5.0]]))
    assert found.isfinite().all()
    torch.testing.assert_close(found[:, 1:4], torch.zeros(2, 3))


@pytest.mark.parametrize("k", [1, 3])
def test_the_answer_is_the_mean_of_probabilities(k):
    network, x = made(k), blocks()
    members = network.members(x, "t")["out"]
    assert members.shape == (20, 4, k)
    answer = network(x, "t")["out"]
    if k == 1:
        torch.testing.assert_close(torch.sigmoid(answer), torch.sigmoid(members).mean(1))
    else:
        torch.testing.assert_close(torch.softmax(answer, 1), torch.softmax(members, 2).mean(1))
    assert members.std(1).min() > 1e-3, "members that agree are no ensemble"


def test_or_of_numbers():
    network, x = made(1, mix="mean"), blocks()
    torch.testing.assert_close(network(x, "t")["out"], network.members(x, "t")["out"].mean(1))


def test_one_member_is_a_network_computed_by_hand():
    network, x = made(2, members=1, mix="mean"), blocks()
    n = {name: p.detach() for name, p in network.named_parameters()}
    b = network.encoders["_b"].normalised(x["b"])
    encoded = x["a"] @ n["encoders._a.project.weight"].T + b @ n["encoders._b.project.weight"].T
    z = encoded[:, :8] + network.bias
    h = torch.relu(z * n["signs"][0] + n["biases"][0])
    h = (h * n["trunk.0.scale_in"][0]) @ n["trunk.0.linear.weight"].T * n["trunk.0.scale_out"][0]
    h = torch.relu(h + n["trunk.0.bias"][0])
    wanted = h @ n["heads._t.out.weight"][0] + n["heads._t.out.bias"][0]
    wanted = wanted + encoded[:, 8:]  # the additive path
    torch.testing.assert_close(network(x, "t")["out"], wanted)


def scaled(fields: int = 2, **also: object) -> EnsembleNetwork:
    """Fields f1, f0 and so on: not in the order in which a store writes them."""
    names = [f"f{i}" for i in reversed(range(fields))]
    network = EnsembleNetwork(
        dict.fromkeys(names, 1),
        {"t": names},
        {"t": {"out": 1}},
        width=4,
        members=3,
        pieces=0,
        scaled=True,
        seed=1,
        **also,
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(len(names))))
    return network


def numbers(fields: int = 2) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return {f"f{i}": torch.randn(7, 1, generator=generator) for i in range(fields)}


def test_a_member_scales_each_field_before_it_adds_them():
    network, x = scaled(), numbers()
    n = {name: p.detach() for name, p in network.named_parameters()}
    out = {f: x[f] @ n[f"encoders._{f}.project.weight"].T for f in ("f0", "f1")}
    for k in range(3):
        r = n["scales"][k]
        z = r[0] * out["f0"][:, :4] + r[1] * out["f1"][:, :4] + network.bias
        h = torch.relu(z * n["signs"][k] + n["biases"][k])
        h = (h * n["trunk.0.scale_in"][k]) @ n["trunk.0.linear.weight"].T * n["trunk.0.scale_out"][k]
        h = torch.relu(h + n["trunk.0.bias"][k])
        wanted = h @ n["heads._t.out.weight"][k] + n["heads._t.out.bias"][k]
        wanted = wanted + out["f0"][:, 4:] + out["f1"][:, 4:]  # the additive path is nobody's own
        torch.testing.assert_close(network.members(x, "t")["out"][:, k], wanted)


def test_scales_belong_to_their_fields_when_an_architecture_is_stored_with_sorted_keys():
    network, x = scaled(3), numbers(3)
    again = network_from(json.loads(json.dumps(network.architecture, sort_keys=True)))
    again.load_state_dict(network.state_dict())
    torch.testing.assert_close(again(x, "t")["out"], network(x, "t")["out"])


def test_many_fields_are_mixed_part_by_part(monkeypatch):
    network, x = scaled(5), numbers(5)
    whole = network(x, "t")["out"]
    monkeypatch.setattr("pellucid.nn.ensemble.TOGETHER", 2)
    torch.testing.assert_close(network(x, "t")["out"], whole)


def test_a_program_of_before_has_no_scales():
    old = EnsembleNetwork({"a": 1}, {"t": ("a",)}, {"t": {"out": 1}}, width=4, members=2)
    assert "scaled" not in old.architecture
    assert not any("scales" in name for name in old.state_dict())
    assert set(old.signs.flatten().tolist()) == {-1.0, 1.0}


def test_without_a_field_nothing_of_it_is_left():
    """A correction that ignores a field acts on its encoder alone: hidden layers and additive path both read that."""
    network, x = made(2), blocks()
    with torch.no_grad():
        network.encoders["_a"].project.weight.zero_()
    other = {**x, "a": 5.0 + x["a"]}
    assert torch.equal(network(x, "t")["out"], network(other, "t")["out"])


def test_it_begins_as_an_additive_model():
    network, x = made(3), blocks()
    seen, pieces = network.seen(x, "t")
    assert pieces.tolist() == [False, False, True, True, True, False]
    weight, bias = torch.randn(3, 6), torch.randn(3)
    network.begin_additive("t", "out", weight, bias)
    members = network.members(x, "t")["out"]
    torch.testing.assert_close(members, (seen @ weight.T + bias)[:, None].expand_as(members))


def test_it_is_rebuilt_from_its_architecture():
    network, x = made(), blocks()
    again = network_from(network.architecture)
    assert type(again) is EnsembleNetwork
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(x, "t")["out"], network(x, "t")["out"])


def classify() -> Task:
    return Task(
        "t", "classify", ("a", "b"), tuple("xyz"), "logit", "log_loss", (), {"classes": list("xyz"), "target": "y"}
    )


def learner(seed: int) -> Supervised:
    y = torch.randint(3, (20,), generator=torch.Generator().manual_seed(1))
    return Supervised(classify(), blocks(), y, batch=7, seed=seed)


def test_each_member_has_its_own_loss():
    network, one = made(), learner(0)
    batch = one.next_batch(network)
    members = network.members(batch.blocks, "t")["out"]
    each = [log_loss(members[:, k], batch.target).mean() for k in range(4)]
    torch.testing.assert_close(one.loss(network, batch).value, torch.stack(each).mean())
    mean = log_loss(trained_space(classify(), network, batch.blocks), batch.target).mean()
    assert mean < torch.stack(each).mean()  # Jensen


def test_conforms():
    check_learner(learner, made)


def test_interactions_are_learned():
    g = np.random.default_rng(3)
    x = g.standard_normal((1200, 3))
    y = x[:, 0] * x[:, 1] + np.abs(x[:, 2]) + 0.1 * g.standard_normal(1200)
    frame = pd.DataFrame(x, columns=list("abc")).assign(y=y)
    raw = {
        "name": "t",
        "data": {"kind": "table", "source": "memory.csv", "target": "y"},
        "network": {"kind": "ensemble", "width": 32, "members": 8, "pieces": 8},
        "train": {"updates": 400, "lr": 5e-3, "weight_decay": 1e-4, "early_stop": {"held_out": 0.2}},
    }
    found = problem(spec_from(raw, where="test"), frame)
    made_up = assemble(found, np.arange(900), seed=0)
    made_up.trainer.run(made_up.config, Hooks(made_up.schedule))
    program = made_up.finish()
    test = found.rows.take(np.arange(900, 1200))
    error = program(program.encode(test), "y").numpy()[:, 0] - y[900:]
    explained = 1.0 - error.var() / y[900:].var()
    assert explained > 0.8  # a linear model explains nothing here


def test_products_in_noise_are_learned():
    """A fifth of the variance is noise. Members that all scale the fields alike explain .64 to .66 (three seeds)."""
    g = np.random.default_rng(3)
    x = g.standard_normal((2100, 8))
    y = sum(x[:, 2 * i] * x[:, 2 * i + 1] for i in range(4)) + g.standard_normal(2100)
    frame = pd.DataFrame(x, columns=list("abcdefgh")).assign(y=y)
    raw = {
        "name": "t",
        "data": {"kind": "table", "source": "memory.csv", "target": "y"},
        "network": {"kind": "ensemble", "width": 32, "members": 8, "pieces": 16},
        "train": {"updates": 400, "lr": 4e-3, "weight_decay": 3e-4},
    }
    found = problem(spec_from(raw, where="test"), frame)
    one = assemble(found, np.arange(1500), seed=0)
    one.trainer.run(one.config, Hooks(one.schedule))
    program = one.finish()
    error = program(program.encode(found.rows.take(np.arange(1500, 2100))), "y").numpy()[:, 0] - y[1500:]
    assert 1.0 - error.var() / y[1500:].var() > 0.67


def test_several_tasks_are_rebuilt_from_what_a_store_writes() -> None:
    """A store sorts keys; the additive path of each head must stay its own."""
    network = EnsembleNetwork(
        {"x": 1}, {"b": ("x",), "a": ("x",)}, {"b": {"out": 2}, "a": {"out": 1}}, width=8, members=2, pieces=0
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    again = network_from(json.loads(json.dumps(network.architecture, sort_keys=True)))
    again.load_state_dict(network.state_dict())
    blocks = {"x": torch.randn(4, 1)}
    for task in "ab":
        assert torch.allclose(network(blocks, task)["out"], again(blocks, task)["out"])

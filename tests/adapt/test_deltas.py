"""LoRA and AdaLoRA beyond the conformance suite: targets, stacks, convolutions, schedules, budgets."""

import copy
import json

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from pellucid import adapt
from pellucid.core.errors import DeltaError
from pellucid.nn.delta import Delta, parameters_sha
from pellucid.testing.delta import train
from pellucid.train.learner import Part


class Net(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        torch.manual_seed(0)
        self.encoders = nn.ModuleDict({"_price": nn.Linear(5, width)})
        self.trunk = nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.heads = nn.ModuleDict({"_up": nn.ModuleDict({"policy": nn.Linear(width, 3)})})

    def forward(self, x):
        return self.heads["_up"]["policy"](self.trunk(self.encoders["_price"](x)))


class Wide(nn.Module):
    """Two convolutions, one strided with reflecting borders, one flat; a Linear called twice in one forward."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.two = nn.Conv2d(2, 4, 3, stride=2, padding=1, padding_mode="reflect")
        self.one = nn.Conv1d(4, 4, 3, dilation=2, padding=2)
        self.grouped = nn.Conv1d(4, 4, 1, groups=2)
        self.twice = nn.Linear(8, 8)
        self.drop = nn.Dropout(0.0)

    def forward(self, x):
        h = self.grouped(self.one(self.two(x).flatten(2)))
        return self.twice(torch.tanh(self.twice(input=h[..., :8]))).flatten(1)


X = torch.linspace(-1, 1, 60).view(12, 5)
LORA = {"rank": 2, "seed": 3}
ADALORA = {"steps": 20, "start_rank": 4, "budget": 2.0, "seed": 3}


def made(kind, **more):
    return adapt.build(kind, {**(LORA if kind == "lora" else ADALORA), **more})


@pytest.mark.parametrize("kind", adapt.ALL)
def test_is_a_delta_and_a_part(kind):
    assert isinstance(made(kind), Delta)
    assert isinstance(made(kind), Part)


@pytest.mark.parametrize(
    ("targets", "chosen"),
    [
        ((), ["encoders._price", "trunk.1", "trunk.3"]),
        (("trunk",), ["trunk.1", "trunk.3"]),
        (("trunk.3", "encoders.*"), ["encoders._price", "trunk.3"]),
        (("heads.*.policy",), ["heads._up.policy"]),
        (("*",), ["encoders._price", "trunk.1", "trunk.3", "heads._up.policy"]),
    ],
)
def test_targets(targets, chosen):
    delta = made("lora", targets=targets)
    delta.attach(Net())
    assert delta.manifest()["targets"] == chosen


def test_every_wrong_target_is_named_with_its_nearest():
    with pytest.raises(DeltaError) as caught:
        made("lora", targets=("trunk.1", "trunk.0", "trnk.3", "encoders._prise")).attach(Net())
    text = str(caught.value)
    assert "3 of 4" in text
    assert all(part in text for part in ("'trunk.0' is a ReLU", "'trnk.3'", "'encoders._prise'"))
    assert "did you mean 'trunk.3'?" in text
    assert "did you mean 'encoders._price'?" in text
    assert len(text.splitlines()) == 3


def test_layers_that_a_hook_cannot_change_are_refused():
    attention = nn.MultiheadAttention(8, 2)
    with pytest.raises(DeltaError, match="without being called"):
        made("lora", targets=("out_proj",)).attach(attention)
    with pytest.raises(DeltaError, match="grouped"):
        made("lora", targets=("grouped",)).attach(Wide())
    with pytest.raises(DeltaError, match="no Linear layer"):
        made("lora").attach(nn.Sequential(nn.Conv1d(2, 2, 1)))


@pytest.mark.parametrize("kind", adapt.ALL)
def test_convolutions_and_repeated_calls(kind):
    network = Wide()
    x = torch.randn(6, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    before = network(x).detach()
    delta = made(kind, targets=("one", "two", "twice"))
    delta.attach(network)
    assert torch.equal(network(x), before)
    losses = train(delta, network, x, 20)
    assert losses[-1] < 0.9 * losses[0]
    delta.finish()
    assert not torch.equal(network(x), before)
    torch.testing.assert_close(delta.merged(network)(x), network(x), rtol=0, atol=1e-5)
    delta.detach()
    assert torch.equal(network(x), before)


def test_lora_is_its_formula():
    linear = nn.Linear(5, 7).requires_grad_(False)
    delta = made("lora", alpha=6.0)
    delta.attach(linear)
    a, b = delta.parameters().values()
    with torch.no_grad():
        b.copy_(torch.randn(7, 2))
    weight = linear.weight + 6.0 / 2 * b @ a
    torch.testing.assert_close(linear(X), X @ weight.T + linear.bias)
    torch.testing.assert_close(linear(X[None]), (X @ weight.T + linear.bias)[None])  # not only for matrices
    assert linear(X[0]).shape == (7,)


def test_stacked_deltas_come_off_in_reverse():
    network = Net()
    bits = parameters_sha(network)
    base = network(X).detach()
    first, second = made("lora"), made("adalora")
    first.attach(network)
    train(first, network, X, 10)
    version = network(X).detach()
    second.attach(network)
    assert adapt.attached(network) == [first, second]
    assert torch.equal(network(X), version)
    assert not any(p.requires_grad for p in first.parameters().values())
    held = {k: p.clone() for k, p in first.parameters().items()}
    train(second, network, X, 20)
    second.finish()
    assert all(torch.equal(held[k], p) for k, p in first.parameters().items())
    both = network(X).detach()
    assert not torch.equal(both, version)
    torch.testing.assert_close(second.merged(network)(X), both, rtol=0, atol=1e-5)
    assert all(p.requires_grad for p in second.merged(network).parameters())
    with pytest.raises(DeltaError, match="later delta"):
        first.detach()
    second.detach()
    assert torch.equal(network(X), version)
    first.detach()
    assert torch.equal(network(X), base)
    assert parameters_sha(network) == bits
    with pytest.raises(DeltaError, match="fits the base"):
        second.attach(network)  # it fits the base with the first delta on it, not the bare one
    first.attach(network)
    second.attach(network)
    assert torch.equal(network(X), both)


def test_a_changed_scale_of_an_earlier_delta_is_another_base():
    network, one, two = Net(), made("lora", alpha=2.0), made("lora", alpha=3.0)
    one.attach(network)
    sha = adapt.base_sha(network)
    one.detach()
    two.attach(network)
    assert adapt.base_sha(network) != sha


def test_batch_statistics_stand_still_and_modes_are_kept():
    network = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)).train()
    first, second = made("lora"), made("lora", seed=4)
    first.attach(network)
    second.attach(network)
    network(X)
    assert int(network[1].num_batches_tracked) == 0
    assert network[1].training  # only while it runs is it in evaluation
    with pytest.raises(RuntimeError):
        network[1](torch.zeros(3, 7))
    assert network[1].training  # also when it fails
    second.detach()
    first.detach()
    network(X)
    assert int(network[1].num_batches_tracked) == 1


def test_a_base_written_to_while_attached_is_reported():
    network, delta = Net(), made("lora")
    delta.attach(network)
    with torch.no_grad():
        network.trunk[1].bias += 1e-3
    with pytest.raises(DeltaError, match="changed while the delta was attached"):
        delta.detach()


def test_a_copied_module_reads_the_live_delta_and_a_merged_one_does_not():
    network, delta = Net(), made("lora")
    delta.attach(network)
    live, merged = copy.deepcopy(network), delta.merged(network)
    start = network(X).detach()
    train(delta, network, X, 3)
    assert torch.equal(live(X), network(X))
    assert torch.equal(merged(X), start)


def test_merging_unties_weights_and_keeps_outputs():
    network = nn.Sequential(nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 5))
    network[2].weight = network[0].weight
    delta = made("lora", targets=("0",))
    delta.attach(network)
    train(delta, network, X, 5)
    torch.testing.assert_close(delta.merged(network)(X), network(X), rtol=0, atol=1e-5)


def test_merged_works_on_a_bare_base_and_leaves_it_bare():
    network, delta = Net(), made("lora")
    delta.attach(network)
    train(delta, network, X, 5)
    after = network(X).detach()
    delta.detach()
    torch.testing.assert_close(delta.merged(network)(X), after, rtol=0, atol=1e-5)
    assert adapt.attached(network) == []
    assert all(p.requires_grad for p in network.parameters())


def test_double_precision():
    network, delta = Net().double(), made("adalora")
    delta.attach(network)
    train(delta, network, X.double(), 3)
    delta.finish()
    assert all(p.dtype == torch.float64 for p in delta.parameters().values())


@pytest.mark.parametrize("kind", adapt.ALL)
def test_resuming_is_bit_identical(kind):
    def run(delta, network, optimiser, updates, start):
        for update in range(start, start + updates):
            optimiser.zero_grad()
            loss = network(X).square().sum()
            penalty = delta.penalty()
            (loss if penalty is None else loss + penalty).backward()
            optimiser.step()
            delta.after_step(update)

    delta, network = made(kind), Net()
    delta.attach(network)
    optimiser = torch.optim.SGD(delta.parameters().values(), lr=1e-3)
    run(delta, network, optimiser, 6, 0)
    state = delta.get_state()
    run(delta, network, optimiser, 6, 6)
    other, base = made(kind), Net()
    other.attach(base)
    optimiser = torch.optim.SGD(other.parameters().values(), lr=1e-3)  # made before the state is set
    other.set_state(state)
    run(other, base, optimiser, 6, 6)
    assert all(torch.equal(p, other.parameters()[k]) for k, p in delta.parameters().items())


def test_state_of_another_configuration_is_refused():
    delta = made("lora")
    delta.attach(Net())
    with pytest.raises(DeltaError, match="config="):
        made("lora", rank=1).set_state(delta.get_state())


@pytest.mark.parametrize("kind", adapt.ALL)
def test_a_saved_delta_comes_back_from_its_manifest_and_tensors(kind):
    network, delta = Net(), made(kind)
    delta.attach(network)
    train(delta, network, X, 7)
    delta.finish()
    after = network(X).detach()
    manifest = json.loads(json.dumps(delta.manifest()))
    saved = load(save({key: p.detach() for key, p in delta.parameters().items()}))
    delta.detach()
    again = adapt.restore(manifest, saved)
    assert again.manifest() == manifest
    again.attach(network)
    assert torch.equal(network(X), after)


def test_restore_refuses_tensors_that_the_manifest_does_not_count():
    delta = made("lora")
    delta.attach(Net())
    tensors = delta.parameters()
    tensors.popitem()
    with pytest.raises(DeltaError, match="its manifest says"):
        adapt.restore(delta.manifest(), tensors)


def test_build_names_every_unknown_option():
    with pytest.raises(DeltaError) as caught:
        adapt.build("adalora", {"start_rnk": 3, "alhpa": 1})
    assert all(part in str(caught.value) for part in ("'start_rnk'", "'alhpa'", "'steps' is missing", "'start_rank'"))
    with pytest.raises(DeltaError, match="no delta"):
        adapt.build("lorra", {})
    with pytest.raises(DeltaError, match=r"steps=0 .*budget=9"):
        adapt.AdaLoRAConfig(steps=0, budget=9)


# AdaLoRA


@pytest.mark.parametrize("seed", range(20))
def test_rank_sum_within_budget_however_early_the_run_stops(seed):
    network, stop = Net(), 1 + seed  # of 20 updates
    delta = made("adalora", seed=seed, start_rank=5, budget=1.0 + seed % 4)
    delta.attach(network)
    train(delta, network, X, stop, lr=5e-2)
    delta.finish()
    ranks = delta.manifest()["ranks"]
    assert set(ranks) == {"encoders._price", "trunk.1", "trunk.3"}
    assert sum(ranks.values()) == 3 * (1 + seed % 4)  # all of it is used
    assert delta.count() == sum(r * n for r, n in zip(ranks.values(), (5 + 16 + 1, 33, 33), strict=True))


def test_ranks_go_where_they_matter():
    network = Net()
    delta = made("adalora", steps=60, start_rank=4, budget=1.5)
    delta.attach(network)
    generator = torch.Generator().manual_seed(1)
    wanted = torch.randn(16, 4, generator=generator) @ torch.randn(4, 16, generator=generator)
    x = torch.randn(64, 16, generator=generator)
    y = network.trunk[1](x).detach() + 0.2 * x @ wanted.T
    optimiser = torch.optim.Adam(delta.parameters().values(), lr=2e-2)
    for update in range(60):  # only the layer trunk.1 has anything to learn
        optimiser.zero_grad()
        ((network.trunk[1](x) - y).square().mean() + delta.penalty()).backward()
        optimiser.step()
        delta.after_step(update)
    delta.finish()
    ranks = delta.manifest()["ranks"]
    assert ranks == {"encoders._price": 0, "trunk.1": 4, "trunk.3": 0}


def test_budget_falls_by_a_cubic():
    delta = made("adalora", steps=100, start_rank=4, budget=1.0, warmup=0.2, cooldown=0.3)
    delta.attach(Net())
    alive = [delta.allowed(t) for t in range(101)]
    assert alive[:21] == [12] * 21
    assert alive[45] == int(3 + 9 * 0.5**3)
    assert alive[70:] == [3] * 31
    assert alive == sorted(alive, reverse=True)


def test_a_finished_schedule_has_nothing_left_to_cut():
    network, delta = Net(), made("adalora")
    delta.attach(network)
    train(delta, network, X, 20)
    before = network(X).detach()
    delta.finish()
    torch.testing.assert_close(network(X), before, rtol=0, atol=1e-6)


def test_importance_is_sensitivity_times_uncertainty():
    linear = nn.Linear(5, 4)
    delta = made("adalora", steps=50, start_rank=2, budget=2, beta1=0.8, beta2=0.6, alpha=1, orthogonality=0.0)
    delta.attach(linear)
    optimiser = torch.optim.SGD(delta.parameters().values(), lr=1e-2)
    smooth, spread = {}, {}
    for update in range(4):
        optimiser.zero_grad()
        linear(X).square().sum().backward()
        optimiser.step()
        for key, p in delta.parameters().items():
            now = (p.detach() * p.grad).abs()
            smooth[key] = 0.8 * smooth.get(key, 0) + 0.2 * now
            spread[key] = 0.6 * spread.get(key, 0) + 0.4 * (now - smooth[key]).abs()
        delta.after_step(update)
    score = {key: smooth[key] * spread[key] for key in smooth}
    expected = score[".Lambda"] + score[".P"].sum(0) / 4 + score[".Q"].sum(1) / 5
    torch.testing.assert_close(delta.importance()[""], expected)


def test_penalty_pulls_towards_orthonormal_factors():
    network, delta = Net(), made("adalora", orthogonality=0.5)
    delta.attach(network)
    assert delta.penalty().item() < 1e-9
    p = delta.parameters()["trunk.1.P"]
    with torch.no_grad():
        p.mul_(2.0)
    assert delta.penalty().item() == pytest.approx(0.5 * 4 * 3.0**2, rel=1e-5)  # four columns, each |4 - 1|^2
    delta.penalty().backward()
    assert (p.grad * p).sum().item() > 0
    with torch.no_grad():
        delta.parameters()["trunk.1.Q"].mul_(3.0)
    assert delta.penalty().item() == pytest.approx(0.5 * 4 * (3.0**2 + 8.0**2), rel=1e-5)


def test_a_delta_that_was_never_ticked_raises():
    delta = made("adalora")
    delta.attach(Net())
    with pytest.raises(DeltaError, match="never ticked"):
        delta.finish()
    with pytest.raises(DeltaError, match="not finished"):
        delta.manifest()


def test_a_finished_delta_is_not_trained_further():
    network, delta = Net(), made("adalora")
    delta.attach(network)
    train(delta, network, X, 2)
    delta.finish()
    delta.finish()
    assert delta.penalty() is None
    with pytest.raises(DeltaError, match="ranks are fixed"):
        delta.after_step(2)


# how large


@pytest.mark.parametrize("width", [64, 256, 512])
def test_fit_rank_is_the_largest_within_the_share(width):
    network = Net(width)
    total = sum(p.numel() for p in network.parameters())
    try:
        rank = adapt.fit_rank(network, (), 0.05)
    except DeltaError:
        rank = 0

    def count(rank):
        delta = made("lora", rank=rank)
        delta.attach(network)
        n = delta.count()
        delta.detach()
        return n

    assert rank == 0 or count(rank) <= 0.05 * total
    assert count(rank + 1) > 0.05 * total
    assert (rank == 0) == (width == 64) or rank > 0


def test_fit_rank_for_adalora_bounds_the_worst_allocation():
    network = Net(256)
    budget = adapt.fit_rank(network, (), 0.05, "adalora")
    delta = made("adalora", start_rank=16, budget=float(budget))
    delta.attach(network)
    train(delta, network, X, 3)
    delta.finish()
    assert delta.count() <= 0.05 * sum(p.numel() for p in network.parameters())
    assert 3 * budget * (2 * 256 + 1) <= 0.05 * sum(p.numel() for p in network.parameters())


def test_fit_rank_says_when_nothing_fits():
    with pytest.raises(DeltaError, match="rank 1 already holds"):
        adapt.fit_rank(Net(16))

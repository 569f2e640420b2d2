"""The one loop against loops written by hand, bit for bit; clipping, weights, combining, parts, schedules, faults."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid.core.errors import EnvironmentFault, Interrupted, TrainingFault
from pellucid.core.task import Task
from pellucid.multitask import UPGrad
from pellucid.optim import ALL as OPTIMISERS
from pellucid.optim import build
from pellucid.train.learner import Gradients, Loss
from pellucid.train.loop import History, Hooks, LoopConfig, Trainer
from pellucid.train.state import flatten, restore


class Two(nn.Module):
    """A trunk and two heads."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.trunk = nn.Sequential(nn.Linear(4, 8), nn.Tanh())
            self.heads = nn.ModuleDict({"a": nn.Linear(8, 1), "b": nn.Linear(8, 1)})
        self.register_buffer("seen", torch.zeros(2))

    def forward(self, x: Tensor, task: str) -> Tensor:
        return self.heads[task](self.trunk(x))[:, 0]


def _task(name: str) -> Task:
    return Task(name, "regress", ("x",), ("y",), "", "squared_error")


@dataclass
class Regression:
    """Squared error on batches that depend on the counter alone."""

    name: str
    size: float = 1.0
    skip: tuple[int, ...] = ()
    poison: dict[int, str] = field(default_factory=dict)  # update -> "loss" or "gradient"
    drawn: int = 0
    told: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    rowwise = True

    @property
    def task(self) -> Task:
        return _task(self.name)

    def next_batch(self, network: nn.Module) -> tuple[Tensor, Tensor, Tensor] | None:
        g = torch.Generator().manual_seed(100 * self.drawn + ord(self.name))
        self.drawn += 1
        if self.drawn - 1 in self.skip:
            return None
        x = torch.randn(16, 4, generator=g)
        return x, x.sum(1) * self.size + ord(self.name) % 7, torch.tensor(self.drawn - 1)

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Loss:
        x, y, at = batch
        value = (network(x, self.name) - y).square().mean()
        kind = self.poison.get(int(at))
        if kind == "loss":
            value = value * float("nan")
        if kind == "gradient":
            value = value + (value - value.detach()).abs().sqrt()  # finite, with an infinite slope
        return Loss(value, {"half": value.detach() / 2})

    def after_step(self, network: nn.Module, metrics: dict[str, float]) -> None:
        self.told.append((self.drawn - 1, metrics))

    def get_state(self) -> dict[str, Any]:
        return {"drawn": self.drawn}

    def set_state(self, state: dict[str, Any]) -> None:
        self.drawn = int(state["drawn"])


def _trainer(network: Two, learners: list[Any], optimiser: str = "adamw", **options: Any) -> Trainer:
    named = dict(network.named_parameters())
    shared = list(network.trunk.parameters())
    return Trainer(network, learners, build(optimiser, named, lr=1e-2), named, shared=shared, **options)


def _bits(network: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in network.state_dict().items()}


def _same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("optimiser", ["sgd", "momentum", "adamw", "lion", "muon"])
@pytest.mark.parametrize(("clip", "weights"), [(None, ()), (0.5, ()), (0.5, (0.3, 2.0))])
def test_the_loop_is_the_loop_that_one_would_write(optimiser, clip, weights):
    network, other = Two(), Two()
    _trainer(network, [Regression("a"), Regression("b", 5.0)], optimiser).run(
        LoopConfig(20, clip=clip, weights=weights)
    )
    learners, named = [Regression("a"), Regression("b", 5.0)], dict(other.named_parameters())
    opt = build(optimiser, named, lr=1e-2)
    for _ in range(20):
        opt.zero_grad()
        total: dict[str, Tensor] = {}
        for learner, weight in zip(learners, weights or (1.0, 1.0), strict=True):
            value = learner.loss(other, learner.next_batch(other)).value
            grads = torch.autograd.grad(value, list(named.values()), allow_unused=True)
            # One vector, in the loop's own order: the sum of squares depends on it in the last bit.
            pieces = [
                torch.zeros(p.numel()) if g is None else g.flatten() for g, p in zip(grads, named.values(), strict=True)
            ]
            norm = float(torch.linalg.vector_norm(torch.cat(pieces)))
            scale = weight * (clip / (norm + 1e-12) if clip is not None and norm > clip else 1.0)
            for name, g in zip(named, grads, strict=True):
                if g is not None:
                    total[name] = total[name] + g * scale if name in total else g * scale
        for name, g in total.items():
            named[name].grad = g
        opt.step()
    assert _same(_bits(network), _bits(other))


def test_the_sum_is_the_gradient_of_the_sum():
    network, other = Two(), Two()
    _trainer(network, [Regression("a"), Regression("b")], "sgd").run(LoopConfig(5, clip=None, weights=(1.0, 0.5)))
    opt = torch.optim.SGD(other.parameters(), lr=1e-2)
    a, b = Regression("a"), Regression("b")
    for _ in range(5):
        opt.zero_grad()
        (a.loss(other, a.next_batch(other)).value + 0.5 * b.loss(other, b.next_batch(other)).value).backward()
        opt.step()
    for name, p in other.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], p, rtol=1e-5, atol=1e-6)


def _gradients(network: Two, learner: Regression) -> dict[str, Tensor]:
    value = learner.loss(network, learner.next_batch(network)).value
    grads = torch.autograd.grad(value, list(network.parameters()), allow_unused=True)
    return {n: g for n, g in zip(dict(network.named_parameters()), grads, strict=True) if g is not None}


def test_combine_sees_the_shared_parameters_only_and_its_answer_goes_there():
    seen: list[Tensor] = []

    def first_minus_second(jacobian: Tensor) -> Tensor:
        seen.append(jacobian)
        return jacobian[0] - jacobian[1]

    network = Two()
    a, b = (_gradients(network, Regression(name)) for name in "ab")
    _trainer(network, [Regression("a"), Regression("b")], "sgd", combine=first_minus_second).run(
        LoopConfig(1, clip=None)
    )
    (jacobian,) = seen
    assert jacobian.shape == (2, 4 * 8 + 8)
    for row, grads in zip(jacobian, (a, b), strict=True):
        assert torch.equal(row, torch.cat([g.flatten() for n, g in grads.items() if n.startswith("trunk")]))
    for name, p in network.named_parameters():
        wanted = a[name] - b[name] if name.startswith("trunk") else (a | b)[name]
        assert torch.equal(p.grad, wanted), name


def test_upgrad_differs_from_the_sum_where_tasks_conflict_and_leaves_heads_alone():
    runs = {}
    for name, combine in (("sum", None), ("upgrad", UPGrad())):
        network = Two()
        _trainer(network, [Regression("a"), Regression("b", -1.0)], "sgd", combine=combine).run(
            LoopConfig(1, clip=None)
        )
        runs[name] = {n: p.grad for n, p in network.named_parameters()}
    for name in runs["sum"]:
        assert torch.equal(runs["sum"][name], runs["upgrad"][name]) == name.startswith("heads"), name


def test_one_learner_alone_is_not_combined():
    network = Two()

    def never(jacobian: Tensor) -> Tensor:
        raise AssertionError

    _trainer(network, [Regression("a"), Regression("b", skip=(0, 1))], combine=never).run(LoopConfig(2))


def test_clipping_is_per_learner():
    """One learner's explosion is cut down; the other's gradient is what it would be alone."""
    network = Two()
    small = _gradients(network, Regression("a"))
    _trainer(network, [Regression("a"), Regression("b", 1e6)], "sgd").run(LoopConfig(1, clip=100.0))
    grads = {name: p.grad for name, p in network.named_parameters()}
    assert torch.equal(grads["heads.a.weight"], small["heads.a.weight"])
    big = [g - small[n] if n in small else g for n, g in grads.items() if not n.startswith("heads.a")]
    assert float(torch.stack([g.norm() for g in big]).norm()) == pytest.approx(100.0, rel=1e-4)


@dataclass
class Pull:
    """A part: pulls every weight towards zero, and watches what it is told."""

    network: Two
    strength: float = 1.0
    told: list[tuple[int, bool]] = field(default_factory=list)
    count: float = 0.0

    def penalty(self) -> Tensor | None:
        if self.strength == 0.0:
            return None
        return self.strength * sum(p.square().sum() for p in self.network.trunk.parameters())

    def after_step(self, update: int) -> None:
        self.told.append((update, all(p.grad is not None for p in self.network.trunk.parameters())))
        self.count += 1.5

    def get_state(self) -> dict[str, Any]:
        return {"count": self.count}

    def set_state(self, state: dict[str, Any]) -> None:
        self.count = float(state["count"])


@pytest.mark.parametrize("combine", [None, UPGrad()])
def test_penalties_come_after_clipping_and_combining(combine):
    grads = {}
    for strength in (0.0, 3.0):
        network = Two()
        before = _bits(network)
        part = Pull(network, strength)
        _trainer(network, [Regression("a"), Regression("b", -1.0)], "sgd", combine=combine, parts=[part]).run(
            LoopConfig(1, clip=0.1)
        )
        grads[strength] = {n: p.grad for n, p in network.named_parameters()}
        assert part.told == [(0, True)]
    for name, g in grads[3.0].items():
        extra = 6.0 * before[name] if name.startswith("trunk") else torch.zeros_like(g)
        torch.testing.assert_close(g, grads[0.0][name] + extra, rtol=1e-5, atol=1e-6)


def test_the_schedule_multiplies_each_groups_own_rate():
    network = Two()
    named = dict(network.named_parameters())
    trunk = {"params": [(n, p) for n, p in named.items() if n.startswith("trunk")], "lr": 0.1}
    heads = {"params": [(n, p) for n, p in named.items() if n.startswith("heads")], "lr": 0.01}
    opt = torch.optim.SGD([trunk, heads], lr=1.0)
    rates: list[list[float]] = []
    trainer = Trainer(network, [Regression("a")], opt, named)
    hooks = Hooks(
        schedule=lambda u: 1.0 / (u + 1), progress=lambda u, m: rates.append([g["lr"] for g in opt.param_groups])
    )
    trainer.run(LoopConfig(3), hooks)
    for found, wanted in zip(rates, [[0.1, 0.01], [0.05, 0.005], [0.1 / 3, 0.01 / 3]], strict=True):
        assert found == pytest.approx(wanted)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_who_sits_out_is_neither_trained_nor_told(optimiser):
    network = Two()
    a, b = Regression("a", skip=(1,)), Regression("b", skip=(0, 1))
    trainer = _trainer(network, [a, b], optimiser)
    metrics: list[dict[str, Any]] = []
    before = _bits(network)
    trainer.run(LoopConfig(1), Hooks(progress=lambda u, m: metrics.append(m)))
    after = _bits(network)
    assert torch.equal(before["heads.b.weight"], after["heads.b.weight"])
    assert not torch.equal(before["trunk.0.weight"], after["trunk.0.weight"])
    trainer.run(LoopConfig(2), Hooks(progress=lambda u, m: metrics.append(m)))
    assert _same(after, _bits(network)), "nobody had a batch: nothing moves, momentum neither"
    trainer.run(LoopConfig(3), Hooks(progress=lambda u, m: metrics.append(m)))
    assert [set(m) for m in metrics] == [{"a"}, set(), {"a", "b"}]
    assert [at for at, _ in a.told] == [0, 2]
    assert [at for at, _ in b.told] == [2]
    assert set(a.told[0][1]) == {"loss", "half"}
    assert a.told[0][1]["half"] == pytest.approx(a.told[0][1]["loss"] / 2)


def test_a_learners_own_gradients_are_taken_and_none_means_autograd():
    @dataclass
    class ByHand(Regression):
        every: int = 1

        def gradients(self, network: Two, batch: Any) -> Gradients | None:
            if int(batch[2]) % self.every:
                return None
            value, _ = self.loss(network, batch)
            named = [p for n, p in network.named_parameters() if not n.startswith("heads.b")]
            grads = [2.0 * g for g in torch.autograd.grad(value, named)]
            return Gradients(float(value.detach()), {"mine": 1.0}, named[::-1], grads[::-1])

    networks = [Two(), Two()]
    logged: list[set[str]] = []
    _trainer(networks[0], [ByHand("a", every=2)], "sgd").run(
        LoopConfig(4, clip=None), Hooks(progress=lambda u, m: logged.append(set(m["a"])))
    )
    plain, opt = Regression("a"), torch.optim.SGD(networks[1].parameters(), lr=1e-2)
    for update in range(4):
        opt.zero_grad()
        plain.loss(networks[1], plain.next_batch(networks[1])).value.backward()
        for p in networks[1].parameters():
            if p.grad is not None and update % 2 == 0:
                p.grad *= 2.0
        opt.step()
    assert _same(_bits(networks[0]), _bits(networks[1]))
    assert logged == [{"loss", "mine"}, {"loss", "half"}] * 2


def test_the_loop_is_a_closure():
    """L-BFGS evaluates many times a step: the same batch each time, so it needs nothing of its own."""
    network = Two()
    named = dict(network.named_parameters())
    opt = torch.optim.LBFGS(list(named.values()), lr=0.5, max_iter=20, line_search_fn="strong_wolfe")
    learner = Regression("a")
    losses: list[float] = []
    Trainer(network, [learner], opt, {n: p for n, p in named.items() if "heads.b" not in n}).run(
        LoopConfig(3, clip=None), Hooks(progress=lambda u, m: losses.append(m["a"]["loss"]))
    )
    assert learner.drawn == 3
    assert losses[0] < 0.5  # within the first batch: from about 12 to nearly nothing


# Checkpoints


def _full(seed_network: Two) -> Trainer:
    learners = [Regression("a"), Regression("b", -2.0, skip=(3, 4))]
    return _trainer(seed_network, learners, combine=UPGrad(), parts=[Pull(seed_network, 0.01)])


def _through_bytes(state: Any) -> Any:
    arrays, tree = flatten(state)
    return restore(arrays, json.loads(json.dumps(tree)))


def test_a_run_resumed_at_any_update_is_the_same_run():
    config, schedule = LoopConfig(12, checkpoint_every=1), lambda u: 1.0 - u / 12
    whole = Two()
    saved: list[Any] = []
    trainer = _full(whole)
    history = trainer.run(config, Hooks(schedule=schedule, save=lambda s: saved.append(_through_bytes(s))))
    assert [s["update"] for s in saved] == list(range(1, 13))
    for state in saved:
        network = Two()
        again = _full(network)
        again.set_state(copy.deepcopy(state))
        resumed = again.run(config, Hooks(schedule=schedule))
        assert _same(_bits(whole), _bits(network)), state["update"]
        assert resumed.curves == history.curves
        assert again.parts[0].count == trainer.parts[0].count == 18.0


def test_checkpoints_are_taken_at_their_places():
    def places(updates: int, every: int) -> list[int]:
        found: list[int] = []
        _full(Two()).run(LoopConfig(updates, checkpoint_every=every), Hooks(save=lambda s: found.append(s["update"])))
        return found

    assert places(10, 4) == [4, 8, 10]
    assert places(8, 4) == [4, 8]
    assert places(3, 100) == [3]


@pytest.mark.parametrize("saving", [True, False])
def test_a_stop_ends_after_the_update_with_a_checkpoint(saving):
    found: list[int] = []
    hooks = Hooks(save=(lambda s: found.append(s["update"])) if saving else None)
    trainer = _full(Two())
    hooks.stop = lambda: trainer.update == 5
    with pytest.raises(Interrupted) as caught:
        trainer.run(LoopConfig(9), hooks)
    assert found == ([5] if saving else [])
    assert trainer.update == 5
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert "update 5 of 9" in lines[0]
    assert ("a checkpoint is written" in lines[0]) == ("--resume" in lines[2]) == saving
    trainer.run(LoopConfig(9))  # goes on


def test_a_stop_after_the_last_update_is_no_interruption():
    trainer = _full(Two())
    trainer.run(LoopConfig(3), Hooks(stop=lambda: trainer.update == 3))
    assert trainer.update == 3


# Faults


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_what_is_not_finite_is_named_and_changes_nothing(kind):
    network = Two()
    saved: list[Any] = []
    trainer = _trainer(network, [Regression("a"), Regression("b", poison={7: kind})])
    hooks = Hooks(save=lambda s: saved.append(_through_bytes(s)))
    with pytest.raises(TrainingFault) as caught:
        trainer.run(LoopConfig(20, checkpoint_every=3, seed=41), hooks)
    what, where, mend = str(caught.value).splitlines()
    assert "task 'b'" in what
    assert "update 7" in what
    assert ("loss is nan" in what) == (kind == "loss")
    assert all(part in where for part in ("update 7", "'b'", "seed 41"))
    assert "checkpoints are intact" in mend
    assert trainer.update == 7
    good = Two()
    _trainer(good, [Regression("a"), Regression("b")]).run(LoopConfig(7))
    assert _same(_bits(network), _bits(good)), "the weights are those of the last good update"
    assert [s["update"] for s in saved] == [3, 6]
    resumed = Two()
    again = _trainer(resumed, [Regression("a"), Regression("b")])
    again.set_state(saved[-1])
    again.run(LoopConfig(7))
    assert _same(_bits(resumed), _bits(good)), "the last good checkpoint can be loaded and goes on"


def test_weights_that_are_not_finite_are_never_kept():
    """A step may overflow although every gradient is finite; the next loss would show it, after the checkpoint."""
    network = Two()
    trainer = _trainer(network, [Regression("a")], "sgd")
    saved: list[int] = []

    def explode(update: int) -> float:
        return 1.0 if update < 5 else float("inf")

    with pytest.raises(TrainingFault, match=r"not finite after update 5") as caught:
        trainer.run(
            LoopConfig(9, checkpoint_every=2, seed=6), Hooks(schedule=explode, save=lambda s: saved.append(s["update"]))
        )
    assert "seed 6" in str(caught.value)
    assert saved == [2, 4]


def test_a_program_that_is_not_finite_is_never_returned():
    with pytest.raises(TrainingFault, match="not finite after update 0"):
        _trainer(Two(), [Regression("a")], "sgd").run(LoopConfig(1), Hooks(schedule=lambda u: float("inf")))


def test_buffers_count_too():
    network = Two()
    network.seen[1] = float("nan")
    with pytest.raises(TrainingFault, match="'seen'"):
        _trainer(network, [Regression("a")]).run(LoopConfig(1))


def test_an_environments_fault_gets_its_update_and_task():
    class Broken(Regression):
        def next_batch(self, network: nn.Module) -> Any:
            if self.drawn == 4:
                raise EnvironmentFault("it raised.", where="'Toy-v0', step 33, seed 5", mend="repair it")
            return super().next_batch(network)

    trainer = _trainer(Two(), [Regression("a"), Broken("b")])
    with pytest.raises(EnvironmentFault) as caught:
        trainer.run(LoopConfig(9))
    what, where, mend = str(caught.value).splitlines()
    assert what == "it raised."
    assert all(part in where for part in ("'Toy-v0'", "step 33", "seed 5", "update 4", "'b'"))
    assert mend.endswith("repair it")
    assert trainer.update == 4


# Curves


def test_history_is_thinned_by_averaging():
    history = History(every=3)
    for update in range(7):
        tasks = {"a": {"loss": float(update)}}
        if update in (1, 4, 5):
            tasks["b"] = {"loss": 10.0 * update}
        history.add(update, tasks)
    assert history.curves == {
        "a": {"loss": [[3.0, 1.0], [6.0, 4.0]]},
        "b": {"loss": [[3.0, 10.0], [6.0, 45.0]]},
    }


def test_history_continues_in_the_middle_of_an_average():
    whole, first, second = History(every=4), History(every=4), History(every=1)
    for update in range(8):
        whole.add(update, {"a": {"loss": update**2.0}})
    for update in range(6):
        first.add(update, {"a": {"loss": update**2.0}})
    second.set_state(json.loads(json.dumps(first.get_state())))
    for update in range(6, 8):
        second.add(update, {"a": {"loss": update**2.0}})
    assert second.curves == whole.curves


def test_a_run_keeps_about_a_hundred_points():
    trainer = _trainer(Two(), [Regression("a")])
    history = trainer.run(LoopConfig(250))
    assert len(history.curves["a"]["loss"]) == 125
    assert len(history.curves["a"]["half"]) == 125

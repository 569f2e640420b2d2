"""Averages of the weights, batches in parts, bfloat16, budgets: closed forms, the large batch, and resuming."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from pellucid.assemble import assemble, problem
from pellucid.core.errors import SpecError
from pellucid.runs import fit as fitting
from pellucid.spec.loader import spec_from
from pellucid.store.store import Store
from pellucid.supervised.batch import auto_batch
from pellucid.train.averages import Averages
from pellucid.train.loop import Hooks
from pellucid.train.parts import parts_of
from pellucid.train.state import flatten, restore


def frame(n: int = 200) -> pd.DataFrame:
    x = np.random.default_rng(0).standard_normal((n, 3))
    return pd.DataFrame(x, columns=list("abc")).assign(y=np.where(x[:, 0] - x[:, 1] > 0.3, "yes", "no"))


def spec(**changes: object):
    raw = {
        "name": "t",
        "data": {"kind": "table", "source": "dataframe", "target": "y"},
        "network": {"width": 16, "depth": 2},
        "train": {"updates": 12, "batch": 40},
    }
    return spec_from(raw, where="test").replace(changes)


def made(table: pd.DataFrame | None = None, **changes: object):
    table = frame() if table is None else table
    return assemble(problem(spec(**changes), table), np.arange(len(table)), seed=0)


def trained(**changes: object):
    assembly = made(**changes)
    assembly.trainer.run(assembly.config, Hooks(assembly.schedule))
    return assembly


def weights(assembly) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in assembly.finish().network.parameters()])


def drive(kind, values, **options):
    network = nn.Linear(1, 1, bias=False)
    part = Averages(network, kind, **{"decay": 0.9, "start": 0, **options})
    seen = []
    for update, value in enumerate(values):
        with torch.no_grad():
            network.weight.fill_(value)
        part.after_step(update)
        seen.append(part.shadow.weight.item())
    assert network.weight.item() == pytest.approx(values[-1]), "the trained weights are left alone"
    return seen


def test_swa_is_the_mean_of_the_weights_from_its_start_on():
    assert drive("swa", [5.0, 7.0, 1.0, 2.0, 6.0], start=2) == pytest.approx([5.0, 7.0, 1.0, 1.5, 3.0])


def test_ema_follows_its_recursion():
    values = [1.0, 2.0, 0.0, 4.0] * 30
    found = drive("ema", values, decay=0.8)
    x = found[0]
    for t, value in enumerate(values[1:], start=2):
        d = min(0.8, (1 + t) / (10 + t))
        x = d * x + (1 - d) * value
        assert found[t - 1] == pytest.approx(x, abs=1e-5)


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_averages_are_kept_and_the_training_goes_on_as_without(kind):
    plain, average = trained(), trained(**{"train.average.kind": kind, "train.average.decay": 0.7})
    raw = torch.cat([p.detach().reshape(-1) for p in average.program.network.parameters()])
    assert torch.equal(weights(plain), raw)
    assert not torch.equal(weights(average), raw)
    copy = torch.cat([p.detach().reshape(-1) for p in average.snapshot().network.parameters()])
    assert torch.equal(copy, weights(average))


def test_the_held_out_rows_judge_the_average():
    changes = {"train.average.kind": "ema", "train.average.decay": 0.5, "train.early_stop.held_out": 0.25}
    assembly = trained(**changes, **{"train.updates": 40, "train.early_stop.refit": False})
    held = assembly.trainer.parts[-1]
    assembly.finish()
    assert held.loss() == pytest.approx(held.best, rel=1e-6)


@pytest.mark.parametrize("network", [{"kind": "mlp"}, {"kind": "ensemble", "members": 3, "pieces": 4}])
def test_a_batch_in_parts_gives_the_gradient_of_the_whole(network):
    changes = {f"network.{key}": value for key, value in network.items()}
    whole = weights(trained(**changes))
    for parts in (3, 7):
        torch.testing.assert_close(
            weights(trained(**changes, **{"train.compute.accumulate": parts})), whole, atol=2e-5, rtol=1e-4
        )


def test_parts_cover_a_batch_once():
    batch = {"a": torch.arange(10.0), "b": (torch.arange(20.0).reshape(10, 2), np.arange(10))}
    parts = parts_of(batch, 4)
    assert sum(share for share, _ in parts) == pytest.approx(1.0)
    assert torch.equal(torch.cat([part["a"] for _, part in parts]), batch["a"])
    assert all(len(part["b"][0]) == len(part["b"][1]) == len(part["a"]) for _, part in parts)


def test_bfloat16_learns_the_same_and_keeps_float32():
    changes = {"train.updates": 80, "train.lr": 1e-2}
    full, half = trained(**changes), trained(**changes, **{"train.compute.precision": "bfloat16"})
    losses = []
    for a in (full, half):
        network, learner = a.program.network, a.learners[0]
        losses.append(learner.loss(network, learner.next_batch(network)).value.item())
    assert all(p.dtype == torch.float32 for p in half.program.network.parameters())
    assert losses[1] < 0.3
    assert losses[1] == pytest.approx(losses[0], abs=0.05)
    assert not torch.equal(weights(full), weights(half))


PRACTICE = {
    "train.average.kind": "ema",
    "train.average.decay": 0.8,
    "train.compute.accumulate": 3,
    "train.compute.precision": "bfloat16",
    "train.early_stop.held_out": 0.2,
    "train.early_stop.patience": 3,
}


@pytest.mark.parametrize("changes", [PRACTICE, {"train.average.kind": "swa", "train.average.start": 0.3}])
def test_resuming_is_bit_identical(changes):
    changes = {**changes, "train.checkpoint_every": 1, "train.lr": 3e-2}
    states: list = []
    assembly = made(**changes)
    assembly.trainer.run(assembly.config, Hooks(assembly.schedule, lambda state: states.append(flatten(state))))
    whole = weights(assembly)
    for state in (states[0], states[len(states) // 2]):
        again = made(**changes)
        again.trainer.set_state(restore(*state))
        again.trainer.run(again.config, Hooks(again.schedule))
        assert torch.equal(weights(again), whole)


def test_epochs_decide_the_updates_and_the_schedule():
    assembly = made(**{"train.budget.epochs": 7, "train.schedule": "linear"})
    assert assembly.config.updates == 7 * 5
    assert assembly.schedule(34) == pytest.approx(1 / 35, rel=0.1)


def test_seconds_end_a_training_and_the_evidence_says_so(tmp_path):
    store = Store(tmp_path / "store", create=True)
    changes = {"train.updates": 100_000, "train.budget.seconds": 0.2, "evidence.folds": 2, "explain.evaluations": 16}
    done = fitting.fit(spec(**changes), store, source=frame())
    notes = [note for note in done.evidence["notes"] if note.startswith("train.budget.seconds (0.2) ended")]
    assert len(notes) == 3  # two folds and the final fit


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"train.compute.precision": "float16"}, "float16 is refused"),
        ({"train.average.kind": "swa", "train.early_stop.held_out": 0.2}, r"swa beside early_stop\.held_out"),
        ({"train.average.kind": "ema", "train.optimiser": "schedule_free"}, "ema beside schedule_free"),
    ],
)
def test_what_does_not_go_together_is_told(changes, told):
    with pytest.raises(SpecError, match=told) as caught:
        spec(**changes)
    assert len(str(caught.value).splitlines()) == 3


def test_policies_refuse_what_they_cannot_use():
    raw = {"name": "t", "tasks": {"p": {"kind": "control", "env": "CartPole-v1"}}}
    for train, told in (({"compute": {"precision": "bfloat16"}}, "beside the policy"),
                        ({"budget": {"epochs": 3}}, "there are none")):  # fmt: skip
        with pytest.raises(SpecError, match=told):
            spec_from({**raw, "train": train}, where="test")


def test_a_fit_builds_each_training_once(tmp_path, monkeypatch):
    built = []
    monkeypatch.setattr(fitting, "assemble", lambda *args, **kw: built.append(1) or assemble(*args, **kw))
    store = Store(tmp_path / "store", create=True)
    done = fitting.fit(spec(**{"evidence.folds": 2, "explain.evaluations": 16}), store, source=frame())
    assert len(built) == 3
    assert len(done.evidence["sanity"]) == 3


def test_the_batch_is_chosen_by_rows_and_by_the_cost_of_a_row():
    assert auto_batch(100, 1e3) == 32  # never less
    assert auto_batch(10_000, 1e3) == 512  # 19 updates a pass
    assert auto_batch(10**7, 1e3) == 4096  # never more
    assert auto_batch(10**7, 4e4) == 512  # the rows cost four times what an update costs anyway: enough
    assert auto_batch(10**7, 1e9) == 32


@pytest.mark.parametrize("network", [{"kind": "mlp"}, {"kind": "ensemble", "members": 3}])
def test_an_automatic_batch_is_a_number_of_the_data_and_the_spec(network):
    changes = {f"network.{key}": value for key, value in network.items()}
    first, again = (made(frame(2000), **changes, **{"train.batch": "auto"}) for _ in range(2))
    assert first.learners[0].batch == again.learners[0].batch == 64
    assert made(frame(200), **changes, **{"train.batch": "auto"}).learners[0].batch == 32


def test_passes_are_bounded_and_the_second_training_is_as_long_as_was_best():
    changes = {"train.updates": 500, "train.early_stop.held_out": 0.2, "train.early_stop.passes": 6}
    assembly = trained(**changes)
    held = assembly.trainer.parts[-1]
    assert len(held.curve) == 7  # before the first update, and after every pass
    assert held.best_update < 6 * held.every
    assert assembly.trainer.update == 6 * held.every + round((held.best_update + 1) * 1.25)


def test_the_held_out_loss_is_in_the_evidence_and_in_the_log(tmp_path):
    store = Store(tmp_path / "store", create=True)
    changes = {"evidence.folds": 2, "explain.evaluations": 16, "train.early_stop.held_out": 0.2, "train.updates": 30}
    done = fitting.fit(spec(**changes), store, source=frame(), log=tmp_path / "log")
    (curve,) = [c for c in done.evidence["curves"] if c["name"] == "held_out_loss"]
    assert curve["x"][0] == 0.0
    assert all(b > a for a, b in pairwise(curve["x"]))
    (log,) = (tmp_path / "log").rglob("final-fit/progress.csv")
    shown = pd.read_csv(log)["eval/held_out_loss"].dropna()
    assert set(shown.round(6)) <= set(np.round(curve["y"], 6))
    assert len(shown) == len(curve["y"]) - 1  # the first look is before the first update


@pytest.mark.parametrize("refit", [True, False])
def test_averages_beside_an_additive_expert(refit):
    """The expert's share is chosen for the network that is judged, and the second training begins with it."""
    ensemble = {"network.kind": "ensemble", "network.members": 3, "network.pieces": 4}
    stop = {"train.early_stop.held_out": 0.2, "train.early_stop.refit": refit, "train.early_stop.passes": 5}
    assembly = trained(**ensemble, **stop, **{"train.average.kind": "ema", "train.updates": 200})
    averages, _ = assembly.trainer.parts
    kept = assembly.finish().network
    assert kept is averages.shadow
    if refit:
        assert torch.equal(kept.expert_share, assembly.program.network.expert_share)

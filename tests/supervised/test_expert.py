"""An ensemble's additive expert: what it adds to the answer, and how much the held-out rows let it say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from pellucid.assemble import Assembly, assemble, problem
from pellucid.nn.ensemble import EnsembleNetwork, network_from
from pellucid.spec.loader import spec_from
from pellucid.supervised.expert import Expert
from pellucid.supervised.learner import Supervised
from pellucid.train.loop import Hooks


def network(k: int, mix: str) -> tuple[EnsembleNetwork, dict[str, torch.Tensor]]:
    made = EnsembleNetwork(
        {"a": 2, "b": 1}, {"t": ("a", "b")}, {"t": {"out": k}}, width=8, members=3, pieces=2, numbers=("b",),
        mix={"t": mix}, expert=True, seed=1,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    blocks = {"a": torch.randn(9, 2, generator=generator), "b": torch.randn(9, 1, generator=generator)}
    made.cut(blocks)
    seen, _ = made.seen(blocks, "t")
    made.begin_additive("t", "out", torch.randn(k, seen.shape[1], generator=generator), torch.arange(float(k)))
    with torch.no_grad():  # what the members learn since
        for parameter in (*made.heads.parameters(), made.signs):
            parameter.add_(torch.randn(parameter.shape, generator=generator))
    return made, blocks


@pytest.mark.parametrize(("k", "mix"), [(3, "probability"), (1, "probability"), (2, "mean")])
def test_the_answer_is_a_mean_of_members_and_expert(k: int, mix: str) -> None:
    made, blocks = network(k, mix)
    alone = made(blocks, "t")["out"]
    made.expert_share.fill_(1.0)
    seen, _ = made.seen(blocks, "t")
    weight = torch.cat([made.encoder(name).project.weight[made.expert["t", "out"]] for name in ("a", "b")], dim=1)
    said = seen @ weight.T + torch.arange(float(k))
    made.expert_share.fill_(0.25)

    def space(z: torch.Tensor) -> torch.Tensor:
        return z if mix == "mean" else torch.sigmoid(z) if k == 1 else torch.softmax(z, 1)

    torch.testing.assert_close(space(made(blocks, "t")["out"]), 0.75 * space(alone) + 0.25 * space(said))


def test_members_learn_as_if_there_were_none() -> None:
    made, blocks = network(3, "probability")
    first = made.members(blocks, "t")["out"]
    made.expert_share.fill_(0.5)
    assert torch.equal(made.members(blocks, "t")["out"], first)


def test_it_is_rebuilt_from_its_architecture() -> None:
    made, blocks = network(3, "probability")
    made.expert_share.fill_(0.5)
    again = network_from(made.architecture)
    again.load_state_dict(made.state_dict())
    assert torch.equal(again(blocks, "t")["out"], made(blocks, "t")["out"])


def assembled(n: int, target: str, updates: int, **network: object) -> tuple[Assembly, float]:
    g = np.random.default_rng(5)
    x = g.standard_normal((n, 3))
    y = x[:, 0] - x[:, 1] if target == "line" else 2.0 * np.sign(x[:, 0] * x[:, 1])
    frame = pd.DataFrame(x, columns=["a", "b", "c"]).assign(y=y + 0.5 * g.standard_normal(n))
    raw = {
        "name": "expert",
        "data": {"kind": "table", "source": "dataframe", "target": "y"},
        "tasks": {"y": {"kind": "regress"}},
        "network": {"kind": "ensemble", "width": 32, "members": 4, "pieces": 4, **network},
        "train": {"updates": updates, "lr": 3e-3, "early_stop": {"held_out": 0.25, "patience": 8}},
    }
    made = assemble(problem(spec_from(raw, where="test"), frame), np.arange(n), seed=0)
    made.trainer.run(made.config, Hooks(made.schedule))
    made.finish()
    share = made.program.network.state_dict().get("expert_share")
    return made, -1.0 if share is None else float(share)


def test_where_a_line_is_all_it_has_half_a_say() -> None:
    made, share = assembled(200, "line", 2000)
    assert share == 0.5
    assert made.trainer.update < 2000, "it was trained again on all rows, and kept its share"


def test_where_held_out_rows_speak_against_it_says_little() -> None:
    assert assembled(1500, "product", 600)[1] <= 0.0625


def test_it_can_be_left_out() -> None:
    assert assembled(60, "line", 20, expert=False)[1] == -1.0


@pytest.mark.parametrize(
    ("more", "share"),  # what 100 held-out rows lose in all by half a say; by less of it, in proportion
    [(0.6, 0.5), (2.0, 0.25), (4.0, 0.125), (200.0, 0.0), (-5.0, 0.5)],
)
def test_one_row_more_speaks_for_it(more: float, share: float) -> None:
    made, _ = network(1, "mean")

    class Told(Expert):
        def _losses(self, share: float) -> torch.Tensor:
            return torch.full((100,), 1.0 + more * share / 0.5 / 100.0, dtype=torch.float64)

    learner: Supervised = None  # type: ignore[assignment]
    Told(made, learner)()
    assert float(made.expert_share) == share

"""The checks that a fit makes of itself: silent on a good fit, each raised by its own fault."""

import numpy as np
import pandas as pd
import pytest
import torch

from pellucid.assemble import assemble, problem
from pellucid.data.clock import labels_of
from pellucid.nn.losses import loss_of
from pellucid.runs.sanity import check_end, check_start, sentences
from pellucid.spec.loader import spec_from
from pellucid.spec.presets import SERIES
from pellucid.train.loop import Hooks


def table(n: int = 200, *, signal: bool = True, kind: str = "regress") -> pd.DataFrame:
    g = np.random.default_rng(0)
    x = g.standard_normal((n, 3))
    y = x[:, 0] - 2 * x[:, 1] + 0.1 * g.standard_normal(n) if signal else g.standard_normal(n)
    return pd.DataFrame(x, columns=list("abc")).assign(y=y if kind == "regress" else np.where(y > 0, "yes", "no"))


def made(frame: pd.DataFrame, **train: object):
    raw = {
        "name": "t",
        "data": {"kind": "table", "source": "memory.csv", "target": "y"},
        "network": {"width": 64},
        "train": {"updates": 150, **train},
    }
    return assemble(problem(spec_from(raw, where="test"), frame), np.arange(len(frame)), seed=0)


def checks(frame: pd.DataFrame, **train: object) -> dict[str, bool]:
    start, trained = check_start(made(frame, **train)), made(frame, **train)
    trained.trainer.run(trained.config, Hooks(trained.schedule))
    found = [*start, *check_end(made(frame, **train), trained.finish())]
    return {c.check: c.passed for c in found}


@pytest.mark.parametrize("kind", ["regress", "classify"])
def test_a_good_fit_passes_all(kind):
    assert checks(table(kind=kind)) == {"start": True, "one batch": True, "inputs": True}


def test_a_fit_that_learns_nothing_is_told():
    assert checks(table(), lr=1e-9)["inputs"] is False


def test_equal_inputs_with_different_targets_cannot_be_learned_by_heart():
    frame = table()
    frame[["a", "b", "c"]] = frame[["a", "b", "c"]].to_numpy()[np.arange(len(frame)) % 2]  # two different rows only
    assert checks(frame)["one batch"] is False


def test_a_wild_start_is_told():
    one = made(table())
    with torch.no_grad():
        next(iter(one.program.network.heads.parameters())).mul_(1e4)
    found = {c.check: c for c in check_start(one)}
    assert not found["start"].passed
    (line,) = [s for s in sentences([found["start"]]) if "start" in s]
    assert "initial weights" in line


def test_the_program_stays_as_it_is():
    one, other = made(table()), made(table())
    check_start(one)
    check_end(one, one.program)
    for mine, theirs in zip(one.program.network.parameters(), other.program.network.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    state = torch.get_rng_state()
    check_start(one)
    assert torch.equal(state, torch.get_rng_state())


def of_series():
    values = 100 + np.random.default_rng(0).standard_normal(150)
    frame = pd.DataFrame({"y": values, "when": labels_of(np.arange(len(values)), "quarter")})
    raw = {
        "name": "t",
        "data": {"kind": "series", "source": "memory.csv", "target": "y", "time": "when", "window": 8, "horizon": 3},
        **SERIES,
    }
    prob = problem(spec_from(raw, where="test", overrides=("train.updates=100",)), frame)
    return assemble(prob, np.arange(len(prob.rows)), seed=0)


def test_series_are_checked_against_the_same_steps_from_the_last_value():
    start, trained = check_start(of_series()), of_series()
    trained.trainer.run(trained.config, Hooks(trained.schedule))
    found = [*start, *check_end(of_series(), trained.finish())]
    assert {c.check: c.passed for c in found} == {"start": True, "one batch": True, "inputs": True}
    wild = of_series()
    with torch.no_grad():
        for parameter in wild.program.network.heads.parameters():
            parameter.add_(50.0)
    (spoilt,) = check_end(of_series(), wild.program)
    assert not spoilt.passed
    assert not check_start(wild)[0].passed
    # No other constant does better on the very rows.
    (learner,) = of_series().learners
    target = learner.target[:2000].double()
    levels = torch.tensor(learner.task.options["quantiles"], dtype=torch.float64)
    best = torch.nanquantile(target, levels, dim=0).T.reshape(1, -1).repeat(len(target), 1)
    assert float(loss_of(learner.task)(best, target).mean()) == pytest.approx(spoilt.expected)
    for j in range(best.shape[1]):
        for step in (-0.1, 0.1):
            other = best.clone()
            other[:, j] += step
            assert float(loss_of(learner.task)(other, target).mean()) > spoilt.expected


def test_what_is_said():
    assert sentences([]) == []
    good = check_start(made(table()))
    assert sentences(good) == [
        "sanity checks passed: loss at the start, one batch by heart, better than without inputs"
    ]

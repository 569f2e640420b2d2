"""Two policies on the same seeds and in the same states: a better one, the same one, another action."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.cli.main import main
from pellucid.core.rows import Rows
from pellucid.report.html import diff_page
from pellucid.report.markdown import diff_comment
from pellucid.report.picture import diff_picture
from pellucid.rl.tabular import TabularProgram, from_env, value_iteration
from pellucid.runs.acts import compare_actions
from pellucid.runs.diffing import diff_versions
from pellucid.runs.fit import fit
from pellucid.spec.presets import env_spec
from pellucid.store.store import Store

FEW = ("evidence.episodes=60", "explain.evaluations=32", "explain.background=64")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Programs `exact`, `alias` (the same table, another name), `weak` (a short sight: it falls more often)."""
    opened = Store(tmp_path_factory.mktemp("acts"))
    near = ("tasks.policy.value_iteration.clock=false", "tasks.policy.value_iteration.discount=0.2")
    for name, more in (("exact", ()), ("alias", ()), ("weak", near)):
        fit(env_spec("FrozenLake-v1", name=name, algorithm="value_iteration", overrides=(*FEW, *more)), opened)
    return opened


def test_a_known_better_policy_is_found_better(store):
    """Positive control: values say who is better; the paired interval on the same seeds says so too."""
    found = diff_versions(store, "weak", "exact")
    task = found["tasks"][0]
    tables = [store.blobs.get_table(store.resolve(n).manifest["blobs"]["outputs/policy"]) for n in ("weak", "exact")]
    assert tables[0]["key"].tolist() == tables[1]["key"].tolist()
    gain = tables[1]["out:return"] - tables[0]["out:return"]
    assert task["change"] == pytest.approx(-gain.mean())
    assert task["low"] < task["change"] < task["high"] < 0.0
    assert (found["verdict"], task["n"]) == ("better", 60)
    assert task["episodes"] == {"n": 60, "more": int((gain > 0).sum()), "less": int((gain < 0).sum())}
    flips = task["flips"]
    assert 0 < flips["changed"] < flips["n"]
    assert all(e["from"] != e["to"] and "/step=" in e["key"] for e in flips["examples"])
    back = diff_versions(store, "exact", "weak")
    assert back["verdict"] == "worse"
    assert back["tasks"][0]["flips"]["changed"] == flips["changed"]


def test_the_same_policy_under_another_name_is_no_difference(store, capsys):
    """Negative control."""
    found = diff_versions(store, "exact", "alias")
    assert found["empty"] is True
    assert found["verdict"] == "equivalent"
    assert main(["diff", "exact", "alias", "--store", str(store.root)]) == 0
    assert "no difference" in capsys.readouterr().out
    assert diff_versions(store, "exact", "exact")["empty"] is True
    assert not diff_versions(store, "exact", "weak")["empty"]


def test_it_is_told_and_drawn(store):
    found = diff_versions(store, "weak", "exact")
    for told in (diff_comment(found), diff_page(found)):
        assert "in states that either policy visits" in told
        assert "of 60 episodes on the same seeds" in told
    assert "neither" not in diff_picture(found)


def one_hot(n: int) -> Rows:
    return Rows(np.array([f"s{i}" for i in range(n)]), {"state": np.eye(n, dtype=np.float32)})


def test_flips_are_counted_state_by_state():
    Q = value_iteration(from_env("FrozenLake-v1"), 0.9).Q
    other = Q.copy()
    other[[3, 6]] = other[[3, 6]][:, ::-1]
    a, b = TabularProgram(Q), TabularProgram(other)
    flips, moved = compare_actions([a, b], [a.task("policy"), b.task("policy")], one_hot(16))
    expected = int((Q.argmax(1) != other.argmax(1)).sum())
    assert (flips["n"], flips["changed"]) == (16, expected)
    assert expected > 0
    assert moved[-1] == {"name": "value", "correlation": pytest.approx(1.0), "mean_abs_change": 0.0}


def test_continuous_actions_flip_when_they_move_far():
    from pellucid.assemble import assemble, problem

    program = assemble(problem(env_spec("Pendulum-v1", algorithm="sac", overrides=("network.width=8",))), None, seed=0)
    task = program.program.task("policy")

    class Fixed:
        """The same torque in every state."""

        def __init__(self, torque: float) -> None:
            self.torque = torque

        def encode(self, rows):
            return {}

        def __call__(self, blocks, name):
            import torch

            return torch.tensor([[self.torque, 0.0]] * 5)

    rows = Rows(np.array(list("abcde")), {})
    near, _ = compare_actions([Fixed(0.0), Fixed(0.19)], [task, task], rows)  # 5 % of the range is 0.2
    far, moved = compare_actions([Fixed(0.0), Fixed(0.21)], [task, task], rows)
    assert (near["changed"], far["changed"]) == (0, 5)
    assert far["examples"][0]["to"] == "0.21"
    assert moved[0]["mean_abs_change"] == pytest.approx(0.21)
    outside, _ = compare_actions([Fixed(2.0), Fixed(9.0)], [task, task], rows)
    assert outside["changed"] == 0  # the environment clips both to the same torque

"""From a file of shown actions to the next version, and what stops a harmful or an empty correction."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from pellucid.assemble import assemble, problem
from pellucid.cli.main import main
from pellucid.core.errors import DataError, ReviewError, SchemaError
from pellucid.core.random import stream
from pellucid.feedback.correct_action import CorrectAction, CorrectActionConfig
from pellucid.review.gates import check_gates
from pellucid.runs.artefact import load_program
from pellucid.runs.correct import agreement, delta_of, shown_of
from pellucid.runs.diffing import diff_versions
from pellucid.runs.fit import fit
from pellucid.runs.ground import TrainDelta, train_delta
from pellucid.runs.policies import greedy, rollout
from pellucid.runs.progress import Silent
from pellucid.runs.reviewing import accept
from pellucid.runs.revise import ReviseConfig, revise
from pellucid.runs.shown_actions import shown_payload
from pellucid.spec.presets import env_spec
from pellucid.store.store import Store

QUICK = ReviseConfig(updates=250)
RULE = {"pole_angle": 1.0, "pole_velocity": 0.4, "cart_position": 0.05, "cart_velocity": 0.1}


def shown_by_rule(store: Store, ref: str, seeds: range, *, wrong: bool = False) -> pd.DataFrame:
    """States that the version visits, with what a person would do there: a linear rule, or its contrary."""
    program = load_program(store, store.resolve(ref))
    states = rollout("CartPole-v1", greedy(program, program.task("policy")), seeds, keep=120).states
    frame = pd.DataFrame({name: values[:, 0] for name, values in states.fields.items()})
    right = sum(factor * frame[name] for name, factor in RULE.items()) > 0
    return frame.assign(action=(~right if wrong else right).astype(int))


@pytest.fixture(scope="module")
def pole(tmp_path_factory):
    """pole@1, learned for a moment only."""
    store = Store(tmp_path_factory.mktemp("pole"))
    more = ("train.updates=40", "evidence.episodes=40", "explain.evaluations=32", "explain.background=64", "seed=101")
    ppo = ("num_envs=64", "discount=0.98", "gae_lambda=0.8")
    more = (*more, *(f"tasks.policy.ppo.{setting}" for setting in ppo))
    fit(env_spec("CartPole-v1", name="pole", algorithm="ppo", overrides=more), store)
    return store


def test_the_whole_way_and_a_harmful_correction(pole, tmp_path, capsys):
    """Shown, revised, diffed, accepted; then the contrary is shown: its actions are taken, and the keep gate fails."""
    where = ["--store", str(pole.root)]
    file = tmp_path / "shown.csv"
    shown_by_rule(pole, "pole@1", range(7000, 7008)).to_csv(file, index=False)
    add = ["feedback", "add", "pole@1", "--correct-action", str(file), "--because", "it leans too long", *where]
    assert main([*add, "--author", "ada"]) == 0
    assert "correct-action of policy in 120 states" in capsys.readouterr().out
    assert main(["revise", "pole@1", "--updates", "250", "--quiet", *where]) == 0
    told = capsys.readouterr().out
    assert "shown actions are what pole@1 does" in told
    candidate = pole.candidates("pole")[0]
    assert main(["diff", "pole@1", candidate.ref, *where]) == 0
    assert "control: shown nothing" in capsys.readouterr().out
    found = diff_versions(pole, "pole@1", candidate.ref)
    assert [(gate["kind"], gate["passed"]) for gate in found["gates"]] == [
        ("change", True),
        ("control", True),
        ("keep", True),
    ]
    assert found["tasks"][0]["change"] < -10.0  # steps more on the same held-out seeds
    assert found["parameters"]["share"] < 0.05
    assert main(["accept", candidate.ref, "--because", "it stands longer", *where]) == 0
    record = pole.feedback("pole")[0]
    assert (record.author, record.kind, record.open) == ("ada", "correct-action", False)
    assert main(["feedback", "list", "pole", *where]) == 0
    assert "correct-action of policy in 120 states" in capsys.readouterr().out

    bad = shown_payload(pole, pole.resolve("pole@2"), shown_by_rule(pole, "pole@2", range(7000, 7008), wrong=True))
    pole.add_feedback("pole", "pole@2", "correct-action", bad, author="eve", because="harm")
    harm = revise(pole, "pole@2", QUICK)
    gates = {gate["kind"]: gate["passed"] for gate in diff_versions(pole, "pole@2", harm.ref)["gates"]}
    assert gates["change"] is True
    assert gates["keep"] is False
    with pytest.raises(ReviewError, match="does not pass its review"):
        accept(pole, harm.ref)
    pole.reject(harm.ref, because="harmful")


def test_what_is_done_already_is_nothing_to_correct(pole):
    head = pole.head("pole")
    program = load_program(pole, head)
    task = program.task("policy")
    frame = shown_by_rule(pole, head.ref, range(8000, 8002)).head(20)
    rows = {name: frame[[name]].to_numpy(dtype=np.float32).copy() for name in task.inputs}
    frame["action"] = greedy(program, task)(rows, 0)
    for record in pole.feedback("pole", open_only=True):
        pole.add_feedback("pole", head.ref, "correct-action", shown_payload(pole, head, frame), author="a",
                          because="b", supersedes=record.id)  # fmt: skip
    if not pole.feedback("pole", open_only=True):
        pole.add_feedback("pole", head.ref, "correct-action", shown_payload(pole, head, frame), author="a", because="b")
    done = revise(pole, head.ref, QUICK)
    assert done.ref is None
    assert "nothing to correct" in done.notes[-1]


def test_a_file_that_is_wrong_is_refused_when_it_is_given(pole, tmp_path, capsys):
    frame = shown_by_rule(pole, "pole@1", range(7000, 7001))
    entry = pole.resolve("pole@1")
    with pytest.raises(DataError, match="no action"):
        shown_payload(pole, entry, frame.assign(action=5))
    with pytest.raises(SchemaError, match="nope"):
        shown_payload(pole, entry, frame, "nope")
    frame.drop(columns="pole_angle").to_csv(tmp_path / "bad.csv", index=False)
    words = ["feedback", "add", "pole@1", "--correct-action", str(tmp_path / "bad.csv"), "--because", "x"]
    before = len(pole.feedback("pole"))
    assert main([*words, "--store", str(pole.root)]) == 2
    assert "pole_angle" in capsys.readouterr().err
    assert len(pole.feedback("pole")) == before
    assert main(["feedback", "add", "pole@1", "--because", "x", "--store", str(pole.root)]) == 2
    assert "--correct-action" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("candidate", "control", "change", "untold"),
    [(0.95, 0.5, True, True), (0.6, 0.5, False, True), (0.95, 0.9, True, False), (0.5, 0.5, False, False)],
)
def test_gates_of_shown_actions(candidate, control, change, untold):
    claim = {"actions": [{"task": "policy", "mend": 0.8}], "control": 0.25}
    actions = {"policy": {"n": 50, "base": 0.5, "candidate": candidate, "control": control}}
    gates = check_gates(claim, {"effects": {}, "actions": actions}, [])
    assert [(gate["kind"], gate["passed"]) for gate in gates] == [("change", change), ("control", untold)]


@pytest.mark.parametrize(("env", "algorithm"), [("CartPole-v1", "dqn"), ("Pendulum-v1", "sac")])
def test_policies_of_every_algorithm_take_what_is_shown(env, algorithm):
    """Values of actions and squashed Gaussians alike; the base is left as it is, and its other states are kept."""
    small = ("network.width=32", "train.updates=1")
    program = assemble(problem(env_spec(env, algorithm=algorithm, overrides=small)), None, seed=0).finish()
    task, g = program.task("policy"), stream(0, "test")
    inputs = {field.name: g.normal(size=(40, field.width)).astype(np.float32) for field in program.schema.inputs}
    wanted = list(g.integers(0, 2, size=40)) if algorithm == "dqn" else list(np.sign(inputs["cos_theta"][:, 0]))
    payload = [{"state": {k: float(v[i, 0]) for k, v in inputs.items()}, "action": wanted[i]} for i in range(40)]

    class Record:
        def __init__(self, shown):
            self.payload = {"shown": shown}

    shown = shown_of([Record(payload)], program, task)
    before = agreement(program, task, shown)
    weights = {k: v.clone() for k, v in program.network.state_dict().items()}
    blocks = program.encode(_rows(shown.fields))
    learner = CorrectAction(task, program.network, blocks, torch.from_numpy(shown.action), blocks,
                            CorrectActionConfig(anchor=0.0), seed=0)  # fmt: skip
    delta = delta_of(program, task, ReviseConfig(share=0.5), 0)
    corrected = train_delta(program, delta, [learner], TrainDelta(300, 1e-2, "test", "x@1"), Silent())
    assert agreement(corrected, task, shown) > max(0.8, before + 0.2)
    delta.detach()
    assert all(torch.equal(weights[k], v) for k, v in program.network.state_dict().items())


def _rows(fields):
    from pellucid.core.rows import Rows

    return Rows(np.full(len(next(iter(fields.values()))), ""), dict(fields))

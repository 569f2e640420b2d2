"""An episode explained: closed forms of linear policies, margins with errors of their own, nothing lost on the way."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from pellucid.core.errors import DataError, SchemaError
from pellucid.core.rows import Rows
from pellucid.core.schema import Field, Schema
from pellucid.core.task import Task
from pellucid.explain import Course, EpisodeExplanation, Outcome, attribute, explain_course
from pellucid.explain.margins import Paired, decided
from pellucid.explain.outcome import Hidden, hide
from pellucid.explain.together import joined_players

NAMES = ("x", "v", "noise")
WEIGHTS = torch.tensor([[1.0, -2.0, 0.0], [0.5, 1.0, 0.0], [-1.5, 0.25, 0.0], [3.0, 1.0, 0.0]])  # three actions, value


class Linear:
    """Actions a, b, c and the value, linear in x and v; `bend` makes them products of three, since permutations are
    exact for pairs; `noise` answers at random."""

    def __init__(self, *, bend: bool = False, noise: float = 0.0, options: dict | None = None) -> None:
        space = options or {"space": "discrete", "actions": 3}
        outputs = ("a", "b", "c", "value") if "low" not in space else ("push", "turn", "yaw", "value")
        self.schema = Schema(tuple(Field(name) for name in NAMES), {"act": tuple(Field(o) for o in outputs)})
        self.tasks = {"act": Task("act", "control", NAMES, outputs, "logit", "negative_reward", (), space)}
        self.bend, self.noise, self.generator = bend, noise, torch.Generator().manual_seed(0)

    def encode(self, rows):
        return {name: torch.tensor(rows.column(name), dtype=torch.float64).reshape(-1, 1) for name in NAMES}

    def __call__(self, blocks, task):
        x = torch.cat([blocks[name] for name in NAMES], dim=1)
        x = torch.stack([x.prod(1), x.prod(1) * x[:, 0], x[:, 2] * x[:, 0]], 1) if self.bend else x
        out = x @ WEIGHTS.double().T
        if self.noise:
            out = out + self.noise * torch.randn(out.shape, generator=self.generator, dtype=torch.float64)
        return out


def states(n: int, seed: int = 0) -> Rows:
    g = np.random.default_rng(seed)
    return Rows(np.array([f"s{i}" for i in range(n)]), {name: g.normal(size=(n, 1)) for name in NAMES})


def course(program: Linear, n: int = 12, actions: np.ndarray | None = None) -> Course:
    seen = states(n, 1)
    best = program(program.encode(seen), "act")[:, :3].argmax(1).numpy()
    taken = best if actions is None else actions
    return Course(seen, taken, np.linspace(-1, 1, n), "World-v0", 7, "terminated")


def explained(program: Linear, **options) -> EpisodeExplanation:
    played = options.pop("played", None) or course(program)
    return explain_course(program, "act", played, background=states(16), told="16 of its own states", **options)


def test_values_of_a_linear_policy_are_its_terms():
    program = Linear()
    found = explained(program)
    x = np.concatenate([course(program).states.fields[name] for name in NAMES], axis=1)
    mean = np.array([states(16).fields[name].mean() for name in NAMES])
    w = WEIGHTS.double().numpy()
    assert np.allclose(found.outputs.values, (x - mean)[:, :, None] * w.T, atol=1e-12)
    scores = x @ w[:3].T
    order = np.argsort(-scores, axis=1)
    difference = w[order[:, 0]] - w[order[:, 1]]
    values, error, base, margin = found.of("margin")
    assert np.allclose(values, (x - mean) * difference, atol=1e-12)
    assert np.allclose(margin, np.sort(scores, 1)[:, -1] - np.sort(scores, 1)[:, -2], atol=1e-12)
    assert np.allclose(base, (mean * difference).sum(1), atol=1e-12)
    assert np.allclose(base + values.sum(1), margin, atol=1e-12)
    assert not error.any()
    assert (values[:, 2] == 0.0).all()  # never read
    assert found.chosen == tuple("abc"[i] for i in order[:, 0])
    assert found.runner_up == tuple("abc"[i] for i in order[:, 1])
    assert (margin > 0).all()


def test_an_action_that_is_not_the_best_has_a_negative_margin():
    program = Linear()
    scores = program(program.encode(course(program).states), "act")[:, :3].numpy()
    worst = scores.argmin(1)
    found = explained(program, played=course(program, actions=worst))
    assert found.chosen == tuple("abc"[i] for i in worst)
    assert np.allclose(found.margin[:, 0], scores.min(1) - scores.max(1))


def test_a_margins_error_is_its_own():
    """Both scores come from the same evaluations: the difference is that of the values, its error not their sum."""
    program = Linear(bend=True)
    found = explained(program, method="permutation", evaluations=400)
    own = found.outputs
    for t in range(len(found)):
        a, b = own.outputs.index(found.chosen[t]), own.outputs.index(found.runner_up[t])
        assert np.allclose(found.margin_values[t, :, 0], own.values[t, :, a] - own.values[t, :, b], atol=1e-12)
    again = np.stack(
        [
            explain_course(program, "act", course(program), background=states(16), told="", method="permutation",
                           evaluations=400, seed=s).margin_values[:, :, 0]
            for s in range(60)
        ]
    )  # fmt: skip
    spread, said = again.std(0, ddof=1), found.margin_error[:, :, 0]
    assert 0.7 < np.sqrt((said**2).mean() / (spread**2).mean()) < 1.5


def test_pairs_are_outputs_of_the_program_itself():
    program = Linear(bend=True)
    pairs = np.array([[0, 2], [1, 0]])
    both = Paired(program, "act", pairs)
    out, plain = both(both.encode(states(5)), "act"), program(program.encode(states(5)), "act")
    assert both.tasks["act"].outputs == ("a", "b", "c", "value", "a - c", "b - a")
    assert torch.equal(out[:, 4], plain[:, 0] - plain[:, 2])
    wide = torch.cat(list(both.encode(states(5)).values()), dim=1)
    assert torch.equal(both.joined("act", dict.fromkeys(NAMES, 1))(wide), out)


def test_the_own_outputs_are_those_of_attribute():
    program = Linear(bend=True)
    found = explained(program, method="permutation", evaluations=200, seed=3)
    alone = attribute(
        program, course(program).states, "act", background=states(16), method="permutation", evaluations=200, seed=3
    )
    assert np.allclose(found.outputs.values, alone.values, atol=1e-12)
    assert np.allclose(found.outputs.error, alone.error, atol=1e-12)
    assert found.outputs.outputs == alone.outputs


def test_two_passes_are_the_least():
    how = {"background": states(40), "told": "40 of its own states", "method": "permutation", "evaluations": 2}
    few = explain_course(Linear(bend=True), "act", course(Linear(bend=True)), **how)
    assert few.outputs.method.startswith("permutation: 2 passes")


def test_several_choices_have_several_margins():
    task = Task("act", "control", NAMES, ("l=0", "l=1", "r=0", "r=1", "value"), "logit", "", (),
                {"space": "multi_discrete", "nvec": [2, 2], "actions": 4})  # fmt: skip
    out = np.array([[1.0, 0.0, -1.0, 3.0, 9.0]])
    found = decided(task, out)
    assert found.chosen.tolist() == [[0, 3]]
    assert found.runner_up.tolist() == [[1, 2]]
    assert decided(task, out, np.array([[1, 0]])).chosen.tolist() == [[1, 2]]
    several = explained(Linear(options={"space": "multi_discrete", "nvec": [2, 1], "actions": 3}),
                        played=course(Linear(), actions=np.zeros((12, 2), dtype=int)))  # fmt: skip
    assert several.margins == ("margin",)  # a choice of one is none
    assert several.chosen == ("a",) * 12


def test_continuous_actions_have_no_margin():
    space = {"space": "box", "actions": 3, "low": [-1] * 3, "high": [1] * 3}
    program = Linear(options=space)
    found = explained(program, played=course(program, actions=np.full((12, 3), 0.25)))
    assert found.margins == ()
    assert found.chosen[0] == "0.25, 0.25, 0.25"
    assert found.names == ("push", "turn", "yaw", "value")
    assert np.array_equal(found.of()[0], found.of("push")[0])
    assert EpisodeExplanation.from_json(found.to_json()).to_json() == found.to_json()


def test_it_is_written_down_and_read_again(tmp_path):
    found = explained(Linear(bend=True), method="permutation", evaluations=100)
    again = EpisodeExplanation.load(found.save(tmp_path / "why.json"))
    assert again.to_json() == found.to_json() == json.loads(json.dumps(found.to_json()))
    frame = found.to_frame()
    assert len(frame) == 12 * 3 * 5
    one = frame[(frame["step"] == 4) & (frame["player"] == "v") & (frame["output"] == "margin")].iloc[0]
    assert one["value"] == found.margin_values[4, 1, 0]
    assert one["error"] == found.margin_error[4, 1, 0]
    assert one["input"] == found.outputs.inputs[4, 1]
    assert (one["chosen"], one["reward"], one["key"]) == (found.chosen[4], found.rewards[4], "s4")


def test_a_step_is_an_ordinary_explanation():
    found = explained(Linear(bend=True))
    for t in (0, 5, -1):
        step = found.step(t)
        assert step.outputs == ("a", "b", "c", "value", "margin")
        assert np.abs(step.residual).max() < 1e-12
        assert np.array_equal(step.values[0, :, 4], found.margin_values[t, :, 0])
    assert found.step(-1).keys == ("s11",)
    with pytest.raises(DataError, match="no step 12"):
        found.step(12)


def test_what_cannot_be_read_or_asked(tmp_path):
    found = explained(Linear())
    with pytest.raises(SchemaError, match=r"no output 'margni'; task 'act' returns a, b, c, value, margin") as caught:
        found.of("margni")
    assert "did you mean 'margin'" in caught.value.mend
    with pytest.raises(DataError, match="cannot be read"):
        EpisodeExplanation.load(tmp_path / "no.json")
    (tmp_path / "other.json").write_text(json.dumps(found.outputs.to_json()))
    with pytest.raises(DataError, match="no explanation of an episode"):
        EpisodeExplanation.load(tmp_path / "other.json")
    (tmp_path / "other.json").write_text("[1]")
    with pytest.raises(DataError, match="no explanation of an episode"):
        EpisodeExplanation.load(tmp_path / "other.json")
    with pytest.raises(DataError, match="no outcome"):
        Outcome.load(tmp_path / "other.json")
    with pytest.raises(SchemaError, match="no task 'walk'"):
        explain_course(Linear(), "walk", course(Linear()), background=states(3), told="")


def test_a_stochastic_policy_is_told_and_its_errors_are_widened():
    found = explained(Linear(noise=0.5))
    assert any("stochastic" in warning for warning in found.outputs.warnings)
    assert (found.margin_error > 0.0).all()
    assert (found.outputs.error > 0.0).all()


def test_one_step_is_an_episode():
    program = Linear()
    played = course(program, n=1)
    found = explained(program, played=played)
    assert len(found) == 1
    assert found.outputs.values.shape == (1, 3, 4)
    assert found.margin_values.shape == (1, 3, 1)
    assert found.text().startswith("act in World-v0, seed 7: return -1, terminated after 1")


def test_interrupted_it_keeps_the_steps_that_are_done(monkeypatch):
    from pellucid.explain import attribution

    monkeypatch.setattr(attribution, "BLOCK", 1)
    program, calls = Linear(), []

    def progress(done, total):
        calls.append(done)
        if done == 5:
            raise KeyboardInterrupt

    found = explained(program, progress=progress)
    assert len(found) == len(found.chosen) == len(found.margin) == 5
    assert found.end == "cut"
    assert "interrupted: 5 of 12" in found.outputs.warnings[0]


def test_pictures_and_words():
    found = explained(Linear(bend=True))
    assert "margin" in found.text()
    assert found.mean_size()[0][1] >= found.mean_size()[-1][1]
    drawn = found.plot(output="value", k=2)
    assert {"action", "reward", "value"} <= {axes.get_ylabel() for axes in drawn.axes}
    assert "value" in drawn.axes[0].get_title()
    assert [text.get_text() for text in drawn.axes[0].get_yticklabels()] == [n for n, _ in found.mean_size("value")[:2]]


def test_hiding_replaces_one_field_by_values_of_other_states_row_by_row():
    seen = {"x": np.zeros((200, 1), np.float32), "lags": np.zeros((200, 4), np.float32)}
    g = np.random.default_rng(0)
    donors = Rows(np.array([str(i) for i in range(50)]),
                  {"x": g.normal(size=(50, 1)), "lags": g.normal(size=(50, 4))})  # fmt: skip
    schema = Schema((Field("x"), Field("lags", "series", 4, groups=(("t", 0, 1), ("t-1..", 1, 4)))), {})
    _, group = schema.players(("lags",), "group")
    found = hide(seen, group, donors, 0, 3)
    assert (found["x"] == 0).all()
    assert (found["lags"][:, 0] == 0).all()
    known = {tuple(row) for row in donors.fields["lags"][:, 1:].astype(np.float32).tolist()}
    assert {tuple(row) for row in found["lags"][:, 1:].tolist()} <= known  # whole rows, not lags of several
    assert len({tuple(row) for row in found["lags"].tolist()}) > 30
    assert (seen["lags"] == 0).all()
    assert np.array_equal(found["lags"], hide(seen, group, donors, 0, 3)["lags"])
    assert not np.array_equal(found["lags"], hide(seen, group, donors, 0, 4)["lags"])


def test_a_group_is_hidden_by_one_other_state():
    g = np.random.default_rng(0)
    fields = {name: g.normal(size=(50, 1)) for name in ("x", "v", "noise")}
    (group,) = joined_players(Linear().schema.players(("x", "v")), {"both": ["x", "v"]})
    seen = {name: np.zeros((200, 1), np.float32) for name in fields}
    found = hide(seen, group, Rows(np.array([str(i) for i in range(50)]), fields), 0, 3)
    x, v = (fields[name].astype(np.float32)[:, 0].tolist() for name in ("x", "v"))
    assert set(zip(found["x"][:, 0].tolist(), found["v"][:, 0].tolist(), strict=True)) <= set(zip(x, v, strict=True))
    assert (found["noise"] == 0).all()
    values = explained(Linear(bend=True), together={"both": ["x", "v"]})
    assert values.players == ("both", "noise")
    assert np.allclose(values.margin_base[:, 0] + values.margin_values[:, :, 0].sum(1), values.margin[:, 0])


def test_an_outcome_is_no_attribution_and_is_read_as_it_was_written(tmp_path):
    one = Outcome("act", "World-v0", "return of an episode", 10.0, 9.0, 11.0,
                  (Hidden("x", 2.0, -8.0, -9.0, -7.0), Hidden("v", 10.1, 0.1, -0.2, 0.4)),
                  20, "episodes", "hidden: so", "paired", 0, ("a note",))  # fmt: skip
    assert Outcome.load(one.save(tmp_path / "o.json")) == one
    assert [h.shown for h in one.hidden] == [True, False]
    assert not hasattr(one, "values")
    assert one["v"].change == 0.1
    assert list(one.to_frame()["feature"]) == ["x", "v"]
    assert "no difference shown" in one.text()


class Forgetful(Linear):
    """With random weights it reads its fields in the other order."""

    def randomised(self, seed):
        return Reversed(Linear())


class Reversed:
    """What `Forgetful` is with random weights."""

    def __init__(self, program):
        self.program, self.schema, self.tasks, self.encode = program, program.schema, program.tasks, program.encode

    def __call__(self, blocks, task):
        return self.program(dict(zip(NAMES, [blocks[name] for name in reversed(NAMES)], strict=True)), task)


def test_the_check_by_random_weights_is_made_of_scores_and_margins():
    """|values| of x, v, noise are ranked in reverse by the program of random weights: a correlation below zero."""
    checks = explained(Forgetful(), method="exact", checks=True).outputs.checks
    assert checks["randomised"] < 0.3
    assert checks["additive_fit"] == pytest.approx(1.0, abs=1e-6)
    assert "randomised" not in explained(Linear(), method="exact", checks=True).outputs.checks

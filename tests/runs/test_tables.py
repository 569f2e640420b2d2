"""A table of action values is fitted, stored, judged beside the exact optimum, explained and compared."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.assemble import problem
from pellucid.assemble.table import table_task, tabulate
from pellucid.cli.main import main
from pellucid.core.errors import DataError, SchemaError, SpecError
from pellucid.core.rows import Rows
from pellucid.handle import LearnedProgram
from pellucid.rl.tabular import TabularProgram, expected_return, finite_horizon, from_env, value_iteration
from pellucid.rl.tabular.program import CLOCK
from pellucid.runs.artefact import load_program
from pellucid.runs.exact import exact_returns, within
from pellucid.runs.fit import fit
from pellucid.runs.outputs import outputs_table
from pellucid.runs.revise import ReviseConfig, revise
from pellucid.spec.presets import env_spec
from pellucid.store.store import Store

LAKE = "FrozenLake-v1"
FEW = ("evidence.episodes=40", "explain.evaluations=32", "explain.background=16")


def lake_spec(algorithm: str, *overrides: str, env: str = LAKE):
    return env_spec(env, name="lake", algorithm=algorithm, overrides=(*FEW, *overrides))


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """lake@1 is exact, lake~.... was learned for far too short a time."""
    store = Store(tmp_path_factory.mktemp("lake"))
    first = fit(lake_spec("value_iteration"), store)
    second = fit(lake_spec("q_learning", "tasks.policy.q_learning.steps=300"), store)
    return store, first, second


def test_a_stored_table_acts_as_before(lake):
    store, first, _ = lake
    program = load_program(store, store.resolve(first.ref))
    assert isinstance(program, TabularProgram)
    fresh = tabulate(problem(lake_spec("value_iteration")), lake_spec("value_iteration").tasks["policy"])
    assert np.array_equal(program.Q.numpy(), fresh.Q.numpy())
    assert program.tasks == fresh.tasks
    assert program.schema == fresh.schema
    kept = store.blobs.get_table(store.resolve(first.ref).manifest["blobs"]["outputs/policy"])
    assert outputs_table(program, program.task("policy"), None, episodes=40).equals(kept)


def test_the_exact_optimum_stands_beside_the_return(lake):
    _, first, second = lake
    good, bad = first.evidence["tasks"][0]["extra"], second.evidence["tasks"][0]["extra"]
    assert good["optimum"] == bad["optimum"] == pytest.approx(0.74419, abs=1e-5)
    assert good["expected_return"] == pytest.approx(good["optimum"], abs=1e-12)
    assert good["optimum_within"] is True
    assert bad["expected_return"] < 0.5
    assert bad["optimum_within"] is False


def test_expected_return_is_what_backward_induction_says():
    mdp = from_env(LAKE)
    Q = value_iteration(mdp, 0.9).Q
    program = TabularProgram(Q, env=LAKE)
    found = exact_returns(program, program.task("policy"))
    assert found["expected_return"] == expected_return(mdp, Q.argmax(1))
    assert found["expected_return"] < found["optimum"] - 0.01


def test_the_clock_is_worth_what_theory_says():
    """On the large lake a policy without a clock stays behind by more than its interval would forgive for ever."""
    spec = lake_spec("value_iteration", env="FrozenLake8x8-v1")
    program = tabulate(problem(spec), spec.tasks["policy"])
    assert program.task("policy").inputs == ("state", CLOCK)
    timed = exact_returns(program, program.task("policy"))
    assert timed["expected_return"] == pytest.approx(timed["optimum"], abs=1e-12)
    spec = lake_spec("value_iteration", "tasks.policy.value_iteration.clock=false", env="FrozenLake8x8-v1")
    blind = tabulate(problem(spec), spec.tasks["policy"])
    assert blind.task("policy").inputs == ("state",)
    assert exact_returns(blind, blind.task("policy"))["expected_return"] < timed["optimum"] - 0.01


def test_time_decides_in_a_table_with_a_clock():
    Q = np.zeros((2, 3, 2))
    Q[0, :, 0], Q[1, :, 1] = 1.0, 1.0
    program = TabularProgram(Q)
    rows = Rows(np.array(["a", "b", "c"]), {"state": np.array([2, 2, 2]), CLOCK: np.array([0, 1, 9])})
    assert program(program.encode(rows), "policy").argmax(1).tolist() == [0, 1, 1]  # later than the table: as at last
    with pytest.raises(SchemaError, match="negative"):
        program.encode(Rows(np.array(["a"]), {"state": np.array([0]), CLOCK: np.array([-1])}))


@pytest.mark.parametrize("algorithm", ["policy_iteration", "q_learning", "sarsa"])
def test_every_algorithm_makes_a_table(algorithm):
    more = () if algorithm == "policy_iteration" else (f"tasks.policy.{algorithm}.steps=2000",)
    spec = env_spec("CliffWalking-v1", algorithm=algorithm, overrides=more)
    told: list[int] = []
    program = tabulate(problem(spec), spec.tasks["policy"], progress=told.append)
    assert program.Q.shape == (48, 4)
    assert program.task("policy").options["algorithm"] == algorithm
    assert told == ([] if algorithm == "policy_iteration" else [0])
    if algorithm == "policy_iteration":
        assert exact_returns(program, program.task("policy"))["expected_return"] == pytest.approx(-13.0, abs=1e-9)


def test_no_limit_no_clock_and_a_policy_that_never_ends_has_no_expected_return():
    program = TabularProgram(np.eye(4)[np.zeros(48, dtype=int)], env="CliffWalking-v1")  # always up
    assert exact_returns(program, program.task("policy")) == {"optimum": pytest.approx(-13.0, abs=1e-9)}


def test_rounding_is_forgiven_and_no_more():
    assert within(-13.000000000001, -13.0, -13.0)
    assert not within(-13.001, -13.0, -13.0)


def test_a_table_stands_alone_and_needs_a_finite_environment():
    spec = lake_spec("value_iteration")
    with pytest.raises(SpecError, match="beside other tasks or data"):
        spec.replace({"tasks.other": {"kind": "control", "env": "CartPole-v1"}})
    assert table_task(problem(env_spec("CartPole-v1", algorithm="ppo"))) is None
    for algorithm in ("value_iteration", "q_learning"):
        spec = env_spec("CartPole-v1", algorithm=algorithm)
        with pytest.raises(DataError):
            tabulate(problem(spec), spec.tasks["policy"])


def test_it_is_explained_compared_shown_and_not_revised(lake, capsys):
    store, first, second = lake
    explanation = LearnedProgram(store, first.ref).explain(task="policy", evaluations=64)
    assert set(explanation.players) == {"state", CLOCK}
    number = explanation.inputs[0][list(explanation.players).index("state")]
    assert number == int(number) > 0  # the state's number, not the mean of its one-hot code
    where = ["--store", str(store.root)]
    assert main(["diff", first.ref, second.ref, *where]) == 1
    assert "worse" in capsys.readouterr().out
    assert main(["show", first.ref, *where]) == 0
    assert "6,400 of 6,400 parameters" in capsys.readouterr().out
    assert main(["evaluate", first.ref, *where]) == 0
    assert "Most that any policy can earn, exact: 0.744" in capsys.readouterr().out.replace("\n", " ")
    store.add_feedback("lake", first.ref, "ignore", {"field": CLOCK}, author="a", because="b")
    with pytest.raises(DataError, match="table of action values"):
        revise(store, first.ref, ReviseConfig())


def test_the_program_in_the_environment_has_the_optimum_in_its_interval(lake):
    """What the table promises is what the environment pays: the mean of many episodes lies near V."""
    store, first, _ = lake
    program = load_program(store, store.resolve(first.ref))
    returns = outputs_table(program, program.task("policy"), None, episodes=400)["out:return"]
    optimum = finite_horizon(from_env(LAKE)).value
    assert abs(returns.mean() - optimum) < 3.0 * np.sqrt(optimum * (1 - optimum) / 400)

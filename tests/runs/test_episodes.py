"""Episodes of policies: the ones that the evidence counts, against states that the policy visits, and their outcome."""

from __future__ import annotations

import dataclasses
import importlib
import re
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import pellucid
from pellucid.assemble import assemble, problem
from pellucid.core.errors import DataError, SchemaError, SpecError
from pellucid.envs.making import using
from pellucid.explain import explain_course
from pellucid.nn.program import NetworkProgram
from pellucid.report.html import policy_page
from pellucid.runs.artefact import load_program
from pellucid.runs.episodes import (
    Actor,
    World,
    actor_of,
    explain_episode,
    own_states,
    play,
    policy_of,
    reported,
    world_of,
)
from pellucid.runs.outputs import HELD_OUT, outputs_table
from pellucid.runs.policies import replay_policy, visited
from pellucid.spec.presets import env_spec

SMALL = ("tasks.policy.ppo.num_envs=2", "tasks.policy.ppo.steps=16", "tasks.policy.ppo.minibatch=32")


def untrained(env: str, *overrides: str) -> NetworkProgram:
    program = assemble(problem(env_spec(env, algorithm="ppo", overrides=(*SMALL, *overrides))), None, seed=1).finish()
    program.network.eval()
    return program


def actor(env: str, *overrides: str) -> Actor:
    program = untrained(env, *overrides)
    task = policy_of(program, None)
    return Actor(program, task, world_of(task))


class Guess(gymnasium.Env[Any, Any]):
    """The sign of `clue` is to be said; `decoy` says nothing. `length` steps of one clue each."""

    observation_space = spaces.Dict({n: spaces.Box(-9.0, 9.0, (1,), np.float32) for n in ("clue", "decoy")})
    action_space = spaces.Discrete(2)

    def __init__(self, length: int = 20) -> None:
        self.length = length

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.t = 0
        return self._look(), {}

    def _look(self) -> Any:
        clue, decoy = self.np_random.normal(size=2)
        self.clue = float(clue)
        return {"clue": np.array([clue], np.float32), "decoy": np.array([decoy], np.float32)}

    def step(self, action: Any) -> Any:
        reward = float(int(action) == int(self.clue > 0))
        self.t += 1
        return self._look(), reward, self.t >= self.length, False, {}


def sign(x: np.ndarray) -> np.ndarray:
    """Scores of both answers and a value: reads the clue alone, and is right whenever it sees it."""
    return np.stack([-x[:, 0], x[:, 0], np.abs(x[:, 0])], axis=1)


def guesser() -> Any:
    return pellucid.wrap(sign, inputs=["clue", "decoy"], kind="control", outputs=["down", "up", "value"], unit="score")


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1"])
def test_the_episode_is_the_one_that_the_evidence_counts(env: str) -> None:
    one = actor(env)
    found = explain_episode(one, seed=HELD_OUT, evaluations=16, background=8)
    table = outputs_table(one.program, one.task, None, episodes=1)
    assert found.total == pytest.approx(float(table["out:return"][0]))
    assert f"{len(found)} steps" == table["decision"][0]
    assert found.end in ("terminated", "truncated")
    assert found.outputs.keys[0] == f"{env}/seed={HELD_OUT}/step=0"
    assert np.abs(found.outputs.residual).max() < 1e-4
    states = one.program(one.program.encode(_states(one, found)), "policy").double().numpy()
    assert np.allclose(states, found.outputs.prediction, atol=1e-5)
    if found.margins:
        assert (found.margin >= 0).all()


def _states(one: Actor, found: Any) -> Any:

    return play(one.program, one.task, one.world, found.seed, 2000).states


def test_the_background_is_what_the_policy_itself_visits() -> None:
    one = actor("CartPole-v1")
    reference, told = own_states(*one[:3], 32, seed=0, avoid=set(), played=HELD_OUT - 1000)
    assert len(reference) == 32
    seeds = {int(re.search(r"seed=(\d+)", key)[1]) for key in reference.keys.tolist()}  # type: ignore[index]
    assert seeds <= set(range(HELD_OUT - 1000 + 64, HELD_OUT - 1000 + 128))  # not the explained one
    assert f"seeds {HELD_OUT - 936} to" in told

    for key, angle in zip(reference.keys.tolist(), reference.fields["pole_angle"][:, 0].tolist(), strict=True):
        seed, step = map(int, re.findall(r"=(\d+)", key))
        assert play(one.program, one.task, one.world, seed, 500).states.fields["pole_angle"][step, 0] == angle


def test_short_episodes_are_played_more_often() -> None:
    program = guesser().program
    with using(given={"given:guess": lambda: Guess(1)}):
        reference, told = own_states(program, policy_of(program, None), World("given:guess"), 40, seed=0, avoid=set())
    assert len(reference) == 40
    assert "seeds 999003 to 999066" in told


def test_an_environment_that_ends_at_once() -> None:
    found = guesser().explain_episode(3, env=lambda: Guess(1), evaluations=8)
    assert len(found) == 1
    assert found.end == "terminated"
    assert found.total == 1.0
    outcome = guesser().explain_outcome(env=lambda: Guess(1), episodes=30)
    assert outcome["clue"].high < 0.0


def test_an_environment_without_an_end_is_cut() -> None:
    found = guesser().explain_episode(3, env=lambda: Guess(10**9), evaluations=8, steps=30, background=4)
    assert (len(found), found.end) == (30, "cut")


def test_a_wrapped_policy_in_an_environment_that_is_given() -> None:
    found = guesser().explain_episode(3, env=Guess(), method="exact")
    values = found.of("margin")[0]
    assert (values[:, 1] == 0.0).all()  # the decoy is never read
    assert found.total == 20.0
    assert set(found.chosen) == {"down", "up"}
    assert "own greedy episodes in given:Guess" in found.background


def test_what_has_no_episodes(bank: Any) -> None:
    with pytest.raises(SpecError, match="no environment is known") as caught:
        guesser().explain_episode(3)
    assert "env=" in caught.value.mend
    with pytest.raises(SpecError, match="takes no actions"):
        pellucid.load("bank", bank.store).explain_episode()
    with pytest.raises(SpecError, match="takes no actions"):
        pellucid.wrap(sign, inputs=["a"], outputs=["x", "y", "z"]).explain_outcome(env="CartPole-v1")
    with pytest.raises(SpecError, match="CartPole-v7"):
        guesser().explain_episode(3, env="CartPole-v7")
    with pytest.raises(SchemaError, match="reads 2 values"):
        guesser().explain_episode(3, env="CartPole-v1")
    with pytest.raises(SpecError, match="does not walk along days"):
        guesser().explain_episode(3, env=Guess(), at="2018-01-02")
    for nothing in ({"steps": 0}, {"background": 0}):
        with pytest.raises(SpecError, match="leave nothing"):
            guesser().explain_episode(3, env=Guess(), **nothing)
    with pytest.raises(SpecError, match="1 episodes have no interval"):
        guesser().explain_outcome(env=Guess(), episodes=1)


def test_a_trading_policy_on_its_own_days(market: Any) -> None:
    """Dates, positions and rewards are those of its replay; the background is other days, before the review rows."""
    store = market.store
    program = pellucid.load("market", store)
    found = program.explain_episode(task="trade", at="2000-06-01", evaluations=64)
    rows = program.rows()
    first = int(np.flatnonzero(rows.times == np.datetime64("2000-06-01"))[0])
    part = rows.take(slice(first, first + len(found)))
    learned = load_program(store, store.resolve("market"))
    task = learned.tasks["trade"]
    walked = replay_policy(learned, task, part)
    assert found.outputs.keys == tuple(part.keys.tolist())
    held = found.outputs.inputs[:, found.players.index("position")].astype(float)
    assert np.array_equal(held, walked.held)
    assert found.chosen == tuple(task.options["action_names"][i] for i in walked.action)
    assert np.allclose(found.outputs.prediction, walked.outputs, atol=1e-5)
    one = actor_of(store, "market", "trade")
    reference, told = own_states(*one[:3], 400, seed=0, avoid=set(found.outputs.keys))
    assert not set(reference.keys.tolist()) & set(found.outputs.keys)
    assert not set(reference.keys.tolist()) & set(store.review_keys("market"))
    assert "before the review rows" in told
    known = dict(zip(one.world.known.keys.tolist(), visited(learned, task, one.world.known).fields["position"][:, 0],
                     strict=True))  # fmt: skip
    assert [known[key] for key in reference.keys.tolist()] == reference.fields["position"][:, 0].tolist()
    with pytest.raises(SpecError, match=r"StockTrading-v0, not an object"):
        program.explain_episode(task="trade", env="CartPole-v1")
    with pytest.raises(DataError, match="no row for 2000-06-03"):
        program.explain_episode(task="trade", at="2000-06-03")
    drawn, other = (program.explain_episode(seed, task="trade", evaluations=64) for seed in (1, 2))
    assert len(drawn) == 50
    assert drawn.outputs.keys != other.outputs.keys


def test_what_was_explained_is_not_explained_again(market: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same steps against the same states are answered from the store; whatever differs is computed."""
    program = pellucid.load("market", market.store)
    how: dict[str, Any] = {"task": "trade", "method": "permutation", "evaluations": 64, "background": 6, "checks": True}
    computed: list[Any] = []

    def counting(*args: Any, **options: Any) -> Any:
        computed.append(options)
        return explain_course(*args, **options)

    monkeypatch.setattr("pellucid.runs.episodes.explain_course", counting)
    first, again = program.explain_episode(3, **how), program.explain_episode(3, **how)
    assert len(computed) == 1
    assert again.to_json() == first.to_json()
    assert again.outputs.checks == first.outputs.checks != {}
    for seed, change in ((4, {}), (3, {"background": 7}), (3, {"draws": 9}), (3, {"checks": False}), (3, {"steps": 5})):
        program.explain_episode(seed, **{**how, **change})
    assert len(computed) == 6
    one = actor_of(market.store, "market", "trade")
    options = {name: value for name, value in how.items() if name not in ("task", "background")}
    explain_episode(one, seed=3, background=6, draws=one.seed, **options)
    assert len(computed) == 6  # the command line asks the same question
    explain_episode(one._replace(keep=None), seed=3, background=6, draws=one.seed, **options)
    program.explain_episode(3, task="trade", seconds=0.01)
    program.explain_episode(3, task="trade", seconds=0.01)
    assert len(computed) == 9  # without a store, or by the clock, nothing is kept


def test_an_interrupted_episode_is_not_kept(market: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*args: Any, **options: Any) -> Any:
        found = explain_course(*args, **options)
        warned = ("interrupted: 1 of 2 rows are explained",)
        return dataclasses.replace(found, outputs=dataclasses.replace(found.outputs, warnings=warned))

    monkeypatch.setattr("pellucid.runs.episodes.explain_course", stopped)
    before = sorted((market.store.root / "explained").glob("*"))
    program = pellucid.load("market", market.store)
    assert program.explain_episode(5, task="trade", evaluations=64, steps=3).outputs.warnings
    assert sorted((market.store.root / "explained").glob("*")) == before


def test_checks_of_an_episode_say_whether_it_tells_about_what_was_learned(market: Any) -> None:
    """Of a network by random weights too; a wrapped function has none that could be drawn anew."""
    program = pellucid.load("market", market.store)
    found = program.explain_episode(3, task="trade", evaluations=64, background=6, checks=True)
    assert {"additive_fit", "insertion", "deletion", "off_manifold", "randomised"} <= found.outputs.checks.keys()
    assert "randomised:" in found.text()
    assert "rank correlation with random weights" in policy_page(found.to_json(), None)
    wrapped = guesser().explain_episode(3, env=Guess(), method="exact", checks=True).outputs.checks
    assert wrapped["additive_fit"] == pytest.approx(1.0)  # only one player is read
    assert "randomised" not in wrapped


def test_the_outcome_of_trading_is_paired_by_day(market: Any) -> None:
    program = pellucid.load("market", market.store)
    found = program.explain_outcome(task="trade")
    assert found.unit == "return of a day"
    assert {one.feature for one in found.hidden} == {"return", "range", "volume", "level", "position"}
    rows = program.rows()
    days = rows.take(slice(int(np.isin(rows.keys, list(market.store.review_keys("market"))).argmax()), None))
    learned = load_program(market.store, market.store.resolve("market"))
    net = replay_policy(learned, learned.tasks["trade"], days).net
    assert found.n == len(days) - 1
    assert "stationary bootstrap, mean block 20" in found.method
    assert found.to_json() == program.explain_outcome(task="trade").to_json()
    assert "the review rows" in found.pairs
    assert found.seen == pytest.approx(float(net[: found.n].mean()), abs=1e-12)  # the accounting of the evidence


def test_the_outcome_says_what_is_needed_and_what_is_not() -> None:
    found = guesser().explain_outcome(env=Guess, episodes=40)
    assert [one.feature for one in found.hidden] == ["clue", "decoy"]
    clue, decoy = found.hidden
    assert found.seen == 20.0
    assert clue.low < -10.0 < clue.high  # half of its answers are right by chance
    assert clue.high < -8.0
    assert (decoy.change, decoy.low, decoy.high) == (0.0, 0.0, 0.0)
    assert "drawn anew" in found.hiding
    (both,) = guesser().explain_outcome(env=Guess, episodes=40, together={"all": ["clue", "decoy"]}).hidden
    assert both.feature == "all"
    assert both.low < -10.0 < both.high
    assert found.n == 40


def test_predictions_and_outcome_may_differ() -> None:
    """The value rests on the decoy, the decision on the clue: the attribution says so, and the return does not care."""

    def policy(x: np.ndarray) -> np.ndarray:
        return np.stack([-x[:, 0], x[:, 0], 5.0 * x[:, 1]], axis=1)

    wrapped = pellucid.wrap(policy, inputs=["clue", "decoy"], kind="control", outputs=["down", "up", "value"])
    found = wrapped.explain_episode(3, env=Guess)
    assert [name for name, _ in found.mean_size("value")] == ["decoy", "clue"]
    assert [name for name, _ in found.mean_size("margin")] == ["clue", "decoy"]
    assert not wrapped.explain_outcome(env=Guess)["decoy"].shown


def test_given_once_it_is_played_in_waves() -> None:
    one, many = (guesser().explain_outcome(env=env, episodes=12) for env in (Guess(), Guess))
    assert one.seen == many.seen
    assert one["decoy"] == many["decoy"]


@pytest.mark.slow
def test_a_policy_of_stable_baselines_is_explained_alike(tmp_path: Any) -> None:
    """Wrapped, and imported: the same steps, the same values, the same outcome."""
    sb3 = importlib.import_module("stable_baselines3")
    model = sb3.PPO("MlpPolicy", "CartPole-v1", n_steps=256, batch_size=64, seed=0, device="cpu")
    model.learn(1024)
    wrapped = pellucid.wrap(model, inputs=["x", "v", "angle", "spin"])
    copied = pellucid.from_sb3(model, env="CartPole-v1", store=tmp_path)
    one, two = wrapped.explain_episode(5, env="CartPole-v1"), copied.explain_episode(5)
    assert len(one) == len(two) > 1
    assert one.chosen == two.chosen
    assert np.allclose(one.margin, two.margin, atol=1e-4)
    assert np.allclose(one.margin_values, two.margin_values, atol=1e-4)
    assert np.allclose(one.outputs.values[:, :, :2], two.outputs.values[:, :, :2], atol=1e-4)
    for seed in (5, 6):
        obs, _ = (env := gymnasium.make("CartPole-v1")).reset(seed=seed)
        actions, over = [], False
        while not over:
            action, _ = model.predict(obs, deterministic=True)
            actions.append(int(action))
            obs, _, ended, cut, _ = env.step(int(action))
            over = ended or cut
        found = wrapped.explain_episode(seed, env="CartPole-v1", evaluations=8, background=4)
        assert found.chosen == tuple(f"action_{a}" for a in actions)
    mine, theirs = (o.hidden for o in (wrapped.explain_outcome(env="CartPole-v1", episodes=8),
                                       copied.explain_outcome(episodes=8)))  # fmt: skip
    assert len(mine) == len(theirs) == 4
    box = sb3.SAC("MlpPolicy", "Pendulum-v1", seed=0, device="cpu", buffer_size=100)
    if hasattr(box.policy, "get_distribution"):
        assert pellucid.wrap(box, inputs=["c", "s", "w"]).explain_episode(0, env="Pendulum-v1").margins == ()


def test_the_report_says_why_there_is_none(tmp_path: Any) -> None:
    """An environment that was given as an object is not kept; the same object serves again."""
    quick = ("train.updates=2", *SMALL, "evidence.episodes=2", "explain.background=4", "explain.evaluations=8")
    program = pellucid.fit(env=lambda: gymnasium.make("CartPole-v1", max_episode_steps=20), store=tmp_path,
                           overrides=quick)  # fmt: skip
    (found,) = reported(program.store, program.ref, program.program)
    assert found["task"] == "policy"
    assert "given as an object" in found["note"]
    with pytest.raises(SpecError, match="given as an object"):
        program.explain_episode()
    again = program.explain_episode(env=lambda: gymnasium.make("CartPole-v1", max_episode_steps=20))
    assert len(again) <= 20
    assert program.explain_outcome(env=lambda: gymnasium.make("CartPole-v1", max_episode_steps=20), episodes=3).n == 3

"""A policy of Stable-Baselines3, imported: the same answers, stored without pickle, and a version like any other."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import stable_baselines3
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from torch import nn

import pellucid
from pellucid.cli.main import main
from pellucid.core.errors import DataError, SchemaError
from pellucid.nn.sb3 import read_policy
from pellucid.runs.acting import act
from pellucid.runs.importing import algorithm_of, import_sb3, program_from
from pellucid.runs.policies import greedy
from pellucid.store.store import Store

QUICK = ("evidence.episodes=2", "explain.evaluations=16", "explain.background=16")
UNEQUAL: dict[str, Any] = {"net_arch": {"pi": [16, 24], "vf": [32, 8]}, "activation_fn": nn.ReLU}

CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "ppo": ("PPO", "CartPole-v1", {"n_steps": 64}),
    "ppo-unequal": ("PPO", "CartPole-v1", {"n_steps": 64, "policy_kwargs": UNEQUAL}),
    "ppo-box": ("PPO", "Pendulum-v1", {"n_steps": 64}),
    "ppo-one-hot": ("PPO", "FrozenLake-v1", {"n_steps": 64}),
    "a2c": ("A2C", "CartPole-v1", {}),
    "dqn": ("DQN", "CartPole-v1", {"learning_starts": 20}),
    "sac": ("SAC", "Pendulum-v1", {"policy_kwargs": {"net_arch": {"pi": [16, 24], "qf": [32, 8]}}}),
}


def trained(name: str) -> Any:
    algorithm, env, settings = CASES[name]
    torch.manual_seed(1)
    model = getattr(stable_baselines3, algorithm)("MlpPolicy", env, seed=1, device="cpu", **settings)
    return model.learn(130)


def test_from_python(tmp_path: Path) -> None:
    learned = pellucid.from_sb3(trained("ppo"), env="CartPole-v1", store=tmp_path, overrides=QUICK)
    assert learned.ref == "cartpole-v1@1"
    assert learned.entry.kind == "import"


def observations(space: spaces.Space[Any], n: int = 1000) -> Any:
    g = np.random.default_rng(0)
    if isinstance(space, spaces.Discrete):
        return g.integers(int(space.n), size=n)
    return g.normal(size=(n, *space.shape)).astype(np.float32)


def as_fields(program: Any, obs: Any) -> dict[str, Any]:
    task = program.task("policy")
    if obs.ndim == 1:
        return {"state": np.eye(program.schema["state"].width, dtype=np.float32)[obs]}
    return {field: obs[:, [i]] for i, field in enumerate(task.inputs)}


def values(model: Any, obs: Any) -> Any:
    """What SB3 itself says a state is worth."""
    policy = model.policy
    with torch.no_grad():
        tensor, _ = policy.obs_to_tensor(obs)
        if hasattr(policy, "predict_values"):
            return policy.predict_values(tensor).numpy().ravel()
        if hasattr(policy, "q_net"):
            return policy.q_net(tensor).max(1).values.numpy()
        action = policy.actor(tensor, deterministic=True)
        return torch.cat(policy.critic(tensor, action), dim=1).min(1).values.numpy()


@pytest.mark.parametrize("name", CASES)
def test_greedy_actions_and_values_are_those_of_sb3(name: str) -> None:
    model = trained(name)
    program = program_from(model, CASES[name][1])
    task = program.task("policy")
    obs = observations(model.observation_space)
    theirs, _ = model.predict(obs, deterministic=True)
    fields = as_fields(program, obs)
    ours = greedy(program, task)(fields, 0)
    np.testing.assert_allclose(ours, np.asarray(theirs).reshape(ours.shape), atol=1e-6)
    outputs = program({k: torch.from_numpy(v) for k, v in fields.items()}, "policy")
    np.testing.assert_allclose(outputs[:, -1].numpy(), values(model, obs), rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trained models, their files, and a store with the first imported by the command line."""
    folder = tmp_path_factory.mktemp("sb3")
    for name in ("ppo", "dqn"):
        trained(name).save(folder / f"{name}.zip")
    sets = [word for value in QUICK for word in ("--set", value)]
    command = ["import", "sb3", str(folder / "ppo.zip"), "--env", "CartPole-v1", "--name", "pole"]
    assert main([*command, "--store", str(folder / "store"), "--quiet", *sets]) == 0
    return folder


def test_the_store_holds_no_pickle_and_the_version_is_like_any_other(
    cartpole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(cartpole / "store")
    assert main(["show", "pole@1", "--store", store]) == 0
    shown = capsys.readouterr().out
    assert "imported  stable-baselines3 " in shown
    assert "PPO, 192 steps" in shown
    assert main(["evaluate", "pole@1", "--store", store]) == 0
    assert "imported after 192 training steps elsewhere" in capsys.readouterr().out
    assert main(["explain", "pole@1", "--store", store, "--quiet"]) == 0
    assert "pole_angle" in capsys.readouterr().out
    assert main(["check", "store", "--store", store]) == 0
    for blob in (cartpole / "store").rglob("*"):
        if blob.is_file():
            assert not blob.read_bytes().startswith((b"\x80\x04", b"\x80\x05", b"PK"))
    original = stable_baselines3.PPO.load(cartpole / "ppo.zip", device="cpu")
    stored = pellucid.load("pole@1", store).program
    obs = observations(original.observation_space)
    chosen, _ = original.predict(obs, deterministic=True)
    assert (greedy(stored, stored.task("policy"))(as_fields(stored, obs), 0) == chosen).all()
    assert (pellucid.load("pole@1", store).act(obs) == chosen).all()


def test_drawn_actions_have_the_distribution_of_the_original() -> None:
    model = trained("ppo-box")
    with torch.no_grad():
        model.policy.log_std.fill_(-1.5)
    program = program_from(model, "Pendulum-v1")
    obs = np.repeat(observations(model.observation_space, 1), 4000, axis=0)
    drawn = act(program, program.task("policy"), obs, deterministic=False)
    assert drawn.std() == pytest.approx(np.exp(-1.5), rel=0.05)


def test_a_better_model_is_a_candidate_with_a_diff(cartpole: Path) -> None:
    store = Store(cartpole / "store")
    done = import_sb3(cartpole / "dqn.zip", store, env="CartPole-v1", name="pole", overrides=QUICK, because="a DQN")
    assert not done.accepted
    diff = pellucid.load(done.ref, store).diff  # type: ignore[attr-defined]
    assert diff["because"] == ["a DQN"]
    assert diff["tasks"][0]["n"] == 2
    again = import_sb3(cartpole / "ppo.zip", store, env="CartPole-v1", name="pole", overrides=QUICK)
    assert again.ref == "pole@1"  # the same file is the same version


def test_a_normaliser_comes_along(tmp_path: Path) -> None:
    vec = VecNormalize(DummyVecEnv([lambda: gymnasium.make("Pendulum-v1")]), gamma=0.9)
    model = stable_baselines3.PPO("MlpPolicy", vec, n_steps=64, seed=0, device="cpu").learn(64)
    vec.save(tmp_path / "vec.pkl")
    program = program_from(model, "Pendulum-v1", tmp_path / "vec.pkl")
    obs = observations(model.observation_space) * 3.0
    vec.training = False
    seen = vec.normalize_obs(obs)
    theirs, _ = model.predict(seen, deterministic=True)
    fields = as_fields(program, obs)
    np.testing.assert_allclose(greedy(program, program.task("policy"))(fields, 0), theirs, atol=1e-5)
    outputs = program({k: torch.from_numpy(v) for k, v in fields.items()}, "policy")
    scale = float(np.sqrt(vec.ret_rms.var + vec.epsilon))  # our value is in rewards
    assert scale > 1.5
    np.testing.assert_allclose(outputs[:, -1].numpy(), scale * values(model, seen), rtol=1e-4, atol=1e-4)
    vec.clip_obs = 5.0
    with pytest.raises(DataError, match="clipped at 5 deviations"):
        read_policy(model, vec)


def test_what_cannot_be_written_as_our_network_is_refused(tmp_path: Path) -> None:
    def made(**settings: Any) -> Any:
        return stable_baselines3.PPO("MlpPolicy", "CartPole-v1", device="cpu", policy_kwargs=settings)

    with pytest.raises(DataError, match="2 and 3 hidden layers"):
        read_policy(made(net_arch={"pi": [8, 8], "vf": [8, 8, 8]}))
    with pytest.raises(DataError, match="ELU between its layers") as caught:
        read_policy(made(activation_fn=nn.ELU))
    assert "pellucid.wrap" in str(caught.value)
    with pytest.raises(DataError, match="gSDE"):
        read_policy(stable_baselines3.PPO("MlpPolicy", "Pendulum-v1", device="cpu", use_sde=True))
    with pytest.raises(DataError, match="TD3Policy"):
        read_policy(stable_baselines3.TD3("MlpPolicy", "Pendulum-v1", device="cpu"))
    with pytest.raises(SchemaError, match="'Acrobot-v1' observes"):
        import_sb3(made(), Store(tmp_path), env="Acrobot-v1")


def test_a_file_that_is_no_model_is_refused_before_anything_is_unpickled(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(DataError, match="no model that Stable-Baselines3 has saved"):
        algorithm_of(tmp_path / "text.zip")
    with pytest.raises(DataError, match="no model"):
        algorithm_of(tmp_path / "missing.zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("data", json.dumps({"policy_delay": 2}))
    with pytest.raises(DataError, match="cannot be imported"):
        algorithm_of(tmp_path / "other.zip")


def test_the_algorithm_is_told_from_the_file(cartpole: Path, tmp_path: Path) -> None:
    assert algorithm_of(cartpole / "ppo.zip") == "ppo"
    assert algorithm_of(cartpole / "dqn.zip") == "dqn"
    for name in ("a2c", "sac"):
        algorithm, env, settings = CASES[name]
        getattr(stable_baselines3, algorithm)("MlpPolicy", env, device="cpu", **settings).save(tmp_path / name)
        assert algorithm_of(tmp_path / f"{name}.zip") == name
    with pytest.raises(DataError, match=r"cannot load 'ppo\.zip' as SAC"):
        import_sb3(cartpole / "ppo.zip", Store(tmp_path / "s"), env="Pendulum-v1", algorithm="sac")

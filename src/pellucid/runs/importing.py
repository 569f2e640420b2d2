"""Import a policy that Stable-Baselines3 has trained: from then on a version like any other, stored without pickle."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from pellucid.assemble import Problem, assemble, problem
from pellucid.core.errors import DataError, SchemaError, require
from pellucid.core.rows import Rows
from pellucid.envs.vectorise import VectorAdapter
from pellucid.nn.program import NetworkProgram
from pellucid.nn.sb3 import Copied, fill, read_policy
from pellucid.runs.fit import Fitted, judged_by_episodes, keep, require_same_program
from pellucid.runs.progress import Reporter, Silent, one_thread
from pellucid.spec.model import Spec
from pellucid.spec.presets import env_spec
from pellucid.store.store import Store

ALGORITHMS = ("ppo", "a2c", "dqn", "sac")
TASK = "policy"
TOLERANCE = 1e-4  # of the check of a copy against its original


def import_sb3(
    model: Any,
    store: Store,
    *,
    env: str,
    algorithm: str | None = None,
    vec_normalize: Any = None,
    name: str | None = None,
    overrides: tuple[str, ...] = (),
    author: str | None = None,
    because: str = "",
    reporter: Reporter | None = None,
) -> Fitted:
    """Keep a trained PPO, A2C, DQN or SAC with an MLP policy as a version, with evidence on held-out seeds.

    A file is read by Stable-Baselines3's own loader, which unpickles: that can run code. Import only what you trust.

    Args:
        model: the algorithm, or the path of its zip.
        env: the Gymnasium id of its environment.
        algorithm: of `ALGORITHMS`; told from the file when left out.
        vec_normalize: the `VecNormalize` that it was trained behind, or the path of its file.
        name: of the program; guessed from the environment.
        overrides: of the spec that the version gets, "evidence.episodes=20" say.
    Raises:
        DataError: no such file, or a policy that cannot be written as our network.
        SchemaError: the policy was trained in an environment of other observations or actions.
    """
    reporter = reporter or Silent()
    require("stable_baselines3", extra="sb3", purpose="importing a policy of Stable-Baselines3")
    loaded, sha = _model(model, algorithm)
    copied = read_policy(loaded, _normaliser(vec_normalize))
    prob = replace(problem(_spec(env, copied, loaded, name, overrides)), data_sha=sha)
    require_same_program(prob, store)
    with one_thread():
        program = written(prob, loaded, copied)
        steps = int(getattr(loaded, "num_timesteps", 0))
        version = judged_by_episodes(prob, program, {}, [f"imported after {steps:,} training steps elsewhere"])
        _check(program, loaded, copied, version.background[TASK])
        reporter.note("the copy answers as the original does on states that it visits")
        origin = {"imported": f"stable-baselines3 {_version()}, {type(loaded).__name__}, {steps:,} steps"}
        return keep(prob, version, store, author, because, kind="import", origin=origin)


def _model(model: Any, algorithm: str | None) -> tuple[Any, str]:
    """(the algorithm, SHA-256 of its file or of its weights)."""
    if not isinstance(model, (str, Path)):
        digest = hashlib.sha256()
        for key, value in sorted(model.policy.state_dict().items()):
            digest.update(key.encode() + value.detach().cpu().numpy().tobytes())
        return model, digest.hexdigest()
    import stable_baselines3

    path = Path(model)
    chosen = algorithm or algorithm_of(path)
    kind = getattr(stable_baselines3, chosen.upper())
    try:
        return kind.load(path, device="cpu"), hashlib.sha256(path.read_bytes()).hexdigest()
    except Exception as error:  # whatever an unpickler may raise
        said = next(iter(str(error).strip().splitlines()), "it says no more")
        raise DataError(
            f"Stable-Baselines3 cannot load '{path.name}' as {chosen.upper()}: {type(error).__name__}: {said}.",
            where=str(path),
            mend="give the algorithm that saved it: algorithm='dqn' in Python, --algorithm dqn on the command line",
        ) from error


def algorithm_of(path: Path) -> str:
    """Which algorithm saved a file, from the plain JSON in it; nothing is unpickled.

    Raises:
        DataError: it is no such file, or of another algorithm.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            known = set(json.loads(archive.read("data")))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(
            f"'{path.name}' is no model that Stable-Baselines3 has saved ({type(error).__name__}).",
            where=str(path),
            mend="give the zip that model.save(...) wrote",
        ) from error
    marks = {"ppo": "clip_range", "sac": "target_entropy", "dqn": "exploration_fraction", "a2c": "gae_lambda"}
    found = next((name for name, mark in marks.items() if mark in known), None)
    if found is None:
        raise DataError(
            f"'{path.name}' was saved by an algorithm that cannot be imported.",
            where=str(path),
            mend=f"one of {', '.join(ALGORITHMS)} can; or wrap the model: pellucid.wrap(model, inputs=...)",
        )
    return found


def _normaliser(given: Any) -> Any:
    """A `VecNormalize`, of its file too."""
    if not isinstance(given, (str, Path)):
        return given
    # `VecNormalize.load` wants an environment beside the file and reads the file by `load_from_pkl`, as is done here.
    from stable_baselines3.common.save_util import load_from_pkl
    from stable_baselines3.common.vec_env import VecNormalize

    found = load_from_pkl(Path(given))
    if not isinstance(found, VecNormalize):
        raise DataError(
            f"'{Path(given).name}' holds a {type(found).__name__}.",
            where=str(given),
            mend="give the file that VecNormalize.save(...) wrote",
        )
    return found


def _spec(env: str, copied: Copied, model: Any, name: str | None, overrides: tuple[str, ...]) -> Spec:
    """The spec of the version: our own settings for the environment, with the network and the discount of the model."""
    task = f"tasks.{TASK}.{copied.algorithm}"
    changes: dict[str, Any] = {
        "network.width": copied.width,
        "network.depth": copied.depth,
        "network.activation": copied.activation,
        f"{task}.normalise_observations": copied.mean is not None,
        f"{task}.discount": float(model.gamma),
    }
    if copied.algorithm == "dqn":
        changes[f"{task}.duelling"] = False
    return env_spec(env, name=name, algorithm=copied.algorithm).replace(changes, overrides)


def program_from(model: Any, env: str, vec_normalize: Any = None) -> NetworkProgram:
    """The program alone: not judged, not stored. Arguments as of `import_sb3`; `model` is the algorithm."""
    copied = read_policy(model, _normaliser(vec_normalize))
    return written(problem(_spec(env, copied, model, None, ())), model, copied)


def written(prob: Problem, model: Any, copied: Copied) -> NetworkProgram:
    """Our program for the environment, with the policy's weights."""
    assembly = assemble(prob, None, seed=prob.spec.seed)
    learner: Any = assembly.learners[0]
    env: VectorAdapter = learner.env
    try:
        program = assembly.finish()
        _require_spaces(env, model)
        fill(program.network, TASK, copied, columns_of(env, model.observation_space))
    finally:
        env.close()
    task = program.task(TASK)
    scaled = replace(task, options={**task.options, "value_scale": copied.value_scale})
    if copied.algorithm != "ppo" and copied.value_scale == 1.0:
        scaled = task
    program.network.eval()
    return NetworkProgram(program.network, program.schema, {TASK: scaled}, program.encoding)


def columns_of(env: VectorAdapter, space: spaces.Space[Any]) -> dict[str, slice]:
    """Field -> where its values lie in the observation that the policy reads: the parts of a Dict in its order."""
    widths = {field.name: field.width for field in env.fields}
    order = list(space.spaces) if isinstance(space, spaces.Dict) else list(widths)
    if set(order) != set(widths):
        raise SchemaError(
            f"the environment observes {', '.join(widths)}, the policy reads {', '.join(order)}.",
            where=f"environment '{env.env_id}'",
            mend="name the environment that it was trained in",
        )
    ends = np.cumsum([widths[field] for field in order])
    return {field: slice(int(end) - widths[field], int(end)) for field, end in zip(order, ends, strict=True)}


def _require_spaces(env: VectorAdapter, model: Any) -> None:
    told = (
        ("observes", env.env.single_observation_space, model.observation_space),
        ("takes", env.action_space, model.action_space),
    )
    for verb, ours, theirs in told:
        if (
            type(ours) is not type(theirs)
            or ours.shape != theirs.shape
            or getattr(ours, "n", 0) != getattr(theirs, "n", 0)
        ):
            raise SchemaError(
                f"'{env.env_id}' {verb} {ours}; the policy was trained with {theirs}.",
                where="importing a policy of Stable-Baselines3",
                mend="name the environment that it was trained in, with its wrappers",
            )


def answers(model: Any, copied: Copied, features: torch.Tensor) -> torch.Tensor:
    """What the original says of normalised, flattened observations (n, columns), in the shape of our outputs."""
    policy = model.policy
    with torch.no_grad():
        if copied.algorithm == "dqn":
            q = policy.q_net.q_net(features)
            return torch.cat([q, q.max(1, keepdim=True).values], dim=1)
        if copied.algorithm == "sac":
            action = torch.tanh(policy.actor.mu(policy.actor.latent_pi(features)))
            q = torch.cat([net(torch.cat([features, action], 1)) for net in policy.critic.q_networks], dim=1)
            low, high = (torch.as_tensor(x) for x in (model.action_space.low, model.action_space.high))
            value = q.min(1, keepdim=True).values * copied.value_scale
            return torch.cat([low + 0.5 * (action + 1.0) * (high - low), value], dim=1)
        latent, latent_value = policy.mlp_extractor(features)
        scores, value = policy.action_net(latent), policy.value_net(latent_value) * copied.value_scale
        return torch.cat([scores, value], dim=1)


def _check(program: NetworkProgram, model: Any, copied: Copied, rows: Rows) -> None:
    """Refuse a copy that does not answer as the original does."""
    columns = columns_of_rows(program, copied, rows, model.observation_space)
    theirs = answers(model, copied, torch.from_numpy(columns))
    ours = program(program.encode(rows), TASK)
    task = program.task(TASK)
    if copied.algorithm == "ppo" and task.options["space"] != "box":  # logits mean the same whatever is added to them
        parts = list(task.options.get("nvec", [ours.shape[1] - 1]))
        ours, theirs = (_centred(x, parts) for x in (ours, theirs))
    scale = float(theirs.abs().max()) + 1.0
    worst = float((ours - theirs).abs().max()) / scale
    if not worst < TOLERANCE:
        raise DataError(
            f"the copy answers otherwise than the original (relative difference {worst:.2g}).",
            where="importing a policy of Stable-Baselines3",
            mend="please report the architecture of this policy; pellucid.wrap(model, inputs=...) takes it as it is",
        )


def columns_of_rows(
    program: NetworkProgram, copied: Copied, rows: Rows, space: spaces.Space[Any]
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Rows as the policy's first layer sees them, shape (n, columns)."""
    order = list(space.spaces) if isinstance(space, spaces.Dict) else list(program.task(TASK).inputs)
    raw = np.concatenate([np.asarray(rows.column(f), np.float64).reshape(len(rows), -1) for f in order], axis=1)
    if copied.mean is not None and copied.var is not None:
        raw = np.clip((raw - copied.mean) / np.sqrt(copied.var + 1e-8), -10.0, 10.0)
    return raw.astype(np.float32)


def _centred(outputs: torch.Tensor, parts: list[int]) -> torch.Tensor:
    *scores, value = torch.split(outputs, [*parts, 1], dim=1)
    return torch.cat([*(z - z.mean(1, keepdim=True) for z in scores), value], dim=1)


def _version() -> str:
    import stable_baselines3

    return str(stable_baselines3.__version__)

"""Specs for those who have none: a table with its target, or an environment by its id."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pellucid.spec.crosscheck import TABULAR
from pellucid.spec.loader import spec_from
from pellucid.spec.model import GIVEN, ControlTask, Spec
from pellucid.spec.tuned import LINEAR, SMALL, TUNED, Settings, tuned

# Chosen on the tables of bench/tables.py at seeds 100 and 101; that benchmark reports seeds 0 to 4. The rate of texts:
# on the names of bench/text.py at seeds 100 to 102.
TABLE: dict[str, Any] = {
    "network": {
        "kind": "ensemble",
        "width": 128,
        "depth": 2,
        "members": 16,
        "pieces": 32,
        "text": {"rate": 0.25},
    },
    "train": {
        "updates": 2000,
        "lr": 4e-3,
        "weight_decay": 3e-4,
        "schedule": "cosine",
        "warmup": 0.05,
        "early_stop": {"held_out": 0.2, "patience": 16, "passes": 250},
    },
}

# Chosen on digits at seeds 100 and 101 (bench/images.py); flips are nobody's to assume.
PICTURES: dict[str, Any] = {
    "network": {"width": 64, "depth": 1},
    "train": {
        "updates": 1000,
        "batch": 128,
        "lr": 3e-3,
        "weight_decay": 0.05,
        "schedule": "one_cycle",
        "warmup": 0.2,
        "augment": {"shift": 0.06, "crop": 0.1, "rotate": 8.0},
    },
}

# Fixed before any public series was tried; against its start alone on simulated ones by bench/series.py --tune.
SERIES: dict[str, Any] = {
    "network": {"kind": "tcn", "width": 32, "depth": 1},
    "train": {
        "updates": 600,
        "batch": 128,
        "lr": 1e-3,
        "schedule": "cosine",
        "early_stop": {"held_out": 0.2, "patience": 8},
    },
}

# For environments that nobody tuned; their pages in docs/reference say on which seeds they were chosen.
BY_ALGORITHM: dict[str, Settings] = {
    "ppo": Settings(
        {"num_envs": 64, "steps": 32, "discount": 0.99, "gae_lambda": 0.95, "entropy": 0.0},
        SMALL,
        {"updates": 3000, "lr": 3e-3, **LINEAR},
    ),
    "a2c": Settings(  # those of Stable-Baselines3, more environments
        {},
        SMALL,
        {"updates": 6000, "optimiser": "rmsprop", "lr": 2e-3, **LINEAR},
    ),
    "dqn": TUNED["CartPole-v1"]["dqn"],  # tuned there and not tried elsewhere
    "sac": Settings(
        {"num_envs": 4, "updates": 2},
        {"width": 64, "depth": 2, "activation": "relu"},
        {"updates": 16000, "optimiser": "adam", "lr": 1e-3, "schedule": "linear", "weight_decay": 0.0, "clip": None},
    ),
    "es": Settings(
        {},
        {"width": 32, "depth": 2, "activation": "tanh"},
        {"updates": 30, "optimiser": "adam", "lr": 0.1, "schedule": "linear", "weight_decay": 0.0, "clip": None},
    ),
    **{name: Settings({}, {}, {}) for name in TABULAR},  # no network
}


def _narrowed(section: dict[str, Any], algorithm: str, room: int) -> dict[str, Any]:
    """Fewer environments, each stepped the longer."""
    known = ControlTask.model_fields[algorithm].default
    many = int(section.get("num_envs", getattr(known, "num_envs", 1)))
    steps = section.get("steps", getattr(known, "steps", None))
    if many <= room or steps is None:
        return section
    return {**section, "num_envs": room, "steps": int(steps) * many // room}


def slug(text: str) -> str:
    """A program's name from a file's or an environment's."""
    name = re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_")
    return name if name[:1].isalpha() else f"program-{name}".rstrip("-")


def table_spec(
    source: str, target: str | Sequence[str], *, name: str | None = None, overrides: tuple[str, ...] = ()
) -> Spec:
    """The spec of `pellucid fit --data my.csv --target y`, of a folder of pictures, or of series."""
    settings = PICTURES if Path(source).is_dir() else SERIES if "data.kind=series" in overrides else TABLE
    stem = source.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1].split(".", 1)[0]
    data = {"kind": "table", "source": source, "target": target if isinstance(target, str) else list(target)}
    raw = {"name": name or slug(stem), "data": data, **settings}
    return spec_from(raw, where="--data/--target", overrides=overrides)


def env_spec(
    env: str,
    *,
    name: str | None = None,
    algorithm: str | None = None,
    overrides: tuple[str, ...] = (),
    room: int | None = None,
) -> Spec:
    """The spec of `pellucid fit --env CartPole-v1 [--algorithm dqn]`.

    Args:
        env: a Gymnasium id.
        name: of the program; guessed from the environment.
        algorithm: None for the one that was tuned for this environment, else PPO.
        overrides: `a.b=v` as after `--set`.
        room: how many environments there can be, when there is no telling Gymnasium to make more.
    """
    plain = env.removeprefix(GIVEN)
    chosen, settings = tuned(plain, algorithm) or (algorithm or "ppo", None)
    settings = settings or BY_ALGORITHM[chosen]
    section = settings.section if room is None else _narrowed(settings.section, chosen, room)
    task = {"kind": "control", "env": env, "algorithm": chosen, chosen: section}
    raw: dict[str, Any] = {"name": name or slug(plain.rsplit("/", 1)[-1]), "tasks": {"policy": task}}
    raw |= {"network": settings.network, "train": settings.train}
    if env.rsplit("/", 1)[-1].startswith("Stock"):  # walks along prices: without others, those that it has itself
        raw["data"] = {"kind": "prices", "source": "planted"}
    return spec_from(raw, where="--env", overrides=overrides)

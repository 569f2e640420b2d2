"""What a fit begins with: a spec, from whatever the user gave: a file, a table and its target, an environment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pellucid.core.errors import SpecError
from pellucid.core.program import Program
from pellucid.envs.making import name_given
from pellucid.spec.loader import load_spec as read_spec
from pellucid.spec.model import GIVEN, IN_MEMORY, ControlTask, Spec, relocated
from pellucid.spec.presets import env_spec, table_spec


def chosen_spec(
    spec: Any,
    data: Any,
    target: str | Sequence[str] | None,
    env: str | None,
    name: str | None,
    overrides: tuple[str, ...],
    algorithm: str | None = None,
    places: int | None = None,
) -> tuple[Spec, Any]:
    """(spec, replacement of its source) from what the user gave."""
    _one_beginning(spec, data, target, env)
    if algorithm is not None and env is None:
        raise SpecError(
            f"algorithm '{algorithm}' would not be used.",
            where="fit",
            mend="it goes with an env; in a spec it stands with its task: --set tasks.NAME.algorithm=...",
        )
    if spec is not None:
        found = spec.replace(overrides=overrides) if isinstance(spec, Spec) else read_spec(spec, overrides)
        found = found if name is None else found.replace({"name": name})
        if isinstance(data, (str, Path)) and found.data is not None:
            # A version must find its own rows again: what was read goes into its spec.
            folder = Path(found.folder or Path.cwd())
            return found.replace({"data.source": relocated(str(data), folder)}).within(folder), None
        if data is not None and found.data is not None:
            found = found.replace({"data.source": IN_MEMORY})
        return found, data
    if env is not None:
        return env_spec(env, name=name, algorithm=algorithm, overrides=overrides, room=places), None
    if data is None or target is None:
        half = f"the data {data!r} have" if isinstance(data, (str, Path)) else "the data have"
        what = "there is nothing to learn" if data is None else f"{half} no target"
        raise SpecError(f"{what}.", where="fit", mend="give a spec, or data and a target (its column), or an env")
    if isinstance(data, (str, Path)):
        return table_spec(str(data), target, name=name, overrides=overrides).within(Path.cwd()), None
    return table_spec(IN_MEMORY, target, name=name or "table", overrides=overrides), data


def named_env(env: Any) -> tuple[str, dict[str, Any]]:
    """(what a spec calls an environment, the object that this name stands for: none when it is an id)."""
    if isinstance(env, str):
        return env, {}
    name, source = name_given(env)
    return name, {name: source}


def given_again(program: Program, env: Any) -> dict[str, Any]:
    """An object by the names that a program's tasks have for it, when it was learned in one that is no id.

    Raises:
        SpecError: it would not be used.
    """
    played = sorted(str(task.options["env"]) for task in program.tasks.values() if "env" in task.options)
    found = {name: env for name in played if env is not None and name.startswith(GIVEN)}
    if env is not None and not found:
        raise SpecError(
            f"the environment is {', '.join(played) or 'none'}, not an object.", where="env=...", mend="leave it out"
        )
    return found


def with_object(spec: Any, name: str, given: dict[str, Any]) -> tuple[Spec, None, dict[str, Any]]:
    """A spec whose `given:...` environments are this object."""
    found = spec if isinstance(spec, Spec) else read_spec(spec)
    wanted = [task.env for task in found.tasks.values() if isinstance(task, ControlTask)]
    objects = {env: given[name] for env in wanted if env.startswith(GIVEN)}
    if not objects:
        raise SpecError(
            f"the spec's environment is {', '.join(wanted) or 'none'}, not an object.",
            where="fit(spec, env=...)",
            mend=f"leave the env out, or write `env: {name}` in the spec",
        )
    return found, None, objects


def _one_beginning(spec: Any, data: Any, target: Any, env: str | None) -> None:
    """A word that would be ignored is refused instead."""
    words = {"spec": spec, "env": env, "data": data, "target": target}
    given = [word for word, value in words.items() if value is not None]
    if "spec" in given and ("env" in given or "target" in given):
        mend = "leave it out, or change the spec itself: --set data.target=..., --set tasks.NAME.env=..."
        raise SpecError(f"a spec says itself what the {given[-1]} is.", where="fit", mend=mend)
    if "env" in given and len(given) > 1:
        raise SpecError(
            f"an environment needs no {given[-1]}.", where="fit", mend="give the env alone, or data and target"
        )

"""What a user calls first: fit, tune, load, wrap, diff; each gives something of `handle` to hold.

Everything here delegates downwards; nothing is computed in this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pellucid.core.errors import SpecError
from pellucid.core.program import Program
from pellucid.core.rows import Rows
from pellucid.envs.making import room, using
from pellucid.handle import STORE, Diff, LearnedProgram, Revision, WrappedProgram
from pellucid.nn.foreign import wrap as wrap_model
from pellucid.review.diff import DiffConfig
from pellucid.review.diff import diff as diff_sides
from pellucid.review.sides import touched_keys
from pellucid.runs.artefact import id_column
from pellucid.runs.beginning import chosen_spec, named_env, with_object
from pellucid.runs.diffing import diff_versions
from pellucid.runs.fit import fit as fit_spec
from pellucid.runs.importing import import_sb3
from pellucid.runs.live import live_rows, live_side, paired
from pellucid.runs.progress import Shown
from pellucid.runs.searching import fit_chosen, run_search
from pellucid.spec.model import Spec
from pellucid.store.store import Store


def fit(
    spec: str | Path | Spec | None = None,
    *,
    data: Any = None,
    target: str | Sequence[str] | None = None,
    env: Any = None,
    algorithm: str | None = None,
    name: str | None = None,
    store: str | Path | Store = STORE,
    overrides: Sequence[str] = (),
    resume: bool = False,
    because: str = "",
    progress: bool = False,
    log: str | Path | None = None,
    callbacks: Sequence[Any] = (),
    start: str | None = None,
) -> LearnedProgram:
    """Learn a program and keep it.

    Args:
        spec: a YAML file or a `Spec`; without it, give `data` and `target`, or `env`.
        data: a table in memory, a file, pattern or URL (see docs/reference/data.md); beside a spec, it replaces the
            spec's own source.
        target: the column to predict; several columns of 0 and 1 are labels.
        env: a Gymnasium id, an Env, a VectorEnv, or a callable that makes either; beside a spec, the object that its
            `given:NAME` stands for. An object is not kept: later steps that play in it need it again.
        algorithm: how a policy is learned there; by default what was tuned for the environment, else PPO.
        name: of the program; guessed from the file or the environment.
        store: the folder of the store.
        overrides: "train.updates=100" each, over the spec.
        resume: continue an interrupted fit.
        progress: show progress bars.
        log: folder of a training log: progress.csv, and TensorBoard's events when the extra `track` is installed.
        callbacks: objects that look on, or end a training early; see `Callback`.
        start: a version of the store, "name@3", whose matching weights are the first ones (`train.transfer.start`).
    Returns:
        The first version, or a candidate (a `Revision`) when the program has versions already.
    """
    given: dict[str, Any] = {}
    places: int | None = None
    overrides = (*overrides, *([f"train.transfer.start={start}"] if start is not None else []))
    if env is not None and not isinstance(env, str):
        env, given = named_env(env)
        places = room(given[env])
        if spec is not None:
            spec, env, given = with_object(spec, env, given)
    chosen, source = chosen_spec(spec, data, target, env, name, tuple(overrides), algorithm, places)
    opened = store if isinstance(store, Store) else Store(store)
    reporter = Shown(progress)
    with reporter, using(given=given):
        done = fit_spec(
            chosen,
            opened,
            source=source,
            resume=resume,
            because=because,
            reporter=reporter.reporter,
            log=log,
            callbacks=callbacks,
        )
    return LearnedProgram(opened, done.ref) if done.accepted else Revision(opened, done.ref)


def tune(
    spec: str | Path | Spec,
    *,
    data: Any = None,
    name: str | None = None,
    store: str | Path | Store = STORE,
    overrides: Sequence[str] = (),
    resume: bool = False,
    because: str = "",
    progress: bool = False,
) -> LearnedProgram:
    """Try the settings that a spec's `search` section names, and fit the best (see docs/reference/search.md).

    Args:
        resume: go on with an interrupted search.
        data, name, store, overrides, because, progress: as of `fit`.
    Returns:
        The first version, or a candidate (a `Revision`); `evidence["search"]` tells how its settings were chosen.
    """
    chosen, source = chosen_spec(spec, data, None, None, name, tuple(overrides))
    opened = store if isinstance(store, Store) else Store(store)
    with Shown(progress) as shown:
        done = run_search(chosen, opened, source=source, resume=resume, reporter=shown.reporter)
        kept = fit_chosen(done, opened, source=source, because=because, resume=resume, reporter=shown.reporter)
    return LearnedProgram(opened, kept.ref) if kept.accepted else Revision(opened, kept.ref)


def from_sb3(
    model: Any,
    *,
    env: str,
    algorithm: str | None = None,
    vec_normalize: Any = None,
    name: str | None = None,
    store: str | Path | Store = STORE,
    overrides: Sequence[str] = (),
    because: str = "",
    progress: bool = False,
) -> LearnedProgram:
    """Keep a policy that Stable-Baselines3 has trained: PPO, A2C, DQN or SAC with an MLP policy.

    Args:
        model: the algorithm, or the path of its zip. A path is read by Stable-Baselines3's own loader, which unpickles:
            that can run code, so give only files that you trust.
        env: the Gymnasium id of its environment.
        algorithm: "ppo", "a2c", "dqn" or "sac"; told from the file when left out.
        vec_normalize: the `VecNormalize` that it was trained behind, or the path of its file (a pickle too).
        name, store, overrides, because, progress: as of `fit`.
    Returns:
        The first version, or a candidate (a `Revision`) when the program has versions already.
    """
    opened = store if isinstance(store, Store) else Store(store)
    with Shown(progress) as shown:
        done = import_sb3(
            model,
            opened,
            env=env,
            algorithm=algorithm,
            vec_normalize=vec_normalize,
            name=name,
            overrides=tuple(overrides),
            because=because,
            reporter=shown.reporter,
        )
    return LearnedProgram(opened, done.ref) if done.accepted else Revision(opened, done.ref)


def load(ref: str, store: str | Path | Store = STORE) -> LearnedProgram:
    """A version, candidate or head by name."""
    opened = store if isinstance(store, Store) else Store(store, create=False)
    entry = opened.resolve(ref)
    return LearnedProgram(opened, ref) if entry.state == "accepted" else Revision(opened, ref)


def wrap(model: Any, *, inputs: Any, **options: Any) -> WrappedProgram:
    """A model from elsewhere (scikit-learn, SB3-like policy, any callable); see `pellucid.nn.foreign.wrap`."""
    return WrappedProgram(wrap_model(model, inputs=inputs, **options))


def diff(
    a: Any,
    b: Any,
    data: pd.DataFrame | Rows | None = None,
    target: str | Sequence[str] | None = None,
    *,
    margin: float = 0.01,
    seed: int = 0,
) -> Diff:
    """The behaviour diff of two programs: two versions of one store, or any two programs on the same rows.

    Args:
        a, b: `LearnedProgram` or wrapped; both stored versions when `data` is None.
        data: rows on which both are run; those that a training has seen do not count.
        target: the column with the truth; without it, only outputs and decisions are compared.
    """
    if data is None:
        return Diff(diff_versions(*_one_store(a, b)))
    names = [str(getattr(p, "ref", None) or getattr(_bare(p), "name", "")) for p in (a, b)]
    if names[0] == names[1]:
        names = ["a", "b"]
    ids = [id_column(p.store, p.entry) for p in (a, b) if isinstance(p, LearnedProgram)]
    id = next((i for i in ids if i and not isinstance(data, Rows) and i in data), None)
    sides = []
    for program, name in zip((a, b), names, strict=True):
        touched = touched_keys(program.store, program.entry) if isinstance(program, LearnedProgram) else frozenset()
        bare = _bare(program)
        sides.append(live_side(name, bare, live_rows(bare, data, target, id), touched))
    return Diff({**diff_sides(*paired(*sides), DiffConfig(margin=margin, seed=seed)), "because": []})


def _one_store(a: Any, b: Any) -> tuple[Store, str, str]:
    if not (isinstance(a, LearnedProgram) and isinstance(b, LearnedProgram)):
        raise SpecError(
            "only stored versions have outputs to compare.",
            where="pellucid.diff(a, b)",
            mend="give rows on which both are run: pellucid.diff(a, b, frame, target)",
        )
    if a.store.root.resolve() != b.store.root.resolve():
        raise SpecError(
            f"'{a.ref}' and '{b.ref}' lie in two stores.",
            where="pellucid.diff(a, b)",
            mend="give rows on which both are run: pellucid.diff(a, b, frame, target)",
        )
    return a.store, a.ref, b.ref


def _bare(program: Any) -> Program:
    return program.program if isinstance(program, (LearnedProgram, WrappedProgram)) else program

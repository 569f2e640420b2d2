"""What a user holds: a learned program with its evidence, explanations, feedback and revisions.

Everything here delegates downwards; nothing is computed in this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from pellucid.core.errors import DataError, SpecError
from pellucid.core.program import Program
from pellucid.core.rows import Rows
from pellucid.core.schema import Schema
from pellucid.data.tables import rows_from_frame
from pellucid.envs.making import room, using
from pellucid.explain import Explanation, attribute
from pellucid.nn.foreign import wrap as wrap_model
from pellucid.report.progress import Progress
from pellucid.review.diff import EXIT_CODES, DiffConfig
from pellucid.review.diff import diff as diff_sides
from pellucid.review.sides import touched_keys
from pellucid.runs.acting import act
from pellucid.runs.artefact import Learned, id_column, load_program
from pellucid.runs.beginning import chosen_spec, named_env, with_object
from pellucid.runs.calibrating import with_interval
from pellucid.runs.diffing import diff_versions
from pellucid.runs.explaining import data_rows, series_rows
from pellucid.runs.explaining import explain as explain_rows
from pellucid.runs.fit import fit as fit_spec
from pellucid.runs.forecasting import forecast as forecast_series
from pellucid.runs.importing import import_sb3
from pellucid.runs.inspecting import Inspector, live, stored
from pellucid.runs.judge import judge_table
from pellucid.runs.judge_policy import judge_policy
from pellucid.runs.live import live_rows, live_side, paired
from pellucid.runs.progress import Reporter, Silent
from pellucid.runs.reviewing import accept
from pellucid.runs.revise import ReviseConfig
from pellucid.runs.revise import revise as revise_version
from pellucid.runs.searching import fit_chosen, run_search
from pellucid.runs.shown_actions import shown_payload
from pellucid.spec.model import GIVEN, Spec
from pellucid.store.records import Entry, Event
from pellucid.store.store import Store

if TYPE_CHECKING:
    from pellucid.nn.foreign import ForeignProgram

STORE = ".pellucid"


class LearnedProgram:
    """A version or candidate in a store.

    Args:
        store: the store it lies in.
        ref: "stocks@1", "stocks~3f2a", or "stocks" for the head.
    """

    def __init__(self, store: Store, ref: str) -> None:
        self.store = store
        self.entry: Entry = store.resolve(ref)
        self._program: Learned | None = None

    def __repr__(self) -> str:
        return f"<LearnedProgram {self.ref}: {', '.join(self.program.tasks)}>"

    @property
    def ref(self) -> str:
        return self.entry.ref

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def program(self) -> Learned:
        """The program itself, read and verified once."""
        if self._program is None:
            self._program = load_program(self.store, self.entry)
        return self._program

    @property
    def evidence(self) -> dict[str, Any]:
        """Every number with its interval, n and baselines; trials and looks at the review set as of now."""
        found: dict[str, Any] = self.store.blobs.get_json(self.entry.manifest["blobs"]["evidence"])
        return {**found, "trials": self.store.trials(self.name), "looks": self.store.looks(self.name)}

    @property
    def feedback(self) -> Feedback:
        return Feedback(self)

    def predict(
        self, data: pd.DataFrame | Rows, task: str | None = None, *, interval: float | None = None
    ) -> pd.DataFrame:
        """Outputs on rows or a table, one column per output, in the program's units.

        Args:
            interval: 0.9 also gives columns that hold the truth in 9 of 10 cases, by split conformal prediction on the
                folds of the fit: `low` and `high` of a number, `set` of classes (`a|b`).
        Raises:
            DataError: the program keeps no such intervals.
        """
        program, name = self.program, task or next(iter(self.program.tasks))
        rows = data if isinstance(data, Rows) else series_rows(self.store, self.ref, data)
        if rows is None:
            inputs = [program.schema[field] for field in program.task(name).inputs]
            rows = rows_from_frame(data, inputs)
        outputs = program(program.encode(rows), name).double().numpy()
        index = data.index if isinstance(data, pd.DataFrame) and len(rows) == len(data) else pd.Index(rows.keys)
        frame = pd.DataFrame(outputs, columns=list(program.task(name).outputs), index=index)
        if interval is None:
            return frame
        if getattr(program, "deltas", ()):
            raise DataError(
                "a correction has changed the program since its intervals were measured.",
                where="predict(interval=...)",
                mend="use the version before the correction, or fit again",
            )
        return frame.assign(**with_interval(program.task(name), outputs, interval))

    def act(
        self, observation: Any, *, task: str | None = None, deterministic: bool = True, seed: int = 0, step: int = 0
    ) -> Any:
        """A policy's action for one observation or for many; see `runs.acting.act`.

        Args:
            task: by default the first that takes actions.
            deterministic: the likeliest or mean action; else drawn, reproducibly by `seed` and `step`.
        """
        acting = [name for name, declared in self.program.tasks.items() if declared.kind == "control"]
        name = task or next(iter(acting or self.program.tasks))
        declared = self.program.task(name)
        return act(self.program, declared, observation, deterministic=deterministic, seed=seed, step=step)

    def forecast(self, source: Any = None) -> pd.DataFrame:
        """Of series: quantiles of the steps after the last value of each, see `runs.forecasting.forecast`."""
        return forecast_series(self.store, self.ref, source, self.program)

    def rows(self, source: Any = None) -> Rows:
        """All rows of its data, or of a DataFrame or file that replaces them, with their keys and times."""
        return data_rows(self.store, self.ref, source)

    def explain(
        self,
        rows: Rows | pd.DataFrame | None = None,
        *,
        at: str | Sequence[str] = (),
        task: str | None = None,
        **options: Any,
    ) -> Explanation:
        """Shapley values of one task, on given rows or on rows named by key or date (see `runs.explaining`)."""
        name = task or next(iter(self.program.tasks))
        names = [at] if isinstance(at, str) else list(at)
        return explain_rows(self.store, self.ref, rows=rows, at=names, tasks=[name], **options)[name]

    def inspect(self, *, source: Any = None, seed: int | None = None) -> Inspector:
        """Counterfactuals, LIME, rules, dependence, interactions, importance, a surrogate tree (`runs.inspecting`).

        Args:
            source: rows that replace its own.
        """
        return stored(self.store, self.ref, source=source, seed=seed)

    def revise(
        self,
        *,
        method: str = "lora",
        source: Any = None,
        env: Any = None,
        because: str = "",
        progress: bool = False,
        **options: Any,
    ) -> Revision:
        """Train a delta from the open feedback and propose it; see `runs.revise.ReviseConfig` for the options.

        Args:
            source: rows that replace its own.
            env: the object again, when it was fitted in one that is no id.
        """
        config = ReviseConfig(method=method, **options)
        reporter = _reporter(progress)
        played = {str(task.options.get("env")) for task in self.program.tasks.values()}
        objects = {name: env for name in played if env is not None and name.startswith(GIVEN)}
        with reporter, using(given=objects):
            done = revise_version(
                self.store, self.ref, config, source=source, because=because, reporter=reporter.reporter
            )
        if done.ref is None:
            raise DataError(done.notes[-1] + ".", where=f"revise('{self.ref}')", mend="nothing has to be done")
        return Revision(self.store, done.ref, done.notes)

    def rollback(self, to: int, *, because: str, reviewer: str | None = None) -> LearnedProgram:
        """Move the head back to version `to`; deletes nothing."""
        return LearnedProgram(self.store, self.store.rollback(self.name, to, reviewer=reviewer, because=because))

    def log(self) -> list[Event]:
        """Who changed the program, when, why, on what evidence."""
        return self.store.log(self.name)


class Feedback:
    """What a person says about a program's behaviour."""

    def __init__(self, handle: LearnedProgram) -> None:
        self._handle = handle

    def forbid(self, field: str, *, because: str, author: str | None = None) -> int:
        """This field must not matter. Becomes a delta at the next `revise`. Returns the record's number."""
        handle = self._handle
        handle.program.schema[field]  # refuses an unknown name with the nearest one
        return handle.store.add_feedback(
            handle.name, handle.ref, "ignore", {"field": field}, author=author, because=because
        )

    ignore = forbid

    def correct_action(
        self, shown: pd.DataFrame | str | Path, *, because: str, task: str | None = None, author: str | None = None
    ) -> int:
        """In these states this should be done. Becomes a delta at the next `revise`. Returns the record's number.

        Args:
            shown: a table or a file: a column for each observed value, and `action`.
            task: whose actions; may be left out when the program has one policy.
        """
        handle = self._handle
        payload = shown_payload(handle.store, handle.entry, shown, task)
        return handle.store.add_feedback(
            handle.name, handle.ref, "correct-action", payload, author=author, because=because
        )

    def __iter__(self) -> Any:
        return iter(self._handle.store.feedback(self._handle.name))


class Revision(LearnedProgram):
    """A candidate under review."""

    def __init__(self, store: Store, ref: str, notes: list[str] | None = None) -> None:
        super().__init__(store, ref)
        self.notes = notes or []
        self._diff: Diff | None = None

    @property
    def diff(self) -> Diff:
        """The behaviour diff against its parent, recorded as the one under review."""
        if self._diff is None:
            if self.entry.parent is None:
                raise DataError(
                    f"'{self.ref}' has no parent.", where="Revision.diff", mend="a first version needs none"
                )
            self._diff = Diff(diff_versions(self.store, self.entry.parent, self.ref))
        return self._diff

    def accept(self, *, because: str = "", reviewer: str | None = None, override_gates: bool = False) -> LearnedProgram:
        """Make it the next version.

        Args:
            because: why; may be left out when the diff's verdict is better or equivalent.
            override_gates: accept although a gate failed; the history says so.
        Raises:
            ReviewError: a gate failed, or an undecided diff has no reason.
            StaleRevision: the head moved since.
        """
        ref, _ = accept(self.store, self.ref, because=because, reviewer=reviewer, override=override_gates)
        return LearnedProgram(self.store, ref)

    def reject(self, *, because: str, reviewer: str | None = None) -> None:
        """Decide against it; the record stays."""
        self.store.reject(self.ref, reviewer=reviewer, because=because)


class Diff(dict[str, Any]):
    """A behaviour diff: the JSON itself, with its verdict at hand."""

    @property
    def verdict(self) -> str:
        return str(self["verdict"])

    @property
    def exit_code(self) -> int:
        """0 pass, 1 gate failed or worse, 3 undecided."""
        return EXIT_CODES[self.verdict]

    def to_html(self, path: str | Path) -> Path:
        """One self-contained page."""
        from pellucid.report.html import diff_page
        from pellucid.store.files import write_atomic

        write_atomic(path, diff_page(self).encode())
        return Path(path)

    def __str__(self) -> str:
        from io import StringIO

        from rich.console import Console

        from pellucid.report.terminal import diff_view

        out = Console(file=StringIO(), width=100)
        out.print(diff_view(self))
        text: str = out.file.getvalue()  # type: ignore[attr-defined]  # a StringIO, as made above
        return text


class WrappedProgram:
    """A model from elsewhere: explained, evaluated and compared like a learned one."""

    def __init__(self, program: ForeignProgram) -> None:
        self.program = program

    @property
    def schema(self) -> Schema:
        return self.program.schema

    @property
    def tasks(self) -> Any:
        return self.program.tasks

    def predict(self, data: pd.DataFrame | Rows) -> pd.DataFrame:
        """The model's outputs as a table."""
        return self.program.predict(data)

    def act(self, observation: Any, *, deterministic: bool = True, seed: int = 0, step: int = 0) -> Any:
        """A policy's action for one observation or for many; see `runs.acting.act`."""
        task = next(iter(self.tasks.values()))
        return act(self.program, task, observation, deterministic=deterministic, seed=seed, step=step)

    def explain(self, rows: pd.DataFrame | Rows, *, background: pd.DataFrame | Rows, **options: Any) -> Explanation:
        """Shapley values against a background of reference rows; see `pellucid.explain.attribute`."""
        given, reference = (live_rows(self.program, data) for data in (rows, background))
        return attribute(self.program, given, next(iter(self.tasks)), background=reference, **options)

    def inspect(self, reference: pd.DataFrame | Rows, *, target: str | None = None, seed: int = 0) -> Inspector:
        """Counterfactuals, LIME, rules, dependence, interactions, importance, a surrogate tree (`runs.inspecting`).

        Args:
            reference: real rows, training data as a rule.
            target: the reference's column with the truth, for `importance`.
        """
        return live(self.program, reference, target=target, seed=seed)

    def evaluate(
        self,
        data: pd.DataFrame | Rows | None = None,
        target: str | Sequence[str] | None = None,
        *,
        env: Any = None,
        episodes: int = 100,
        seed: int = 0,
        margin: float = 0.01,
    ) -> dict[str, Any]:
        """An evidence entry: the metric with its interval beside baselines.

        Args:
            data, target: labelled rows; baselines are fitted by 5-fold cross-fitting on these very rows.
            env: for a policy, the environment in which it is judged on held-out seeds: an id, an Env, a VectorEnv or a
                callable.
        """
        task = next(iter(self.tasks.values()))
        if env is not None:
            name, given = named_env(env)
            with using(given=given):
                return judge_policy(self.program, task, name, episodes=episodes, seed=seed, margin=margin)
        if data is None or (target is None and not isinstance(data, Rows)):
            raise SpecError(
                "there is nothing to evaluate on.", where="evaluate(...)", mend="give data and target, or env"
            )
        return judge_table(self.program, task, live_rows(self.program, data, target), seed=seed, margin=margin)


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
    reporter = _reporter(progress)
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
    with _reporter(progress) as shown:
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
    with _reporter(progress) as shown:
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


class _Progress:
    """A reporter with a beginning and an end."""

    def __init__(self, shown: bool) -> None:
        self.bar = Progress() if shown else None
        self.reporter: Reporter = self.bar or Silent()

    def __enter__(self) -> _Progress:
        if self.bar:
            self.bar.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if self.bar:
            self.bar.__exit__(*error)


def _reporter(shown: bool) -> _Progress:
    return _Progress(shown)

"""What a user holds: a learned program with its evidence, explanations, feedback and revisions.

Everything here delegates downwards; nothing is computed in this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from pellucid.core.errors import DataError, SpecError
from pellucid.core.rows import Rows
from pellucid.core.schema import Schema
from pellucid.data.tables import rows_from_frame
from pellucid.envs.making import using
from pellucid.explain import EpisodeExplanation, Explanation, Outcome, TextExplanation, attribute, attribute_text
from pellucid.review.diff import EXIT_CODES
from pellucid.runs.acting import act
from pellucid.runs.artefact import Learned, load_program
from pellucid.runs.beginning import given_again, named_env
from pellucid.runs.calibrating import with_interval
from pellucid.runs.diffing import diff_versions
from pellucid.runs.episodes import Actor, actor_of, explain_episode, policy_of, world_of
from pellucid.runs.explaining import data_rows, series_rows
from pellucid.runs.explaining import explain as explain_rows
from pellucid.runs.explaining_texts import explain_texts
from pellucid.runs.forecasting import forecast as forecast_series
from pellucid.runs.inspecting import Inspector, live, stored
from pellucid.runs.judge import judge_table
from pellucid.runs.judge_policy import judge_policy
from pellucid.runs.live import live_rows
from pellucid.runs.outcomes import explain_outcome
from pellucid.runs.progress import Shown
from pellucid.runs.reviewing import accept
from pellucid.runs.revise import ReviseConfig
from pellucid.runs.revise import revise as revise_version
from pellucid.runs.shown_actions import shown_payload
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

    def explain_episode(
        self, seed: int = 0, *, task: str | None = None, env: Any = None, source: Any = None, **options: Any
    ) -> EpisodeExplanation:
        """A greedy episode of a policy, explained at every step (see `runs.episodes.explain_episode`).

        Args:
            seed: of the episode; `at="2018-01-02"`: the day on which a trading policy begins.
            env: the object again, when it was fitted in one that is no id.
            source: rows that replace its own.
        """
        actor = actor_of(self.store, self.ref, task, source)
        with using(given=given_again(self.program, env)):
            return explain_episode(actor, seed=seed, **{"draws": actor.seed, **options})

    def explain_outcome(
        self, *, task: str | None = None, env: Any = None, source: Any = None, **options: Any
    ) -> Outcome:
        """What a policy's return rests on, by episodes with a feature hidden (see `runs.outcomes.explain_outcome`)."""
        actor = actor_of(self.store, self.ref, task, source)
        with using(given=given_again(self.program, env)):
            return explain_outcome(actor, **{"seed": actor.seed, **options})

    def explain_text(
        self,
        rows: Rows | pd.DataFrame | None = None,
        *,
        at: str | Sequence[str] = (),
        task: str | None = None,
        **options: Any,
    ) -> list[TextExplanation]:
        """What the words of the rows' texts add (see `pellucid.explain.attribute_text`); rows as in `explain`."""
        names = [at] if isinstance(at, str) else list(at)
        return explain_texts(self.store, self.ref, rows=rows, at=names, task=task, **options)

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
        reporter = Shown(progress)
        with reporter, using(given=given_again(self.program, env)):
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

    def explain_episode(self, seed: int = 0, *, env: Any = None, **options: Any) -> EpisodeExplanation:
        """A greedy episode of a policy in `env`, explained at every step (see `runs.episodes.explain_episode`)."""
        task, (name, given) = policy_of(self.program, None), (None, {}) if env is None else named_env(env)
        with using(given=given):
            return explain_episode(Actor(self.program, task, world_of(task, name)), seed=seed, **options)

    def explain_outcome(self, *, env: Any = None, **options: Any) -> Outcome:
        """What a policy's return in `env` rests on (see `runs.outcomes.explain_outcome`)."""
        task, (name, given) = policy_of(self.program, None), (None, {}) if env is None else named_env(env)
        with using(given=given):
            return explain_outcome(Actor(self.program, task, world_of(task, name)), **options)

    def explain_text(self, rows: pd.DataFrame | Rows, **options: Any) -> list[TextExplanation]:
        """What the words of the rows' texts add; see `pellucid.explain.attribute_text`."""
        return attribute_text(self.program, live_rows(self.program, rows), next(iter(self.tasks)), **options)

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

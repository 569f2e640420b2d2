"""Callbacks: what a caller wants to see, or to decide, while a program is being trained.

A callback looks on. Nothing that it is given changes what is computed: with a callback that only watches, the weights
are the same bits. It may end a training early by returning False, and its faults are named as its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pellucid.assemble import Assembly
from pellucid.core.errors import PellucidError, TrainingFault
from pellucid.nn.program import NetworkProgram
from pellucid.runs.policies import greedy, on_rows, rollout
from pellucid.train.learner import Learner

Metrics = dict[str, dict[str, float]]  # task -> metric -> value
VALIDATION = 700_001  # first seed of the episodes of `EvaluateEvery`: neither trained on nor part of the evidence
EVENTS = ("on_start", "on_update", "on_rollout_end", "on_evaluation", "on_checkpoint", "on_end")


@dataclass(frozen=True)
class Experience:
    """What a policy has met so far.

    Args:
        steps: of all its environments together.
        episodes: finished ones.
        recent: (return, length) of the latest 100 episodes.
    """

    steps: int
    episodes: int
    recent: tuple[tuple[float, int], ...]

    @property
    def episode_return(self) -> float:
        """Mean over the latest 100 episodes; NaN before the first has ended."""
        return float(np.mean([total for total, _ in self.recent])) if self.recent else math.nan

    @property
    def episode_length(self) -> float:
        """Mean over the latest 100 episodes; NaN before the first has ended."""
        return float(np.mean([length for _, length in self.recent])) if self.recent else math.nan


class Training:
    """The training under way, as a callback sees it.

    Args:
        program: its name.
        stage: "fit", "fold 1 of 3", "final fit", ...
        assembly: what is trained; its contents are live: read them, change nothing.
    """

    def __init__(self, program: str, stage: str, assembly: Assembly) -> None:
        self.program, self.stage, self.assembly = program, stage, assembly
        self.recorded: dict[str, float] = {}  # waits for the log's next row
        self._began = time.monotonic()
        self._seconds = 0.0  # of the processes before this one
        self._earlier: dict[str, Experience] = {}
        self._first_steps = 0

    @property
    def update(self) -> int:
        """Updates done."""
        return self.assembly.trainer.update

    @property
    def updates(self) -> int:
        """Updates in all."""
        return self.assembly.config.updates

    @property
    def seconds(self) -> float:
        """Spent on this stage, an interrupted part included."""
        return self._seconds + time.monotonic() - self._began

    @property
    def steps(self) -> int:
        """Environment steps of all policies; 0 where nothing acts."""
        return sum(map(self.steps_of, self.assembly.learners))

    @property
    def steps_per_s(self) -> float:
        """Environment steps a second in this process."""
        return (self.steps - self._first_steps) / max(time.monotonic() - self._began, 1e-9)

    @property
    def experience(self) -> dict[str, Experience]:
        """By task, of those that act in an environment."""
        found = ((learner, self.met(learner)) for learner in self.assembly.learners)
        return {learner.task.name: met for learner, met in found if met is not None}

    @property
    def episode_return(self) -> float:
        """Of the first policy's latest 100 episodes; NaN before the first has ended, and where nothing acts."""
        return next((met.episode_return for met in self.experience.values()), math.nan)

    def steps_of(self, learner: Learner) -> int:
        """Environment steps of one learner."""
        earlier = self._earlier.get(learner.task.name)
        return getattr(getattr(learner, "env", None), "total_steps", 0) + (earlier.steps if earlier else 0)

    def met(self, learner: Learner) -> Experience | None:
        """What one learner has met; None when it steps no environment."""
        if not self.steps_of(learner):
            return None
        env: Any = learner.env  # type: ignore[attr-defined]  # it has steps
        before = self._earlier.get(learner.task.name) or Experience(0, 0, ())
        recent = (*before.recent, *env.recent)[-100:]
        return Experience(before.steps + env.total_steps, before.episodes + env.episodes, recent)

    def policy(self) -> NetworkProgram:
        """A copy of the program as it is now."""
        return self.assembly.snapshot()

    def record(self, tag: str, value: float) -> None:
        """Write a number of your own into the log's next row, under a tag like "eval/mean_reward"."""
        self.recorded[tag] = float(value)

    def get_state(self) -> dict[str, Any]:
        """What a resumed training must know to count on."""
        met = {
            name: [found.steps, found.episodes, [list(pair) for pair in found.recent]]
            for name, found in self.experience.items()
        }
        return {"seconds": self.seconds, "met": met}

    def set_state(self, state: dict[str, Any]) -> None:
        self._seconds = float(state["seconds"])
        for name, (steps, episodes, recent) in state["met"].items():
            pairs = tuple((float(total), int(length)) for total, length in recent)
            self._earlier[name] = Experience(int(steps), int(episodes), pairs)
        self._first_steps = self.steps


class Callback:
    """Looks on while a program is trained. Every method may be left out.

    `on_update` and `on_rollout_end` may return False: the training ends there, a checkpoint is written, and what was
    learned so far becomes the version; its evidence says so.
    """

    def on_start(self, run: Training) -> None:
        """A stage begins, or goes on (`run.update` is not 0 then)."""

    def on_update(self, run: Training, metrics: Metrics) -> bool | None:
        """After every update of the optimiser: task -> metric -> value."""

    def on_rollout_end(self, run: Training) -> bool | None:
        """New experience was collected; before `on_update` of the first update that may learn from it."""

    def on_evaluation(self, evidence: dict[str, Any]) -> None:
        """The whole fit was judged: its evidence, before it is stored."""

    def on_checkpoint(self, run: Training) -> None:
        """A checkpoint was written."""

    def on_end(self, run: Training) -> None:
        """The stage's training is over: all updates are done, or a callback ended it."""


class Callbacks:
    """Calls them in order, names their faults, remembers who ended a training.

    Args:
        given: objects with some of the methods of `Callback`.
    """

    def __init__(self, given: Sequence[Any]) -> None:
        self.given = list(given)
        self._listening = {event: [c for c in self.given if _has(c, event)] for event in EVENTS}
        self._steps = 0

    def __bool__(self) -> bool:
        return bool(self.given)

    def start(self, run: Training) -> None:
        self._steps = run.steps
        for callback in self._listening["on_start"]:
            _guarded(callback, "on_start", run, run)

    def update(self, run: Training, metrics: Metrics) -> str | None:
        """Who wants the training to end here; None when nobody does."""
        enough = None
        if self._listening["on_rollout_end"] and (steps := run.steps) != self._steps:
            self._steps = steps
            for callback in self._listening["on_rollout_end"]:
                if _guarded(callback, "on_rollout_end", run, run) is False:
                    enough = type(callback).__name__
        for callback in self._listening["on_update"]:
            if _guarded(callback, "on_update", run, run, metrics) is False:
                enough = type(callback).__name__
        return enough

    def checkpoint(self, run: Training) -> None:
        for callback in self._listening["on_checkpoint"]:
            _guarded(callback, "on_checkpoint", run, run)

    def end(self, run: Training) -> None:
        for callback in self._listening["on_end"]:
            _guarded(callback, "on_end", run, run)

    def evaluation(self, evidence: dict[str, Any]) -> None:
        for callback in self._listening["on_evaluation"]:
            _guarded(callback, "on_evaluation", None, evidence)


def _has(callback: Any, event: str) -> bool:
    """It has the method, and not just the empty one of `Callback`: what does nothing costs nothing."""
    method = getattr(type(callback), event, None) or getattr(callback, event, None)
    return callable(method) and method is not getattr(Callback, event)


def _guarded(callback: Any, event: str, run: Training | None, *args: Any) -> Any:
    try:
        return getattr(callback, event)(*args)
    except PellucidError:
        raise
    except Exception as error:
        place = "after the evaluation" if run is None else f"'{run.stage}', update {run.update}"
        said = next(iter(str(error).strip().splitlines()), "it says no more")
        raise TrainingFault(
            f"the callback {type(callback).__name__} raised {type(error).__name__} in {event}: {said}.",
            where=place,
            mend="repair the callback; the last checkpoint is intact: call it again with resume=True",
        ) from error


@dataclass
class StopOnReturn(Callback):
    """End the training when the mean return of the latest episodes reaches a threshold.

    Args:
        threshold: of the mean return.
        episodes: that the mean must be over, at most 100.
    """

    threshold: float
    episodes: int = 100

    def on_rollout_end(self, run: Training) -> bool | None:
        """False when the threshold is reached."""
        for met in run.experience.values():
            latest = [total for total, _ in met.recent][-self.episodes :]
            if len(latest) >= self.episodes and float(np.mean(latest)) >= self.threshold:
                return False
        return None


@dataclass
class EvaluateEvery(Callback):
    """Play greedy episodes with a copy of the policy every so many updates; the log gets `eval/mean_reward`.

    The episodes' seeds are neither trained on nor part of the evidence, so that stopping by them biases nothing.

    Args:
        updates: between two evaluations.
        episodes: of each.
        stop_at: end the training when their mean return reaches this; None: never.
        history: (update, environment steps, mean return) so far.
    """

    updates: int
    episodes: int = 10
    stop_at: float | None = None
    history: list[tuple[int, int, float]] = field(default_factory=list)

    def on_update(self, run: Training, metrics: Metrics) -> bool | None:
        """False when `stop_at` is reached."""
        if run.update % self.updates:
            return None
        program = run.policy()
        task = next((t for t in program.tasks.values() if not on_rows(t)), None)
        if task is None:
            raise TrainingFault(
                "there is no policy to evaluate.",
                where="EvaluateEvery",
                mend="it plays episodes of an environment; leave it out for tables and prices",
            )
        seeds, options = range(VALIDATION, VALIDATION + self.episodes), task.options.get("env_options")
        played = rollout(str(task.options["env"]), greedy(program, task), seeds, options=options, keep=1)
        mean = float(played.returns.mean())
        self.history.append((run.update, run.steps, mean))
        run.record("eval/mean_reward", mean)
        run.record("eval/mean_ep_length", float(played.lengths.mean()))
        return False if self.stop_at is not None and mean >= self.stop_at else None

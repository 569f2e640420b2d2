"""A policy over a whole episode: Shapley values of its outputs, and of the margin of its decision, at every step.

This tells what the policy's *outputs* rest on. What its *return* rests on is another question, which only an
experiment answers: `explain.outcome`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pellucid.core.errors import DataError
from pellucid.core.program import Program
from pellucid.core.rows import Rows
from pellucid.core.task import output_named
from pellucid.explain.attribution import attribute
from pellucid.explain.explanation import Array, Explanation, long_frame
from pellucid.explain.filed import read_json, write_json
from pellucid.explain.game import declared_task
from pellucid.explain.margins import components, decided, margin_names, paired

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Course:
    """An episode as it was played, T steps.

    Args:
        states: what was observed before each action, T rows.
        actions: as the environment takes them, shape (T,) or (T, dimensions); choices are counted from 0.
        rewards: of each step, shape (T,).
        env, seed: where it was played.
        end: `terminated`, `truncated`, or `cut` where it went on.
    """

    states: Rows
    actions: npt.NDArray[Any]
    rewards: Array
    env: str
    seed: int
    end: str


@dataclass(frozen=True, eq=False)
class EpisodeExplanation:
    """Shapley values of one episode's T steps, d players, in the program's units.

    Args:
        outputs: Shapley values of the program's own outputs: per action, and the value of the state.
        margins: names of the margins: `margin`, or one for each choice that an action consists of; none of
            continuous actions.
        margin_values, margin_error: Shapley values of each step's margin and their standard errors, (T, d, margins).
        margin_base, margin: mean of that difference over the background; the margin itself, (T, margins).
        chosen, runner_up: what was done, and the best other action, in words, T each.
        rewards: shape (T,).
        env, seed, end: where it was played, and how it ended.
        background: what the reference states are, in a sentence.
    """

    outputs: Explanation
    margins: tuple[str, ...]
    margin_values: Array
    margin_error: Array
    margin_base: Array
    margin: Array
    chosen: tuple[str, ...]
    runner_up: tuple[str, ...]
    rewards: Array
    env: str
    seed: int
    end: str
    background: str

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def players(self) -> tuple[str, ...]:
        return self.outputs.players

    @property
    def names(self) -> tuple[str, ...]:
        """All that can be asked for: the program's outputs, then the margins."""
        return (*self.outputs.outputs, *self.margins)

    @property
    def total(self) -> float:
        """The return, undiscounted."""
        return float(self.rewards.sum())

    def of(self, output: str | int | None = None) -> tuple[Array, Array, Array, Array]:
        """(values (T, d), errors (T, d), base (T,), prediction (T,)) of an output.

        Args:
            output: a name or position among `names`; by default the margin, else the first output.
        Raises:
            SchemaError: there is none, with the nearest name.
        """
        at = self.position(output)
        k = len(self.outputs.outputs)
        if at < k:
            own = self.outputs
            base = np.full(len(self), own.base[at])
            return own.values[:, :, at], own.error[:, :, at], base, own.prediction[:, at]
        m = at - k
        return self.margin_values[:, :, m], self.margin_error[:, :, m], self.margin_base[:, m], self.margin[:, m]

    def position(self, output: str | int | None = None) -> int:
        """The position of an output among `names`."""
        if output is None:
            return len(self.outputs.outputs) if self.margins else 0
        return output_named(output, self.names, self.outputs.task, where="EpisodeExplanation.of(...)")

    def step(self, t: int) -> Explanation:
        """One step as an explanation of its own, with the margins among its outputs."""
        own, row = self.outputs, slice(t, t + 1) if t >= 0 else slice(t, t + 1 or None)
        if not -len(self) <= t < len(self):
            raise DataError(
                f"there is no step {t}.", where="EpisodeExplanation.step(...)", mend=f"of {len(self)} steps"
            )
        return Explanation(
            values=np.concatenate([own.values[row], self.margin_values[row]], axis=2),
            error=np.concatenate([own.error[row], self.margin_error[row]], axis=2),
            base=np.concatenate([own.base, self.margin_base[t]]),
            prediction=np.concatenate([own.prediction[row], self.margin[row]], axis=1),
            players=own.players,
            outputs=self.names,
            keys=own.keys[row],
            inputs=own.inputs[row],
            **{name: getattr(own, name) for name in _ONE},
        )

    def mean_size(self, output: str | int | None = None) -> list[tuple[str, float]]:
        """Players with their mean absolute value over the steps, largest first."""
        size = np.abs(self.of(output)[0]).mean(0)
        return [(self.players[i], float(size[i])) for i in np.argsort(-size, kind="stable")]

    def to_frame(self) -> pd.DataFrame:
        """One line per step, player and output: step, key, chosen, reward, player, output, value, error, input."""
        own, each = self.outputs, len(self.players) * len(self.names)  # lines of a step
        values = np.concatenate([own.values, self.margin_values], axis=2)
        error = np.concatenate([own.error, self.margin_error], axis=2)
        frame = long_frame(replace(own, outputs=self.names, error=error), "value", values)
        frame.insert(0, "step", np.repeat(np.arange(len(self)), each))
        frame.insert(2, "chosen", np.repeat(np.asarray(self.chosen, dtype=object), each))
        frame.insert(3, "reward", np.repeat(self.rewards, each))
        return frame

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; `from_json` gives back every number exactly."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        lists = {name: list(getattr(self, name)) for name in _WORDS}
        arrays = {name: getattr(self, name).tolist() for name in _ARRAYS}
        return {"kind": "episode", "outputs": self.outputs.to_json(), **lists, **arrays, **plain}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> EpisodeExplanation:
        missing = [f.name for f in fields(cls) if f.name not in raw]
        if raw.get("kind") != "episode" or missing:
            raise DataError(
                f"this is no explanation of an episode{': it lacks ' + ', '.join(missing) if missing else ''}.",
                where="EpisodeExplanation.from_json(...)",
                mend="give what to_json() or save() wrote",
            )
        own = Explanation.from_json(raw["outputs"])
        n, d, m = len(own), len(own.players), len(raw["margins"])
        shapes = {"margin_values": (n, d, m), "margin_error": (n, d, m), "margin_base": (n, m), "margin": (n, m)}
        kept: dict[str, Any] = {name: raw[name] for name in _PLAIN} | {name: tuple(raw[name]) for name in _WORDS}
        for name in _ARRAYS:
            kept[name] = np.asarray(raw[name], dtype=np.float64).reshape(shapes.get(name, (n,)))
        return cls(outputs=own, **kept)

    def save(self, path: str | Path) -> Path:
        """Write it as JSON."""
        return write_json(path, self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> EpisodeExplanation:
        """Read what `save` wrote.

        Raises:
            DataError: the file cannot be read, or is something else.
        """
        return cls.from_json(read_json(path, where="EpisodeExplanation.load(...)"))

    def text(self, *, output: str | int | None = None, k: int = 8) -> str:
        """A few lines for the terminal: how it went, and the mean absolute values."""
        own, at = self.outputs, self.position(output)
        sizes = self.mean_size(at)
        names, largest = max(map(len, self.players)), sizes[0][1] or 1.0
        head = f"{own.task} in {self.env}, seed {self.seed}: return {self.total:.4g}, {self.end} after {len(self)}"
        lines = [head, f"  mean |value| of {self.names[at]} ({own.unit}) over the steps"]
        for name, size in sizes[:k]:
            lines.append(f"  {name:<{names}}  {size:<9.3g} {'█' * round(24 * size / largest)}".rstrip())
        lines += [f"  background: {self.background}", f"  {own.method}"]
        lines += [f"  note: {warning}" for warning in own.warnings]
        lines += [f"  {name}: {value:+.2f}" for name, value in own.checks.items()]
        return "\n".join([*lines, f"  seed {own.seed}; {own.evaluations} evaluations"])

    def plot(self, *, output: str | int | None = None, k: int = 12) -> Any:
        """Steps by features as a matplotlib figure: a heat map, the actions, the reward and the value beneath.

        Raises:
            MissingExtra: matplotlib is not installed.
        """
        from pellucid.explain.timeline import figure

        return figure(self, output=output, k=k)


_ONE = ("task", "unit", "method", "background_n", "evaluations", "seed", "value", "warnings")
_WORDS = ("margins", "chosen", "runner_up")
_ARRAYS = ("margin_values", "margin_error", "margin_base", "margin", "rewards")
_PLAIN = ("env", "seed", "end", "background")


def explain_course(
    program: Program,
    task: str,
    course: Course,
    *,
    background: Rows,
    told: str,
    **options: Any,
) -> EpisodeExplanation:
    """Every step of an episode explained.

    Args:
        background: states that the policy itself visits.
        told: what these are, in a sentence.
        options: of `attribute`.
    Raises:
        SchemaError: no such task, or it takes no actions.
    """
    declared = declared_task(program, task, where="explain.explain_course(...)")
    own = program(program.encode(course.states), task).double().cpu().numpy()
    choices, k = decided(declared, own, _choices(course.actions, bool(components(declared)))), len(declared.outputs)
    every = np.stack([choices.chosen, choices.runner_up], 2).reshape(-1, 2)
    pairs, which = np.unique(every, axis=0, return_inverse=True)
    found = attribute(
        paired(program, task, pairs.reshape(-1, 2)),
        course.states,
        task,
        background=background,
        **options,
    )
    n = len(found)  # fewer than there were steps after Ctrl-C
    at = k + which.reshape(len(own), -1)[:n]  # the output that is a step's margin, (n, margins)
    rows = np.arange(n)[:, None]
    return EpisodeExplanation(
        outputs=_first(found, declared.outputs),
        margins=margin_names(declared),
        margin_values=np.moveaxis(found.values[rows, :, at], 1, 2),
        margin_error=np.moveaxis(found.error[rows, :, at], 1, 2),
        margin_base=found.base[at],
        margin=found.prediction[rows, at],
        chosen=_words(declared.outputs, choices.chosen[:n], course.actions),
        runner_up=_words(declared.outputs, choices.runner_up[:n], None),
        rewards=course.rewards[:n],
        env=course.env,
        seed=course.seed,
        end=course.end if n == len(own) else "cut",
        background=told,
    )


def _choices(actions: npt.NDArray[Any], are_choices: bool) -> npt.NDArray[np.int64] | None:
    return np.asarray(actions, dtype=np.int64) if are_choices else None


def _first(found: Explanation, outputs: tuple[str, ...]) -> Explanation:
    """The explanation of the program's own outputs alone."""
    k = len(outputs)
    kept = {f.name: getattr(found, f.name) for f in fields(Explanation)}
    arrays = {name: getattr(found, name)[..., :k] for name in ("values", "error", "base", "prediction")}
    return Explanation(**{**kept, **arrays, "outputs": outputs})


def _words(
    outputs: tuple[str, ...], choices: npt.NDArray[np.int64], actions: npt.NDArray[Any] | None
) -> tuple[str, ...]:
    """What was done at each step: names of outputs, or the numbers of a continuous action."""
    if choices.shape[1]:
        return tuple(", ".join(outputs[i] for i in row) for row in choices.tolist())
    if actions is None:
        return ("",) * len(choices)
    wide = np.asarray(actions, dtype=np.float64).reshape(len(actions), -1)[: len(choices)]
    return tuple(", ".join(f"{x:.3g}" for x in row) for row in wide.tolist())

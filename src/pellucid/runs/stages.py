"""Stages of a run that can be killed at any moment: finished stages are kept, the current one is checkpointed.

`<store>/runs/<name>/`
    run.json           what the run is: spec and data hashes
    <stage>.state      a finished stage: weights, tasks, curves
    checkpoint.state   the stage under way, complete at an update boundary
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pellucid.assemble import Assembly
from pellucid.core.errors import CorruptBlob, DataError, EnvironmentFault, Interrupted
from pellucid.core.task import Task
from pellucid.nn.program import NetworkProgram
from pellucid.runs import statefile
from pellucid.runs.callbacks import Callbacks, Training
from pellucid.runs.logbook import Logbook, tensorboard_missing
from pellucid.runs.progress import Reporter, interruptible
from pellucid.store.files import make_folder, write_atomic
from pellucid.train.held_out import HeldOut
from pellucid.train.loop import Hooks

HELD_OUT_TAG = "eval/held_out_loss"  # in the log
CHECKPOINT_PAUSE_S = 1.0  # a checkpoint of a small network costs more than the updates between two of them


class Run:
    """A run's folder.

    Args:
        folder: `<store>/runs/<name>`.
        identity: JSON that a resumed run must repeat.
        resume: continue what is there; otherwise start anew.
        log: folder of the training log (see `Logbook`).
        callbacks: who looks on (see `Callback`).
        seconds: that one training may take; it then ends at a checkpoint.
    """

    def __init__(
        self,
        folder: Path,
        identity: dict[str, Any],
        *,
        resume: bool,
        reporter: Reporter,
        log: str | Path | None = None,
        callbacks: Sequence[Any] = (),
        seconds: float | None = None,
    ) -> None:
        self.seconds = seconds
        self.folder, self.reporter = folder, reporter
        self.notes: list[str] = []  # for the evidence: which trainings were ended early
        marker = folder / "run.json"
        if resume and marker.exists():
            found = _read(marker)
            changed = [key for key in identity if found.get(key) != identity[key]]
            if changed:
                raise DataError(
                    f"the unfinished run of '{folder.name}' was started with another {' and '.join(changed)}.",
                    where=str(marker),
                    mend="restore the spec and data, or start anew without --resume",
                )
        else:
            if marker.exists():
                reporter.note("an unfinished run was discarded (keep it with --resume)")
            elif resume:  # killed before it began, or after its last line: the same command is right in every case
                reporter.note(f"there is no unfinished run of '{folder.name}': it starts from the beginning")
            shutil.rmtree(folder, ignore_errors=True)
            make_folder(folder)
            write_atomic(marker, json.dumps(identity, sort_keys=True).encode())
        self.logbook: Logbook | None = None
        if log is not None:
            self.logbook = Logbook(log, folder.name, folder / "log.json", resume=resume)
            missing = tensorboard_missing()
            reporter.note(f"log: {self.logbook.folder}")
            if missing is not None:
                reporter.note(str(missing))
        self.callbacks = Callbacks([*([self.logbook] if self.logbook else []), *callbacks])

    def train(
        self, stage: str, build: Callable[[], Assembly], look: Callable[[Assembly], None] | None = None
    ) -> tuple[NetworkProgram, dict[str, Any]]:
        """Train one assembly, or take it from where it was left. Returns the program and its learning curves.

        Args:
            look: is shown the assembly before its first update.
        """
        assembly = build()
        try:
            if look is not None:
                look(assembly)
            return self._train(stage, assembly)
        finally:
            assembly.close()

    def _train(self, stage: str, assembly: Assembly) -> tuple[NetworkProgram, dict[str, Any]]:
        done = self.folder / f"{stage}.state"
        trainer, config = assembly.trainer, assembly.config
        self.reporter.stage(stage, config.updates)
        if done.exists():
            state = statefile.load(done)
            trainer.network.load_state_dict(state["network"])
            self.reporter.advance(config.updates, "from the finished stage")
            tasks = {t["name"]: Task.from_json(t) for t in state["tasks"]}
            program = assembly.program
            self._note(state.get("ended", ""))
            return NetworkProgram(program.network, program.schema, tasks, program.encoding), state["curves"]
        watched = Training(self.folder.name, stage, assembly)
        checkpoint = self.folder / "checkpoint.state"
        if checkpoint.exists():
            saved = statefile.load(checkpoint)
            if saved["stage"] == stage:
                trainer.set_state(saved["trainer"])
                watched.set_state(saved["watched"])
                if self.logbook is not None:
                    self.logbook.set_state(saved["log"])
                self.reporter.note(f"resumed '{stage}' at update {trainer.update}")
                if not assembly.resumable:
                    self.reporter.note("this environment cannot give its state: resumable, not bit-identical")
        last, kept, ended, seconds = [float("-inf")], [trainer.update], [""], self.seconds
        self.callbacks.start(watched)

        def save(state: dict[str, Any]) -> None:
            # Paced by the clock: *when* a checkpoint is taken changes nothing of what is computed.
            if time.monotonic() - last[0] < CHECKPOINT_PAUSE_S and not (stop() or ended[0]):
                return
            log = {} if self.logbook is None else self.logbook.get_state()
            statefile.save(checkpoint, {"stage": stage, "trainer": state, "watched": watched.get_state(), "log": log})
            last[0], kept[0] = time.monotonic(), int(state["update"])
            self.callbacks.checkpoint(watched)

        watching = next((part for part in trainer.parts if isinstance(part, HeldOut)), None)

        def progress(update: int, metrics: dict[str, dict[str, float]]) -> bool:
            if watching is not None and watching.curve and watching.curve[-1][0] == update:
                watched.record(HELD_OUT_TAG, watching.curve[-1][1])
            if self.callbacks and (who := self.callbacks.update(watched, metrics)):
                ended[0] = f"{who} ended '{stage}' after update {update:,} of {config.updates:,}"
            if seconds is not None and not ended[0] and watched.seconds >= seconds and update < config.updates:
                done = f"update {update:,} of {config.updates:,}"
                ended[0] = f"train.budget.seconds ({seconds:g}) ended '{stage}' after {done}"
            if update % 10 == 0 or update == config.updates or ended[0]:
                self.reporter.advance(update, _short(metrics, watched))
            return not ended[0]

        with interruptible() as stop:
            try:
                history = trainer.run(config, Hooks(assembly.schedule, save, progress, stop))
                self.callbacks.end(watched)
                self._note(ended[0])
            except EnvironmentFault as error:
                if kept[0]:
                    error.mend += f"; --resume goes on from the checkpoint of update {kept[0]}"
                raise
            program = assembly.finish()
            program.network.eval()
            curves = with_held_out(history.curves, watching)
            statefile.save(
                done,
                {
                    "network": dict(program.network.state_dict()),
                    "tasks": [task.to_json() for task in program.tasks.values()],
                    "curves": curves,
                    "ended": ended[0],
                },
            )
            if stop():  # asked for during the last update, or while this was written
                raise interrupted(f"interrupted after '{stage}'")
        return program, curves

    def _note(self, ended: str) -> None:
        if ended:
            self.notes.append(ended)
            self.reporter.note(ended)

    def tidy(self) -> None:
        """A run that reached no state leaves nothing behind."""
        if not any(self.folder.glob("*.state")):
            self.finish()

    def finish(self) -> None:
        """The run is stored as a version: its folder is not needed any more."""
        shutil.rmtree(self.folder, ignore_errors=True)


def with_held_out(curves: dict[str, Any], watching: HeldOut | None) -> dict[str, Any]:
    """Learning curves with that of the rows held out, of about a hundred points, beside the first task's."""
    if watching is None or not curves:
        return curves
    points = watching.curve[:: max(1, len(watching.curve) // 100)]
    first = next(iter(curves))
    return {**curves, first: {**curves[first], "held_out_loss": points}}


def unfinished(folder: Path) -> dict[str, Any]:
    """What the unfinished run in a folder is; empty when there is none."""
    marker = folder / "run.json"
    return _read(marker) if marker.exists() else {}


def _read(marker: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(marker.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise CorruptBlob(
            f"the record of an unfinished run is damaged: {type(error).__name__}.",
            where=str(marker),
            mend="start anew without --resume",
        ) from error


def interrupted(what: str) -> Interrupted:
    """Ctrl-C between two updates or stages."""
    return Interrupted(f"{what}; finished stages are kept.", where="fit", mend="run the same command with --resume")


def _short(metrics: dict[str, dict[str, float]], watched: Training) -> str:
    parts, acting = [], watched.experience
    for task, values in metrics.items():
        met = acting.get(task)
        mean = values.get("episode_return", met.episode_return if met else math.nan)
        parts.append(f"{task} {values['loss']:.4g}" if math.isnan(mean) else f"{task} return {mean:.4g}")
    if acting:
        parts.append(f"{watched.steps_per_s:,.0f} steps/s")
    return "  ".join(parts)

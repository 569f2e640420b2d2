"""Stages of a run that can be killed at any moment: finished stages are kept, the current one is checkpointed.

`<store>/runs/<name>/`
    run.json           what the run is: spec and data hashes
    <stage>.state      a finished stage: weights, tasks, curves
    checkpoint.state   the stage under way, complete at an update boundary
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pellucid.assemble import Assembly
from pellucid.core.errors import CorruptBlob, DataError, EnvironmentFault, Interrupted
from pellucid.core.task import Task
from pellucid.nn.program import NetworkProgram
from pellucid.runs import statefile
from pellucid.runs.progress import Reporter, interruptible
from pellucid.store.files import make_folder, write_atomic
from pellucid.train.loop import Hooks

CHECKPOINT_PAUSE_S = 1.0  # a checkpoint of a small network costs more than the updates between two of them


class Run:
    """A run's folder.

    Args:
        folder: `<store>/runs/<name>`.
        identity: JSON that a resumed run must repeat.
        resume: continue what is there; otherwise start anew.
    """

    def __init__(self, folder: Path, identity: dict[str, Any], *, resume: bool, reporter: Reporter) -> None:
        self.folder, self.reporter = folder, reporter
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

    def train(self, stage: str, build: Callable[[], Assembly]) -> tuple[NetworkProgram, dict[str, Any]]:
        """Train one assembly, or take it from where it was left. Returns the program and its learning curves."""
        assembly = build()
        try:
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
            return NetworkProgram(program.network, program.schema, tasks, program.encoding), state["curves"]
        checkpoint = self.folder / "checkpoint.state"
        if checkpoint.exists():
            saved = statefile.load(checkpoint)
            if saved["stage"] == stage:
                trainer.set_state(saved["trainer"])
                self.reporter.note(f"resumed '{stage}' at update {trainer.update}")
                if not assembly.resumable:
                    self.reporter.note("this environment cannot give its state: resumable, not bit-identical")
        last, kept = [float("-inf")], [trainer.update]

        def save(state: dict[str, Any]) -> None:
            # Paced by the clock: *when* a checkpoint is taken changes nothing of what is computed.
            if time.monotonic() - last[0] < CHECKPOINT_PAUSE_S and not stop():
                return
            statefile.save(checkpoint, {"stage": stage, "trainer": state})
            last[0], kept[0] = time.monotonic(), int(state["update"])

        def progress(update: int, metrics: dict[str, dict[str, float]]) -> None:
            if update % 10 == 0 or update == config.updates:
                self.reporter.advance(update, _short(metrics))

        with interruptible() as stop:
            try:
                history = trainer.run(config, Hooks(assembly.schedule, save, progress, stop))
            except EnvironmentFault as error:
                if kept[0]:
                    error.mend += f"; --resume goes on from the checkpoint of update {kept[0]}"
                raise
            program = assembly.finish()
            program.network.eval()
            statefile.save(
                done,
                {
                    "network": dict(program.network.state_dict()),
                    "tasks": [task.to_json() for task in program.tasks.values()],
                    "curves": history.curves,
                },
            )
            if stop():  # asked for during the last update, or while this was written
                raise interrupted(f"interrupted after '{stage}'")
        return program, history.curves

    def tidy(self) -> None:
        """A run that reached no state leaves nothing behind."""
        if not any(self.folder.glob("*.state")):
            self.finish()

    def finish(self) -> None:
        """The run is stored as a version: its folder is not needed any more."""
        shutil.rmtree(self.folder, ignore_errors=True)


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


def _short(metrics: dict[str, dict[str, float]]) -> str:
    parts = []
    for task, values in metrics.items():
        shown = "episode_return" if "episode_return" in values else "loss"
        parts.append(f"{task} {'return ' if shown != 'loss' else ''}{values[shown]:.4g}")
    return "  ".join(parts)

"""The trials of a search under way, a JSON line each: written through at once, so that a kill loses the trial it hits.

The first line says what the search is. A last line that a kill tore is dropped; a damaged line before it is an error.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pellucid.core.errors import CorruptBlob, DataError
from pellucid.search.trial import Trial


class Journal:
    """The file of a search.

    Args:
        file: where it lies; its folder exists.
        identity: JSON that a resumed search must repeat.
        resume: go on with what is there; otherwise it starts anew.
    Raises:
        DataError: the file is of another search.
        CorruptBlob: a line that is not the last cannot be read.
    """

    def __init__(self, file: Path, identity: dict[str, Any], *, resume: bool) -> None:
        self.file, self.identity = file, identity
        self.trials: list[Trial] = []
        self.notes: list[dict[str, Any]] = []  # lines of other kinds
        lines = self._lines() if resume and file.exists() else []
        if not lines:
            file.write_text("")
            self._append({"search": identity})
            return
        found = lines[0].get("search")
        if found != identity:
            changed = sorted(key for key in identity if not isinstance(found, dict) or found.get(key) != identity[key])
            raise DataError(
                f"the unfinished search was started with another {' and '.join(changed)}.",
                where=str(file),
                mend="restore the spec and data, or start anew without --resume",
            )
        for line in lines[1:]:
            if "trial" in line:
                self.trials.append(Trial.from_json(line["trial"]))
            else:
                self.notes.append(line)

    def add(self, trial: Trial) -> None:
        """Keep a trial that ended."""
        self._append({"trial": trial.to_json()})
        self.trials.append(trial)

    def note(self, what: dict[str, Any]) -> None:
        """Keep something else."""
        self._append(what)
        self.notes.append(what)

    def _append(self, line: dict[str, Any]) -> None:
        with self.file.open("ab") as out:
            out.write((json.dumps(line, sort_keys=True, allow_nan=False) + "\n").encode())
            out.flush()
            os.fsync(out.fileno())

    def _lines(self) -> list[dict[str, Any]]:
        raw = self.file.read_bytes()
        whole, torn = raw[: raw.rfind(b"\n") + 1], raw[raw.rfind(b"\n") + 1 :]
        if torn:
            self.file.write_bytes(whole)
        found = []
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                found.append(dict(json.loads(line)))
            except (ValueError, TypeError) as error:
                raise CorruptBlob(
                    f"line {number} of an unfinished search is damaged: {type(error).__name__}.",
                    where=f"{self.file}:{number}",
                    mend="start anew without --resume",
                ) from error
        return found

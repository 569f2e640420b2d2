"""Progress of a long run on the terminal: a bar per stage with time left, notes above it. Silent when piped."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from pellucid.report.markup import clean


class Progress:
    """A `Reporter` for people. Use it as a context.

    Args:
        console: where it is shown; stderr by default, so that results can be piped.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._bars = Bars(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[text]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def stage(self, name: str, total: int) -> None:
        if not self.console.is_terminal:
            self.console.print(f"  {clean(name)} ...", highlight=False, markup=False)
        self._task = self._bars.add_task(clean(name), total=total, text="")

    def advance(self, done: int, text: str = "") -> None:
        if self._task is not None:
            self._bars.update(self._task, completed=done, text=clean(text))

    def note(self, text: str) -> None:
        self.console.print(f"  {clean(text)}", highlight=False, markup=False)

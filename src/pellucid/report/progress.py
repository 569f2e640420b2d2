"""Progress of a long run on the terminal: a bar per stage with time left, notes above; when piped, a line per stage."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from pellucid.report.markup import clean


class _Clock(ProgressColumn):
    """Time left while a stage runs, time taken when it is done."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        if task.finished:
            return Text(f"in {_minutes(task.finished_time or 0.0)}", style="dim")
        return Text("" if task.time_remaining is None else f"{_minutes(task.time_remaining)} left")


def _minutes(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


class Progress:
    """A `Reporter` for people. Use it as a context.

    Args:
        console: where it is shown; stderr by default, so that results can be piped.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        # Only the last column gives way on a narrow terminal: without these widths the bar would vanish first.
        self._bars = Bars(
            SpinnerColumn(finished_text="✓", table_column=Column(width=1)),
            TextColumn(
                "{task.description}", markup=False, table_column=Column(width=20, no_wrap=True, overflow="ellipsis")
            ),
            BarColumn(bar_width=12, table_column=Column(width=12)),
            MofNCompleteColumn(table_column=Column(min_width=9, no_wrap=True)),
            _Clock(table_column=Column(width=10, no_wrap=True)),
            TextColumn(
                "{task.fields[text]}",
                style="dim",
                markup=False,
                table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
            ),
            console=self.console,
            disable=not self.console.is_terminal,
            expand=True,
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
        # Piped, a note is one line, whatever its length.
        piped = not self.console.is_terminal
        self.console.print(f"  {clean(text)}", highlight=False, markup=False, soft_wrap=piped)

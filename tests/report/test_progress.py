"""Progress: a bar with the time left on a terminal, a line per stage in a pipe, nothing that a label could do to it."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from rich.console import Console

from pellucid.report.progress import Progress, _minutes

NOTE = "open repeats yesterday's close on most days before 2006, so a fill at the open would be too good"


def _told(*, terminal: bool, width: int = 80) -> str:
    screen = StringIO()
    console = Console(file=screen, force_terminal=terminal, width=width, color_system=None, legacy_windows=False)
    with Progress(console) as progress:
        progress.note(NOTE)
        progress.stage("fold 1 of 3", 100)
        progress.advance(40, "[red]forecast[/] 0.25\x1b[2J")
        progress.stage("final fit", 10)
        progress.advance(10)
    return screen.getvalue()


def test_a_pipe_gets_a_line_per_stage_and_whole_notes() -> None:
    assert _told(terminal=False) == f"  {NOTE}\n  fold 1 of 3 ...\n  final fit ...\n"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_terminal_gets_bars_with_counts_and_the_time_taken(width: int) -> None:
    lines = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", _told(terminal=True, width=width)).replace("\r", "\n").splitlines()
    running, done = ([line for line in lines if stage in line][-1] for stage in ("fold 1 of 3", "final fit"))
    assert "40/100" in running
    assert "━" in running
    assert "in 0:0" in done
    assert "✓" in done
    assert max(map(len, lines)) <= width
    assert "\x1b[2J" not in _told(terminal=True, width=width)
    if width == 120:
        assert "[red]forecast[/] 0.25" in running


def test_minutes() -> None:
    assert [_minutes(s) for s in (0.4, 59.6, 61, 3601)] == ["0:00", "1:00", "1:01", "60:01"]

"""The timeline of an episode: directions by position, long episodes stay small, averages are averages."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from pellucid.report.charts import timeline_chart
from pellucid.report.markup import Markup


def cells(picture: Markup, kind: str) -> list[tuple[float, float, float, float, float]]:
    """(x from, x to, y, height, opacity) of every block of a direction."""
    found = []
    for element in ElementTree.fromstring(picture).iter("path"):
        if element.get("class") == kind:
            for block in re.findall(r"M([\d.]+) ([\d.]+)H([\d.]+)v([\d.]+)H", element.get("d") or ""):
                x, y, stop, tall = map(float, block)
                found.append((x, stop, y, tall, float(element.get("fill-opacity") or 0)))
    return found


def test_up_lies_above_the_line_and_down_beneath_it() -> None:
    picture = timeline_chart("t", ["a"], [[1.0], [-1.0], [0.5]])
    (up_x, up_stop, up_y, tall, strong), (_, _, _, _, weak) = sorted(cells(picture, "up"))
    ((down_x, _, down_y, _, _),) = cells(picture, "down")
    assert up_stop == pytest.approx(down_x)
    assert up_y + tall <= down_y
    assert strong == pytest.approx(2 * weak)
    assert up_x < down_x


def test_equal_neighbours_are_one_block_and_500_steps_a_small_picture() -> None:
    assert len(cells(timeline_chart("t", ["a"], [[1.0]] * 500), "up")) == 1
    busy = timeline_chart("t", list("abcdefgh"), [[(-1.0) ** (t // 3 + j) for j in range(8)] for t in range(500)])
    assert len(busy) < 150_000


def test_narrow_steps_are_averaged() -> None:
    """1,000 steps in 300 px: alternating signs cancel, so that nothing but the one long stretch is drawn."""
    values = [[1.0 if t >= 800 else (-1.0) ** t] for t in range(1000)]
    picture = timeline_chart("t", ["a"], values, width=330)
    strong = [block for block in cells(picture, "up") if block[4] > 0.8]
    assert len(strong) == 1
    left = min(block[0] for block in cells(picture, "up") + cells(picture, "down"))
    assert strong[0][0] == pytest.approx(left + 0.8 * (330 - left), abs=6)


def test_the_picture_says_itself_in_words() -> None:
    picture = timeline_chart("why", ["a", "b"], [[1.0, -3.0], [1.0, 3.0]], actions=["long", "short"], unit="logit")
    told = ElementTree.fromstring(picture)[1].text or ""
    for fact in ("2 steps", "b 3", "a 1", "long 50", "short 50", "logit"):
        assert fact in told
    assert told.index("b 3") < told.index("a 1")

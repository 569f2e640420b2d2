"""Colours: text is readable on whatever it may stand on, in light and in dark (WCAG 2.2, 1.4.3 and 1.4.11)."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from pellucid.report import html, theme
from pellucid.report.charts.heat import STRONGEST

THEMES = {"light": theme._LIGHT, "dark": theme._DARK}
TEXT = ("ink", "soft", "accent", "good", "bad", "wait", "s1", "s2", "s3", "s4", "s5", "s6")
MARKS = ("up", "down", "s1", "s2", "s3", "s4", "s5", "s6")
GROUNDS = ("paper", "card")


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    """Ratio of two sRGB colours, from 1 to 21."""
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_measure_itself() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)  # the lightest grey that passes


@pytest.mark.parametrize("name", THEMES)
def test_text_is_readable(name: str) -> None:
    colours = THEMES[name]
    for text, ground in itertools.product(TEXT, GROUNDS):
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


@pytest.mark.parametrize("name", THEMES)
def test_marks_stand_out(name: str) -> None:
    colours = THEMES[name]
    for mark, ground in itertools.product(MARKS, GROUNDS):
        assert contrast(colours[mark], colours[ground]) >= 3.0, (mark, ground)


def _over(top: str, bottom: str, opacity: float) -> str:
    mixed = (round(int(top[i : i + 2], 16) * opacity + int(bottom[i : i + 2], 16) * (1 - opacity)) for i in (1, 3, 5))
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


@pytest.mark.parametrize("name", THEMES)
def test_numbers_on_a_heat_map_are_readable(name: str) -> None:
    colours = THEMES[name]
    for tone in ("up", "down"):
        assert contrast(colours["ink"], _over(colours[tone], colours["card"], STRONGEST)) >= 4.5, tone


def test_both_themes_name_the_same_colours_and_the_page_uses_no_other() -> None:
    assert THEMES["light"].keys() == THEMES["dark"].keys()
    sheet = html.style_sheet()
    used = set(re.findall(r"var\(--([a-z0-9]+)\)", sheet)) - {"sans", "serif", "mono"}
    assert used <= THEMES["light"].keys()
    own = Path(html.__file__).with_name("page.css").read_text(encoding="utf-8")
    assert not re.search(r"#[0-9a-fA-F]{3,8}\b|rgb\(", own)

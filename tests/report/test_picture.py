"""The picture of a diff: well-formed, escaped, within its frame, marks where the numbers say."""

from __future__ import annotations

import math
import re
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest

from pellucid.report.picture import WIDTH, diff_picture
from pellucid.report.svg import text_width

SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(picture).iter(f"{SVG}text"))


def words(picture: str) -> str:
    return " ".join("".join(element.itertext()) for element in texts(picture))


def test_says_what_the_diff_says(samples: ModuleType) -> None:
    diff = samples.diff()
    told = words(diff_picture(diff))
    assert f"{diff['base']} → {diff['candidate']}" in told
    assert diff["verdict"] in told
    for task in diff["tasks"]:
        assert task["task"] in told
        assert f"{task['flips']['changed']} of {task['flips']['n']:,} decisions changed" in told


@pytest.mark.parametrize("which", ["diff", "self_diff"])
def test_every_text_lies_within_the_frame(which: str, samples: ModuleType) -> None:
    raw = getattr(samples, which)()
    for diff in (raw, samples.poisoned(raw, text=samples.LONG)):
        picture = diff_picture(diff)
        height = float(ElementTree.fromstring(picture).attrib["height"])
        for element in texts(picture):
            classes, x = element.attrib.get("class", ""), float(element.attrib["x"])
            width = text_width(element.text or "", 11.5 if "small" in classes else 12.5)
            left = x - width if "end" in classes else x - width / 2 if "middle" in classes else x
            assert -1 <= left <= left + width <= WIDTH + 1, element.text
            assert 0 < float(element.attrib["y"]) < height


def test_marks_follow_the_numbers(samples: ModuleType) -> None:
    diff = samples.diff()
    task = {**diff["tasks"][0], "attribution": [_player("volume", 0.4, 0.0), _player("level", 0.1, 0.2)]}
    before, after = ([at("before", m), at("after", m)] for m in ("volume", "level"))

    def places() -> list[list[float]]:
        picture = diff_picture({**diff, "tasks": [task]})
        return [[_x(picture, name) for name in pair] for pair in (before, after)]

    (volume_before, volume_after), (level_before, level_after) = places()
    assert volume_after < level_before < level_after < volume_before


def at(when: str, player: str) -> str:
    return f"{player} {when}"


def _player(name: str, base: float, candidate: float) -> dict[str, Any]:
    return {"player": name, "base": base, "candidate": candidate, "shift": base, "noise": 0.01, "shown": True}


def _x(picture: str, hint: str) -> float:
    for element in ElementTree.fromstring(picture).iter(f"{SVG}path"):
        if "".join(element.itertext()) == hint:
            found = re.match(r"M(-?[\d.]+)", element.attrib["d"])
            assert found
            return float(found[1])
    raise AssertionError(hint)


def test_deterministic_escaped_and_safe_with_missing_numbers(samples: ModuleType) -> None:
    diff = samples.diff()
    assert diff_picture(diff) == diff_picture(samples.diff())
    for hostile in ("</text><script>alert(1)</script>", samples.HOSTILE):
        picture = diff_picture(samples.poisoned(diff, text=hostile))
        ElementTree.fromstring(picture)
        assert "<script" not in picture
    for value in (math.nan, math.inf, 0.0):
        ElementTree.fromstring(diff_picture(samples.poisoned(diff, value=value)))
    ElementTree.fromstring(diff_picture({}))


def test_a_version_against_itself(samples: ModuleType) -> None:
    assert "no difference" in words(diff_picture(samples.self_diff()))


def test_a_file_of_its_own_for_light_and_dark(samples: ModuleType) -> None:
    picture = diff_picture(samples.diff())
    assert "prefers-color-scheme: dark" in picture
    assert not re.search(r"(?:href|src|url\()", picture)

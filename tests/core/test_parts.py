"""Parts of pictures and series: they cover their field once, are even, and bear names that can be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.core.parts import lags, newest_of, patches, segments
from pellucid.core.schema import Field


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 3), st.integers(1, 2000))
def test_patches_cover_every_value_once(height: int, width: int, channels: int, parts: int) -> None:
    found = patches((height, width, channels), parts)
    columns = sorted(c for patch in found for c in patch.columns((height, width, channels)))
    assert columns == list(range(height * width * channels))
    for start, stop in (("top", "bottom"), ("left", "right")):
        sides = [getattr(p, stop) - getattr(p, start) for p in found]
        assert max(sides) - min(sides) <= 1


@pytest.mark.parametrize(
    ("shape", "parts", "grid"),
    [((8, 8, 1), 16, (4, 4)), ((28, 28, 1), 16, (4, 4)), ((30, 40, 3), 12, (3, 4)), ((8, 8, 1), 999, (8, 8)),
     ((1, 50, 1), 5, (1, 5)), ((64, 64, 3), 1, (1, 1))],
)  # fmt: skip
def test_patches_are_as_square_as_can_be(shape: tuple[int, ...], parts: int, grid: tuple[int, int]) -> None:
    found = patches(shape, parts)
    assert (len({p.top for p in found}), len({p.left for p in found})) == grid


@given(st.integers(1, 200), st.integers(1, 300))
def test_segments_are_equally_long_to_a_step(length: int, parts: int) -> None:
    found = segments(length, parts)
    assert [c for a, b in found for c in range(a, b)] == list(range(length))
    assert len(found) == min(length, parts)
    assert max(b - a for a, b in found) - min(b - a for a, b in found) <= 1


def test_lags_are_named_by_their_moments() -> None:
    assert [lags(0, 0, 1), lags(0, 1, 4), lags(-1, 0, 4), lags(4, 0, 3), lags(4, 3, 7), lags(1, 1, 3)] == [
        "t", "t-1..3", "t-1..4", "t+4..t+2", "t+1..t-2", "t..t-1",
    ]  # fmt: skip
    assert newest_of((("t-1", 0, 1), ("t-2..4", 1, 4))) == -1
    assert newest_of((("ahead", 0, 8), ("t..", 8, 20))) == 8
    assert newest_of((("position", 0, 1), ("tilt", 1, 2))) is None


def test_players_of_a_field() -> None:
    picture = Field("pic", "image", 64, shape=(8, 8, 1))
    players = picture.players("part", 16)
    assert [len(p.within(64)) for p in players] == [4] * 16
    assert players[5].name == "pic[rows 2-3, columns 2-3]"
    assert players[5].place == (2, 2, 4, 4)
    # A block with a column that says whether the picture is missing: it goes with the first patch.
    assert sorted(c for p in players for c in p.within(65)) == list(range(65))
    assert [p.name for p in picture.players()] == ["pic"]
    series = Field("y", "series", 6, groups=(("t", 0, 1), ("t-1..", 1, 6)))
    assert [p.name for p in series.players("part", 3)] == ["y[t..t-1]", "y[t-2..3]", "y[t-4..5]"]
    assert [p.name for p in series.players("part", 99)] == [f"y[{t}]" for t in ("t", *(f"t-{k}" for k in range(1, 6)))]
    observed = Field("obs", "series", 2, groups=(("position", 0, 1), ("speed", 1, 2)))
    assert observed.players("part") == observed.players("group")
    assert Field("x").players("part") == Field("x").players("field")

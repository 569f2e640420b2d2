"""Every chart is well-formed, escapes, is deterministic, survives missing numbers, and puts values in order."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from types import ModuleType
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.report import charts
from pellucid.report.charts import Amount, Bin, Column, Estimate, Moved, Piece, Region, Series, Shift, Span, Step, Tried
from pellucid.report.charts.overlay import outlines
from pellucid.report.markup import Markup
from pellucid.report.png import png
from pellucid.report.svg import Scale, fit_scale, shorten, standalone, text_width

NAN = math.nan
PICTURE = png(np.zeros((4, 4, 1), dtype=np.uint8))
Draw = Callable[[str, list[float], int], Markup]


def _intervals(name: str, v: list[float], width: int) -> Markup:
    rows = [Estimate(name, v[0], v[1], v[2]), Estimate("AR(1)", v[1], v[0], v[2], "model")]
    return charts.interval_chart(name, rows, unit=name, zero=True, width=width)


DRAWINGS: dict[str, Draw] = {
    "attribution": lambda s, v, w: charts.attribution_bars(
        s, [s, "b"], [Column(s, v[:2], v[1:3]), Column("b", v[1:3])], width=w
    ),
    "confusion": lambda s, v, w: charts.confusion_chart(s, [s, "b"], [v[:2], v[1:3]], width=w),
    "dependence": lambda s, v, w: charts.dependence_chart(
        s, [1, 2, 3], v, v[1:3], [v, v[::-1]] * (20 if w > 500 else 2), seen=v, x_label=s, y_label=s, width=w
    ),
    "flips": lambda s, v, w: charts.flip_chart(s, v[0], v[1], v[2], width=w),
    "growth": lambda s, v, w: charts.growth_chart(
        s, [Amount(v[0], v[1], v[0], v[2]), Amount(100, v[2], v[1], v[2])], y_label=s, width=w
    ),
    "heat": lambda s, v, w: charts.heat_map(s, [s, "b"], [s, "day"], [v[:2], v[1:3]], [v[:2]], width=w),
    "highlight": lambda s, v, w: charts.highlight_chart(
        s, [Piece(s, v[0], v[1]), Piece("b", v[2], line=True)], unit=s, width=w
    ),
    "intervals": _intervals,
    "lines": lambda s, v, w: charts.line_chart(s, [Series(s, [1, 2, 3], v), Series("b", v, v)], y_label=s, width=w),
    "moved": lambda s, v, w: charts.moved_chart(s, [Moved(s, v[0], v[1]), Moved("b", v[2], v[1], False)], width=w),
    "overlay": lambda s, v, w: charts.overlay_chart(
        s, [Region(s, (0, 0, 2, 4), v[0], v[1]), Region("b", (2, 0, 4, 4), v[2])], PICTURE, (4, 4), unit=s, width=w
    ),
    "reliability": lambda s, v, w: charts.reliability_chart(
        s, [Bin(v[0], v[1], v[0], v[2], 10), Bin(v[1], v[2], v[2], v[2], 3)], x_label=s, width=w
    ),
    "residuals": lambda s, v, w: charts.residual_chart(
        s, [Bin(v[0], v[1], v[0], v[2], 10), Bin(v[1], v[2], v[2], v[2], 3)], unit=s, width=w
    ),
    "segments": lambda s, v, w: charts.segment_chart(
        s, [0, -1, -2], v, [Span(s, -1, 0, v[0], v[1]), Span("b", -2, -2, v[2])], unit=s, width=w
    ),
    "share": lambda s, v, w: charts.share_bar(s, v[0], width=w),
    "shifts": lambda s, v, w: charts.shift_chart(s, [Shift(s, v[0], v[1]), Shift("b", v[2], v[1])], width=w),
    "timeline": lambda s, v, w: charts.timeline_chart(
        s, [s, "b"], [v[:2], v[1:3], v[:2]], actions=[s, "b", s], curves=[(s, v), ("b", v[1:])], unit=s, width=w
    ),
    "swarm": lambda s, v, w: charts.swarm_chart(
        s, [s, "b"], [v[:2], v[1:3]] * (200 if w == 480 else 1), [v[1:3], [s, v[0]]], unit=s, width=w
    ),
    "trials": lambda s, v, w: charts.trials_chart(
        s, [Tried(i, x, i != 1, s) for i, x in enumerate(v)], x_label=s, y_label=s, best=True, width=w
    ),
    "waterfall": lambda s, v, w: charts.waterfall_chart(
        s, [Step(s, v[0], v[1], s), Step("b", v[2])], v[1], v[2], unit=s, width=w
    ),
}
VALUES = [
    [0.1, 0.05, 0.3],
    [1257.0, 22.0, 19.0],
    [0.0, 0.0, 0.0],
    [-1e-9, 1e-9, 2e-9],
    [1e300, -1e300, 1e308],
    [NAN, 1.0, 2.0],
    [1.0, NAN, math.inf],
    [NAN, NAN, NAN],
    [-math.inf, 3.0, 4.0],
    [5e-324, 0.0, 1.0],
]


def test_every_chart_is_tried() -> None:
    assert set(DRAWINGS) == set(charts.ALL)


@pytest.mark.parametrize("width", [330, 680])
@pytest.mark.parametrize("values", VALUES, ids=str)
@pytest.mark.parametrize("name", DRAWINGS)
def test_well_formed_named_and_finite(name: str, values: list[float], width: int) -> None:
    picture = DRAWINGS[name]("volume", values, width)
    root = ElementTree.fromstring(picture)
    assert root.get("role") == "img"
    assert [child.tag for child in root][:2] == ["title", "desc"]
    assert root[0].text == "volume"
    for element in root.iter():
        for key, value in element.attrib.items():
            if key in {"x", "y", "x1", "x2", "y1", "y2", "width", "height", "d", "viewBox"}:
                assert not re.search("nan|inf|e[+-]", value), (key, value)
    assert not re.search(r"\b(nan|inf)\b", "".join(root.itertext()))
    if not any(map(math.isfinite, values)):
        assert "not available" in "".join(root.itertext())


@pytest.mark.parametrize("name", DRAWINGS)
def test_data_are_escaped_and_output_is_the_same_twice(name: str, samples: ModuleType) -> None:
    for hostile in (samples.HOSTILE, "a\x1b[31mb\x00\u202ec", "]]>", ""):
        picture = DRAWINGS[name](hostile, [0.1, 0.05, 0.3], 680)
        root = ElementTree.fromstring(picture)
        assert {e.tag for e in root.iter()} <= {"svg", "title", "desc", "text", "line", "path", "rect", "image"}
        assert not {key for e in root.iter() for key in e.attrib if key.startswith("on") or key == "style"}
        addresses = [(e.tag, e.attrib["href"]) for e in root.iter() if "href" in e.attrib]
        assert all(tag == "image" and re.fullmatch(r"data:image/png;base64,[\w+/=]+", a) for tag, a in addresses)
        assert picture == DRAWINGS[name](hostile, [0.1, 0.05, 0.3], 680)


@pytest.mark.parametrize("name", DRAWINGS)
def test_standalone_is_well_formed_and_styled(name: str) -> None:
    root = ElementTree.fromstring(standalone(DRAWINGS[name]("volume", [0.1, 0.05, 0.3], 680)))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "prefers-color-scheme: dark" in "".join(root.itertext())


@pytest.mark.parametrize("width", [330, 480, 680])
@pytest.mark.parametrize("name", DRAWINGS)
def test_everything_lies_inside_the_picture(name: str, width: int, samples: ModuleType) -> None:
    """Also with a label of 200 letters: nothing leaves the frame, texts by the cautious estimate of their width."""
    root = ElementTree.fromstring(DRAWINGS[name](samples.LONG, [0.31, -0.05, 0.3], width))
    frame_width, height = (float(v) for v in root.attrib["viewBox"].split()[2:])
    for element in root.iter("text"):
        classes = (element.get("class") or "").split()
        size = text_width(element.text or "", 11.5 if "small" in classes else 12.5)
        x = float(element.attrib["x"]) - (size if "end" in classes else size / 2 if "middle" in classes else 0)
        assert -3 <= x <= x + size <= frame_width + 3, element.text
        assert 0 <= float(element.attrib["y"]) <= height
    for element in root.iter("rect"):
        assert float(element.attrib["x"]) >= -0.01
        assert float(element.attrib["x"]) + float(element.attrib["width"]) <= frame_width + 1.01


@given(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=20), st.booleans())
def test_scales_are_monotone_and_contain_their_data(values: list[float], log: bool) -> None:
    known = sorted({abs(v) + 1e-6 if log else v for v in values})
    scale = fit_scale(known, 10, 500, log=log)
    places = [scale(v) for v in known]
    assert places == sorted(places)
    assert all(9.99 <= p <= 500.01 for p in places)
    ticks = scale.ticks()
    assert ticks == sorted(ticks)
    assert len(ticks) < 40


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (-0.00075, 0.00031), (2301.0, 2514.0), (1e-9, 3e-9), (-5e8, 7e8)]
)
def test_ticks_are_round_few_and_inside(low: float, high: float) -> None:
    ticks = Scale(low, high, 0, 100).ticks(5)
    assert 3 <= len(ticks) <= 9
    assert all(low - 1e-12 <= t <= high + 1e-12 for t in ticks)


def _line_ends(picture: Markup, classes: str) -> list[tuple[float, float]]:
    lines = [
        e
        for e in ElementTree.fromstring(picture).iter("line")
        if e.get("class") == classes and e.get("y1") == e.get("y2")
    ]
    return [(float(e.attrib["x1"]), float(e.attrib["x2"])) for e in lines]


def _marks(picture: Markup) -> list[float]:
    """x of each mark: a circle starts 5 px left of its middle."""
    paths = [e for e in ElementTree.fromstring(picture).iter("path") if e.get("class") == "f1"]
    return [float(re.match(r"M([-\d.]+)", e.attrib["d"]).group(1)) + 5 for e in paths]  # type: ignore[union-attr]


def test_interval_holds_its_value_and_zero_is_where_signs_change() -> None:
    rows = [Estimate("a", -1.0, -1.5, -0.25), Estimate("b", 0.5, -0.5, 2.0)]
    picture = charts.interval_chart("t", rows, zero=True, width=480)
    (low_a, high_a), (low_b, high_b) = _line_ends(picture, "whisker")
    a, b = _marks(picture)
    zero = float(next(e for e in ElementTree.fromstring(picture).iter("line") if e.get("class") == "zero").attrib["x1"])
    assert low_a < a < high_a < zero
    assert low_a < low_b < zero < b < high_b
    # equal distances in data are equal distances on paper
    assert (high_b - low_b) / (high_a - low_a) == pytest.approx(2.5 / 1.25, abs=0.01)


def test_waterfall_bars_join_from_base_to_prediction() -> None:
    steps = [Step("a", 1.0, 0.1), Step("b", -3.0, 0.2), Step("c", 0.5)]
    picture = charts.waterfall_chart("t", steps, 2.0, 0.5, width=680)
    bars = [
        (float(e.attrib["x"]), float(e.attrib["x"]) + float(e.attrib["width"]), e.attrib["class"])
        for e in ElementTree.fromstring(picture).iter("rect")
    ]
    (b_left, b_right, b_class), (a_left, a_right, a_class), (c_left, c_right, c_class) = bars  # largest first
    assert (b_class, a_class, c_class) == ("down", "up", "up")
    assert a_left == pytest.approx(b_left, abs=0.02)
    assert c_left == pytest.approx(a_right, abs=0.02)
    assert (b_right - b_left) / (a_right - a_left) == pytest.approx(3.0, abs=0.01)
    assert c_right < b_right


def test_waterfall_folds_small_players_and_keeps_the_sum() -> None:
    steps = [Step(f"p{i}", 2.0**-i, 0.01) for i in range(30)]
    text = "".join(ElementTree.fromstring(charts.waterfall_chart("t", steps, 0.0, 2.0, most=5)).itertext())
    assert "26 smaller ones" in text
    assert f"+{sum(2.0**-i for i in range(4, 30)):.3f} ± 0.051" in text


def test_line_chart_thins_but_keeps_peaks() -> None:
    y = [0.0] * 50_000
    y[31_234] = 7.0
    picture = charts.line_chart("t", [Series("a", list(range(50_000)), y)], width=680)
    assert len(picture) < 60_000
    heights = [float(v) for v in re.findall(r"[ML][\d.]+ ([\d.]+)", picture)]
    assert min(heights) < max(heights) - 150


def test_moved_marks_follow_both_shares_on_one_scale() -> None:
    picture = charts.moved_chart("t", [Moved("volume", 0.4, 0.0), Moved("level", 0.1, 0.2)])
    after = _marks(picture)
    squares = [e for e in ElementTree.fromstring(picture).iter("path") if e.get("class") == "open c6"]
    before = [float(re.match(r"M([-\d.]+)", e.attrib["d"]).group(1)) + 4.2 for e in squares]  # type: ignore[union-attr]
    assert after[0] < before[1] < after[1] < before[0]
    assert (before[0] - after[0]) / (after[1] - before[1]) == pytest.approx(4.0, abs=0.01)
    assert "40 % → 0 %" in "".join(ElementTree.fromstring(picture).itertext())


def test_an_axis_may_reach_beyond_its_line_and_keeps_its_last_label_inside() -> None:
    picture = charts.line_chart("t", [Series("a", [30, 3000], [1.0, 2.0])], x_range=(0.0, 3000.0), width=330)
    root = ElementTree.fromstring(picture)
    last = next(e for e in root.iter("text") if e.text == "3,000")
    assert float(last.attrib["x"]) + text_width("3,000", 11.5) / 2 <= 330
    assert any(e.text == "0" for e in root.iter("text"))


def test_what_lies_behind_is_pale_and_within_the_scale() -> None:
    noisy, smooth = Series("loss", [1, 2, 3], [5.0, 1.0, 4.0]), Series("loss", [1, 2, 3], [3.0, 2.5, 3.0])
    picture = charts.line_chart("t", [smooth], behind=[noisy])
    lines = [e for e in ElementTree.fromstring(picture).iter("path") if "line" in (e.get("class") or "")]
    assert [("pale" in e.attrib["class"]) for e in lines] == [True, False]
    heights = [[float(v) for v in re.findall(r"[ML][\d.]+ ([\d.]+)", e.attrib["d"])] for e in lines]
    assert min(heights[0]) < min(heights[1])
    assert max(heights[0]) > max(heights[1])
    assert "loss from 3.00 to 3.00" in "".join(ElementTree.fromstring(picture).itertext())


def test_line_breaks_where_a_value_is_missing() -> None:
    picture = charts.line_chart("t", [Series("a", [1, 2, 3, 4], [1.0, NAN, 2.0, 3.0])])
    d = next(e for e in ElementTree.fromstring(picture).iter("path")).attrib["d"]
    assert d.count("M") == 2


def test_days_make_a_calendar_axis() -> None:
    picture = charts.line_chart("t", [Series("a", ["2014-01-02", "2016-06-30", "2018-12-31"], [1.0, 2.0, 3.0])])
    texts = [e.text for e in ElementTree.fromstring(picture).iter("text")]
    assert {"2015", "2016", "2017", "2018"} <= set(texts)


def test_shortened_text_fits_and_keeps_its_beginning() -> None:
    assert shorten("volume", 200) == "volume"
    short = shorten("volume" * 20, 100)
    assert short.endswith("…")
    assert short.startswith("volume")
    assert text_width(short) <= 100


def test_a_swarm_puts_the_largest_first_every_row_at_its_value_and_high_inputs_dark() -> None:
    values, inputs = [[0.1, -2.0], [0.2, 4.0], [0.1, 0.0]], [["red", 1.0], ["red", 9.0], ["blue", 5.0]]
    root = ElementTree.fromstring(charts.swarm_chart("why", ["hue", "size"], values, inputs, width=680))
    names = [t.text for t in root.iter("text") if t.text in ("hue", "size")]
    assert names == ["size", "hue"]
    marks = [(r.attrib["class"], float(r.attrib["x"]), float(r.attrib["fill-opacity"])) for r in root.iter("rect")]
    size = [m for m in marks if m[0] == "up"]
    assert [m[0] for m in marks].count("quiet") == 3  # words have no order
    assert [x for _, x, _ in size] == sorted(x for _, x, _ in size)
    left, middle, right = size
    assert (middle[1] - left[1]) / (right[1] - left[1]) == pytest.approx(1 / 3, abs=0.01)
    assert left[2] < middle[2] < right[2]


def test_a_swarm_of_very_many_rows_is_binned_and_counts_every_row() -> None:
    values = [[math.sin(i)] for i in range(5000)]
    root = ElementTree.fromstring(charts.swarm_chart("why", ["a"], values, values, width=680))
    hints = [
        int(re.search(r"([\d,]+) row", t.text or "").group(1).replace(",", ""))
        for t in root.iter("title")
        if "a: " in (t.text or "")
    ]  # type: ignore[union-attr]
    assert len(hints) < 100
    assert sum(hints) == 5000


@pytest.mark.parametrize("seed", range(5))
def test_outlines_enclose_what_they_are_of(seed: int) -> None:
    """Area by the shoelace formula, and every pixel's middle by the even-odd rule."""
    from matplotlib.path import Path

    inside = np.random.default_rng(seed).random((9, 12)) < (0.3, 0.5, 0.7, 0.9, 1.0)[seed]
    loops = outlines(inside)
    area = sum(a[0] * b[1] - b[0] * a[1] for loop in loops for a, b in zip(loop, [*loop[1:], loop[0]], strict=True)) / 2
    assert area == inside.sum()
    middles = np.stack(np.meshgrid(np.arange(12) + 0.5, np.arange(9) + 0.5), -1).reshape(-1, 2)
    hits = sum(Path([*loop, loop[0]], closed=True).contains_points(middles).astype(int) for loop in loops)
    assert (hits % 2 == inside.ravel()).all()
